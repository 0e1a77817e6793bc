"""What jobs share: the profiles that a request can touch are loaded first and saved last."""

from __future__ import annotations

from collections.abc import Iterable

from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.rules.matching import WorkingSet, keys_of
from synerise_profiles.sandbox.world import World


def load(world: World, items: Iterable[Json], id_field: str = "clientId") -> WorkingSet:
    """The profiles that the items can touch."""
    profiles = world.store.profiles
    loaded = profiles.load(keys_of(items, id_field))
    return WorkingSet(loaded, next_id=profiles.next_id(), created=world.iso())


def save(world: World, working: WorkingSet) -> None:
    """Store what was touched; the caller holds the transaction."""
    if working.touched:
        world.store.profiles.save(working.touched.values(), working.next_id)
    if working.tags:
        world.store.tags.replace(working.tags)
