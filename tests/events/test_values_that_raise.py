"""What raises as it is read, or is read once, is refused or taken by its field, and never ends a run of good orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.events import (
    added_to_cart,
    cancellation,
    cancellation_of,
    custom,
    transaction,
    updated_transaction,
)

TIME = "2026-01-01T12:00:00Z"
PRICE = {"amount": "1.00", "currency": "PLN"}
ERRORS = [RuntimeError, KeyError, TypeError, StopIteration, LookupError]


class Lazy(Mapping[str, Any]):
    """A record that is loaded as it is read, and the load fails."""

    def __init__(self, error: type[Exception] = RuntimeError) -> None:
        self._error = error

    def __getitem__(self, key: str) -> Any:
        raise self._error("the session is closed")

    def __iter__(self) -> Iterator[str]:
        return iter(["amount", "currency"])

    def __len__(self) -> int:
        return 2


class Items(Sequence[Any]):
    """A list that is loaded as it is read, and the load fails."""

    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("the session is closed")

    def __len__(self) -> int:
        return 2


class Classless:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Once(Mapping[str, Any]):
    """A record whose values are gone once they were read."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = dict(data)

    def __getitem__(self, key: str) -> Any:
        return self._data.pop(key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._data))

    def __len__(self) -> int:
        return len(self._data)


def product(**fields: Any) -> dict[str, Any]:
    return {"sku": "s", "name": "n", "quantity": 1, "finalUnitPrice": PRICE, **fields}


def order(**fields: Any) -> dict[str, Any]:
    given = {"client": {"customId": "x"}, "order_id": "o-1", "payment": "CARD", "source": "POS", "time": TIME}
    return {**given, "products": [product()], **fields}


PLACES = {
    "client": lambda value: order(client=value),
    "products": lambda value: order(products=value),
    "products[0]": lambda value: order(products=[value]),
    "products[0].finalUnitPrice": lambda value: order(products=[product(finalUnitPrice=value)]),
    "products[0].tax": lambda value: order(products=[product(tax=value)]),
    "products[0].mine": lambda value: order(products=[product(mine=value)]),
    "paymentInfo": lambda value: order(payment=value),
    "revenue": lambda value: order(revenue=value),
    "value": lambda value: order(value=value),
    "discountAmount": lambda value: order(discount=value),
    "metadata": lambda value: order(metadata=value),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", [name for name in PLACES if name != "products"])
def test_a_value_that_raises_is_refused_by_its_field(place: str, error: type[Exception]) -> None:
    """With the id of its order, whatever it raises."""
    with pytest.raises(InvalidRequestError, match=r"raised .*Error when it was read") as caught:
        transaction(**PLACES[place](Lazy(error)))
    assert caught.value.field.startswith(place)
    assert caught.value.reference == "o-1"
    assert "session" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", [Items, Classless], ids=["items", "class"])
def test_lists_and_classes_that_raise(place: str, make: Any) -> None:
    """So are these."""
    with pytest.raises(InvalidRequestError) as caught:
        transaction(**PLACES[place](make()))
    assert caught.value.field.startswith(place)
    assert caught.value.reference == "o-1"


def test_updates_and_cancellations() -> None:
    """All that is made of a transaction refuses such values too."""
    sent = transaction(**order(), salt="s")
    calls: list[Any] = [
        lambda: updated_transaction(sent, products=[Lazy()]),
        lambda: updated_transaction(sent, revenue=Lazy()),
        lambda: updated_transaction(sent, payment=Lazy()),
        lambda: updated_transaction(Lazy()),
        lambda: cancellation_of(sent, items=Lazy()),  # type: ignore[arg-type]
        lambda: cancellation_of(sent, items={0: Lazy()}),  # type: ignore[dict-item]
        lambda: cancellation_of(Lazy()),
        lambda: cancellation(client={"customId": "x"}, order_id="o-1", products=[Lazy()]),
        lambda: added_to_cart(client={"customId": "x"}, params=product(mine=Classless())),
        lambda: custom(client={"customId": "x"}, action="a.b", params=Classless()),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError, match="raised RuntimeError when it was read") as caught:
            call()
        assert caught.value.field


def test_a_generator_of_orders_loses_the_bad_one_alone(client: Synerise) -> None:
    """As the guide writes it: the others are sent, those before it and those behind it."""
    builder = client.builder(salt="content")

    def orders() -> Iterator[Any]:
        for number in range(6):
            price = Lazy() if number == 3 else PRICE
            try:
                yield builder.transaction(**order(order_id=f"o-{number}", products=[product(finalUnitPrice=price)]))
            except InvalidRequestError as error:
                yield UnreadableRow(error.field, error.problem, reference=error.reference)

    report = client.bulk.create_transactions(orders())
    assert report.accepted == 5
    assert [(item.field, item.reference) for item in report.rejected] == [("products[0].finalUnitPrice", "o-3")]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("client", {"client": Once({"customId": "x"})}),
        ("products[0]", {"products": [Once(product())]}),
        ("products[0].mine", {"products": [product(mine=Once({"a": 1}))]}),
        ("paymentInfo", {"payment": Once({"method": "CARD"})}),
        ("revenue", {"revenue": Once(PRICE)}),
        ("metadata.k", {"metadata": {"k": Once({"a": 1})}}),
    ],
)
def test_what_can_be_read_only_once_is_refused(field: str, given: dict[str, Any]) -> None:
    """A mapping whose values are gone once they were read is no value of a row, as on every other road."""
    with pytest.raises(InvalidRequestError, match="can be read only once") as caught:
        transaction(**order(**given))
    assert caught.value.field == field
