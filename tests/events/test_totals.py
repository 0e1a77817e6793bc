"""Amounts are exact, totals are sums, and a transaction has one currency."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, Inexact, Rounded, localcontext
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import BadRequestError, InvalidRequestError, Synerise, events
from synerise_profiles._validation.totals import price_products
from synerise_profiles.bulk import dry_run
from synerise_profiles.models import Money, PaymentInfo, Product, Transaction
from synerise_profiles.sandbox import Sandbox
from synerise_profiles_api.types import UNSET
from tests.events.conftest import JAN

CENTS = st.integers(0, 10_000_000).map(lambda cents: Decimal(cents) / 100)


def product(price: Any, quantity: Any = 1, currency: str = "PLN", **more: Any) -> dict[str, Any]:
    return {
        "sku": "tea",
        "name": "Tea",
        "quantity": quantity,
        "finalUnitPrice": {"amount": price, "currency": currency},
        **more,
    }


def order(*products: Any, **more: Any) -> Transaction:
    arguments = {"client": JAN, "order_id": "o-1", "payment": "CARD", "source": "POS", **more}
    return events.transaction(products=products, **arguments)


def problem(caught: pytest.ExceptionInfo[InvalidRequestError]) -> tuple[str, str]:
    return caught.value.operation, caught.value.field


def amount(money: Any) -> Any:
    assert isinstance(money, Money)
    return money.amount


@pytest.mark.parametrize("value", [Decimal("12.50"), "12.50", "12.5", 12, "12", 0, "0.00", Decimal("1E+2")])
def test_money_is_exact(value: Any) -> None:
    """A Decimal, a text and a whole number are what they say."""
    made = events.money(value, "PLN")
    assert (made.amount, made.currency) == (Decimal(value), "PLN")
    assert orjson.loads(orjson.dumps(made.to_dict())) == {"amount": float(Decimal(value)), "currency": "PLN"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12.5, "is a float, which does not hold most prices exactly"),
        (True, "is no amount: bool"),
        (None, "is no amount: NoneType"),
        ("12,50", "is no amount such as 12.50"),
        ("1e3", "is no amount such as 12.50"),
        (" 12", "is no amount such as 12.50"),
        ("", "is no amount such as 12.50"),
        ("١٢", "is no amount such as 12.50"),
        ("NaN", "is no amount such as 12.50"),
        (Decimal("NaN"), "is NaN or infinite"),
        (Decimal("Infinity"), "is NaN or infinite"),
        (-1, "is below zero"),
        ("-0.01", "is below zero"),
        ("0.1234567890123456789", "has more digits than a JSON number keeps"),
    ],
)
def test_no_money(value: Any, words: str) -> None:
    """What is no exact amount is refused, in words that say what to give."""
    with pytest.raises(InvalidRequestError, match=f"^amount: {words}"):
        events.money(value, "PLN")


@pytest.mark.parametrize("currency", ["zł", "pln", "PLNN", "", None, "PŁN", "PLN\n"])
def test_a_currency_is_three_capital_letters(currency: Any) -> None:
    """As ISO 4217 writes it."""
    with pytest.raises(InvalidRequestError, match=r"^currency: is no code of a currency"):
        events.money(1, currency)


# --- totals


@given(st.lists(st.tuples(CENTS, st.integers(0, 999)), min_size=1, max_size=30))
def test_totals_are_exact_sums(items: list[tuple[Decimal, int]]) -> None:
    """Revenue is the sum of finalUnitPrice times quantity, to the cent, and so is value; given, they are compared."""
    total = sum((price * quantity for price, quantity in items), Decimal(0))
    products = [product(price, quantity) for price, quantity in items]
    made = order(*products)
    assert (amount(made.revenue), amount(made.value)) == (total, total)
    assert order(*products, revenue=total, value=str(total)) == made
    for wrong in (total + Decimal("0.01"), total - Decimal("0.01") if total else Decimal(1)):
        with pytest.raises(InvalidRequestError, match=r"revenue: is .* sums up to"):
            order(*products, revenue=wrong)


def test_a_sum_that_floats_would_miss() -> None:
    """Three times 0.1 is 0.3."""
    assert amount(order(product("0.1", 3)).revenue) == Decimal("0.3")
    assert order(product(0.1, 3)).to_dict()["revenue"] == {"amount": 0.3, "currency": "PLN"}
    assert amount(order(*[product("0.01")] * 1000).revenue) == 10


def test_weighed_goods_may_be_rounded() -> None:
    """An item with parts of a cent was rounded by the shop, up or down; more than that is a mistake."""
    assert amount(order(product("3.25", 2.5)).revenue) == Decimal("8.125")
    for given_revenue in ("8.125", "8.12", "8.13"):
        assert amount(order(product("3.25", 2.5), revenue=given_revenue).revenue) == Decimal(given_revenue)
    for wrong in ("8.11", "8.14"):
        with pytest.raises(InvalidRequestError) as caught:
            order(product("3.25", 2.5), revenue=wrong)
        assert problem(caught) == ("transactions.create", "revenue")
    with pytest.raises(InvalidRequestError, match=r"is 7.00, but .* up to 6.50, a difference of \+0.50; mend it, or"):
        order(product("3.25", 2), revenue="7.00")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (
            {"revenue": {"amount": 7123, "currency": "PLN"}},
            "revenue",
            "is not the sum of finalUnitPrice times quantity",
        ),
        ({"value": {"amount": 8123, "currency": "PLN"}}, "value", "is more than the revenue: it is the total"),
        (
            {"discountAmount": {"amount": 1, "currency": "XTS"}},
            "discountAmount",
            "is in another currency than products",
        ),
    ],
)
def test_a_reason_has_no_amounts(change: dict[str, Any], field: str, reason: str) -> None:
    """Reasons of rows are in summaries and logs; what the builder raises in the caller's own code shows them."""
    right = order(product("3.25", 2)).to_dict()
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions([{**right, **change}], checks="strict")
    (rejected,) = report.rejected
    assert (rejected.field, rejected.reason[: len(reason)]) == (field, reason)
    assert not any(secret in rejected.reason for secret in ("123", "6.5", "XTS"))


