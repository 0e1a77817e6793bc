"""A user's program, checked by mypy and pyright in strict mode and never run: the surface as an IDE sees it."""

from __future__ import annotations

import datetime
import decimal
import io
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, assert_type

from synerise_profiles import (
    UNSET,
    APIStatusError,
    AsyncSynerise,
    NotFoundError,
    Operation,
    OperationSunsetError,
    RateLimitError,
    RawJson,
    Request,
    Response,
    RetryPolicy,
    Synerise,
    SyneriseDeprecationWarning,
    SyneriseError,
    SyneriseSunsetWarning,
    api,
    identifiers,
)
from synerise_profiles.bulk import Report, UnreadableRow
from synerise_profiles.exports import AsyncExport, Backoff, Export, ExportFailedError, ExportTimeoutError
from synerise_profiles.merges import (
    AsyncMergePlan,
    AsyncMergePlanSet,
    Copied,
    MergePlan,
    MergePlanSet,
    MergeResult,
    MergeSetResult,
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
from synerise_profiles.queue import FlushResult, QueueStats
from synerise_profiles.sources import FieldTarget, RowMapping, field, read_arrow, read_csv, read_jsonl

NOW = datetime.datetime.now(tz=datetime.UTC)


def clients() -> Iterator[Synerise]:
    yield Synerise(api_key="key")
    yield Synerise(api_key="key", workspace_guid="guid", region="azure-us", timeout=5)
    yield Synerise(token="token", base_url="https://synerise.example.com", max_retries=0, deadline=10.0)
    yield Synerise(token="token", deprecations="error").with_options(deprecations="ignore")
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
    assert_type(client.profiles.merge_by_id([1, 2], 3), Profile | RawJson | None)
    merged = client.profiles.merge_by_custom_id(("a", "b"), "c")
    if isinstance(merged, Profile):
        assert_type(merged.client_id, int | None)
    assert_type(client.profiles.find("by-uuid", "u-1"), Profile)
    assert_type(client.profiles.list_by_phone("+48 22 123 45 67"), list[Profile] | RawJson | None)
    client.profiles.log_out("1")
    client.profiles.log_out("1", LogoutRequest(action="LOGOUT"))


def account(client: Synerise) -> None:
    assert_type(client.account.get(), Profile | RawJson | None)
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
    task = assert_type(client.exports.create(wanted), ExportTask | RawJson | None)
    if isinstance(task, ExportTask) and task.task_id is not None:
        assert_type(client.exports.get_status(task.task_id), ExportStatus | RawJson | None)
        records = client.exports.get_data(task.task_id, offset=0, limit=100)
        assert_type(records, list[ExportRecord] | RawJson | None)


def whole_exports(client: Synerise) -> int:
    wanted = {"name": "all", "fields": ["id"], "agreementFilter": "NONE", "segmentationHash": "h", "excludedIds": []}
    try:
        export = assert_type(client.exports.run(wanted, deadline=60, poll=Backoff(most=5)), Export)
    except ExportTimeoutError as error:
        export = client.exports.resume(error.task_id, statuses={"ARCHIVED": "ready"}, page_size=10, progress=print)
    except ExportFailedError as error:
        return len(error.status or "")
    for record in export:
        assert_type(record, ExportRecord)
    for page in export.pages():
        assert_type(page, list[ExportRecord])
    assert_type(export.estimated_count, int | None)
    return export.write_jsonl("a.jsonl") + export.write_csv("a.csv") + export.write_arrow("a.arrow")


def merges(client: Synerise) -> None:
    plan = assert_type(client.merges.plan(into="c-1", sources=["c-2"], by="custom_id"), MergePlan)
    assert_type(plan.effects.copied, tuple[Copied, ...])
    result = assert_type(plan.apply(audit="merges.jsonl", actor="anna", group_size=5), MergeResult)
    assert_type(result.merged, Mapping[int | str, int | str])
    assert_type(client.merges.apply(MergePlan.from_dict(plan.to_dict()), audit=None, actor="anna"), MergeResult)
    plans = assert_type(client.merges.plan_many({1: 2}, by="id", on_chain="order"), MergePlanSet)
    client.merges.plan_many("duplicates.csv", by="custom_id", delimiter=";")
    assert_type(plans[0], MergePlan)
    assert_type(plans.apply(audit=None, actor="anna", on_refusal="skip"), MergeSetResult)


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


def rows_from_files(client: Synerise, frame: object) -> None:
    goals: dict[str, FieldTarget] = {
        "id": "customId",
        "born": field("birthDate", "date", format="%d.%m.%Y", zone=None),
        "*": "attributes.*",
    }
    columns = RowMapping.for_profiles(goals, constants={"attributes.source": "shop"}, empty="null", trim=True)
    assert_type(columns, RowMapping)
    RowMapping.for_events(
        {"no": ["eventSalt", "params.number"], "note": None, "sex": field("params.sex", values={1: "F"})}
    )
    source = read_csv("rows.csv", columns, encoding="cp1250", delimiter=";", names=["id", "born"])
    assert_type(client.bulk.upsert_profiles(source, allow_null={"firstName"}), Report)
    client.bulk.send_events(read_jsonl(io.BytesIO(b"")))
    client.bulk.delete_profiles(read_arrow(frame, RowMapping.for_identifiers({"id": "clientId"})))
    for row in source:
        assert_type(row, dict[str, Any] | UnreadableRow)
    assert_type(source.locate(0), int)


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
        assert_type(await client.account.get(), Profile | RawJson | None)
        await client.devices.link_own(LinkedDevice(device_id="d-1", registration_id="r-1", type_="windows"))
        assert_type(await client.tags.list(), list[Tag])
        await client.transactions.create_batch(iter([{"client": {"id": 1}}]))
        assert_type(await client.events.server_time(), ServerTime)
        assert_type(await client.notes.create(1, {"subject": "Call"}), Note | None)
        records = await client.exports.get_data("t-1", offset=0, limit=1)
        assert_type(records, list[ExportRecord] | RawJson | None)
        export = assert_type(await client.exports.resume("t-1"), AsyncExport)
        assert_type([record async for record in export], list[ExportRecord])
        assert_type(await export.write_csv("a.csv"), int)
        assert_type((await client.send(api.notes.get.request(1, "n-1"))).body, Note)
        columns = RowMapping.for_transactions({"*": "*"})
        assert_type(await client.bulk.create_transactions(read_csv(io.StringIO(), columns)), Report)
        async with client.queue(flush_after=5, spill="left.jsonl") as queue:
            await queue.transactions.put({"client": {"id": 1}})
            queue.profiles.put_nowait(ProfileBatchItem(client_id=1))
            assert_type(await queue.close(timeout=5), FlushResult)
        plan = assert_type(await client.merges.plan(into=1, sources=(2, 3), by="id"), AsyncMergePlan)
        assert_type(await plan.apply(audit=None, actor="anna"), MergeResult)
        plans = assert_type(await client.merges.plan_many([(1, 2)], by="id"), AsyncMergePlanSet)
        assert_type(await client.merges.apply_many(plans, audit=None, actor="anna"), MergeSetResult)


def deprecations(error: OperationSunsetError) -> None:
    warnings.simplefilter("error", SyneriseDeprecationWarning)
    warnings.simplefilter("error", SyneriseSunsetWarning)
    assert_type(error.sunset, str | None)
    assert_type(error.replaced_by, tuple[str, ...])
    assert_type(error.status_code, int)


def named(rows: list[dict[str, object]]) -> None:
    assert_type(identifiers.PROFILE_IDENTIFIERS, tuple[str, ...])
    assert_type(identifiers.problem("email", rows), str | None)
    assert_type(identifiers.same("customId", "a", "b"), bool)
    for change in identifiers.check_identifier_change(rows):
        assert_type(change.row, int)
        assert_type(change.effect(), str)
    for change in identifiers.check_identifier_change([ProfileInput(uuid="u")]):
        assert_type(change.other, int | None)
