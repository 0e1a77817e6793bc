"""Events: single ones with the action of their endpoint, batches, listings; the time of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from synerise_profiles.sandbox.clock import millis_of
from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.events import (
    EventDraft,
    InvalidFieldError,
    batch_action,
    draft_event,
    mixed_identifiers,
    to_event_record,
)
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest, error_entry, refuse
from synerise_profiles.sandbox.schemas import Json

from . import writes


def send(request: RequestContext) -> HandlerResponse:
    """Any single event: the spec names the action, only the custom one names its own."""
    return _accept(request, [request.body], lambda item: request.operation.action or str(item["action"]), "")


def send_batch(request: RequestContext) -> HandlerResponse:
    """Several events, each with its own action; they make no transactions, whatever the action."""
    items: list[Json] = request.body
    _refuse_invalid(request, items)
    response = _accept(request, items, partial(batch_action, actions=request.context.spec.actions), "[{}].")
    if request.operation.uniform_identifier:
        refuse(
            [
                error_entry(f"[{index}].client", message)
                for index, message in mixed_identifiers([item["client"] for item in items])
            ]
        )
    return response


def make_drafts(items: Sequence[Json], make: Callable[[Json], EventDraft], path_format: str) -> list[EventDraft]:
    """The draft of each item; one invalid item refuses all. `path_format` makes the path of an item from its index."""
    drafts: list[EventDraft] = []
    problems: list[Json] = []
    for index, item in enumerate(items):
        try:
            drafts.append(make(item))
        except InvalidFieldError as found:
            problems.append(error_entry(path_format.format(index) + found.field, found.message, found.rejected))
    refuse(problems)
    return drafts


def _refuse_invalid(request: RequestContext, items: list[Json]) -> None:
    """Refuse a whole batch for one bad item: no partial answer is known of events."""
    invalid = request.context.validator.item_problems(request.operation, items)
    refuse(
        [
            error_entry(f"[{index}].{error['field']}", error["message"], error["rejectedValue"])
            for index, found in invalid.items()
            for error in found
        ]
    )


def list_for_profile(request: RequestContext) -> HandlerResponse:
    """The events of a profile."""
    # No 404 is documented here: an unknown profile has no events.
    profile = request.store.profiles.get(request.path["clientId"])
    return HandlerResponse([] if profile is None else _event_records(request, profile))


def list_own(request: RequestContext) -> HandlerResponse:
    """The events of the token's profile."""
    return HandlerResponse(_event_records(request, request.own_profile()))


def server_time(request: RequestContext) -> HandlerResponse:
    """The sandbox's clock."""
    return HandlerResponse({"serverTime": request.context.iso()})


def _accept(
    request: RequestContext, items: Sequence[Json], action_of: Callable[[Json], str], path_format: str
) -> HandlerResponse:
    # The moment of receipt is now, however long the work waits.
    received_millis, reserved = request.context.millis(), request.operation.body.reserved.get("params", frozenset())

    def make(item: Json) -> EventDraft:
        return draft_event(item, action_of(item), item.get("params", {}), received_millis, reserved)

    drafts = make_drafts(items, make, path_format)
    return HandlerResponse(write=partial(writes.record_events, request.context, request.operation.name, drafts))


def _event_records(request: RequestContext, profile: StoredProfile) -> list[Json]:
    """The oldest first, and of these as many as asked for.

    The reference names no order; that a listing without a start begins "with the oldest entry" speaks for this one. By
    its words the end is the current time where none is given. A negative limit asks for nothing.
    """
    query = request.query
    until = _bound(query, "time[to]")
    limit = query.get("limit")
    found = request.store.events.of_profile(
        profile.client_id,
        since=_bound(query, "time[from]"),
        until=request.context.millis() if until is None else until,
        action=query.get("action"),
        limit=None if limit is None else max(limit, 0),
    )
    client: Json = {
        "customId": profile.custom_id,
        "id": profile.client_id,
        "uuid": profile.uuid,
        "email": profile.email,
    }
    return [to_event_record(event, client) for event in found]


def _bound(query: Mapping[str, Any], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return millis_of(text)
    except ValueError:
        message = "must be a time in ISO 8601"
        raise RefusedRequest(400, f"{name} {message}", [error_entry(name, message, text)]) from None


HANDLERS: Mapping[str, Handler] = {
    "events.send_batch": send_batch,
    "events.list_for_profile": list_for_profile,
    "events.list_own": list_own,
    "events.server_time": server_time,
}
