"""Transactions, single and in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain import writes
from synerise_profiles.sandbox.domain.events import Draft
from synerise_profiles.sandbox.domain.transactions import draft_transaction
from synerise_profiles.sandbox.responses import Answer
from synerise_profiles.sandbox.spec import Json

from .events import drafts_of, refuse_invalid


def create(call: Call) -> Answer:
    """One transaction with its events."""
    answer = _accept(call, [call.body], "")
    client: Json = call.body["client"]
    makers = ("uuid", "customId", "email") if call.world.options.unique_emails else ("uuid", "customId")
    if "id" in client and not any(client.get(name) for name in makers):
        # The document lists 404 here and not for a batch. Any other identifier makes the profile; an id can't.
        call.profile("clientId", client["id"])
    return answer


def create_batch(call: Call) -> Answer:
    """Several transactions with their events; refused whole for one bad item."""
    items: list[Json] = call.body
    refuse_invalid(call, items)
    return _accept(call, items, "[{}].")


def _accept(call: Call, items: Sequence[Json], place: str) -> Answer:
    received, reserved = call.world.millis(), call.world.reserved["EventParams"]

    def make(item: Json) -> Draft:
        return draft_transaction(item, received, reserved)

    drafts = drafts_of(items, make, place)
    return Answer(job=partial(writes.record_transactions, call.world, call.operation.name, drafts))


HANDLERS: Mapping[str, Handler] = {
    "transactions.create": create,
    "transactions.create_batch": create_batch,
}
