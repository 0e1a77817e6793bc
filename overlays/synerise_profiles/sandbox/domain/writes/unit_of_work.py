"""What jobs share: the profiles that a request can touch are loaded first and saved last."""

from __future__ import annotations

from collections.abc import Iterable

from synerise_profiles.sandbox.context import World
from synerise_profiles.sandbox.domain.matching import Loaded, WorkingSet, keys_of
from synerise_profiles.sandbox.domain.profiles import Terms
from synerise_profiles.sandbox.spec import Json


def load(world: World, items: Iterable[Json], id_field: str = "clientId") -> WorkingSet:
    """The profiles that the items can touch."""
    unique_emails = world.options.unique_emails
    profiles = world.store.profiles
    keys = keys_of(items, id_field, unique_emails=unique_emails)
    found, aliases = profiles.load(keys)
    loaded = Loaded(found, aliases, profiles.next_id(), profiles.uuid_prefix, world.iso(), bool(keys.phones))
    return WorkingSet(loaded, Terms(world.reserved["Attributes"], unique_emails))


def save(world: World, working: WorkingSet) -> None:
    """Store what was touched; the caller holds the transaction."""
    profiles = world.store.profiles
    for target, source in working.absorbed:
        profiles.absorb(target, [source])
    if working.touched:
        profiles.save(working.touched.values(), working.next_id)
    if working.aliases:
        profiles.add_aliases(working.aliases)
    if working.tags:
        touched = working.touched
        world.store.tags.replace(working.tags, {client_id for client_id in working.tags if touched[client_id].fresh})
