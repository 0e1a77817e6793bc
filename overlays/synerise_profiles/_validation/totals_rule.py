"""The rule that a transaction's totals are the sums of its products, for rows that no builder made.

A revenue that is not the sum of its items would be stored as it is, and falsify every report. Nearly all totals are
right, and that is seen by a sum of floats; only where it differs, the exact sum decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_missing
from synerise_profiles_api.types import UNSET

from .amounts import is_currency_code
from .object_rules import TRUTH_ERRORS
from .rules import FieldProblem, Note, Rule, fields_of
from .totals import OR_LEAVE_OUT, price_products

__all__ = ["TotalsRule"]

_FLOAT_ERROR: Final = 1e-6
_TOTALS: Final = frozenset({"revenue", "value", "discountAmount"})
_POSITION: Final = re.compile(r"\[[0-9]+\]")


class TotalsRule:
    """A rule of rows, and that their totals add up: refused if it is strict, else noted."""

    def __init__(self, rule: Rule, note: Note, *, is_strict: bool) -> None:
        self._rule = rule
        self._note = note
        self._is_strict = is_strict

    def check(self, value: Any) -> FieldProblem | None:
        """Judge one row."""
        problem = self._rule.check(value)
        if problem is not None or _adds_up(value):
            return problem
        wrong = _totals_problem(fields_of(value) or {})
        if wrong is None or self._is_strict:
            return wrong
        field = _POSITION.sub("[]", wrong[0])
        what = wrong[1].partition(";")[0]
        if field in _TOTALS or "currency" in what:
            what = "totals do not add up, or are in several currencies"
        self._note(f"{field}: {what}; strict checks refuse such rows")
        return None

    def check_block(self, values: Sequence[Any], positions: Sequence[int], suspects: set[int]) -> bool:
        """Clear rows that the rule clears, and whose totals add up."""
        is_safe = self._rule.check_block(values, positions, suspects)
        suspects.update(position for value, position in zip(values, positions, strict=True) if not _adds_up(value))
        return is_safe


def _adds_up(value: Any) -> bool:
    """Whether totals are right beyond doubt: one currency, the sums of the prices, no value above the revenue."""
    try:
        row: Any = value if value.__class__ is dict else fields_of(value)
        revenue, code = _money(row["revenue"])
        if not is_currency_code(code):
            return False
        net, net_code = _money(row["value"])
        discount = row.get("discountAmount", UNSET)
        if net_code != code or not (discount is UNSET or _money(discount)[1] == code):
            return False
        total = net_total = 0.0
        for product in row["products"]:
            item: Any = product if product.__class__ is dict else fields_of(product)
            for field in item.values():
                if field.__class__ is not str and _other_currency(field, code):
                    return False
            # Added to a float first, so that a text or a list is never repeated.
            total += (0.0 + _money(item["finalUnitPrice"])[0]) * item["quantity"]
            if net != revenue:
                net_total += (0.0 + _money(item["netUnitPrice"])[0]) * item["quantity"]
        is_value = net == revenue or bool(abs(net_total - net) < _FLOAT_ERROR)
        return is_value and bool(abs(total - revenue) < _FLOAT_ERROR)
    except (ArithmeticError, AttributeError, LookupError, *TRUTH_ERRORS):
        return False


def _money(value: Any) -> tuple[Any, Any]:
    fields: Any = value if value.__class__ is dict else fields_of(value)
    return fields["amount"], fields["currency"]


def _other_currency(value: Any, code: Any) -> bool:
    fields = value if value.__class__ is dict else fields_of(value)
    return fields is not None and fields.get("currency", code) != code


def _totals_problem(row: Mapping[str, Any]) -> FieldProblem | None:
    """Return what the builder would refuse; items that a free property marks may be those that count no more."""
    problem = _price(row, ())
    if problem is None:
        return None
    products = row.get("products")
    listed: Sequence[Any] = cast("Sequence[Any]", products) if isinstance(products, list | tuple) else ()
    items = [fields_of(item) or {} for item in listed]
    for tag in dict.fromkeys(name for item in items for name, mark in item.items() if mark is True):
        marked = [position for position, item in enumerate(items) if item.get(tag) is True]
        if _price(row, marked) is None:
            return None
    return problem


def _price(row: Mapping[str, Any], excluded: Sequence[int]) -> FieldProblem | None:
    try:
        price_products(
            () if is_missing(products := row.get("products")) else cast("Any", products),
            revenue=row.get("revenue", UNSET),
            value=row.get("value", UNSET),
            discount=row.get("discountAmount", UNSET),
            excluded_positions=excluded,
            show_amounts=False,
        )
    except InvalidRequestError as error:
        return error.field, error.problem.removesuffix(OR_LEAVE_OUT)
    return None
