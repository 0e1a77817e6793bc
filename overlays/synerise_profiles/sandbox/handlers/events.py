"""Events: single ones with the action of their endpoint, batches, listings; the server's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from synerise_profiles.identifiers import CLIENT_IDENTIFIERS
from synerise_profiles.sandbox.clock import millis_of
from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain import writes
from synerise_profiles.sandbox.domain.events import (
    Draft,
    FieldError,
    batch_action,
    draft,
    identifier_of,
    listed,
    mixed,
)
from synerise_profiles.sandbox.domain.profiles import Profile
from synerise_profiles.sandbox.responses import Answer, Failure, problem
from synerise_profiles.sandbox.spec import Json


def send(call: Call) -> Answer:
    """Any single event: the spec names the action, only the custom one names its own."""
    return _accept(call, [call.body], lambda item: call.operation.action or str(item["action"]), "")


def send_batch(call: Call) -> Answer:
    """Several events, each with its own action; nothing but events comes of them, whatever the action."""
    items: list[Json] = call.body
    refuse_invalid(call, items)
    answer = _accept(call, items, partial(batch_action, actions=call.world.actions), "[{}].")
    if call.operation.uniform_identifier:
        refuse([problem(f"[{index}].client", message) for index, message in mixed([item["client"] for item in items])])
    return answer


def drafts_of(items: Sequence[Json], make: Callable[[Json], Draft], place: str) -> list[Draft]:
    """The draft of each item; everything is refused for one that can't be taken. `place` leads to the index."""
    drafts: list[Draft] = []
    problems: list[Json] = []
    for index, item in enumerate(items):
        if identifier_of(item["client"]) is None:
            message = f"needs at least one of {', '.join(CLIENT_IDENTIFIERS)}"
            problems.append(problem(f"{place.format(index)}client", message, item["client"]))
            continue
        try:
            drafts.append(make(item))
        except FieldError as found:
            problems.append(problem(place.format(index) + found.field, found.message, found.rejected))
    refuse(problems)
    return drafts


def refuse_invalid(call: Call, items: list[Json]) -> None:
    """Refuse a whole batch for one bad item: no partial answer is documented for events and transactions."""
    invalid = call.world.validation.items(call.operation, items)
    refuse(
        [
            problem(f"[{index}].{error['field']}", error["message"], error["rejectedValue"])
            for index, found in invalid.items()
            for error in found
        ]
    )


def refuse(problems: Sequence[Json]) -> None:
    """Failure if there is a problem; the message tells the first, the errors all."""
    if problems:
        raise Failure(400, f"Bad request: {problems[0]['field']} {problems[0]['message']}", problems)


def list_for_profile(call: Call) -> Answer:
    """The events of a profile."""
    # No 404 is documented here: an unknown profile has no events.
    profile = call.store.profiles.get(call.path["clientId"])
    return Answer([] if profile is None else _listed(call, profile))


def list_own(call: Call) -> Answer:
    """The events of the token's profile."""
    return Answer(_listed(call, call.own_profile()))


def server_time(call: Call) -> Answer:
    """The sandbox's clock."""
    return Answer({"serverTime": call.world.iso()})


def _accept(call: Call, items: Sequence[Json], action_of: Callable[[Json], str], place: str) -> Answer:
    # The moment of receipt is now, however long the work waits.
    received, reserved = call.world.millis(), call.world.reserved["EventParams"]

    def make(item: Json) -> Draft:
        return draft(item, action_of(item), item.get("params", {}), received, reserved)

    drafts = drafts_of(items, make, place)
    return Answer(job=partial(writes.record_events, call.world, call.operation.name, drafts))


def _listed(call: Call, profile: Profile) -> list[Json]:
    """The oldest first, and of these as many as asked for.

    The reference names no order; that a listing without a start begins "with the oldest entry" speaks for this one. By
    its words the end is the current time where none is given. A negative limit asks for nothing.
    """
    query = call.query
    until = _bound(query, "time[to]")
    limit = query.get("limit")
    found = call.store.events.of_profile(
        profile.client_id,
        since=_bound(query, "time[from]"),
        until=call.world.millis() if until is None else until,
        action=query.get("action"),
        limit=None if limit is None else max(limit, 0),
    )
    client: Json = {
        "customId": profile.custom_id,
        "id": profile.client_id,
        "uuid": profile.uuid,
        "email": profile.email,
    }
    return [listed(event, client) for event in found]


def _bound(query: Mapping[str, Any], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return millis_of(text)
    except ValueError:
        message = "must be a time in ISO 8601"
        raise Failure(400, f"{name} {message}", [problem(name, message, text)]) from None


HANDLERS: Mapping[str, Handler] = {
    "events.send_batch": send_batch,
    "events.list_for_profile": list_for_profile,
    "events.list_own": list_own,
    "events.server_time": server_time,
}
