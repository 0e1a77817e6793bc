"""Positions of products in an update: a product.buy event belongs to a position, so each item keeps its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import UNSET

__all__ = ["align_products", "require_replaceable", "tagged_positions"]

_NO_SALT_PROBLEM = (
    "is not set: a transaction that was sent without one cannot be overwritten, sending it again makes another one; "
    "cancel it instead"
)
_NO_TIME_PROBLEM = (
    "is not set: the transaction has the time of its receipt, and is overwritten only by one with the same time; "
    "cancel it instead"
)
Fields = Mapping[str, Any]


def require_replaceable(old: Fields) -> None:
    """Refuse a transaction that nothing can overwrite."""
    for name, problem in (("eventSalt", _NO_SALT_PROBLEM), ("recordedAt", _NO_TIME_PROBLEM)):
        if old.get(name) in (None, UNSET, ""):
            raise InvalidRequestError(problem, field=name)


def align_products(old: Iterable[Any], new: Iterable[Any], tag: str) -> list[dict[str, Any]]:
    """Put the new products where the same items are in the old ones, by SKU.

    An item that is gone keeps its place and is marked by `tag`, since events cannot be deleted; items that are new
    follow behind. Of several lines with one SKU, those that did not change keep their places first.
    """
    before, after = _read_items(old, "products of the old transaction"), _read_items(new, "products")
    places: list[int | None] = [None] * len(before)
    waiting: dict[str, list[int]] = {}
    for index, item in enumerate(after):
        waiting.setdefault(_sku(item), []).append(index)
    for unchanged in (True, False):
        for place, item in enumerate(before):
            if places[place] is not None:
                continue
            left = waiting.get(_sku(item), [])
            found = next((index for index in left if not unchanged or _is_equal(item, after[index], tag)), None)
            if found is not None:
                places[place] = found
                left.remove(found)
    kept = [{**item, tag: True} if index is None else after[index] for item, index in zip(before, places, strict=True)]
    return kept + [after[index] for index in sorted(index for left in waiting.values() for index in left)]


def tagged_positions(products: Iterable[Fields], tag: str) -> set[int]:
    """Return the positions of the items that are marked."""
    return {place for place, item in enumerate(products) if item.get(tag) is True}


def _read_items(items: Iterable[Any], field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for place, item in enumerate(items):
        fields = fields_of(item)
        if fields is None:
            at = f"{field}[{place}]"
            raise InvalidRequestError(f"is neither a model nor a mapping: {type(item).__name__}", field=at)
        found.append(dict(fields))
    return found


def _sku(item: Fields) -> str:
    return str(item.get("sku"))


def _is_equal(item: Fields, other: Fields, tag: str) -> bool:
    """Whether both are sent as the same, but for the mark."""
    plain, expected = (
        to_wire({name: value for name, value in fields.items() if name != tag}) for fields in (item, other)
    )
    return bool(plain == expected)