@pytest.mark.parametrize("code", ["pln", "PL1", "złt"])
def test_rows_have_the_currencies_of_builders(code: str) -> None:
    """Strict checks refuse what the builder does, also where all amounts have one code; basic ones note it."""
    with pytest.raises(InvalidRequestError, match="is no code of a currency") as caught:
        order(product("3.25", currency=code))
    price = {"amount": 3.25, "currency": code}
    row = {**order(product("3.25")).to_dict(), "revenue": price, "value": price, "products": [product(3.25, 1, code)]}
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        (rejected,) = client.bulk.create_transactions([row], checks="strict").rejected
        notes = client.bulk.create_transactions([row]).notes
    assert (rejected.field, rejected.reason) == (caught.value.field, caught.value.problem)
    assert any("currenc" in note for note in notes)


@pytest.mark.parametrize(
    ("price", "quantity"),
    [
        (1e28, 2),
        (1e308, 2),
        (1e-300, 1e308),
        (5e-324, 5e-324),
        (Decimal("1E+300"), Decimal("1.5")),
        pytest.param(10**400, 2, id="long"),
        (Decimal("0E-999999"), 2),
        (Decimal("1E+999999999"), 2),
        (Decimal("1E-999999999"), 2),
        ("9", 2**62),
        ([9], 2**62),
    ],
)
@pytest.mark.parametrize("checks", ["basic", "strict"])
def test_a_price_of_any_size_costs_its_row_alone(price: Any, quantity: Any, checks: Any) -> None:
    """Whatever its amounts are, a row is judged: the run goes on, and the queue says the same of it."""
    right = order(product("3.25", 2)).to_dict()
    good = {"amount": 1.5, "currency": "PLN"}
    wrong = {**right, "products": [product(price, quantity)], "revenue": good, "value": good}
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions([right, wrong, right], checks=checks)
        assert (report.read, report.by_stage["unsent"]) == (3, 0)
        is_refused = report.by_stage["check"] == 1
        assert is_refused or checks == "basic"
        if is_refused:
            with pytest.raises(InvalidRequestError):
                client.queue(checks=checks).transactions.put(wrong)


