"""A user's mistakes, never run: a type checker must find the one on each line that says `# E:`, and no other."""

from __future__ import annotations

from synerise_profiles import AsyncSynerise, Synerise, api, events
from synerise_profiles.models import (
    CartParams,
    ClientIdentifier,
    LinkedDevice,
    Money,
    NoteInput,
    ProfileInput,
    Tag,
    Transaction,
)


def arguments(client: Synerise) -> None:
    client.profiles.get("1")  # E: [arg-type]
    client.profiles.get()  # E: [call-arg]
    client.profiles.get(client=1)  # E: [call-arg]
    client.profiles.get(None)  # E: [arg-type]
    client.profiles.merge_by_id(["1", "2"], 3)  # E: [list-item]
    client.profiles.merge_by_id(1, 2)  # E: [arg-type]
    client.profiles.merge_by_custom_id([1], "c")  # E: [list-item]
    client.exports.get_data("t-1", 0, 100)  # E: [call-arg]
    client.exports.get_data("t-1", offset=0)  # E: [call-arg]
    client.exports.get_data("t-1", offset="0", limit=1)  # E: [arg-type]


def literals(client: Synerise) -> None:
    client.profiles.find("by-id", "1")  # E: [arg-type]
    client.devices.link_by_identifier("by-phone", "1", {})  # E: [arg-type]
    LinkedDevice(device_id="d", registration_id="r", type_="symbian")  # E: [arg-type]
    ProfileInput(sex="male")  # E: [arg-type]


def fields(profile: ProfileInput, tag: Tag) -> None:
    ProfileInput(mail="jan@example.com")  # E: [call-arg]
    ProfileInput("jan@example.com")  # E: [call-arg]
    ProfileInput(tags=[1])  # E: [list-item]
    ProfileInput(email=1)  # E: [arg-type]
    Money(amount="19.90", currency="PLN")  # E: [arg-type]
    Money(amount=1)  # E: [call-arg]
    NoteInput(subject=None)  # E: [arg-type]
    Transaction(source="POS")  # E: [call-arg]
    profile.mail = "jan@example.com"  # E: [attr-defined]
    tag.name.upper()  # E: [union-attr]


def bodies(client: Synerise, profile: ProfileInput) -> None:
    client.profiles.upsert([profile])  # E: [arg-type]
    client.profiles.upsert(NoteInput())  # E: [arg-type]
    client.profiles.upsert_batch(profile)  # E: [arg-type]
    client.profiles.upsert(None)  # E: [arg-type]
    client.account.log_out(None)  # E: [arg-type]
    client.tags.create("vip")  # E: [arg-type]


def builders(client: Synerise, jan: ClientIdentifier, params: CartParams) -> None:
    events.added_to_cart(client=jan)  # E: [call-arg]
    events.added_to_cart(jan, params)  # E: [call-arg]
    events.added_to_cart(client="customer-17", params=params)  # E: [arg-type]
    events.added_to_cart(client=jan, params=jan)  # E: [arg-type]
    events.searched(client=jan, time=17)  # E: [arg-type]
    events.searched(client=jan, action="a.b")  # E: [call-arg]
    events.custom(client=jan)  # E: [call-arg]
    events.money(12.5, "PLN")  # E: [arg-type]
    client.events.searched(events.added_to_cart(client=jan, params=params))  # E: [arg-type]
    events.transaction(client=jan, order_id="o", products=[], payment="CARD", source=1)  # E: [arg-type]
    events.transaction(client=jan, order_id="o", products=[5], payment="CARD", source="POS")  # E: [list-item]
    client.bulk.send_events([5])  # E: [list-item]
    events.add_to_cart(client=jan)  # E: [attr-defined]


def results(client: Synerise) -> None:
    _ = client.notes.create(1, {}).subject  # E: [union-attr]
    _ = client.profiles.upsert({}).email  # E: [attr-defined] [func-returns-value]
    api.profiles.get.OPERATION.retry = "never"  # E: [misc]


def texts(client: Synerise) -> list[str]:
    return client.tags.list()  # E: [return-value]


def text(client: Synerise) -> str:
    return client.send(api.profiles.get.request(1)).body.email  # E: [return-value]


def surface(client: Synerise) -> None:
    client.profile.get(1)  # E: [attr-defined]
    client.profiles.fetch(1)  # E: [attr-defined]
    api.profiles.fetch.request(1)  # E: [attr-defined]
    Synerise("key")  # E: [call-arg]
    Synerise(apikey="key")  # E: [call-arg]
    Synerise(token="token", consumer="machine")  # E: [arg-type]
    Synerise(token="token", timeout="5")  # E: [arg-type]


async def waiting(client: AsyncSynerise, sync: Synerise) -> None:
    _ = client.profiles.get(1).email  # E: [attr-defined]
    await sync.profiles.get(1)  # E: [misc]
    with client:  # E: [attr-defined]
        pass
    async with sync:  # E: [attr-defined]
        pass


async def deprecated(client: Synerise, asynchronous: AsyncSynerise) -> None:
    client.profiles.get_contact(1)  # E: [deprecated]
    await asynchronous.profiles.get_contact(1)  # E: [deprecated]
    api.profiles.get_contact.request(1)  # E: [deprecated]
