"""Validators of settings, for attrs: what a number, a choice or a text of the caller may be.

All settings classes take them from here, so that a wrong argument is refused in the same words everywhere: by its name
and by what was expected, never by its value. attrs' own validators raise errors that quote the value; of those only the
combinators `optional`, `and_` and `deep_mapping` are used. The error is an argument: a client that cannot be built is a
ConfigurationError, a call that cannot be made an InvalidRequestError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.errors import InvalidRequestError, SyneriseError

__all__ = [
    "MakeError",
    "SettingValidator",
    "configuration_error",
    "instance_of",
    "invalid_request",
    "name_collection",
    "number",
    "one_of",
    "optional_function",
    "positive_seconds",
    "seconds",
    "text",
    "whole_number",
]

MakeError: TypeAlias = Callable[[str, str], SyneriseError]
"""Makes the error of an argument's name and a problem in words."""


def configuration_error(name: str, problem: str) -> ConfigurationError:
    """Return the error of an argument of a client or of its retry policy."""
    return ConfigurationError(f"{name}: {problem}")


def invalid_request(name: str, problem: str) -> InvalidRequestError:
    """Return the error of an argument of a call."""
    return InvalidRequestError(problem, field=name)


@attrs.frozen
class SettingValidator:
    """One rule for a value: an attrs validator, which `check` applies to an argument that is no attribute."""

    is_valid: Callable[[Any], bool]
    problem: str
    error: MakeError = invalid_request

    def check(self, name: str, value: object) -> None:
        """Raise if the value breaks the rule."""
        if not self.is_valid(value):
            raise self.error(name, self.problem)

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


def one_of(*choices: str, or_function: bool = False, error: MakeError = invalid_request) -> SettingValidator:
    """Expect one of some words, or a function where that is allowed too."""
    expected = f"one of {', '.join(choices)}{', or a function' if or_function else ''}"
    return SettingValidator(
        lambda value: value in choices or (or_function and callable(value)), f"expected {expected}", error
    )


def text(problem: str = "expected text that is not empty", *, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a text with more than white space."""
    return SettingValidator(lambda value: isinstance(value, str) and bool(value.strip()), problem, error)


def instance_of(*types: type, expected: str, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a value of some types, said in words."""
    return SettingValidator(lambda value: isinstance(value, types), f"expected {expected}", error)


def optional_function(*, error: MakeError = invalid_request) -> SettingValidator:
    """Expect a function or None."""
    return SettingValidator(lambda value: value is None or callable(value), "expected a function", error)


def name_collection(*, error: MakeError = invalid_request) -> SettingValidator:
    """Expect several names: a single text would be taken for a collection of its letters."""
    problem = "expected a collection of names, such as {'firstName'}"
    return SettingValidator(lambda value: not isinstance(value, str), problem, error)
