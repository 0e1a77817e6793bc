"""Transactions, their updates and cancellations, as fields with the publisher's keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, cast

from synerise_profiles._validation.rules import fields_of
from synerise_profiles._validation.schema import schema_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import PaymentInfo, Product, Transaction
from synerise_profiles_api.types import UNSET, Unset

from .amounts import Amount, amount_of, read_money
from .totals import PricedProducts, price_products
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
    bought = price_products(products, revenue=revenue, value=value, discount=discount)
    return {**fields, "paymentInfo": _payment_info(fields["paymentInfo"]), **_totals(bought)}


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
    """Return the fields of what overwrites `old`: each item where it was, the totals those of what is left."""
    fields = _transaction_fields(old)
    require_replaceable(fields)
    _check_tag(tag)
    before = list(fields.get("products") or ())
    items = align_products(before, before if products is UNSET else products, tag)
    # Totals that were rounded once stay as they are while the products do.
    if products is UNSET and revenue is UNSET:
        revenue = fields.get("revenue", UNSET)
    if products is UNSET and value is UNSET:
        value = fields.get("value", UNSET)
    lowered = fields.get("discountAmount", UNSET) if discount is UNSET else discount
    bought = price_products(
        items,
        revenue=revenue,
        value=value,
        discount=UNSET if lowered is None else lowered,
        excluded_positions=tagged_positions(items, tag),
        has_net_value=_has_net_value(fields),
    )
    given = {name: item for name, item in changes.items() if item is not UNSET}
    if "paymentInfo" in given:
        given["paymentInfo"] = _payment_info(given["paymentInfo"])
    kept = {name: item for name, item in fields.items() if name != "discountAmount"}
    return {**kept, **given, **_totals(bought)}


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
    gone = price_products(products, revenue=revenue, value=value, discount=discount, has_net_value=has_net_value)
    payment = params["paymentInfo"]
    return {**params, "paymentInfo": UNSET if payment is UNSET else _payment_info(payment), **_totals(gone)}


def cancellation_params_of(
    sent: Transaction | Fields, items: CancelledItems | Unset, params: Fields, tag: str
) -> dict[str, Any]:
    """Return the params of a cancellation of what was sent: all that is left of it, or some items."""
    fields = _transaction_fields(sent)
    bought = [dict(fields_of(item) or {}) for item in fields.get("products") or ()]
    gone = tagged_positions(bought, tag)
    params = {**params, **{name: fields.get(name, UNSET) for name in ("orderId", "paymentInfo", "source")}}
    if items is UNSET:
        left = [item for place, item in enumerate(bought) if place not in gone]
        if not left:
            raise InvalidRequestError("has no item that is not cancelled already", field="products")
        revenue, value, discount = (fields.get(name, UNSET) for name in ("revenue", "value", "discountAmount"))
        return cancellation_params(left, params, revenue=revenue, value=value, discount=discount)
    wanted: Mapping[int, object]
    wanted = cast("Mapping[int, object]", items) if isinstance(items, Mapping) else dict.fromkeys(items)
    products = [_cancelled_item(bought, place, quantity, gone) for place, quantity in wanted.items()]
    if not products:
        raise InvalidRequestError("names no item; leave it out to cancel all", field="items")
    return cancellation_params(
        products, params, revenue=UNSET, value=UNSET, discount=UNSET, has_net_value=_has_net_value(fields)
    )


def _cancelled_item(bought: list[dict[str, Any]], place: object, quantity: object, gone: set[int]) -> dict[str, Any]:
    """One item with the quantity that is cancelled of it; None is all."""
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(bought):
        raise InvalidRequestError(f"has a position that is not from 0 to {len(bought) - 1}", field="items")
    if place in gone:
        raise InvalidRequestError(f"position {place} is cancelled already", field="items")
    item = bought[place]
    if quantity is None:
        return item
    wanted, most = (
        amount_of(quantity, f"items[{place}]"),
        amount_of(item.get("quantity"), f"products[{place}].quantity"),
    )
    if not 0 < wanted <= most:
        raise InvalidRequestError(f"is not from more than 0 to {most}, which were bought", field=f"items[{place}]")
    return {**item, "quantity": wanted}


def _has_net_value(fields: Fields) -> bool:
    """Whether the value of a transaction is another sum than its revenue, so that it has to be summed by itself."""
    revenue, value = (read_money(fields.get(name), name) for name in ("revenue", "value"))
    return revenue.amount != value.amount


def _totals(bought: PricedProducts) -> dict[str, Any]:
    found: dict[str, Any] = {"products": bought.products, "revenue": bought.revenue, "value": bought.value}
    if bought.discount is not UNSET:
        found["discountAmount"] = bought.discount
    return found


def _payment_info(payment: Payment) -> PaymentInfo | Mapping[str, Any]:
    return PaymentInfo(method=payment) if isinstance(payment, str) else payment


def _transaction_fields(old: object) -> dict[str, Any]:
    fields = fields_of(old)
    if fields is None:
        problem = f"is neither a transaction nor a mapping with the publisher's keys: {type(old).__name__}"
        raise InvalidRequestError(problem, field="transaction")
    for name in schema_of(Transaction.__name__).required:
        if name not in fields:
            raise InvalidRequestError("is required", field=name)
    return dict(fields)


def _check_tag(tag: str) -> None:
    taken = {*schema_of(Product.__name__).properties, *schema_of("EventParams").reserved_names}
    if not tag or tag in taken:
        raise InvalidRequestError("has a meaning of its own already, or is empty; choose another name", field="tag")
