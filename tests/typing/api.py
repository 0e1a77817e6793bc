"""A user's program, checked by mypy and pyright in strict mode and never run: the surface as an IDE sees it."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from typing import assert_type

from synerise_profiles import (
    UNSET,
    APIStatusError,
    AsyncSynerise,
    NotFoundError,
    Operation,
    RateLimitError,
    Request,
    Response,
    RetryPolicy,
    Synerise,
    SyneriseError,
    api,
)
from synerise_profiles.models import (
    AccountRegistration,
    BatchEvent,
    ClientIdentifier,
    CustomEvent,
    Event,
    EventParams,
    ExportRecord,
    ExportRequest,
    ExportStatus,
    ExportTask,
    FieldError,
    LinkedDevice,
    LogoutRequest,
    Money,
    Note,
    NoteInput,
    PasswordChange,
    PaymentInfo,
    Product,
    Profile,
    ProfileBatchItem,
    ProfileInput,
    ServerTime,
    Tag,
    TagAssignment,
    TagInput,
    Transaction,
    WebPushCleanUp,
)
from synerise_profiles.queues import FlushResult, QueueStats

NOW = datetime.datetime.now(tz=datetime.UTC)


def clients() -> Iterator[Synerise]:
    yield Synerise(api_key="key")
    yield Synerise(api_key="key", workspace_guid="guid", region="azure-us", timeout=5)
    yield Synerise(token="token", base_url="https://synerise.example.com", max_retries=0, deadline=10.0)
    yield Synerise(token=lambda: "token", retry=RetryPolicy(), timeout=(1, 2, 3, None), user_agent="shop/1")
    yield Synerise.from_env(consumer="profile").with_options(timeout=1, max_retries=5)


def registration(client: Synerise) -> None:
    client.registration.register(AccountRegistration(email="jan@example.com", password="secret", sex="MALE"))
    client.registration.register({"email": "jan@example.com", "attributes": {"loyaltyLevel": "gold"}})
    client.registration.resend_pin({"email": "jan@example.com"})


def profiles(client: Synerise) -> None:
    profile = assert_type(client.profiles.get(1), Profile)
    assert_type(profile.client_id, int | None)
    assert_type(profile.tags, list[str] | None)
    client.profiles.upsert(ProfileInput(email="jan@example.com", first_name=None, birth_date=datetime.date(1990, 1, 2)))
    client.profiles.upsert({"email": "jan@example.com", "firstName": None})
    client.profiles.update(1, ProfileInput(tags=("a", "b"), sex="FEMALE", city=UNSET))
    client.profiles.delete_by_custom_id("c-1")
    rows = ({"customId": str(number)} for number in range(10))
    refused = client.profiles.upsert_batch(rows)
    assert_type(refused, list[FieldError] | None)
    client.profiles.upsert_batch([ProfileBatchItem(client_id=1), {"customId": "c-1"}])
    assert_type(client.profiles.merge_by_id([1, 2], 3), Profile)
    assert_type(client.profiles.merge_by_custom_id(("a", "b"), "c"), Profile)
    assert_type(client.profiles.find("by-uuid", "u-1"), Profile)
    assert_type(client.profiles.list_by_phone("+48 22 123 45 67"), list[Profile])
    client.profiles.log_out("1")
    client.profiles.log_out("1", LogoutRequest(action="LOGOUT"))


def account(client: Synerise) -> None:
    assert_type(client.account.get(), Profile)
    client.account.update({"city": "Kraków"})
    assert_type(client.account.change_password(PasswordChange(old_password="a", password="b")), str)
    client.account.log_out()
    client.account.log_out({"action": "LOGOUT_WITH_SESSION_CLEARING"})


def devices(client: Synerise) -> None:
    device = LinkedDevice(device_id="d-1", registration_id="r-1", type_="android", screen_height=1080)
    client.devices.link(1, device)
    client.devices.link_by_identifier("by-uuid", "u-1", device)
    client.devices.link_own({"deviceId": "d-1", "registrationId": "r-1", "type": "ios"})
    client.devices.clean_up_web_push(1, WebPushCleanUp(type_="BY_UPDATED_BEFORE", updated=NOW))


def tags(client: Synerise) -> None:
    assert_type(client.tags.list(), list[Tag])
    tag = assert_type(client.tags.create(TagInput(name="vip", color="#0768ff")), Tag)
    client.tags.update(7, {"color": "#ffffff"})
    if tag.id is not None:
        assert_type(client.tags.assign(1, tag.id), TagAssignment)
        client.tags.unassign(1, tag.id)
        client.tags.delete(tag.id)


def transactions(client: Synerise) -> None:
    price = Money(amount=decimal.Decimal("19.90"), currency="PLN")
    product = Product(final_unit_price=price, name="Mug", sku="m-1", quantity=2)
    product["colour"] = "blue"
    transaction = Transaction(
        client=ClientIdentifier(custom_id="c-1"),
        products=[
            product,
            {"sku": "m-2", "name": "Cup", "quantity": 1, "finalUnitPrice": {"amount": 5, "currency": "PLN"}},
        ],
        payment_info=PaymentInfo(method="CASH"),
        revenue=price,
        value={"amount": 39.8, "currency": "PLN"},
        recorded_at=NOW,
        order_id="o-1",
        source="POS",
    )
    client.transactions.create(transaction)
    client.transactions.create_batch([transaction, transaction.to_dict()])


def events(client: Synerise) -> None:
    person = ClientIdentifier(id=1)
    event = Event(label="seen", client=person, time=NOW, event_salt="s-1", params={"price": 1})
    client.events.searched(event)
    client.events.custom(CustomEvent(action="shop.seen", label="seen", client=person, params=EventParams()))
    client.events.custom({"action": "shop.seen", "label": "seen", "client": {"id": 1}})
    client.events.send_batch(event.to_dict() for _ in range(3))
    time = assert_type(client.events.server_time(), ServerTime)
    assert_type(time.server_time, datetime.datetime | None)


def notes(client: Synerise) -> None:
    assert_type(client.notes.list(1), list[Note])
    note = assert_type(client.notes.create(1, NoteInput(subject="Call", body="Called back")), Note | None)
    if note is not None and note.id is not None:
        client.notes.update(1, note.id, {"body": "Called twice"})
        client.notes.delete(1, note.id)


def exports(client: Synerise) -> None:
    wanted = ExportRequest(
        name="all", fields=["email"], agreement_filter="NONE", segmentation_hash="hash", excluded_ids=[1]
    )
    task = assert_type(client.exports.create(wanted), ExportTask)
    if task.task_id is not None:
        assert_type(client.exports.get_status(task.task_id), ExportStatus)
        assert_type(client.exports.get_data(task.task_id, offset=0, limit=100), list[ExportRecord])


def low_road(client: Synerise) -> None:
    request = assert_type(api.profiles.get.request(1), Request[Profile])
    response = assert_type(client.send(request), Response[Profile])
    assert_type(response.body, Profile)
    assert_type(api.tags.list.OPERATION, Operation)
    assert_type(client.send(api.tags.list.request()).body, list[Tag])


def failures(client: Synerise) -> str:
    try:
        client.profiles.get(1)
    except NotFoundError as error:
        return "" if error.body is None else str(error.body.message)
    except RateLimitError as error:
        return f"{error.retry_after} {error.attempts}"
    except APIStatusError as error:
        return f"{error.status_code} {error.request_id}"
    except SyneriseError:
        return ""
    return "found"


def queue(client: Synerise) -> None:
    with client.queue(max_items=10, when_full="drop_oldest", on_rejected=lambda rejection, row: None) as queue:
        queue.events.put(BatchEvent(label="Visit", action="shop.visit", client=ClientIdentifier(custom_id="c-1")))
        queue.profiles.put({"customId": "c-1"}, timeout=0.5)
        result = assert_type(queue.flush(timeout=1), FlushResult)
        assert_type(result.left, int)
        assert_type([left.row for left in queue.undelivered()], list[bytes])
    assert_type(queue.stats(), QueueStats)


async def asynchronous() -> None:
    async def token() -> str:
        return "token"

    async with AsyncSynerise(token=token, region="gcp-eu") as client:
        await client.registration.register({"email": "jan@example.com"})
        assert_type(await client.profiles.get(1), Profile)
        await client.profiles.upsert(ProfileInput(custom_id="c-1"))
        assert_type(await client.profiles.upsert_batch([{"customId": "c-1"}]), list[FieldError] | None)
        assert_type(await client.account.get(), Profile)
        await client.devices.link_own(LinkedDevice(device_id="d-1", registration_id="r-1", type_="windows"))
        assert_type(await client.tags.list(), list[Tag])
        await client.transactions.create_batch(iter([{"client": {"id": 1}}]))
        assert_type(await client.events.server_time(), ServerTime)
        assert_type(await client.notes.create(1, {"subject": "Call"}), Note | None)
        assert_type(await client.exports.get_data("t-1", offset=0, limit=1), list[ExportRecord])
        assert_type((await client.send(api.notes.get.request(1, "n-1"))).body, Note)
        async with client.queue(flush_after=5, spill="left.jsonl") as queue:
            await queue.transactions.put({"client": {"id": 1}})
            queue.profiles.put_nowait(ProfileBatchItem(client_id=1))
            assert_type(await queue.close(timeout=5), FlushResult)
