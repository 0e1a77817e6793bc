"""Names that nobody has: which of the known ones is meant, and errors that say so."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

__all__ = [
    "HintsNames",
    "Resource",
    "checks_names",
    "closest_name",
    "meant",
    "methods_of_parts",
    "missing_problem",
    "near_name",
    "same_name",
]

F = TypeVar("F", bound=Callable[..., Any])
_MIN_LETTERS: Final = 6
"""Shorter names have too many neighbours for a single edit to be a slip."""
_MIN_SWAPPED_LETTERS: Final = 4
"""Two letters of a name that are swapped make no other word, but in the shortest ones."""
_MAX_LISTED: Final = 30
_VERBS: Final = (
    ("upsert", "put", "create", "add", "insert", "save", "set"),
    ("get", "fetch", "load", "read", "retrieve"),
    ("update", "change", "edit", "modify", "patch"),
    ("delete", "drop", "remove"),
    ("find", "search", "query", "lookup"),
    ("list", "all"),
)
"""What other libraries call the same."""
_SEPARATOR: Final = re.compile(r"[\s_.\-]+")


def near_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is meant by another one, None if it is near none.

    Near is a name that is the same without case and separators, or that differs by two neighbours that are swapped, in
    names of four letters (`tiem`), or by a letter more, less or another one, where one of the two names has six
    (`parms`). Digits make another name: `phone2` is near nothing.
    """
    names, given = tuple(known), _letters(name)
    if (same := same_name(name, names)) is not None:
        return same
    if _count(given) < _MIN_SWAPPED_LETTERS:
        return None
    return next((other for other in names if _is_slip(given, _letters(other))), None)


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is the same as another one without case and separators; None if there is none."""
    given = _letters(name)
    return next((other for other in known if _letters(other) == given), None)


def missing_problem(name: str, given: Iterable[Any]) -> str:
    """Say that a key is required, and which of the given ones is meant for it."""
    found = near_name(name, (key for key in given if isinstance(key, str) and key.isidentifier()))
    return "is required" if found is None else f"is required; is {found!r} meant for it?"


def closest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name that resembles one most; None if none does.

    To be used where the name is refused in any case, since it goes further than `near_name`: a part of a name counts.
    None is named where two resemble it alike.
    """
    import difflib  # noqa: PLC0415 - is needed for an error alone

    found = near_name(name, known)
    if found is None and (close := difflib.get_close_matches(name, known, n=2)):
        ratios = [difflib.SequenceMatcher(None, other, name).ratio() for other in close]
        return None if ratios[1:] == ratios[:1] else close[0]
    if found is None and len(_letters(name)) > 2:
        found = next((other for other in known if _letters(name) in _letters(other)), None)
    return found


def meant(name: object, known: Collection[str]) -> str:
    """Say which known name is meant; where none resembles, which there are."""
    found = closest_name(name, known) if isinstance(name, str) else None
    if found is not None:
        return f"did you mean {found!r}?"
    listed = sorted(known)
    more = f" and {len(listed) - _MAX_LISTED} more" if len(listed) > _MAX_LISTED else ""
    return f"there is {', '.join(listed[:_MAX_LISTED])}{more}" if listed else "there is none"


def checks_names(function: F) -> F:
    """Make a function whose TypeError for an unknown keyword argument names the one that is meant.

    That for a missing argument, or one too many by position, says how the function is called. One that takes any
    keyword argument looks at their names itself. A private argument is not in the signature that `help` shows.
    """
    code = inspect.unwrap(function).__code__
    takes_all = _takes_any_name(function)
    known = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not (takes_all or known.issuperset(kwargs)):
            _check_names(_called_as(function, args), kwargs, known)
        try:
            return function(*args, **kwargs)
        except TypeError:
            _check_call(function, args, kwargs)
            raise

    @functools.wraps(function)
    async def begin(*args: Any, **kwargs: Any) -> Any:
        if not (takes_all or known.issuperset(kwargs)):
            _check_names(_called_as(function, args), kwargs, known)
        try:
            found = function(*args, **kwargs)
        except TypeError:
            _check_call(function, args, kwargs)
            raise
        return await found

    if not takes_all and any(name.startswith("_") for name in known):
        shown = inspect.signature(function)
        kept = [item for name, item in shown.parameters.items() if not name.startswith("_")]
        cast("Any", call).__signature__ = shown.replace(parameters=kept)
    if not inspect.iscoroutinefunction(function):
        return cast("F", call)
    mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12
    remembers = hasattr(function, "__wrapped__")  # it looks for the line of the call, in whose frame it has to run
    return cast("F", mark(call) if remembers and mark is not None else begin)


def _takes_any_name(function: Callable[..., Any]) -> bool:
    return bool(inspect.unwrap(function).__code__.co_flags & inspect.CO_VARKEYWORDS)


