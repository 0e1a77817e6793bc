"""The products of a transaction and their totals: in one currency, summed exactly, compared with what the caller gives.

A total that is not the sum of its items would be stored as it is and falsify every report, so it is refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, cast

import attrs

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import as_written, is_missing, raised_problem
from synerise_profiles_api.models import Money, Product
from synerise_profiles_api.types import UNSET, Unset

from .amounts import EXACT, Amount, amount_of, read_money
from .rules import fields_of
from .schema import Schema, schema_of
from .unknown_names import refuse_reserved_names

__all__ = ["OR_LEAVE_OUT", "PricedProducts", "iterator_of", "price_products"]

OR_LEAVE_OUT: Final = ", or leave it out"
"""Ends what is said of a total that is computed where it is left out; a row has to have it."""
_MAX_PLACES: Final = 400
"""Decimals beyond these are zeros: no double has them."""
_PRICE_FIELD: Final = "finalUnitPrice"
_NET_PRICE_FIELD: Final = "netUnitPrice"


@attrs.frozen(kw_only=True)
class PricedProducts:
    """Products with exact amounts, and their totals."""

    products: list[Product]
    revenue: Money
    value: Money
    discount: Money | Unset


def iterator_of(products: Iterable[Any]) -> Iterator[Any]:
    """Iterate over products; raise InvalidRequestError for what is none of several."""
    given_type = type(products)
    if not issubclass(given_type, str | bytes | Mapping | Model):
        try:
            return iter(products)
        except TypeError:  # of what cannot be iterated over, such as an array without dimensions
            pass
        except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way
            raise InvalidRequestError(raised_problem(error).problem, field="products") from None
    raise InvalidRequestError(f"is no sequence of products: {given_type.__name__}", field="products")


def price_products(
    products: Iterable[Product | Mapping[str, Any]],
    *,
    revenue: Amount | Unset,
    value: Amount | Unset,
    discount: Amount | Unset,
    excluded_positions: Collection[int] = (),
    has_net_value: bool = False,
    show_amounts: bool = True,
) -> PricedProducts:
    """Read products and totals. Products at `excluded_positions` do not count, such as cancelled ones.

    Revenue is the sum of finalUnitPrice times quantity: left out, it is computed; given, it has to be that sum. Value
    is the revenue if it is left out; given, it has to be the revenue, or less: the sum of netUnitPrice times quantity
    where each product has one. With `has_net_value`, a value that is left out is that sum too. Without `show_amounts`
    errors say what is wrong without the amounts: reasons why rows are refused reach logs and reports.
    """
    items = [_read_item(item, f"products[{position}]") for position, item in enumerate(iterator_of(products))]
    currency = _SingleCurrency(show_codes=show_amounts)
    for item in items:
        for field, amount in item.amounts.items():
            currency.require_same(f"{item.path}.{field}", amount.currency)
        for field, code in item.free_currencies:
            currency.require_same(f"{item.path}.{field}", code)
    counted = [item for position, item in enumerate(items) if position not in excluded_positions]
    totals = _PriceTotals(counted, currency, show_amounts=show_amounts)
    total = totals.revenue(revenue)
    return PricedProducts(
        products=[item.product for item in items],
        revenue=total,
        value=totals.net_total() if has_net_value and value is UNSET else totals.value(value, total),
        discount=_discount(discount, currency),
    )


@attrs.frozen(kw_only=True)
class _PricedItem:
    """One product: its money by field, the currencies of its free properties, and its quantity."""

    path: str
    product: Product
    amounts: Mapping[str, Money]
    free_currencies: list[tuple[str, str]]
    quantity: Decimal

    def total(self, price: str) -> Decimal:
        """Return a price times the quantity, without rounding."""
        return EXACT.multiply(cast("Decimal", self.amounts[price].amount), self.quantity)


class _SingleCurrency:
    """The one currency of a transaction, and the field that had it first."""

    def __init__(self, *, show_codes: bool) -> None:
        self.code: str | None = None
        self._first_field = ""
        self._show_codes = show_codes

    def require_same(self, field: str, code: str) -> None:
        """Refuse a second currency."""
        if self.code is None:
            self.code, self._first_field = code, field
        elif code != self.code:
            problem = f"is in another currency than {self._first_field}"
            if self._show_codes:
                problem = f"is in {code}, and {self._first_field} in {self.code}"
            raise InvalidRequestError(f"{problem}; a transaction has one currency", field=field)

    def read_amount(self, value: Amount, field: str) -> Money:
        """Read an amount of the transaction itself."""
        money = read_money(value, field, self.code)
        self.require_same(field, money.currency)
        return money


@attrs.frozen
class _PriceTotals:
    """The totals of the items that count."""

    items: list[_PricedItem]
    currency: _SingleCurrency
    show_amounts: bool = attrs.field(kw_only=True)

    def revenue(self, given: Amount | Unset) -> Money:
        """Return the sum of the final prices; if a total is given, it has to be that."""
        if given is not UNSET:
            money = self.currency.read_amount(given, "revenue")
            self._require_sum(money, _PRICE_FIELD, "revenue")
            return money
        if self.currency.code is None:
            problem = "cannot be summed without a product; give money(amount, currency)"
            raise InvalidRequestError(problem, field="revenue")
        return Money(amount=amount_of(self._sum(_PRICE_FIELD), "revenue.amount"), currency=self.currency.code)

    def value(self, given: Amount | Unset, revenue: Money) -> Money:
        """Return the revenue; a given total has to be that, or the total before taxes."""
        if given is UNSET:
            return attrs.evolve(revenue)
        money = self.currency.read_amount(given, "value")
        if money.amount == revenue.amount:
            return money
        if self.items and all(_NET_PRICE_FIELD in item.amounts for item in self.items):
            self._require_sum(money, _NET_PRICE_FIELD, "value")
        elif cast("Decimal", money.amount) > cast("Decimal", revenue.amount):
            problem = "is more than the revenue"
            if self.show_amounts:
                problem = f"is {money.amount}, more than the revenue of {revenue.amount}"
            raise InvalidRequestError(f"{problem}: it is the total before taxes", field="value")
        return money

    def net_total(self) -> Money:
        """Return the sum of the net prices."""
        for item in self.items:
            if _NET_PRICE_FIELD not in item.amounts:
                problem = f"cannot be summed, since {item.path} has no {_NET_PRICE_FIELD}; give it"
                raise InvalidRequestError(problem, field="value")
        return Money(amount=amount_of(self._sum(_NET_PRICE_FIELD), "value.amount"), currency=self.currency.code or "")

    def _sum(self, price: str) -> Decimal:
        total = Decimal(0)
        for item in self.items:
            total = EXACT.add(total, item.total(price))
        return total

    def _require_sum(self, money: Money, price: str, field: str) -> None:
        """Require that a given total is the sum; items with more decimals than it may each have been rounded."""
        given, total = cast("Decimal", money.amount), self._sum(price)
        places = max([_decimal_places(given), *(_decimal_places(item.amounts[price].amount) for item in self.items)])
        unit = Decimal((0, (1,), -places))
        rounded = sum(EXACT.quantize(item.total(price), unit) != item.total(price) for item in self.items)
        difference = EXACT.subtract(given, total)
        if difference.copy_abs() > EXACT.multiply(EXACT.divide(unit, Decimal(2)), Decimal(rounded)):
            problem = f"is not the sum of {price} times quantity"
            if self.show_amounts:
                sums = f"{price} times quantity sums up to {total:f}, a difference of {difference:+f}"
                problem = f"is {given:f}, but {sums}"
            raise InvalidRequestError(f"{problem}; mend it{OR_LEAVE_OUT}", field=field)


def _read_item(item: object, path: str) -> _PricedItem:
    fields = fields_of(item)
    if fields is None:
        raise InvalidRequestError(f"is neither a model nor a mapping: {type(item).__name__}", field=path)
    fields, schema, names = dict(fields), schema_of(Product.__name__), _money_fields()
    for name in schema.required:
        if is_missing(fields.get(name)):
            raise InvalidRequestError("is required", field=f"{path}.{name}")
    refuse_reserved_names(fields, path)
    amounts = {
        name: read_money(fields[name], f"{path}.{name}") for name in names if fields.get(name, UNSET) is not UNSET
    }
    free = [(name, code) for name, value in fields.items() if name not in names and (code := _free_currency(value))]
    quantity = fields["quantity"]
    if isinstance(as_written(quantity), str):
        raise InvalidRequestError("is a text; give a number", field=f"{path}.quantity")
    amount = amount_of(quantity, f"{path}.quantity")
    return _PricedItem(
        path=path,
        product=Product.from_dict({**fields, **amounts}),
        amounts=amounts,
        free_currencies=free,
        quantity=amount,
    )


@cache
def _money_fields() -> tuple[str, ...]:
    """Return the documented fields of a product that are money."""
    properties: Mapping[str, Schema] = schema_of(Product.__name__).properties
    return tuple(name for name, schema in properties.items() if schema.name == Money.__name__)


def _free_currency(value: object) -> str | None:
    """Return the currency of a free property that has the form of money: a transaction has one currency with it too."""
    fields = fields_of(value)
    code = None if fields is None or "amount" not in fields else as_written(fields.get("currency"))
    return code if isinstance(code, str) else None


def _discount(given: Amount | Unset, currency: _SingleCurrency) -> Money | Unset:
    if given is UNSET:
        return UNSET
    money = currency.read_amount(given, "discountAmount")
    if not money.amount:
        raise InvalidRequestError("is zero; leave it out where there is no discount", field="discountAmount")
    return money


def _decimal_places(amount: object) -> int:
    exponent = cast("Decimal", amount).as_tuple().exponent
    return min(max(0, -exponent), _MAX_PLACES) if isinstance(exponent, int) else 0
