"""Every event of the document: built, checked, sent alone and in a batch, and stored as what it is."""

from __future__ import annotations

import asyncio
import copy
import datetime
import inspect
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from synerise_profiles import (
    UNSET,
    AsyncSynerise,
    BadRequestError,
    DeprecatedOperationError,
    InvalidRequestError,
    Operation,
    Synerise,
    SyneriseDeprecationWarning,
    events,
)
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.events import builder
from synerise_profiles.models import CartParams, ClientIdentifier, EventParams, Money
from synerise_profiles.sandbox import Sandbox
from synerise_profiles_api import building
from synerise_profiles_api.building import functions
from synerise_profiles_api.operations import all_operations, load
from tests.contract.document import operations, properties, resolve, sample
from tests.events.conftest import JAN
from tests.events.support import sent, stored, was_asked_once

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DOCUMENTED = [item for item in operations() if "x-event-type" in item.node]
TEA = CartParams(sku="tea", quantity=2, final_unit_price=events.money("12.50", "PLN"))


def operation_of(method: str) -> Operation:
    operation: Operation = load("events", method).OPERATION
    return operation


def built(method: str, **more: Any) -> Any:
    """Any event, with params that are valid for it."""
    [item] = [item for item in DOCUMENTED if item.method == method]
    params = _in_pln(sample(_body(item.node["requestBody"]))["params"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        action = {"action": "shop.test"} if method == "custom" else {}
        return getattr(events, method)(**{"client": JAN, "params": params, **action, **more})


def _in_pln(value: Any) -> Any:
    """The sample's texts are long and strange; a currency is neither."""
    if isinstance(value, dict):
        return {name: "PLN" if name == "currency" else _in_pln(item) for name, item in value.items()}
    return [_in_pln(item) for item in value] if isinstance(value, list) else value


def _body(node: Any) -> Any:
    return resolve(node)["content"]["application/json"]["schema"]


def call(client: Synerise, method: str, event: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        getattr(client.events, method)(event)


def each_event() -> Any:
    return pytest.mark.parametrize("method", [item.method for item in DOCUMENTED])


def test_every_single_event_has_a_builder() -> None:
    """The document's events, all of them: what has no type of its own is a listing, a batch or the clock."""
    others = {"list_for_profile", "list_own", "send_batch", "server_time"}
    assert {item.method for item in DOCUMENTED} == {
        item.method for item in all_operations() if item.resource == "events"
    } - others
    assert sorted(functions.__all__) == sorted(item.method for item in DOCUMENTED)


@each_event()
def test_an_event_is_sent_alone_and_in_a_batch(client: Synerise, sandbox: Sandbox, method: str) -> None:
    """Alone it carries no type, in a batch its own; the server gives it the same action both ways."""
    event, action = built(method, time=NOON), operation_of(method).action or "shop.test"
    call(client, method, event)
    assert "type" not in sent(sandbox)
    client.events.send_batch([event])
    assert [item["type"] for item in sent(sandbox)] == [operation_of(method).event_type]
    report = client.bulk.send_events([event], checks="strict")
    assert (report.accepted, report.notes) == (1, {})
    assert [item.action for item in stored(sandbox)] == [action] * 3
    assert {item.time for item in stored(sandbox)} == {int(NOON.timestamp() * 1000)}


@each_event()
def test_a_builder_is_typed_as_the_event_is(method: str) -> None:
    """Arguments are those of the event's model, by name alone; the label says what it is."""
    [item] = [item for item in DOCUMENTED if item.method == method]
    signature = inspect.signature(getattr(events, method))
    named = set(signature.parameters)
    wire = set(properties(_body(item.node["requestBody"])))
    assert {"client", "params", "label", "time", "salt"} <= named
    assert named - {"salt"} == wire - {"eventSalt"}
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in signature.parameters.values())
    assert built(method).label == ("shop.test" if method == "custom" else method.replace("_", " ").capitalize())
    assert built(method, label="Mine").label == "Mine"


def test_mappings_become_models() -> None:
    """Whatever was given, the event that is returned is its model throughout."""
    event = events.added_to_cart(client={"customId": "c"}, params=TEA.to_dict())
    assert isinstance(event.client, ClientIdentifier)
    assert isinstance(event.params, CartParams)
    assert isinstance(event.params.final_unit_price, Money)
    assert isinstance(events.searched(client=JAN, params={"q": 1}).params, EventParams)
    assert events.searched(client=JAN).params is UNSET


def test_an_event_stays_what_it_is() -> None:
    """Copies and pickles keep their class; the text of an event shows none of its values."""
    event = events.added_to_cart(client=JAN, params=TEA, time=NOON, salt="s-1")
    for other in (copy.deepcopy(event), pickle.loads(pickle.dumps(event)), attrs.evolve(event)):
        assert other == event
        assert type(other) is events.AddedToCart
        assert other.to_dict() == event.to_dict()
    assert event.to_dict()["type"] == "added-to-cart"
    assert "customer-17" not in repr(event)


def test_an_event_is_sent_by_its_own_method(client: Synerise, sandbox: Sandbox) -> None:
    """The same model serves several events; one that was built is not sent as another."""
    event = events.added_to_cart(client=JAN, params=TEA)
    with pytest.raises(InvalidRequestError, match=r"^events.removed_from_cart: body: .* send it by events.added_to_"):
        client.events.removed_from_cart(event)
    assert stored(sandbox) == []


def test_a_deprecated_builder_warns_where_it_is_called(client: Synerise) -> None:
    """The warning names the replacement and points at this file; built and sent in one line, it comes once."""
    with pytest.warns(SyneriseDeprecationWarning, match=r"use events.recommendation_view") as caught:
        client.events.recommendation_seen(events.recommendation_seen(client=JAN))
    assert [warning.filename for warning in caught] == [__file__]
    client.with_options(deprecations="ignore").builder().recommendation_seen(client=JAN)
    with pytest.raises(DeprecatedOperationError):
        client.with_options(deprecations="error").builder().recommendation_seen(client=JAN)


# --- what is refused: each rule, and what the server would have done


Send = Callable[[Synerise, Mapping[str, Any]], None]
REFUSED = [
    pytest.param("searched", {"client": {}}, "client", id="no identifier"),
    pytest.param("searched", {"client": {"phone": "+48 111 222 333"}}, "client.phone", id="a phone number"),
    pytest.param("searched", {"client": {"id": "17"}}, "client.id", id="an id as text"),
    pytest.param("searched", {"client": {"customId": 17}}, "client.customId", id="a custom id as number"),
    pytest.param("searched", {"client": {"email": "jan"}}, "client.email", id="no e-mail address"),
    pytest.param("searched", {"client": {"customId": "a\nb"}}, "client.customId", id="a line break"),
    pytest.param("searched", {"client": "customer-17"}, "client", id="no object"),
    pytest.param("searched", {"label": ""}, "label", id="an empty label"),
    pytest.param("searched", {"time": "yesterday"}, "time", id="no moment"),
    pytest.param("custom", {"action": "a"}, "action", id="a short action"),
    pytest.param("custom", {"action": "zamówienie"}, "action", id="an action with an accent"),
    pytest.param("custom", {"action": "a" * 65}, "action", id="a long action"),
    pytest.param("appeared_in_location", {"params": {"lat": 91, "lon": 0}}, "params.lat", id="too far north"),
    pytest.param("appeared_in_location", {"params": {"lat": 0, "lon": -181}}, "params.lon", id="too far west"),
    pytest.param("appeared_in_location", {"params": {"lat": "52", "lon": 0}}, "params.lat", id="a latitude as text"),
    pytest.param("assigned_to_company", {"params": {"companyId": "c"}}, "params.companyId", id="a company as text"),
    pytest.param(
        "added_to_cart",
        {"params": {"sku": "a", "quantity": 1, "finalUnitPrice": {"amount": -1, "currency": "PLN"}}},
        "params.finalUnitPrice.amount",
        id="a negative price",
    ),
    pytest.param(
        "added_to_cart",
        {"params": {"sku": "a", "quantity": 1, "finalUnitPrice": {"amount": 1, "currency": "zł"}}},
        "params.finalUnitPrice.currency",
        id="a short currency",
    ),
    pytest.param(
        "item_search_click",
        {"params": {"item": "a", "correlationId": "b", "position": 1, "searchType": "voice"}},
        "params.searchType",
        id="an unknown kind of search",
    ),
    pytest.param(
        "cancelled_transaction",
        {"params": {"products": [{"sku": 1, "name": "n", "quantity": 1, "finalUnitPrice": {}}]}},
        None,
        id="a broken product",
    ),
]


@pytest.mark.parametrize(("method", "change", "field"), REFUSED)
def test_what_the_server_would_refuse_is_not_built(
    client: Synerise, sandbox: Sandbox, method: str, change: dict[str, Any], field: str | None
) -> None:
    """The error names the method and the field; sent past the builder, the sandbox refuses it too."""
    action = {"action": "shop.test"} if method == "custom" else {}
    arguments = {"client": JAN, **action, **change}
    with pytest.raises(InvalidRequestError) as caught:
        getattr(events, method)(**arguments)
    if field is not None:
        assert (caught.value.operation, caught.value.field) == (f"events.{method}", field)
    assert "zamówienie" not in str(caught.value)

    raw = {"label": "Raw", "client": {"customId": "customer-17"}, **action, **change}
    unchecked = attrs.evolve(load("events", method).request(raw), body=None)  # the client would refuse some by itself
    with pytest.raises(BadRequestError):
        client.with_options(deprecations="ignore").send(unchecked)
    assert stored(sandbox) == []


@pytest.mark.parametrize("name", ["modifiedBy", "apiKey", "eventUUID", "ip", "time", "businessProfileId"])
def test_reserved_names_are_not_built(client: Synerise, sandbox: Sandbox, name: str) -> None:
    """The server takes them without a word, and stores nothing of them."""
    with pytest.raises(InvalidRequestError, match=rf"^events.searched: params.{name}: is reserved"):
        events.searched(client=JAN, params={name: "x"})
    client.events.searched({"label": "Raw", "client": {"customId": "customer-17"}, "params": {name: "x"}})
    assert stored(sandbox)[0].params == {}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"a": None}, "params.a"),
        ({"a": {"b": [1, None]}}, "params.a.b[1]"),
        ({"a": float("nan")}, "params.a"),
        ({"a": datetime.datetime(2026, 1, 1)}, "params.a"),  # noqa: DTZ001 - the point
        ({"a": object()}, "params.a"),
        ({"email": "ewa@example.com"}, "params.email"),
    ],
)
def test_what_would_be_misread_is_not_built(params: dict[str, Any], field: str) -> None:
    """Nulls, what JSON cannot carry, moments without a zone, and the e-mail of somebody else."""
    with pytest.raises(InvalidRequestError) as caught:
        events.searched(client=ClientIdentifier(email="jan@example.com"), params=params)
    assert (caught.value.operation, caught.value.field) == ("events.searched", field)
    assert "ewa" not in str(caught.value)


