"""Events and transactions: find their owners, store them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.log import Outcome
from synerise_profiles.sandbox.rules.events import Event, event_of, transaction_events
from synerise_profiles.sandbox.world import World

from .loading import load, save


def record_events(world: World, items: Sequence[Json], action_of: Callable[[Json], str]) -> list[Outcome]:
    """Store events, making the profiles that are new."""
    now = world.millis()
    with world.store.transaction():
        events = [event_of(item, owner, action_of(item), now) for item, owner in _owned(world, items)]
        world.store.events.save(events)
    return [Outcome.APPLIED] * len(events) + [Outcome.DROPPED] * (len(items) - len(events))


def record_transactions(world: World, items: Sequence[Json]) -> list[Outcome]:
    """Store transactions and the events that they make."""
    now = world.millis()
    events: list[Event] = []
    charges: list[tuple[Event, Json]] = []
    with world.store.transaction():
        for item, owner in _owned(world, items):
            made = list(transaction_events(item, owner, now))
            charges.append((made[0], item))
            events.extend(made)
        world.store.events.save(events)
        world.store.transactions.save(charges)
    return [Outcome.APPLIED] * len(charges) + [Outcome.DROPPED] * (len(items) - len(charges))


def record_own_event(world: World, client_id: int, action: str, params: Json) -> None:
    """Store an event that the server itself makes."""
    world.store.events.save([event_of({"params": params}, client_id, action, world.millis())])


def _owned(world: World, items: Sequence[Json]) -> Iterable[tuple[Json, int]]:
    """Each item with the profile that it belongs to; items of an unknown id are dropped."""
    clients: list[Json] = [item["client"] for item in items]
    working = load(world, clients, id_field="id")
    owners = [working.identify(client) for client in clients]
    save(world, working)
    return [(item, owner.client_id) for item, owner in zip(items, owners, strict=True) if owner is not None]