def test_the_totals_do_not_depend_on_the_precision_of_the_caller() -> None:
    """A context of two digits, in which the program may compute, changes no verdict."""
    with localcontext(Context(prec=2, traps=[Inexact, Rounded])):
        assert amount(order(product("3.25", 2.5), revenue="8.13").revenue) == Decimal("8.13")
        with pytest.raises(InvalidRequestError):
            order(product("3.25", 2.5), revenue="8.14")


def test_a_product_without_a_name_is_noted_as_that() -> None:
    """What basic checks note of a product is what is wrong with it."""
    row = order(product("3.25", 2)).to_dict()
    del row["products"][0]["name"]
    row["revenue"] = row["value"] = {"amount": 99, "currency": "PLN"}
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions([row, row])
    assert [note for note in report.notes if "strict" in note] == [
        "products[].name: is required; strict checks refuse such rows"
    ]


def test_value_is_revenue_or_less() -> None:
    """Before taxes it is the sum of the net prices, where each product has one; never more than after taxes."""
    net = {"amount": "10.00", "currency": "PLN"}
    both = product("12.30", 2, netUnitPrice=net)
    assert amount(order(both, value="20.00").value) == 20
    assert amount(order(both, value="24.60").value) == Decimal("24.60")
    assert amount(order(product("12.30", 2), value="20").value) == 20
    for products, wrong in ([both], "19.99"), ([product("12.30", 2)], "24.61"):
        with pytest.raises(InvalidRequestError) as caught:
            order(*products, value=wrong)
        assert problem(caught) == ("transactions.create", "value")


def test_a_discount_is_more_than_zero(client: Synerise) -> None:
    """It is stated, not subtracted: the prices are lower already. The server refuses a zero."""
    made = order(product("9.00"), discount="1.00")
    assert made.to_dict()["discountAmount"] == {"amount": 1, "currency": "PLN"}
    assert amount(made.revenue) == 9
    with pytest.raises(InvalidRequestError, match="discountAmount: is zero; leave it out"):
        order(product("9.00"), discount=0)
    with pytest.raises(BadRequestError):
        client.transactions.create({**order(product(1)).to_dict(), "discountAmount": {"amount": 0, "currency": "PLN"}})


@pytest.mark.parametrize(
    ("products", "more", "field"),
    [
        ([product(1), product(1, currency="EUR")], {}, "products[1].finalUnitPrice"),
        ([product(1, regularPrice={"amount": 2, "currency": "EUR"})], {}, "products[0].regularPrice"),
        ([product(1, deposit={"amount": 2, "currency": "EUR"})], {}, "products[0].deposit"),
        ([product(1)], {"revenue": events.money(1, "EUR")}, "revenue"),
        ([product(1)], {"value": {"amount": 1, "currency": "EUR"}}, "value"),
        ([product(1)], {"discount": events.money(1, "EUR")}, "discountAmount"),
    ],
)
def test_a_transaction_has_one_currency(
    client: Synerise, sandbox: Sandbox, products: list[Any], more: dict[str, Any], field: str
) -> None:
    """The error names the field and both currencies; the sandbox refuses it too."""
    with pytest.raises(InvalidRequestError) as caught:
        order(*products, **more)
    assert problem(caught) == ("transactions.create", field)
    assert "EUR" in caught.value.problem
    assert "PLN" in caught.value.problem
    wire = {"revenue": "revenue", "value": "value", "discount": "discountAmount"}
    changed = {wire[name]: money if isinstance(money, dict) else money.to_dict() for name, money in more.items()}
    with pytest.raises(BadRequestError):
        client.transactions.create({**order(product(1)).to_dict(), "products": products, **changed})
    assert sandbox.store.counts.transactions() == 0


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"name": "a", "quantity": 1, "finalUnitPrice": {"amount": 1, "currency": "PLN"}}, "products[1].sku"),
        (product(1, sku=""), "products[1].sku"),
        (product(1, sku=7), "products[1].sku"),
        (product(1, name=None), "products[1].name"),
        (product(1, quantity="2"), "products[1].quantity"),
        (product(1, quantity=-1), "products[1].quantity"),
        (product(1, quantity=True), "products[1].quantity"),
        (product(1, quantity=float("nan")), "products[1].quantity"),
        (product(-1), "products[1].finalUnitPrice.amount"),
        ({**product(1), "finalUnitPrice": {"amount": True, "currency": "PLN"}}, "products[1].finalUnitPrice.amount"),
        (product("1,50"), "products[1].finalUnitPrice.amount"),
        (product(1, currency="pln"), "products[1].finalUnitPrice.currency"),
        (product(1, finalUnitPrice={"amount": 1}), "products[1].finalUnitPrice.currency"),
        (product(1, finalUnitPrice=1), "products[1].finalUnitPrice"),
        (product(1, ip="10.0.0.1"), "products[1].ip"),
        (product(1, shelf=None), "products[1].shelf"),
        (product(1, categories="Tea"), "products[1].categories"),
        ("tea", "products[1]"),
    ],
)
def test_a_bad_product_is_named(bad: Any, field: str) -> None:
    """The position and the field of the first mistake."""
    with pytest.raises(InvalidRequestError) as caught:
        order(product(1), bad)
    assert problem(caught) == ("transactions.create", field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"client": {}}, "client"),
        ({"client": {"phone": "+48 111 222 333"}}, "client.phone"),
        ({"order_id": None}, "orderId"),
        ({"order_id": 7}, "orderId"),
        ({"payment": {}}, "paymentInfo.method"),
        ({"payment": {"method": None}}, "paymentInfo.method"),
        ({"time": "2026-01-01T12:00:00"}, "recordedAt"),
        ({"metadata": {"a": None}}, "metadata.a"),
        ({"salt": "content"}, "salt"),
        ({"revenue": 6.5}, "revenue"),
        ({"products": product(1)}, "products"),
    ],
)
def test_a_bad_transaction_is_named(change: dict[str, Any], field: str) -> None:
    """Every part is checked, and named by the publisher's key."""
    arguments = {"client": JAN, "order_id": "o-1", "payment": "CARD", "source": "POS", "products": [product(1)]}
    with pytest.raises(InvalidRequestError) as caught:
        events.transaction(**{**arguments, **change})
    assert problem(caught) == ("transactions.create", field)


