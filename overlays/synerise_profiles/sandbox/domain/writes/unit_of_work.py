"""What jobs share: the profiles that a request can touch are loaded first and saved last."""

from __future__ import annotations

from collections.abc import Iterable

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain.matching import LoadedProfiles, WorkingSet, lookup_keys
from synerise_profiles.sandbox.domain.profiles import MatchOptions
from synerise_profiles.sandbox.spec import Json


def load_working_set(context: Context, items: Iterable[Json], id_field: str = "clientId") -> WorkingSet:
    """The profiles that the items can touch."""
    unique_emails = context.options.unique_emails
    profiles = context.store.profiles
    keys = lookup_keys(items, id_field, unique_emails=unique_emails)
    found, aliases = profiles.load(keys)
    loaded = LoadedProfiles(found, aliases, profiles.next_id(), profiles.uuid_prefix, context.iso(), bool(keys.phones))
    return WorkingSet(loaded, MatchOptions(context.reserved["Attributes"], unique_emails))


def save_working_set(context: Context, working: WorkingSet) -> None:
    """Store what was touched; the caller holds the transaction."""
    profiles = context.store.profiles
    for target, source in working.absorbed:
        profiles.absorb(target, [source])
    if working.touched:
        profiles.save(working.touched.values(), working.next_id)
    if working.aliases:
        profiles.add_aliases(working.aliases)
    if working.tags:
        touched = working.touched
        context.store.tags.replace(working.tags, {client_id for client_id in working.tags if touched[client_id].fresh})
