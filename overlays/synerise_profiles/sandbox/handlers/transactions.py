"""Transactions, single and in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.events import EventDraft
from synerise_profiles.sandbox.domain.transactions import draft_transaction
from synerise_profiles.sandbox.responses import HandlerResponse
from synerise_profiles.sandbox.spec import Json

from . import writes
from .events import make_drafts, refuse_invalid


def create(request: RequestContext) -> HandlerResponse:
    """One transaction with its events."""
    response = _accept(request, [request.body], "")
    client: Json = request.body["client"]
    creating = ("uuid", "customId", "email") if request.context.options.unique_emails else ("uuid", "customId")
    if "id" in client and not any(client.get(name) for name in creating):
        # The document lists 404 here and not for a batch. Any other identifier creates the profile; an id can't.
        request.profile("clientId", client["id"])
    return response


def create_batch(request: RequestContext) -> HandlerResponse:
    """Several transactions with their events; refused whole for one bad item."""
    items: list[Json] = request.body
    refuse_invalid(request, items)
    return _accept(request, items, "[{}].")


def _accept(request: RequestContext, items: Sequence[Json], path_format: str) -> HandlerResponse:
    received_millis, reserved = request.context.millis(), request.context.reserved["EventParams"]

    def make(item: Json) -> EventDraft:
        return draft_transaction(item, received_millis, reserved)

    drafts = make_drafts(items, make, path_format)
    return HandlerResponse(write=partial(writes.record_transactions, request.context, request.operation.name, drafts))


HANDLERS: Mapping[str, Handler] = {
    "transactions.create": create,
    "transactions.create_batch": create_batch,
}