def _called_as(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return the name by which a function is called: of a method with what its object says that it stands for."""
    name = function.__qualname__.removesuffix(".__init__")
    owner = getattr(args[0], "_stands_as", None) if args and "." in name else None
    return f"{owner}.{function.__name__}" if isinstance(owner, str) else name


def _check_names(called_as: str, names: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError for the first name that a function does not know."""
    for name in names:
        if name not in known:
            public = [other for other in known if not other.startswith("_") and other not in ("self", "cls")]
            raise TypeError(f"{called_as}() got an unexpected keyword argument {name!r}; {meant(name, public)}")


def _check_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise TypeError where these are not the arguments of a function; return where it took them, and raised itself."""
    signature = inspect.signature(function)
    owner = _called_as(function, args)
    shown = [
        item for name, item in signature.parameters.items() if not name.startswith("_") and name not in ("self", "cls")
    ]
    needed = [item.name for item in shown if item.default is item.empty and item.kind is not item.VAR_POSITIONAL]
    words = [f"{item.name}=" if item.kind is item.KEYWORD_ONLY else item.name for item in shown if item.name in needed]
    if not words and shown:
        words = [f"{shown[0].name}="]
    usage = f"{owner}({', '.join([*words, *(['...'] if len(words) < len(shown) else [])])})"
    try:
        named = {name: value for name, value in kwargs.items() if name in signature.parameters}
        given = signature.bind_partial(*args, **named).arguments
    except TypeError as error:
        raise TypeError(f"{owner}(): {error}; it is called as {usage}") from None
    missing = [repr(name) for name in needed if name not in given]
    if missing:
        raise TypeError(f"{owner}() needs {' and '.join(missing)}; it is called as {usage}") from None


class HintsNames:
    """Base of what has named parts: the AttributeError for an unknown one names the one that is meant."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers know the names, and refuse all others

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):  # what a property raised itself is raised again
                return object.__getattribute__(self, name)
            known = [other for other in dir(type(self)) if not other.startswith("_")]
            found = self._meant_elsewhere(name, known)
            hint = f"did you mean {' or '.join(map(repr, found))}?" if found else meant(name, known)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}; {hint}")

        def _meant_elsewhere(self, _name: str, _known: Collection[str]) -> list[str]:
            return []


class Resource(HintsNames):
    """Base of the resources: their methods say which argument is meant by a misspelt one."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        owner: object = getattr(cls, "_stands_as", None)
        for name, function in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(function):
                if isinstance(owner, str):
                    function.__qualname__ = f"{owner}.{name}"  # as it is called: Python's own errors name it so
                if not _takes_any_name(function):
                    setattr(cls, name, checks_names(function))

    if not TYPE_CHECKING:

        def _meant_elsewhere(self, name: str, known: Collection[str]) -> list[str]:
            """Return the method that does what another library calls so."""
            if closest_name(name, known) is not None:
                return []
            import difflib  # noqa: PLC0415 - is needed for an error alone

            verbs = difflib.get_close_matches(name.split("_", maxsplit=1)[0], [*chain(*_VERBS)], n=1, cutoff=0.8)
            same = next((group for group in _VERBS if verbs and verbs[0] in group), ())
            return [other for other in same if other in known][:1]

    def __repr__(self) -> str:
        client = getattr(getattr(self, "_send", None), "__self__", None)
        return f"<{type(self).__name__}{'' if client is None else f' of {client!r}'}>"


def methods_of_parts(owner: object, name: str, parts: Iterable[str]) -> list[str]:
    """Return the methods of an object's parts that a name means, such as `profiles.upsert` for `upsert_profile`."""
    wanted, found = _words(name), list[str]()
    for part in parts:
        for method in dir(cast("object", getattr(owner, part))):
            if not method.startswith("_") and wanted in (_words(f"{part}_{method}"), _words(method)):
                found.append(f"{part}.{method}")
    return found if "_" in name else []


def _words(name: str) -> frozenset[str]:
    return frozenset(word.removesuffix("s") for word in name.casefold().split("_"))


def _letters(name: str) -> str:
    return _SEPARATOR.sub("", name).casefold()


def _count(name: str) -> int:
    return sum(map(str.isalpha, name))


def _is_slip(given: str, known: str) -> bool:
    if abs(len(given) - len(known)) > 1 or _digits(given) != _digits(known):
        return False
    start = next(
        (place for place, (a, b) in enumerate(zip(given, known, strict=False)) if a != b), min(map(len, (given, known)))
    )
    a, b = given[start:], known[start:]
    if a[:2] == b[1::-1] and a[2:] == b[2:]:
        return _count(known) >= _MIN_SWAPPED_LETTERS
    is_one_edit = a[1:] == b or a == b[1:] or a[1:] == b[1:]
    return is_one_edit and max(_count(given), _count(known)) >= _MIN_LETTERS


def _digits(name: str) -> list[str]:
    return [char for char in name if char.isdigit()]
