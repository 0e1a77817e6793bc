"""Arguments of callers that come to no end are refused by their names: what they say of their length is a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise, SyneriseError
from synerise_profiles.sources import RowMapping, field
from synerise_profiles_api.bounded import items_of
from synerise_profiles_api.json_values import InvalidValueError


class Items(Sequence[str]):
    """A sequence of two, without an end."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return "customId"


class Table(Mapping[str, Any]):
    """A mapping of two, without an end."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[str]:
        return repeat("Id")

    def __getitem__(self, key: str) -> Any:
        return "customId"


FIELDS = {"Id": "customId"}
CALLS: dict[str, Callable[[Synerise, Any], Any]] = {
    "allow_null": lambda client, given: client.bulk.upsert_profiles([], allow_null=given),
    "allow_unknown": lambda client, given: client.bulk.upsert_profiles([], allow_unknown=given),
    "allow_null of a queue": lambda client, given: client.queue(allow_null=given),
    "salt": lambda client, given: client.bulk.send_events([], salt=given),
    "methods": lambda client, given: client.doctor(given),
    "sources": lambda client, given: client.merges.plan(by="id", into=1, sources=given),
    "items": lambda client, given: client.builder().cancellation_of(bought(client), items=given),
    "products": lambda client, given: bought(client, products=given),
    "columns": lambda _, given: RowMapping.for_profiles(given),
    "targets": lambda _, given: RowMapping.for_profiles({"Id": given}),
    "null_values": lambda _, given: RowMapping.for_profiles(FIELDS, null_values=given),
    "where": lambda _, given: RowMapping.for_profiles(FIELDS, where=given),
    "a condition": lambda _, given: RowMapping.for_profiles(FIELDS, where={"Id": given}),
    "constants": lambda _, given: RowMapping.for_profiles(FIELDS, constants=given),
    "group_by": lambda _, given: RowMapping.for_events({"Id": "client.customId"}, group_by=given),
    "combine": lambda _, given: RowMapping.for_events({"Id": "client.customId"}, combine=given),
    "null_values of a field": lambda _, given: field("city", null_values=given),
    "values of a field": lambda _, given: field("city", values=given),
    "fallback of a field": lambda _, given: field("city", fallback=given),
    "format of a field": lambda _, given: field("birthDate", "date", format=given),
}


def bought(client: Synerise, products: Any = ()) -> Any:
    item = {"sku": "s", "name": "n", "quantity": 1, "finalUnitPrice": {"amount": 1, "currency": "PLN"}}
    return client.builder().transaction(
        client={"customId": "c"},
        order_id="o",
        payment="CARD",
        source="POS",
        products=products or [item],
        salt="s",
        time="2026-01-01T12:00:00Z",
    )


@pytest.mark.parametrize("make", [Items, Table])
@pytest.mark.parametrize("name", CALLS)
def test_what_comes_to_no_end_is_refused(client: Synerise, name: str, make: Callable[[], Any]) -> None:
    """Whichever argument it is, before anything is sent."""
    with pytest.raises(SyneriseError):
        CALLS[name](client, make())


def test_products_without_an_end(client: Synerise) -> None:
    """A generator of products that comes to no end is refused where a request could not carry them."""
    item = bought(client).products[0]
    with pytest.raises(InvalidRequestError, match="more than 100,000 items") as caught:
        bought(client, products=repeat(item))
    assert caught.value.field == "products"


@pytest.mark.parametrize(("given", "most"), [(range(10), 9), (iter(range(10)), 9), (range(10**30), 9), (Items(), 9)])
def test_the_bound(given: Any, most: int) -> None:
    """Items are counted up to a bound, whatever says how many there are; so many are taken."""
    with pytest.raises(InvalidValueError):
        items_of(given, most)
    assert items_of(range(10), 10) == list(range(10))


def test_a_sequence_that_ends_is_taken() -> None:
    """One of a class of its own is an argument as a list is."""

    class Names(Items):
        def __getitem__(self, index: Any) -> Any:
            return ["NULL", "-"][index]

    assert RowMapping.for_profiles(FIELDS, null_values=Names()).null_words == {"NULL", "-"}
