"""Signatures of methods that take their options as one mapping: `help` and editors show each option by its name.

A method of many options is written with `**options: Unpack[...]`, so that its types stand once, in a TypedDict, and its
defaults once, in the settings class that checks them. Nothing is read of either before somebody looks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final, TypeVar, cast

import attrs

__all__ = ["hides_others", "shows_options"]

F = TypeVar("F", bound=Callable[..., Any])
_REQUIRED: Final = inspect.Parameter.empty


def shows_options(load: Callable[[], Sequence[Any]], **defaults: object) -> Callable[[F], F]:
    """Show the options of a method that takes `**options`.

    `load` returns the TypedDict of the options, and the settings classes, or functions, that have their defaults;
    `defaults` are those of the others. One that has none there is required.
    """

    def decorate(function: F) -> F:
        def make() -> inspect.Signature:
            arguments, *sources = load()
            found = {name: value for source in sources for name, value in _defaults_of(source)} | defaults
            return _with_options(function, arguments.__annotations__, found)

        cast("Any", function).__signature__ = _LazySignature(make)
        return function

    return decorate


def hides_others(function: F) -> F:
    """Leave out of the signature the arguments that a method takes only to say which one is meant by them."""
    cast("Any", function).__signature__ = _LazySignature(lambda: _with_options(function, {}, {}))
    return function


class _LazySignature(inspect.Signature):
    """A signature that is made when it is looked at."""

    def __init__(self, make: Callable[[], inspect.Signature]) -> None:
        super().__init__()
        self._make = make

    @property
    def parameters(self) -> Any:
        """The parameters, in their order."""
        return self._make().parameters

    @property
    def return_annotation(self) -> Any:
        """The type of what is returned."""
        return self._make().return_annotation

    def replace(self, **changes: Any) -> inspect.Signature:  # type: ignore[override]  # one that is made
        """Return a signature with other parameters or another type of what is returned."""
        return self._make().replace(**changes)


def _with_options(
    function: Callable[..., Any], annotations: Mapping[str, Any], defaults: Mapping[str, Any]
) -> inspect.Signature:
    """Return the signature of a function with options in the place of its mapping of them."""
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=_text_of(annotation)
        )
        for name, annotation in annotations.items()
    ]
    copy = FunctionType(function.__code__, {})  # without the signature that is being made
    copy.__annotations__, copy.__defaults__ = function.__annotations__, function.__defaults__
    copy.__kwdefaults__ = function.__kwdefaults__
    own = inspect.signature(copy)
    kept = [item for item in own.parameters.values() if item.kind is not inspect.Parameter.VAR_KEYWORD]
    return own.replace(parameters=[*kept, *options])


def _defaults_of(source: Any) -> list[tuple[str, Any]]:
    if not attrs.has(source):
        return [(name, item.default) for name, item in inspect.signature(source).parameters.items()]
    return [(field.name, _default_of(field.default)) for field in attrs.fields(source)]


def _default_of(default: Any) -> Any:
    if default is attrs.NOTHING:
        return _REQUIRED
    factory = getattr(default, "factory", None)
    return default if factory is None else factory()


def _text_of(annotation: Any) -> Any:
    text = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(text, str) and text.startswith("Required["):
        return text.removeprefix("Required[").removesuffix("]")
    return text
