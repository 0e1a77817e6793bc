"""Profiles: create, change, delete, merge."""

from __future__ import annotations

from collections.abc import Sequence

from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.log import Outcome
from synerise_profiles.sandbox.rules import profiles as profile_rules
from synerise_profiles.sandbox.rules.profiles import Profile
from synerise_profiles.sandbox.world import World

from .loading import load, save


def upsert_profiles(world: World, items: Sequence[Json]) -> list[Outcome]:
    """Create or change profiles."""
    with world.store.transaction():
        working = load(world, items)
        outcomes = [_applied(working.upsert(item)) for item in items]
        save(world, working)
    return outcomes


def update_profile(world: World, client_id: int, item: Json) -> list[Outcome]:
    """Change one profile; dropped when it is gone or an identifier belongs to another."""
    with world.store.transaction():
        working = load(world, [{**item, "clientId": client_id}])
        outcome = _applied(working.update(client_id, item))
        save(world, working)
    return [outcome]


def delete_profile(world: World, client_id: int) -> list[Outcome]:
    """Remove one profile with all that hangs on it."""
    with world.store.transaction():
        world.store.profiles.delete(client_id)
    return [Outcome.APPLIED]


def merge_profiles(world: World, target: Profile, sources: Sequence[Profile]) -> None:
    """Move the history of the sources to the target, copy what it lacks, remove the sources."""
    with world.store.transaction():
        profile_rules.merge(target, sources)
        world.store.profiles.absorb(target.client_id, [source.client_id for source in sources])
        world.store.profiles.save([target])


def _applied(profile: Profile | None) -> Outcome:
    return Outcome.DROPPED if profile is None else Outcome.APPLIED
