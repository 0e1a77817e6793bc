"""Equality of JSON values, which Python has another idea of: there, true is 1."""

from __future__ import annotations

from synerise_profiles_api.json_values import is_list, is_object

__all__ = ["same_json"]


def same_json(one: object, other: object) -> bool:
    """Whether two values are the same in JSON, at any depth: 1 and 1.0 are one number, 1 and true are not the same."""
    if one.__class__ is not other.__class__ and isinstance(one, bool) != isinstance(other, bool):
        return False
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if is_list(one) and is_list(other):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other
