"""Keyword arguments of methods that take many, checked by name before anything else is done.

The settings classes behind such methods take the union of what several methods take; so an option that means nothing to
one of them would be swallowed in silence, also on an irreversible method.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["check_arguments", "taken_by"]


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
            raise InvalidRequestError(_problem(name, known, elsewhere or {}), operation=method, field=name)
    for name in required:
        if name not in given:
            raise InvalidRequestError("is required", operation=method, field=name)


def _problem(name: str, known: Collection[str], elsewhere: Mapping[str, Collection[str]]) -> str:
    takes = f"it takes {', '.join(sorted(known))}"
    owners = [method for method, names in elsewhere.items() if name in names]
    if owners:
        return f"does not apply here, but to {' and '.join(owners)}; {takes}"
    close = difflib.get_close_matches(name, known, n=1)
    return f"is no argument of this method; did you mean {close[0]!r}?" if close else f"is no argument; {takes}"
