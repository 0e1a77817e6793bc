"""Events and transactions: find their owners, store them, tell what became of each."""

from __future__ import annotations

from collections.abc import Sequence

from synerise_profiles.sandbox.admin.request_log import Outcome
from synerise_profiles.sandbox.context import World
from synerise_profiles.sandbox.domain.events import Draft, Event, draft, event_of
from synerise_profiles.sandbox.domain.profiles import Profile
from synerise_profiles.sandbox.domain.transactions import purchases
from synerise_profiles.sandbox.spec import Json

from .unit_of_work import load, save


def record_events(world: World, operation: str, drafts: Sequence[Draft]) -> list[Outcome]:
    """Store events, making the profiles that are new."""
    with world.store.transaction():
        events = _events(world, operation, drafts)
        outcomes = _outcomes(world, drafts, events)
        world.store.events.save([event for event in events if event is not None])
    return outcomes


def record_transactions(world: World, operation: str, drafts: Sequence[Draft]) -> list[Outcome]:
    """Store transactions and the events that they make."""
    with world.store.transaction():
        charges = _events(world, operation, drafts)
        outcomes = _outcomes(world, drafts, charges)
        made = [(item, charge) for item, charge in zip(drafts, charges, strict=True) if charge is not None]
        world.store.events.save([event for item, charge in made for event in (charge, *purchases(item, charge))])
        world.store.transactions.save([(charge, item.item) for item, charge in made])
    return outcomes


def record_own_event(world: World, client_id: int, action: str, params: Json) -> None:
    """Store an event that the server itself makes."""
    world.store.events.save([event_of(draft({}, action, params, world.millis(), frozenset()), client_id)])


def _events(world: World, operation: str, drafts: Sequence[Draft]) -> list[Event | None]:
    """The event of each draft; None, and an entry in the journal, for what is dropped."""
    events: list[Event | None] = []
    for index, (item, owner) in enumerate(zip(drafts, _owners(world, drafts), strict=True)):
        reason = _refusal(item, owner)
        if owner is None or reason is not None:
            world.drop(operation, index, reason or "", item.item)
            events.append(None)
        else:
            events.append(event_of(item, owner.client_id))
    return events


def _owners(world: World, drafts: Sequence[Draft]) -> list[Profile | None]:
    clients: list[Json] = [item.item["client"] for item in drafts]
    working = load(world, clients, id_field="id")
    owners = [working.identify(client) for client in clients]
    save(world, working)
    return owners


def _refusal(item: Draft, owner: Profile | None) -> str | None:
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


def _outcomes(world: World, drafts: Sequence[Draft], events: Sequence[Event | None]) -> list[Outcome]:
    """What becomes of each; of two equal ones in a request the second overwrites the first."""
    salted = [
        event.uuid for item, event in zip(drafts, events, strict=True) if event is not None and item.salt is not None
    ]
    known = world.store.counts.known_events(salted) if salted else set[str]()
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
