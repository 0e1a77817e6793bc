"""The work behind accepted requests, each in one transaction: load what is touched, decide, store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .bundle import Json
from .rules import profiles as profile_rules
from .rules.events import Event, event_of, transaction_events
from .rules.matching import WorkingSet, keys_of
from .rules.profiles import Profile
from .world import World


def upsert_profiles(world: World, items: Sequence[Json]) -> int:
    """Create or change profiles; how many items took effect."""
    with world.store.transaction():
        working = _load(world, items)
        applied = sum(working.upsert(item) is not None for item in items)
        _save(world, working)
    return applied


def update_profile(world: World, client_id: int, item: Json) -> int:
    """Change one profile; 0 when it is gone or an identifier belongs to another."""
    with world.store.transaction():
        working = _load(world, [{**item, "clientId": client_id}])
        applied = working.update(client_id, item) is not None
        _save(world, working)
    return int(applied)


def delete_profile(world: World, client_id: int) -> int:
    """Remove one profile with all that hangs on it."""
    with world.store.transaction():
        world.store.profiles.delete(client_id)
    return 1


def merge_profiles(world: World, target: Profile, sources: Sequence[Profile]) -> None:
    """Move the history of the sources to the target, copy what it lacks, remove the sources."""
    with world.store.transaction():
        profile_rules.merge(target, sources)
        world.store.profiles.absorb(target.client_id, [source.client_id for source in sources])
        world.store.profiles.save([target])


def record_events(world: World, items: Sequence[Json], action_of: Callable[[Json], str]) -> int:
    """Store events, making the profiles that are new; how many were stored."""
    now = world.millis()
    with world.store.transaction():
        events = [event_of(item, owner, action_of(item), now) for item, owner in _owned(world, items)]
        world.store.events.save(events)
    return len(events)


def record_transactions(world: World, items: Sequence[Json]) -> int:
    """Store transactions and the events that they make; how many transactions were stored."""
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
    return len(charges)


def record_own_event(world: World, client_id: int, action: str, params: Json) -> None:
    """Store an event that the server itself makes."""
    world.store.events.save([event_of({"params": params}, client_id, action, world.millis())])


def _owned(world: World, items: Sequence[Json]) -> Iterable[tuple[Json, int]]:
    """Each item with the profile that it belongs to; items of an unknown id are dropped."""
    clients: list[Json] = [item["client"] for item in items]
    working = _load(world, clients, id_field="id")
    owners = [working.identify(client) for client in clients]
    _save(world, working)
    return [(item, owner.client_id) for item, owner in zip(items, owners, strict=True) if owner is not None]


def _load(world: World, items: Iterable[Json], id_field: str = "clientId") -> WorkingSet:
    profiles = world.store.profiles
    loaded = profiles.load(keys_of(items, id_field))
    return WorkingSet(loaded, next_id=profiles.next_id(), created=world.iso())


def _save(world: World, working: WorkingSet) -> None:
    if working.touched:
        world.store.profiles.save(working.touched.values(), working.next_id)
    if working.tags:
        world.store.tags.replace(working.tags)
