"""Profiles: create, change, delete, merge."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain import profiles as profile_rules
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.responses import Outcome
from synerise_profiles.sandbox.spec import Json

from .unit_of_work import load_working_set, save_working_set


def upsert_profiles(
    context: Context,
    items: Sequence[Json],
    *,
    operation: str = "profiles.upsert",
    refused: Collection[int] = (),
    batch: bool = False,
) -> list[Outcome]:
    """Create or change profiles; those at the positions in `refused` are left out.

    Only an item of a `batch` may name a profile by its clientId, or join an anonymous profile with a known one.
    """
    if not batch:
        items = [_without_id(item) if "clientId" in item else item for item in items]
    left = [item for index, item in enumerate(items) if index not in refused] if refused else items
    outcomes: list[Outcome] = []
    with context.store.transaction():
        working = load_working_set(context, left)
        for index, item in enumerate(items):
            if index in refused:
                outcomes.append(Outcome.REFUSED)
            elif working.upsert(item, joining=batch) is None:
                context.record_dropped(operation, index, working.reason, item)
                outcomes.append(Outcome.DROPPED)
            else:
                outcomes.append(Outcome.APPLIED)
        save_working_set(context, working)
    return outcomes


def _without_id(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "clientId"}


def update_profile(
    context: Context, client_id: int, item: Json, *, operation: str = "profiles.update"
) -> list[Outcome]:
    """Change one profile; dropped when it is gone or an identifier belongs to another."""
    with context.store.transaction():
        working = load_working_set(context, [{**item, "clientId": client_id}])
        if working.update(client_id, item) is None:
            context.record_dropped(operation, 0, working.reason, item)
            return [Outcome.DROPPED]
        save_working_set(context, working)
    return [Outcome.APPLIED]


def delete_profile(context: Context, client_id: int, *, operation: str = "profiles.delete") -> list[Outcome]:
    """Remove one profile with all that hangs on it; dropped when it is gone already."""
    with context.store.transaction():
        if context.store.profiles.delete(client_id):
            return [Outcome.APPLIED]
    context.record_dropped(operation, 0, f"the profile {client_id} is gone", {"clientId": client_id})
    return [Outcome.DROPPED]


def merge_profiles(context: Context, target: StoredProfile, sources: Sequence[StoredProfile]) -> None:
    """Move uuids and history of the sources to the target, copy the attributes that it lacks, remove the sources."""
    with context.store.transaction():
        profile_rules.merge(target, sources)
        context.store.profiles.absorb(target.client_id, [source.client_id for source in sources])
        context.store.profiles.save([target])
