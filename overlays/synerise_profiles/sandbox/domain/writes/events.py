"""Events and transactions: find their owners, store them, tell what became of each."""

from __future__ import annotations

from collections.abc import Sequence

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain.events import EventDraft, StoredEvent, draft_event, event_from_draft
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.domain.transactions import purchase_events
from synerise_profiles.sandbox.responses import Outcome
from synerise_profiles.sandbox.spec import Json

from .unit_of_work import load_working_set, save_working_set


def record_events(context: Context, operation: str, drafts: Sequence[EventDraft]) -> list[Outcome]:
    """Store events, making the profiles that are new."""
    with context.store.transaction():
        events = _events(context, operation, drafts)
        outcomes = _outcomes(context, drafts, events)
        context.store.events.save([event for event in events if event is not None])
    return outcomes


def record_transactions(context: Context, operation: str, drafts: Sequence[EventDraft]) -> list[Outcome]:
    """Store transactions and the events that they make."""
    with context.store.transaction():
        charges = _events(context, operation, drafts)
        outcomes = _outcomes(context, drafts, charges)
        made = [(item, charge) for item, charge in zip(drafts, charges, strict=True) if charge is not None]
        context.store.events.save(
            [event for item, charge in made for event in (charge, *purchase_events(item, charge))]
        )
        context.store.transactions.save([(charge, item.item) for item, charge in made])
    return outcomes


def record_server_event(context: Context, client_id: int, action: str, params: Json) -> None:
    """Store an event that the server itself makes."""
    context.store.events.save(
        [event_from_draft(draft_event({}, action, params, context.millis(), frozenset()), client_id)]
    )


def _events(context: Context, operation: str, drafts: Sequence[EventDraft]) -> list[StoredEvent | None]:
    """The event of each draft; None, and an entry among the dropped writes, for what is dropped."""
    events: list[StoredEvent | None] = []
    for index, (item, owner) in enumerate(zip(drafts, _owners(context, drafts), strict=True)):
        reason = _refusal(item, owner)
        if owner is None or reason is not None:
            context.record_dropped(operation, index, reason or "", item.item)
            events.append(None)
        else:
            events.append(event_from_draft(item, owner.client_id))
    return events


def _owners(context: Context, drafts: Sequence[EventDraft]) -> list[StoredProfile | None]:
    clients: list[Json] = [item.item["client"] for item in drafts]
    working = load_working_set(context, clients, id_field="id")
    owners = [working.identify(client) for client in clients]
    save_working_set(context, working)
    return owners


def _refusal(item: EventDraft, owner: StoredProfile | None) -> str | None:
    """Why an event takes no effect.

    An `email` among the params "must be exactly the same" as the profile's, says the reference, not what happens
    otherwise. The profile is known only when the event is taken from the queue, so the request can't be refused: the
    event is dropped.
    """
    if owner is None:
        client: Json = item.item["client"]
        if "id" in client:
            return f"no profile has the id {client['id']}"
        return "its client has no identifier that names a profile or makes one"
    if "email" in item.params and item.params["email"] != owner.email:
        return "params.email is not the e-mail address of the profile"
    return None


def _outcomes(context: Context, drafts: Sequence[EventDraft], events: Sequence[StoredEvent | None]) -> list[Outcome]:
    """What becomes of each; of two equal ones in a request the second overwrites the first."""
    salted = [
        event.uuid for item, event in zip(drafts, events, strict=True) if event is not None and item.salt is not None
    ]
    known = context.store.counts.known_events(salted) if salted else set[str]()
    outcomes: list[Outcome] = []
    for event in events:
        if event is None:
            outcomes.append(Outcome.DROPPED)
        elif event.uuid in known:
            outcomes.append(Outcome.OVERWROTE)
        else:
            known.add(event.uuid)
            outcomes.append(Outcome.APPLIED)
    return outcomes