def test_the_own_email_is_a_param() -> None:
    """What is the profile's own may be said again."""
    own = "jan@example.com"
    assert events.searched(client={"email": own}, params={"email": own}).to_dict()["params"] == {"email": own}


# --- time


@pytest.mark.parametrize("time", [datetime.datetime(2026, 1, 1), "2026-01-01T12:00:00", "2026-01-01", 17, None])  # noqa: DTZ001
def test_a_time_has_a_zone(time: Any) -> None:
    """A moment without its offset from UTC is none."""
    with pytest.raises(InvalidRequestError, match=r"^events.searched: time: "):
        events.searched(client=JAN, time=time)


def test_a_time_in_the_future_is_refused(client: Synerise, sandbox: Sandbox) -> None:
    """The server would replace it, and the salt with it; a builder of a client knows its clock."""
    sandbox.clock.stop()
    sandbox.clock.set(NOON)
    future = NOON + datetime.timedelta(seconds=5)
    raw = {"label": "Raw", "client": {"customId": "customer-17"}, "time": future, "eventSalt": "s"}
    client.events.searched(raw)
    client.events.searched(raw)
    assert [event.time for event in stored(sandbox)] == [int(NOON.timestamp() * 1000)] * 2
    with pytest.raises(InvalidRequestError, match=r"^events.searched: time: is in the future by the server's clock"):
        client.builder().searched(client=JAN, time=future)
    assert client.builder().searched(client=JAN, time=NOON).time == NOON
    assert events.searched(client=JAN, time=future).time == future


