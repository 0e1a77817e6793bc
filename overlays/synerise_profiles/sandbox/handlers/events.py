"""Events: single ones with the action of their endpoint, batches, listings; the server's clock."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from synerise_profiles.sandbox import jobs
from synerise_profiles.sandbox.answers import Answer, Failure, problem
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.clock import millis_of
from synerise_profiles.sandbox.rules.events import batch_action, listed
from synerise_profiles.sandbox.rules.profiles import Profile
from synerise_profiles.sandbox.world import Call, Handler


def send(call: Call) -> Answer:
    """Any single event: the spec names the action, only the custom one names its own."""
    if call.body is None:
        raise Failure(400, "A body is required.", [problem("body", "is required")])
    item: Json = call.body
    action = call.operation.action or str(item["action"])
    return Answer(job=partial(jobs.record_events, call.world, [item], lambda _: action))


def send_batch(call: Call) -> Answer:
    """Several events, each with its own action."""
    items: list[Json] = call.body
    refuse_invalid(call, items)
    action_of = partial(batch_action, actions=call.world.actions)
    return Answer(job=partial(jobs.record_events, call.world, items, action_of))


def refuse_invalid(call: Call, items: list[Json]) -> None:
    """Refuse a whole batch for one bad item: no partial answer is documented for events and transactions."""
    invalid = call.world.validation.items(call.operation, items)
    if invalid:
        errors = [
            problem(f"[{index}].{error['field']}", error["message"], error["rejectedValue"])
            for index, found in invalid.items()
            for error in found
        ]
        raise Failure(400, f"{len(invalid)} of {len(items)} items are invalid.", errors)


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


def _listed(call: Call, profile: Profile) -> list[Json]:
    query = call.query
    found = call.store.events.of_profile(
        profile.client_id,
        since=_bound(query, "time[from]"),
        until=_bound(query, "time[to]"),
        action=query.get("action"),
        limit=query.get("limit"),
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
