"""Functions that callers give: whether one can be called, and whether what it returns has to be awaited.

A function that works is never refused, so only what is sure counts: plain functions by their own code, methods of them,
partials of them, objects of a class that defines `__call__` as one, and built-in functions that tell. A signature can
be another one's (`functools.wraps`), made up (mocks) or raise, so of anything odd it shows when it is called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Coroutine
from types import BuiltinFunctionType, FunctionType, GeneratorType, MethodDescriptorType, MethodType
from typing import Any, Final, cast

from synerise_profiles_api.json_values import raise_if_of_a_signal

__all__ = ["closed_coroutine", "is_awaitable", "is_coroutine_function", "takes"]

_CALL_PARTIAL: Final[object] = vars(functools.partial)["__call__"]
_PLACEHOLDER: Final = getattr(functools, "Placeholder", object())
"""Stands in a partial, from Python 3.14 on, for an argument that is given later."""


def takes(function: object, arguments: int) -> bool:
    """Whether something can be called with so many arguments, as far as that is sure."""
    if not callable(function):
        return False
    try:
        return _takes(function, (None,) * arguments, {})
    except Exception as error:  # noqa: BLE001 - whatever an odd one raises when it is looked at
        raise_if_of_a_signal(error)
        return True


def is_coroutine_function(value: object) -> bool:
    """Whether it is sure that what a function returns has to be awaited; so has that of an object called as one."""
    try:
        function = _within(value)
        return type(function) is FunctionType and inspect.iscoroutinefunction(function)
    except Exception as error:  # noqa: BLE001 - likewise
        raise_if_of_a_signal(error)
        return False


def is_awaitable(result: object) -> bool:
    """Whether a result has to be awaited, by its type alone: a class may say anything of its objects."""
    kind = type(result)
    if kind is GeneratorType:
        return inspect.isawaitable(result)
    return issubclass(kind, Awaitable)


def closed_coroutine(result: object) -> bool:
    """Close what a function returned if it is a coroutine, which would never run; whether it is one.

    A task or a future is none: it runs, or is done, without being awaited.
    """
    kind = type(result)
    if kind is GeneratorType:
        return inspect.isawaitable(result)
    if not issubclass(kind, Coroutine):
        return False
    try:
        result.close()  # type: ignore[attr-defined]  # or Python warns that it was never awaited
    except Exception as error:  # noqa: BLE001 - it may be somebody's own class
        raise_if_of_a_signal(error)
    return True


def _takes(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    kind = cast("type[object]", type(function))
    if kind is FunctionType:
        return _binds(inspect.signature(_bare(function)), arguments, keywords)
    if kind is MethodType:
        return _takes(function.__func__, (None, *arguments), keywords)
    if kind in (BuiltinFunctionType, MethodDescriptorType):
        return _binds(inspect.signature(function), arguments, keywords)
    call = _call_of(kind)
    if call is _CALL_PARTIAL:
        if any(argument is _PLACEHOLDER for argument in function.args):
            return True
        return _takes(function.func, (*function.args, *arguments), function.keywords | keywords)
    return type(call) is not FunctionType or _takes(call, (None, *arguments), keywords)


def _within(value: Any) -> object:
    """Return the function that is called in the end."""
    while type(value) is not FunctionType:
        if type(value) is MethodType:
            value = value.__func__
            continue
        kind = cast("type[object]", type(value))
        call = _call_of(kind)
        if call is not _CALL_PARTIAL:
            return call
        value = value.func
    return value


def _call_of(kind: type) -> object:
    """Return what a class defines as `__call__`, as it stands there."""
    return next((vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base)), None)


def _bare(function: FunctionType) -> FunctionType:
    """Return a function without what a decorator may have said of it: another signature, or what it wraps."""
    bare = FunctionType(function.__code__, {}, closure=function.__closure__)
    bare.__defaults__, bare.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return bare


def _binds(signature: inspect.Signature, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    try:
        signature.bind(*arguments, **keywords)
    except TypeError:
        return False
    return True
