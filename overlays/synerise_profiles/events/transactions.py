"""The fields of a purchase, of its update and of its cancellation, by the publisher's keys. Pure.

A transaction cannot be deleted or changed on the server. It is overwritten by one with the same profile, order, time
and salt, or cancelled by an event of its own; both are made here from the transaction that was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, cast

from synerise_profiles._validation.amounts import Amount, amount_of, read_money
from synerise_profiles._validation.plain_rows import read_items_once, read_once
from synerise_profiles._validation.rules import fields_of
from synerise_profiles._validation.schema import schema_of
from synerise_profiles._validation.totals import PricedProducts, iterator_of, price_products
from synerise_profiles_api.bounded import items_of, pairs_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import InvalidValueError, raised_problem
from synerise_profiles_api.models import PaymentInfo, Product, Transaction
from synerise_profiles_api.types import UNSET, Unset

from .updates import align_products, require_replaceable, tagged_positions

__all__ = [
    "CancelledItems",
    "Payment",
    "Products",
    "cancellation_params",
    "cancellation_params_of",
    "purchase_fields",
    "updated_fields",
]

Products: TypeAlias = Iterable[Product | Mapping[str, Any]]
Payment: TypeAlias = PaymentInfo | Mapping[str, Any] | str
CancelledItems: TypeAlias = Iterable[int] | Mapping[int, Decimal | float]
Fields: TypeAlias = Mapping[str, Any]


def purchase_fields(
    products: Products, fields: Fields, *, revenue: Amount | Unset, value: Amount | Unset, discount: Amount | Unset
) -> dict[str, Any]:
    """Add products and totals to the other fields of a purchase."""
    fields = _read_fields(fields)
    totals = _priced_totals(products, revenue=revenue, value=value, discount=discount)
    return {**fields, "paymentInfo": _payment_info(fields["paymentInfo"]), **totals}


def updated_fields(
    old: Transaction | Fields,
    products: Products | Unset,
    changes: Fields,
    *,
    revenue: Amount | Unset,
    value: Amount | Unset,
    discount: Amount | Unset | None,
    tag: str,
) -> dict[str, Any]:
    """Return the fields of what overwrites `old`: each item keeps its position, and the totals are of what is left."""
    fields = _transaction_fields(old)
    require_replaceable(fields)
    _check_tag(tag)
    before = list(fields.get("products") or ())
    items = align_products(before, before if products is UNSET else _read_products(products), tag)
    # While the products stay, so do the totals, since they may have been rounded.
    if products is UNSET and revenue is UNSET:
        revenue = fields.get("revenue", UNSET)
    if products is UNSET and value is UNSET:
        value = fields.get("value", UNSET)
    revenue, value = read_once(revenue, "revenue"), read_once(value, "value")
    discount = read_once(discount, "discountAmount")
    discount_amount = fields.get("discountAmount", UNSET) if discount is UNSET else discount
    priced = price_products(
        items,
        revenue=revenue,
        value=value,
        discount=UNSET if discount_amount is None else discount_amount,
        excluded_positions=tagged_positions(items, tag),
        has_net_value=_has_net_value(fields),
    )
    given = {name: item for name, item in _read_fields(changes).items() if item is not UNSET}
    if "paymentInfo" in given:
        given["paymentInfo"] = _payment_info(given["paymentInfo"])
    kept = {name: item for name, item in fields.items() if name != "discountAmount"}
    return {**kept, **given, **_totals(priced)}


def cancellation_params(
    products: Products,
    params: Fields,
    *,
    revenue: Amount | Unset,
    value: Amount | Unset,
    discount: Amount | Unset,
    has_net_value: bool = False,
) -> dict[str, Any]:
    """Return the params of a cancellation: what was cancelled, with its totals."""
    params = _read_fields(params)
    totals = _priced_totals(products, revenue=revenue, value=value, discount=discount, has_net_value=has_net_value)
    payment = params["paymentInfo"]
    return {**params, "paymentInfo": UNSET if payment is UNSET else _payment_info(payment), **totals}


def cancellation_params_of(
    sent: Transaction | Fields, items: CancelledItems | Unset, params: Fields, tag: str
) -> dict[str, Any]:
    """Return the params of a cancellation of `sent`: of all items that are not cancelled yet, or of some."""
    fields = _transaction_fields(sent)
    bought = [dict(fields_of(item) or {}) for item in fields.get("products") or ()]
    cancelled_positions = tagged_positions(bought, tag)
    params = {**params, **{name: fields.get(name, UNSET) for name in ("orderId", "paymentInfo", "source")}}
    if items is UNSET:
        left = [item for position, item in enumerate(bought) if position not in cancelled_positions]
        if not left:
            raise InvalidRequestError("has no item that is not cancelled already", field="products")
        revenue, value, discount = (fields.get(name, UNSET) for name in ("revenue", "value", "discountAmount"))
        return cancellation_params(left, params, revenue=revenue, value=value, discount=discount)
    quantities = _read_quantities(items)
    products = [
        _cancelled_item(bought, position, quantity, cancelled_positions) for position, quantity in quantities.items()
    ]
    if not products:
        raise InvalidRequestError("names no item; leave it out to cancel all", field="items")
    return cancellation_params(
        products, params, revenue=UNSET, value=UNSET, discount=UNSET, has_net_value=_has_net_value(fields)
    )


def _read_quantities(items: CancelledItems) -> dict[Any, Any]:
    """Return the cancelled quantity of each position, None for all of it; both are read once."""
    try:
        is_mapping = isinstance(items, Mapping)
        pairs = pairs_of(cast("Any", items)) if is_mapping else dict.fromkeys(items_of(items)).items()
        given: dict[Any, Any] = dict(pairs)
    except InvalidValueError as error:
        raise InvalidRequestError(error.problem, field="items") from None
    except Exception as error:  # noqa: BLE001 - what the caller iterates over may fail in any way
        raise InvalidRequestError(raised_problem(error).problem, field="items") from None
    return {
        position: read_once(quantity, f"items[{position}]" if type(position) is int else "items")
        for position, quantity in given.items()
    }


def _cancelled_item(
    bought: list[dict[str, Any]], position: object, quantity: object, cancelled_positions: set[int]
) -> dict[str, Any]:
    """Return one item with the quantity that is cancelled of it; None is all."""
    if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < len(bought):
        raise InvalidRequestError(f"has a position that is not from 0 to {len(bought) - 1}", field="items")
    if position in cancelled_positions:
        raise InvalidRequestError(f"position {position} is cancelled already", field="items")
    item = bought[position]
    if quantity is None:
        return item
    cancelled = amount_of(quantity, f"items[{position}]")
    max_quantity = amount_of(item.get("quantity"), f"products[{position}].quantity")
    if not 0 < cancelled <= max_quantity:
        problem = f"is not from more than 0 to {max_quantity}, which were bought"
        raise InvalidRequestError(problem, field=f"items[{position}]")
    return {**item, "quantity": cancelled}


def _has_net_value(fields: Fields) -> bool:
    """Whether the value of a transaction is not its revenue, so that it has to be summed by net prices."""
    revenue, value = (read_money(fields.get(name), name) for name in ("revenue", "value"))
    return revenue.amount != value.amount


def _read_fields(fields: Fields) -> dict[str, Any]:
    return {name: read_once(value, name) for name, value in fields.items()}


def _read_products(products: Products) -> Iterator[Any]:
    return read_items_once(iterator_of(products), "products")


def _priced_totals(
    products: Products,
    *,
    revenue: Amount | Unset,
    value: Amount | Unset,
    discount: Amount | Unset,
    has_net_value: bool = False,
) -> dict[str, Any]:
    """Read what the caller gives, each value once, and return it as fields."""
    priced = price_products(
        _read_products(products),
        revenue=read_once(revenue, "revenue"),
        value=read_once(value, "value"),
        discount=read_once(discount, "discountAmount"),
        has_net_value=has_net_value,
    )
    return _totals(priced)


def _totals(priced: PricedProducts) -> dict[str, Any]:
    fields: dict[str, Any] = {"products": priced.products, "revenue": priced.revenue, "value": priced.value}
    if priced.discount is not UNSET:
        fields["discountAmount"] = priced.discount
    return fields


def _payment_info(payment: Payment) -> PaymentInfo | Mapping[str, Any]:
    return PaymentInfo(method=payment) if isinstance(payment, str) else payment


def _transaction_fields(old: object) -> dict[str, Any]:
    fields = fields_of(read_once(old, "transaction"))
    if fields is None:
        problem = f"is neither a transaction nor a mapping with the publisher's keys: {type(old).__name__}"
        raise InvalidRequestError(problem, field="transaction")
    for name in schema_of(Transaction.__name__).required:
        if name not in fields:
            raise InvalidRequestError("is required", field=name)
    return dict(fields)


def _check_tag(tag: str) -> None:
    reserved = {*schema_of(Product.__name__).properties, *schema_of("EventParams").reserved_names}
    if not tag or tag in reserved:
        raise InvalidRequestError("has a meaning of its own already, or is empty; choose another name", field="tag")