def test_a_builder_of_a_client_sets_the_time(client: Synerise, sandbox: Sandbox) -> None:
    """Left out, it is now by the server's clock, in milliseconds; the functions leave it out, and so does the body."""
    sandbox.clock.advance(-86400)
    before = datetime.datetime.fromtimestamp(sandbox.clock(), datetime.UTC)
    event = client.builder().added_to_cart(client=JAN, params=TEA)
    assert isinstance(event.time, datetime.datetime)
    assert before - datetime.timedelta(seconds=1) < event.time
    assert event.time <= datetime.datetime.fromtimestamp(sandbox.clock(), datetime.UTC)
    assert event.time.microsecond % 1000 == 0
    assert "time" not in events.added_to_cart(client=JAN, params=TEA).to_dict()
    assert was_asked_once(sandbox)


def test_the_async_client_builds_the_same(sandbox: Sandbox) -> None:
    """Its builder is awaited once, which reads the clock; building waits for nothing."""

    async def main() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            build = await client.builder(salt="unique")
            event = build.added_to_cart(client=JAN, params=TEA)
            assert event.event_salt is not UNSET
            await client.events.added_to_cart(event)
            assert (await client.bulk.send_events([event])).accepted == 1
            with pytest.raises(InvalidRequestError, match="in the future"):
                build.searched(client=JAN, time=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))

    asyncio.run(main())
    assert len(stored(sandbox)) == 1
    assert was_asked_once(sandbox)


