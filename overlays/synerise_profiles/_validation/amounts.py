"""Amounts of money, exact: read from Decimal, text or int into what a JSON number carries without loss.

A float does not hold 0.1: it is refused where a price is given by hand. In JSON that was read it stands for its digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, Final, TypeAlias, cast

from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import as_written
from synerise_profiles_api.models import Money
from synerise_profiles_api.names import missing_problem

__all__ = ["EXACT", "Amount", "amount_of", "is_currency_code", "money", "read_money"]

Amount: TypeAlias = Money | Mapping[str, Any] | Decimal | str | int
"""Money, or its amount alone where the currency is known already."""
_IS_FLOAT: Final = "is a float, which does not hold most prices exactly; give a Decimal, a text or an int"
EXACT: Final = Context(prec=2000)
"""More digits than sums and products of doubles have: none is lost, whatever the context of the caller."""
_AMOUNT_PATTERN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
is_currency_code: Final = re.compile(r"[A-Z]{3}", re.ASCII).fullmatch
"""Matches three capital letters."""


def money(amount: Decimal | str | int, currency: str) -> Money:
    """Make an amount of money; `currency` is its code in ISO 4217, such as PLN.

    Raises InvalidRequestError for a float, which does not hold 0.1, for what is below zero, and for more digits than a
    JSON number keeps.
    """
    if issubclass(type(as_written(amount)), float):
        raise InvalidRequestError(_IS_FLOAT, field="amount")
    return Money(amount=amount_of(amount, "amount"), currency=check_currency_code(currency, "currency"))


def amount_of(value: object, field: str) -> Decimal:
    """Read an amount; a float counts as the decimal number that JSON shows for it."""
    value = as_written(value)
    kind = type(value)  # what an object says of its class is code of the caller's
    if kind is bool or not issubclass(kind, Decimal | str | int | float):
        problem = f"is no amount: {kind.__name__}; give a Decimal, a text or an int"
        raise InvalidRequestError(problem, field=field)
    if isinstance(value, str) and _AMOUNT_PATTERN.fullmatch(value) is None:
        raise InvalidRequestError("is no amount such as 12.50: digits, and a point before the decimals", field=field)
    amount = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(cast("Decimal | str | int", value))
    try:
        to_wire(amount)
    except InvalidRequestError as error:
        raise InvalidRequestError(error.problem, field=field) from None
    if amount < 0:
        raise InvalidRequestError("is below zero; amounts are zero or more", field=field)
    return amount


def check_currency_code(value: object, field: str) -> str:
    """Return the code of a currency; raise InvalidRequestError for anything but three capital letters."""
    value = as_written(value)
    if type(value) is not str or not is_currency_code(value):
        raise InvalidRequestError("is no code of a currency: three capital letters, such as PLN", field=field)
    return value


def read_money(value: object, field: str, currency: str | None = None) -> Money:
    """Read money in any form that a caller may give; an amount alone is in `currency`."""
    kind = type(value)
    if issubclass(kind, Money):
        value = cast("Money", value)
        amount, code = value.amount, value.currency
    elif issubclass(kind, Mapping):
        given = cast("Mapping[str, Any]", value)
        missing = [name for name in ("amount", "currency") if name not in given]
        if missing:
            raise InvalidRequestError(missing_problem(missing[0], given), field=f"{field}.{missing[0]}")
        amount, code = given["amount"], given["currency"]
    elif currency is None:
        raise InvalidRequestError("has no currency; give money(amount, currency)", field=field)
    elif issubclass(type(as_written(value)), float):
        raise InvalidRequestError(_IS_FLOAT, field=field)
    else:
        return Money(amount=amount_of(value, field), currency=currency)
    return Money(amount=amount_of(amount, f"{field}.amount"), currency=check_currency_code(code, f"{field}.currency"))
