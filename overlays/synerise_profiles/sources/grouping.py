"""Grouping: the rows of the lines of one order become one row, with all its items and their totals.

What stands in lists of the mapping (`products[]`) is collected, a line an entry. Any other field has to be the same in
all lines that give it, unless `combine=` says what else is done. The totals are computed from `finalUnitPrice` times
`quantity` in exact decimals, and those that are given are held against them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast

from synerise_profiles._batching.readable_row import write_any
from synerise_profiles._core.json_equality import same_json
from synerise_profiles._core.wording import counted
from synerise_profiles._validation.amounts import EXACT
from synerise_profiles._validation.rules import FieldProblem
from synerise_profiles._validation.totals import price_products
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object, raise_if_of_a_signal
from synerise_profiles_api.types import UNSET

from .fields import ResolvedField

__all__ = ["TOTAL_FIELDS", "BadLine", "Combine", "FieldPath", "Grouping", "Order", "entry_list_of", "value_at"]

Combine: TypeAlias = Literal["agree", "first", "last", "sum"]
BadLine: TypeAlias = Literal["refuse_order", "refuse_line"]
FieldPath: TypeAlias = tuple[str, ...]
TOTAL_FIELDS: Final = ("revenue", "value")
_PRODUCTS: Final = "products"
_LINES_BETWEEN_SIZES: Final = 500
"""The size of an order is looked at after so many lines each."""


def entry_list_of(field: ResolvedField) -> FieldPath | None:
    """Return the path of the list that a field is in; None if it is in none."""
    names = [step.name for step in field.steps]
    place = next((place for place, step in enumerate(field.steps) if step.is_entry), None)
    return None if place is None else tuple(names[: place + 1])


class Grouping:
    """How lines become orders: which lists are collected, what is done with other fields, and where totals belong.

    `totals_in` is the path of the object that has the products and gets their totals; None where there are none.
    `totals_of` are names and values of fields, of which a row with totals has one; empty, all rows have them. With
    `has_any_type` a field may be a number in one line and true in another one, which Python takes for equal.
    """

    def __init__(
        self,
        lists: Iterable[FieldPath],
        combine: Mapping[FieldPath, Combine],
        *,
        totals_in: FieldPath | None,
        totals_of: Sequence[tuple[str, str | None]] = (),
        has_any_type: bool = True,
        max_bytes: int,
    ) -> None:
        self.lists = tuple(dict.fromkeys(lists))
        self.combine = {path: how for path, how in combine.items() if how != "agree"}
        self.totals_in = totals_in
        self.totals_of = totals_of
        self.has_any_type = has_any_type
        self.max_bytes = max_bytes


class Order:
    """The lines of one order, merged as they come: `add` and then `finish`, which returns its row or what is wrong."""

    def __init__(self, grouping: Grouping) -> None:
        self.problem: FieldProblem | None = None
        self.lines = 0
        self._grouping = grouping
        self._row: dict[str, Any] = {}
        self._lists: dict[FieldPath, list[Any]] = {}
        self._combined: dict[FieldPath, Any] = {}
        self._size = 0

    def refuse(self, field: str, reason: str) -> None:
        """Take note of what is wrong with the order, unless that is known; its rows are kept no more."""
        self.problem = self.problem or (field, reason)
        self._row, self._lists = {}, {}

    def add(self, row: dict[str, Any]) -> None:
        """Add the row of a line."""
        self.lines += 1
        if self._size > self._grouping.max_bytes:
            self._size += sum(map(_json_size, self._taken_entries(row)))
        if self.problem is not None:
            return
        grouping = self._grouping
        for path in grouping.lists:
            entries = row.pop(path[0], None) if len(path) == 1 else _take(row, path)
            if entries is not None:
                known = self._lists.get(path)
                if known is None:
                    self._lists[path] = entries
                else:
                    known += entries
        if grouping.combine:
            self._combine(row)
        if self.lines == 1:
            self._row = row
        elif (row != self._row or grouping.has_any_type) and (differing := _merge(self._row, row)) is not None:
            self.refuse(".".join(differing), f"is not the same in all lines of the order; {_COMBINE_HINT}")
        if self.lines % _LINES_BETWEEN_SIZES == 0:
            self._look_at_size()

    def finish(self) -> dict[str, Any] | FieldProblem:
        """Return the row of the order, or the field and the reason why there is none."""
        if self._size > self._grouping.max_bytes:
            limit = self._grouping.max_bytes
            return "", f"has {counted(self.lines, 'line')} of {self._size:,} bytes; one request carries {limit:,}"
        if self.problem is not None:
            return self.problem
        for path, value in self._combined.items():
            try:
                _put(self._row, path, to_wire(value) if isinstance(value, Decimal) else value)
            except InvalidRequestError as error:
                return ".".join(path), error.problem
        for path, entries in self._lists.items():
            _put(self._row, path, entries)
        return self._totals_problem() or self._row

    def _combine(self, row: dict[str, Any]) -> None:
        for path, how in self._grouping.combine.items():
            value = _take(row, path)
            if value is None:
                continue
            if how == "sum":
                total = _sum(self._combined.get(path, Decimal(0)), value)
                if total is None:
                    self.refuse(".".join(path), "is no number, and cannot be summed")
                    return
                self._combined[path] = total
            elif how == "last" or path not in self._combined:
                self._combined[path] = value

    def _look_at_size(self) -> None:
        size = _json_size(self._row) + sum(map(_json_size, self._lists.values()))
        if size > self._grouping.max_bytes:
            self._size = size
            self.refuse("", "")

    def _taken_entries(self, row: dict[str, Any]) -> list[Any]:
        return [entries for path in self._grouping.lists if (entries := _take(row, path)) is not None]

    def _totals_problem(self) -> FieldProblem | None:
        """Put totals in that are not given; return what is wrong with them, None if nothing is."""
        path, totals_of = self._grouping.totals_in, self._grouping.totals_of
        if totals_of and not any(value is not None and self._row.get(name) == value for name, value in totals_of):
            return None
        holder = None if path is None else value_at(self._row, path) if path else self._row
        if path is None or not is_object(holder):
            return None
        priced = _priced(holder.get(_PRODUCTS) or ())
        given = [name for name in TOTAL_FIELDS if "amount" in (holder.get(name) or {})]
        if priced is not None:
            total, currency = priced
            if all(_is_money(holder[name], total, currency) for name in given):
                try:
                    money = {"amount": to_wire(total), "currency": currency}
                except InvalidRequestError as error:
                    return _path_text(path, "revenue.amount"), error.problem
                for name in TOTAL_FIELDS:
                    holder[name] = {**money, **(holder.get(name) or {})}
                if all(holder[name]["currency"] == currency for name in TOTAL_FIELDS):
                    return None
        return _exact_totals(holder, path, given)


_COMBINE_HINT: Final = 'say by combine= which one is meant: "first", "last" or "sum"'
_OTHER_CURRENCY: Final = "is another currency than that of the products; a transaction has one currency"


def _exact_totals(holder: dict[str, Any], path: FieldPath, given: Sequence[str]) -> FieldProblem | None:
    """Let the rules of the builder price the products: they say what is wrong, and know what may have been rounded."""
    try:
        priced = price_products(
            holder.get(_PRODUCTS) or (),
            revenue=holder["revenue"] if "revenue" in given else UNSET,
            value=holder["value"] if "value" in given else UNSET,
            discount=holder.get("discountAmount", UNSET),
            show_amounts=False,
        )
        for name, money in (("revenue", priced.revenue), ("value", priced.value)):
            given_money: Mapping[str, Any] = holder.get(name) or {}
            if given_money.get("currency", money.currency) != money.currency:
                return _path_text(path, f"{name}.currency"), _OTHER_CURRENCY
            holder[name] = {"amount": to_wire(cast("Decimal", money.amount)), "currency": money.currency}
    except InvalidRequestError as error:
        return _path_text(path, error.field), error.problem
    return None


def _priced(products: Iterable[Any]) -> tuple[Decimal, str] | None:
    """Return the sum of the prices and their currency; None where that is not as plain as that."""
    total, currency, add = Decimal(0), None, EXACT.add
    try:
        for product in products:
            price = product["finalUnitPrice"]
            if price["currency"] != currency:
                if currency is not None:
                    return None
                currency = price["currency"]
            total = add(total, _exact_product(price["amount"], product["quantity"]))
    except (KeyError, TypeError, ArithmeticError, ValueError) as error:
        raise_if_of_a_signal(error)
        return None
    return None if currency is None else (total, currency)


def _is_money(money: Any, total: Decimal, currency: str) -> bool:
    try:
        return bool(money.get("currency", currency) == currency and _decimal(money["amount"]) == total)
    except (TypeError, ArithmeticError, ValueError) as error:
        raise_if_of_a_signal(error)
        return False


def _sum(total: Decimal, number: object) -> Decimal | None:
    """Add a number to a total; None for what is none, or is none that JSON could hold."""
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        return None
    try:
        return EXACT.add(total, _decimal(number))
    except ArithmeticError:
        return None


@lru_cache(maxsize=4096)
def _decimal(number: float | Decimal) -> Decimal:
    """Return a number as it is written; prices and quantities repeat."""
    if isinstance(number, int):
        return Decimal(int(number))
    return number if isinstance(number, Decimal) else Decimal(repr(float(number)))


@lru_cache(maxsize=4096)
def _exact_product(price: float, quantity: float) -> Decimal:
    return EXACT.multiply(_decimal(price), _decimal(quantity))


def _merge(row: dict[str, Any], other: Mapping[str, Any]) -> FieldPath | None:
    """Add the fields that only the other row has; return the path of one that differs, None if none does."""
    for name, value in other.items():
        if name not in row:
            row[name] = value
        elif is_object(value) and is_object(row[name]):
            inner = _merge(row[name], value)
            if inner is not None:
                return (name, *inner)
        elif not same_json(row[name], value):
            return (name,)
    return None


def value_at(row: Any, path: FieldPath) -> Any:
    """Return what stands at a path in a row; None where nothing does."""
    for name in path:
        row = row.get(name) if is_object(row) else None
    return row


def _take(row: dict[str, Any], path: FieldPath) -> Any:
    """Take the value at a path out of a row."""
    holder = value_at(row, path[:-1])
    return holder.pop(path[-1], None) if is_object(holder) else None


def _put(row: dict[str, Any], path: FieldPath, value: Any) -> None:
    for name in path[:-1]:
        row = row.setdefault(name, {})
    row[path[-1]] = value


def _path_text(path: FieldPath, field: str) -> str:
    return ".".join((*path, field))


def _json_size(value: Any) -> int:
    try:
        return len(write_any(value))
    except (TypeError, ValueError) as error:
        raise_if_of_a_signal(error)
        return 0