# --- salt


def test_a_salt_that_is_no_unicode_is_refused() -> None:
    """Half an emoji cannot be sent, as bulk and queue say of it too."""
    with pytest.raises(InvalidRequestError, match="half of an emoji") as caught:
        events.searched(client=JAN, params={"a": 1}, time=NOON, salt="s-\ud83d")
    assert caught.value.field == "salt"


def test_a_salt_by_content_is_the_same_for_the_same_event() -> None:
    """The label is not stored and does not count; zones do not count; everything else does."""

    def salt(**change: Any) -> Any:
        arguments = {"client": JAN, "params": {"a": 1, "b": 2}, "time": NOON, "salt": "content", **change}
        return events.searched(**arguments).event_salt

    warsaw = NOON.astimezone(datetime.timezone(datetime.timedelta(hours=1)))
    same = [salt(), salt(label="Other"), salt(params={"b": 2, "a": 1}), salt(time=warsaw), salt(time=NOON.isoformat())]
    other = [
        salt(params={"a": 1}),
        salt(client={"customId": "customer-18"}),
        salt(time=NOON + datetime.timedelta(milliseconds=1)),
        events.shared(client=JAN, params={"a": 1, "b": 2}, time=NOON, salt="content").event_salt,
    ]
    assert len(set(same)) == 1
    assert len({same[0], *other}) == 5


@pytest.mark.parametrize(("salt", "kept"), [("content", [0, 1]), ("unique", [0, 0, 1, 1]), ("mine", [1])])
def test_salts_on_the_sandbox(client: Synerise, sandbox: Sandbox, salt: str, kept: list[int]) -> None:
    """By content equal events are one, with unique salts two; a salt of one's own is overwritten by the next event."""
    for number in (0, 0, 1, 1):
        client.events.searched(events.searched(client=JAN, params={"n": number}, time=NOON, salt=salt))
    assert sorted(event.params["n"] for event in stored(sandbox)) == kept


def test_a_retry_of_a_salted_event_is_safe(client: Synerise) -> None:
    """With a time and a salt a request may be repeated, without them not."""
    from synerise_profiles import api  # noqa: PLC0415 - the low road, for this alone

    assert api.events.searched.request(client.builder(salt="content").searched(client=JAN)).repeatable
    assert not api.events.searched.request(client.builder().searched(client=JAN)).repeatable


@pytest.mark.parametrize(("salt", "problem"), [("content", "a time"), ("unique", "a time"), ("mine", "a time")])
def test_a_salt_needs_a_time(salt: str, problem: str) -> None:
    """Without one the server takes that of receipt, and no salt has an effect twice."""
    with pytest.raises(InvalidRequestError, match=rf"^events.searched: salt: needs {problem}"):
        events.searched(client=JAN, salt=salt)


