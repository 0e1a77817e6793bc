"""Alignment of the products of an updated transaction with those of the old one, by SKU.

The server makes a product.buy event of each position, and an update overwrites the event of the same position. So an
item must keep its position, or its event would become that of another item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_missing

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
    """Raise InvalidRequestError for a transaction that nothing can overwrite: it has no salt, or no time."""
    for name, problem in (("eventSalt", _NO_SALT_PROBLEM), ("recordedAt", _NO_TIME_PROBLEM)):
        if is_missing(old.get(name)):
            raise InvalidRequestError(problem, field=name)


def align_products(old: Iterable[Any], new: Iterable[Any], tag: str) -> list[dict[str, Any]]:
    """Return the new products, each at the position that the same item has in the old ones.

    An item that is gone keeps its position and is marked by `tag`, since events cannot be deleted; new items follow.
    Where several items have one SKU, those that did not change are matched first.
    """
    before, after = _read_items(old, "products of the old transaction"), _read_items(new, "products")
    matches: list[int | None] = [None] * len(before)
    unmatched: dict[str, list[int]] = {}
    for index, item in enumerate(after):
        unmatched.setdefault(_sku(item), []).append(index)
    for only_equal in (True, False):
        for position, item in enumerate(before):
            if matches[position] is not None:
                continue
            candidates = unmatched.get(_sku(item), [])
            match = next((index for index in candidates if not only_equal or _is_equal(item, after[index], tag)), None)
            if match is not None:
                matches[position] = match
                candidates.remove(match)
    kept = [{**item, tag: True} if index is None else after[index] for item, index in zip(before, matches, strict=True)]
    return kept + [after[index] for index in sorted(index for indexes in unmatched.values() for index in indexes)]


def tagged_positions(products: Iterable[Fields], tag: str) -> set[int]:
    """Return the positions of the items that are marked."""
    return {position for position, item in enumerate(products) if item.get(tag) is True}


def _read_items(items: Iterable[Any], field: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for position, item in enumerate(items):
        fields = fields_of(item)
        if fields is None:
            problem = f"is neither a model nor a mapping: {type(item).__name__}"
            raise InvalidRequestError(problem, field=f"{field}[{position}]")
        rows.append(dict(fields))
    return rows


def _sku(item: Fields) -> str:
    return str(item.get("sku"))


def _is_equal(item: Fields, other: Fields, tag: str) -> bool:
    """Whether both are the same JSON, apart from the mark."""
    plain, expected = (
        to_wire({name: value for name, value in fields.items() if name != tag}) for fields in (item, other)
    )
    return bool(plain == expected)
