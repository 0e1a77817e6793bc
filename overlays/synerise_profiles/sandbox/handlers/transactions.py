"""Transactions, single and in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.events import EventDraft, InvalidFieldError
from synerise_profiles.sandbox.domain.transactions import draft_transaction
from synerise_profiles.sandbox.responses import HandlerResponse, Outcome, error_entry, refuse
from synerise_profiles.sandbox.schemas import Json

from . import writes
from .events import make_drafts


def create(request: RequestContext) -> HandlerResponse:
    """One transaction with its events."""
    drafts = make_drafts([request.body], _maker(request), "")
    write = partial(writes.record_transactions, request.context, request.operation.name, drafts)
    client: Json = request.body["client"]
    creating = ("uuid", "customId", "email") if request.context.options.unique_emails else ("uuid", "customId")
    if "id" in client and not any(client.get(name) for name in creating):
        # The document lists 404 here and not for a batch. Any other identifier creates the profile; an id can't.
        request.profile("clientId", client["id"])
    return HandlerResponse(write=write)


def create_batch(request: RequestContext) -> HandlerResponse:
    """Several transactions with their events; bad ones are reported and left out, and a batch of bad ones is refused.

    That a batch is taken in part is one vendor's reading, as the spec says; 400 is what the reference has.
    """
    items: list[Json] = request.body
    invalid = request.context.validator.item_problems(request.operation, items)
    drafts: dict[int, EventDraft] = {}
    make = _maker(request)
    for index, item in enumerate(items):
        if index not in invalid:
            try:
                drafts[index] = make(item)
            except InvalidFieldError as found:
                invalid[index] = [error_entry(found.field, found.message, found.rejected)]
    if not drafts:
        refuse([{**found, "field": f"[{index}].{found['field']}"} for index in invalid for found in invalid[index]])
    write = partial(_record_batch, request, len(items), drafts)
    if not invalid:
        return HandlerResponse(write=write)
    return HandlerResponse([found for index in sorted(invalid) for found in invalid[index]], 207, write=write)


def _record_batch(request: RequestContext, size: int, drafts: Mapping[int, EventDraft]) -> list[Outcome]:
    name, positions = request.operation.name, list(drafts)
    outcomes = writes.record_transactions(request.context, name, list(drafts.values()), positions)
    by_position = dict(zip(positions, outcomes, strict=True))
    return [by_position.get(index, Outcome.REFUSED) for index in range(size)]


def _maker(request: RequestContext) -> Callable[[Json], EventDraft]:
    received_millis, reserved = request.context.millis(), request.context.spec.reserved_params
    return lambda item: draft_transaction(item, received_millis, reserved)


HANDLERS: Mapping[str, Handler] = {
    "transactions.create": create,
    "transactions.create_batch": create_batch,
}