@pytest.mark.parametrize("salt", ["", " ", 17])
def test_a_salt_is_a_text(salt: Any) -> None:
    """An empty one would be one for all events."""
    with pytest.raises(InvalidRequestError, match=r"^events.searched: salt: is "):
        events.searched(client=JAN, time=NOON, salt=salt)


def test_the_builders_salt_is_used_where_none_is_given(client: Synerise) -> None:
    """A choice for all events, which each event may change."""
    build = client.builder(salt="content")
    assert build.searched(client=JAN, salt="mine").event_salt == "mine"
    assert build.searched(client=JAN, time=NOON).event_salt == build.searched(client=JAN, time=NOON).event_salt


def test_a_batch_of_many_kinds(client: Synerise, sandbox: Sandbox) -> None:
    """A whole journey in one run: every event is accepted and stored under its own action."""
    build = client.builder(salt="content")
    journey = [
        build.logged_in(client=JAN),
        build.searched(client=JAN, params={"query": "tea"}),
        build.added_to_cart(client=JAN, params=TEA),
        build.custom(client=JAN, action="cart.status", params={"open": True}),
        build.logged_out(client=JAN),
    ]
    report = client.bulk.send_events(journey)
    assert report.accepted == 5
    assert {event.action for event in stored(sandbox)} == {
        "client.login",
        "client.search",
        "product.addToCart",
        "cart.status",
        "client.logout",
    }


def test_all_public_names_are_listed() -> None:
    """`__all__` has the class and the function of each event, and the helpers; a new event is missed here."""
    helpers = {"Amount", "money", "BuiltEvent", "SaltChoice", *builder.__all__} - {"CLOCKLESS_BUILDER"}
    assert sorted(events.__all__) == sorted({*building.__all__, *functions.__all__, *helpers})


def test_listing_the_names_loads_nothing() -> None:
    """Neither the package nor `dir` loads a builder or a model: each is loaded when it is used."""
    program = "import sys; from synerise_profiles import events; dir(events); print(*sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    names = [name for name in done.stdout.split() if name.startswith(("synerise_profiles", "httpx", "attr"))]
    assert names == ["synerise_profiles", "synerise_profiles.events"]


def test_names_are_there_as_type_checkers_see_them() -> None:
    """Functions, event classes and helpers can be listed and had; an unknown name is an AttributeError."""
    assert dir(events) == sorted(events.__all__)
    for name in events.__all__:
        assert getattr(events, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'added'"):
        events.added  # type: ignore[attr-defined]  # noqa: B018


def test_a_bad_order_costs_itself_alone(client: Synerise) -> None:
    """A builder's error has the id of the order, by which a generator puts an unreadable row in its place."""
    price = {"amount": "10.00", "currency": "PLN"}
    goods = [{"sku": "s", "name": "S", "quantity": 2, "finalUnitPrice": price}]

    def built(order_id: str, revenue: str) -> Any:
        return events.transaction(
            client=JAN, order_id=order_id, products=goods, payment="CARD", source="POS", revenue=revenue
        )

    def orders() -> Any:
        for order_id, revenue in (("order-1", "20.00"), ("order-2", "7.00"), ("order-3", "20.00")):
            try:
                yield built(order_id, revenue)
            except InvalidRequestError as error:
                yield UnreadableRow(error.field, error.problem, reference=error.reference)

    report = client.bulk.create_transactions(orders())
    assert (report.accepted, [(row.index, row.reference, row.field) for row in report.rejected]) == (
        2,
        [(1, "order-2", "revenue")],
    )
    with pytest.raises(InvalidRequestError) as caught:
        client.bulk.create_transactions(built(*order) for order in (("order-1", "20.00"), ("order-2", "7.00")))
    assert caught.value.reference == "order-2"
    assert pickle.loads(pickle.dumps(caught.value)).reference == "order-2"
    assert "order-2" not in str(caught.value)
    assert any("UnreadableRow(error.field" in note for note in caught.value.__notes__)
    with pytest.raises(InvalidRequestError) as cancelled:
        events.cancellation(client=JAN, order_id="order-4", products=goods, revenue="1.00")
    assert cancelled.value.reference == "order-4"