def test_without_products_the_total_is_to_be_said() -> None:
    """No product, no currency."""
    with pytest.raises(InvalidRequestError, match="revenue: cannot be summed without a product"):
        order()
    assert amount(order(revenue=events.money(0, "PLN")).revenue) == 0


def test_a_transaction_is_the_callers_own() -> None:
    """What was given stays as it was; models and mappings make the same."""
    given_product = Product(sku="tea", name="Tea", quantity=2, final_unit_price={"amount": "3.25", "currency": "PLN"})
    given_product["shelf"] = "A4"
    before = given_product.to_dict() | {"finalUnitPrice": {"amount": "3.25", "currency": "PLN"}}
    made = order(given_product, payment=PaymentInfo(method="CARD"), metadata={"till": 4})
    assert given_product.to_dict() == before
    assert made == order(before, metadata={"till": 4})
    assert made.to_dict()["products"][0] == {
        "sku": "tea",
        "name": "Tea",
        "quantity": 2,
        "finalUnitPrice": {"amount": 3.25, "currency": "PLN"},
        "shelf": "A4",
    }


class OfNoDimension:
    """Like an array without dimensions: its type can be iterated over, and it cannot."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("iteration over a 0-d array")


def test_what_cannot_be_iterated_over_is_no_sequence_of_products() -> None:
    """It costs its row, and not the run."""
    report = dry_run([{"client": {"customId": "c"}, "products": OfNoDimension()}], for_="transactions")
    assert [item.stage for item in report.rejected] == ["check"]
    with pytest.raises(InvalidRequestError, match="is no sequence of products: OfNoDimension"):
        price_products(OfNoDimension(), revenue=UNSET, value=UNSET, discount=UNSET)


class Liar:
    """An object that says that it is of another class."""

    @property
    def __class__(self) -> Any:
        return str


class Silent:
    """An object of which nothing can be asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Classless:
    """An object that does not say of which class it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


@pytest.mark.parametrize("make", [Liar, Silent, Classless])
def test_money_of_an_object_that_lies_about_its_class(make: Any) -> None:
    """It is refused by its argument, and by the type that it has."""
    for field, give in (("amount", lambda: events.money(make(), "PLN")), ("currency", lambda: events.money(1, make()))):
        with pytest.raises(InvalidRequestError) as caught:
            give()
        assert caught.value.field == field
