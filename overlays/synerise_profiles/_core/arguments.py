"""Arguments of a caller: keyword arguments, checked by name before anything else is done, and validators of values.

The settings classes behind methods that take many arguments take the union of what several methods take; so an option
that means nothing to one of them would be swallowed in silence, also on an irreversible method. All of them take their
validators from here, so that a wrong argument is refused in the same words everywhere: by its name and by what was
expected, never by its value. attrs' own validators raise errors that quote the value; of those only the combinators
`optional`, `and_` and `deep_mapping` are used. The error is an argument: a client that cannot be built is a
ConfigurationError, a call that cannot be made an InvalidRequestError.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Never, TypeAlias, TypeVar, cast

import attrs

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.bounded import items_of
from synerise_profiles_api.errors import InvalidRequestError, SyneriseError
from synerise_profiles_api.json_values import InvalidValueError
from synerise_profiles_api.names import checks_names, closest_name, meant, near_name

from .callables import closed_coroutine, is_awaitable, is_coroutine_function, takes

__all__ = [
    "MakeError",
    "SettingValidator",
    "check_arguments",
    "checks_init",
    "configuration_error",
    "instance_of",
    "invalid_request",
    "name_collection",
    "no_coroutine_function",
    "number",
    "one_of",
    "optional_function",
    "positive_seconds",
    "refuse_argument",
    "refuse_coroutine",
    "refuse_coroutine_function",
    "refuse_option",
    "refuse_unchecked",
    "refuse_without",
    "seconds",
    "taken_by",
    "text",
    "whole_number",
    "without_awaitables",
]

C = TypeVar("C")
_PLAIN_RESULTS: Final = frozenset({bool, int, str, type(None)})
_OWN_COLLECTIONS: Final = frozenset({dict, frozenset, list, set, tuple})
"""They come to an end."""


def taken_by(arguments: type) -> frozenset[str]:
    """Return the names of a TypedDict of keyword arguments."""
    required: frozenset[str] = getattr(arguments, "__required_keys__", frozenset[str]())
    optional: frozenset[str] = getattr(arguments, "__optional_keys__", frozenset[str]())
    return required | optional


def check_arguments(
    method: str,
    given: Mapping[str, object],
    arguments: type,
    elsewhere: Mapping[str, Collection[str]] | None = None,
    *,
    required: Collection[str] = (),
) -> None:
    """Raise InvalidRequestError for an argument that a method does not take, or that it cannot do without.

    `method` is named in the error, such as bulk.send_events; `arguments` is the TypedDict of what it takes, `elsewhere`
    what its sister methods take, by their names; `required` are those that have no default.
    """
    known = taken_by(arguments)
    for name in given:
        if name not in known:
            printable = name.encode(errors="backslashreplace").decode()
            raise InvalidRequestError(_problem(name, known, elsewhere or {}), operation=method, field=printable)
    for name in required:
        if name not in given:
            raise InvalidRequestError("is required", operation=method, field=name)


def _problem(name: str, known: Collection[str], elsewhere: Mapping[str, Collection[str]]) -> str:
    takes = f"it takes {', '.join(sorted(known))}"
    owners = [method for method, names in elsewhere.items() if name in names]
    if owners:
        return f"does not apply here, but to {' and '.join(owners)}; {takes}"
    if close := difflib.get_close_matches(name, known, n=1):
        return f"is no argument of this method; did you mean {close[0]!r}?"
    for owner, names in elsewhere.items():
        if (near := near_name(name, names)) is not None:
            return f"is no argument of this method; did you mean {near!r}, which belongs to {owner}?"
    return f"is no argument; {takes}"


def refuse_without(settings: attrs.AttrsInstance, needs: Mapping[str, str]) -> None:
    """Raise InvalidRequestError for a setting that was chosen without the one that gives it a meaning.

    `needs` has the name of the one by that of the other; a setting that is left at its default was not chosen.
    """
    defaults = {field.name: field.default for field in attrs.fields(type(settings))}
    for name, needed in needs.items():
        if getattr(settings, name) != defaults[name] and not getattr(settings, needed):
            raise InvalidRequestError(f"needs {needed}=, and has no effect without it", field=name)


def refuse_unchecked(settings: attrs.AttrsInstance, checks: str) -> None:
    """Raise InvalidRequestError for names that are allowed where no name is looked at."""
    for name in ("allow_null", "allow_unknown") if checks == "off" else ():
        if getattr(settings, name):
            raise InvalidRequestError("has no effect with checks='off', which looks at no field", field=name)


MakeError: TypeAlias = Callable[[str, str], SyneriseError]
"""Makes the error of an argument's name and a problem in words."""


def configuration_error(name: str, problem: str) -> ConfigurationError:
    """Return the error of an argument of a client or of its retry policy."""
    return ConfigurationError(f"{name}: {problem}")


def checks_init(cls: type[C]) -> type[C]:
    """Make a class whose TypeError for an unknown argument names the one that is meant."""
    init, checked = cls.__init__, checks_names(cls.__init__)

    @functools.wraps(init)
    def check_init(self: C, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError:
            checked(self, *args, **kwargs)
            raise

    cls.__init__ = check_init  # type: ignore[method-assign, assignment]  # its signature stays
    return cls


def refuse_argument(function: Callable[..., Any], name: str, *, called_as: str = "") -> Never:
    """Raise the TypeError of an argument that a function does not take, with the one that is meant."""
    import inspect  # noqa: PLC0415 - is needed for an error alone

    known = inspect.getfullargspec(function).kwonlyargs
    called_as = called_as or function.__qualname__
    raise TypeError(f"{called_as}() got an unexpected keyword argument {name!r}; {meant(name, known)}")


def refuse_option(client: Any, name: str, arguments: type) -> Never:
    """Raise for what `with_options` does not take; of the `arguments` of the client itself it is said that they are."""
    if name in taken_by(arguments):
        problem = f"is an option of the client, for all its copies; set it by {client.__name__}({name}=...)"
        raise configuration_error(name, problem)
    refuse_argument(client.with_options, name)


def invalid_request(name: str, problem: str) -> InvalidRequestError:
    """Return the error of an argument of a call."""
    return InvalidRequestError(problem, field=name)


@attrs.frozen
class SettingValidator:
    """One rule for a value: an attrs validator, which `check` applies to an argument that is no attribute."""

    is_valid: Callable[[Any], bool]
    problem: str
    error: MakeError = invalid_request
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Raise if the value breaks the rule; of `choices` the one that resembles it is named."""
        if not self.is_valid(value):
            near = closest_name(value, self.choices) if isinstance(value, str) and self.choices else None
            raise self.error(name, self.problem if near is None else f"{self.problem}; did you mean {near!r}?")

    def __call__(self, _instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        self.check(attribute.name, value)


def whole_number(
    minimum: int, maximum: int | None = None, *, of: str = "", error: MakeError = invalid_request
) -> SettingValidator:
    """Expect an int from `minimum` to `maximum`; a bool is none. `of` says what it counts."""
    noun = f"a whole number of {of}" if of else "a whole number"
    if maximum is not None:
        span = f"from {minimum} to {maximum}"
    else:
        span = f"from {minimum}" if minimum else "that is not negative"

    def is_valid(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return minimum <= value and (maximum is None or value <= maximum)

    return SettingValidator(is_valid, f"expected {noun} {span}", error)


def number(
    expected: str,
    minimum: float = 0,
    maximum: float = math.inf,
    *,
    positive: bool = False,
    finite: bool = True,
    error: MakeError = invalid_request,
) -> SettingValidator:
    """Expect an int or a float from `minimum` to `maximum`; a bool and NaN are none. `expected` says so in words.

    `positive` refuses zero; `finite` refuses infinity.
    """

    def is_valid(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return minimum <= value <= maximum and not (positive and value <= 0) and not (finite and value == math.inf)

    return SettingValidator(is_valid, f"expected {expected}", error)


def seconds(*, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a finite number of seconds, zero or more."""
    return number("a number of seconds that is not negative", error=error)


def positive_seconds(*, error: MakeError = invalid_request) -> SettingValidator:
    """Expect seconds above zero; `math.inf` is no limit."""
    return number("a positive number of seconds (math.inf for no limit)", positive=True, finite=False, error=error)


def one_of(*choices: str, error: MakeError = invalid_request) -> SettingValidator:
    """Expect one of some words."""
    return SettingValidator(lambda value: value in choices, f"expected one of {', '.join(choices)}", error, choices)


def text(problem: str = "expected text that is not empty", *, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a text with more than white space."""
    return SettingValidator(lambda value: isinstance(value, str) and bool(value.strip()), problem, error)


def instance_of(*types: type, expected: str, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a value of some types, said in words."""
    return SettingValidator(lambda value: isinstance(value, types), f"expected {expected}", error)


def optional_function(*arguments: str, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a function that can be called with some arguments, or None."""
    problem = f"expected a function that takes ({', '.join(arguments)})"
    return SettingValidator(lambda value: value is None or takes(value, len(arguments)), problem, error)


def no_coroutine_function(*, error: MakeError = invalid_request) -> SettingValidator:
    """Expect anything but a function whose result would have to be awaited."""
    problem = "expected a function that is no coroutine function, since what it returns is not awaited"
    return SettingValidator(lambda value: value is None or not is_coroutine_function(value), problem, error)


def refuse_coroutine(name: str, result: object, *, error: MakeError = invalid_request) -> None:
    """Raise for a coroutine that a function returned where nothing awaits it; it is closed."""
    if closed_coroutine(result):
        problem = "returned a coroutine, which nothing awaits here; give a function that is done when it returns"
        raise error(name, problem)


def without_awaitables(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of one argument that raises InvalidRequestError for a result that has to be awaited.

    A StopIteration of its own becomes a RuntimeError, as in a generator: what maps it over rows would end there.
    """

    def checked(argument: Any) -> Any:
        try:
            result = function(argument)
        except StopIteration as error:
            raise RuntimeError(f"the function of {name}= raised StopIteration") from error
        if type(result) not in _PLAIN_RESULTS and is_awaitable(result):
            closed_coroutine(result)
            problem = "returned what has to be awaited, which nothing does here; give one that returns its result"
            raise InvalidRequestError(problem, field=name)
        return result

    return checked


def refuse_coroutine_function(method: str, name: str, function: object) -> None:
    """Raise InvalidRequestError where the sync client would have to await a function."""
    if function is not None and is_coroutine_function(function):
        words = "is a coroutine function; only AsyncSynerise can await it"
        raise InvalidRequestError(words, operation=method, field=name)


def name_collection(*, error: MakeError = invalid_request) -> SettingValidator:
    """Expect several names: a single text would be taken for a collection of its letters."""
    problem = "expected a collection of names, such as {'firstName'}"

    def is_names(value: Any) -> bool:
        if not isinstance(value, Collection) or isinstance(value, str | bytes | bytearray):
            return False
        try:
            names = cast("Collection[object]", value)
            return all(
                isinstance(name, str) for name in (names if type(names) in _OWN_COLLECTIONS else items_of(names))
            )
        except InvalidValueError:  # it comes to no end
            return False

    return SettingValidator(is_names, problem, error)
