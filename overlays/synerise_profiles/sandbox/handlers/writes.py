"""The writes behind accepted requests, each one unit of work in one transaction: load, decide, save.

A write may be applied long after its request was answered, so nothing can be refused here any more: an item that cannot
be applied is recorded as a dropped write. Those that may be delayed return the outcome of each item.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain import profiles as profile_rules
from synerise_profiles.sandbox.domain.events import EventDraft, StoredEvent, draft_event, event_from_draft
from synerise_profiles.sandbox.domain.matching import LoadedProfiles, WorkingSet, lookup_keys
from synerise_profiles.sandbox.domain.profiles import MatchOptions, PushKind, StoredProfile
from synerise_profiles.sandbox.domain.transactions import purchase_events
from synerise_profiles.sandbox.responses import Outcome
from synerise_profiles.sandbox.schemas import Json

_TOKEN_DELETED_ACTIONS = {"web": "webpush.tokenDelete", "mobile": "push.tokenDelete"}


# --- profiles


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
        working = _load_working_set(context, left)
        for index, item in enumerate(items):
            if index in refused:
                outcomes.append(Outcome.REFUSED)
            elif working.upsert(item, joining=batch) is None:
                context.record_dropped(operation, index, working.reason, item)
                outcomes.append(Outcome.DROPPED)
            else:
                outcomes.append(Outcome.APPLIED)
        _save_working_set(context, working)
    return outcomes


def _without_id(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "clientId"}


def update_profile(
    context: Context, client_id: int, item: Json, *, operation: str = "profiles.update"
) -> list[Outcome]:
    """Change one profile; dropped when it is gone or an identifier belongs to another."""
    with context.store.transaction():
        working = _load_working_set(context, [{**item, "clientId": client_id}])
        if working.update(client_id, item) is None:
            context.record_dropped(operation, 0, working.reason, item)
            return [Outcome.DROPPED]
        _save_working_set(context, working)
    return [Outcome.APPLIED]


def delete_profile(context: Context, client_id: int, *, operation: str = "profiles.delete") -> list[Outcome]:
    """Remove one profile with all that belongs to it; dropped when it is gone already."""
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


# --- events and transactions


def record_events(context: Context, operation: str, drafts: Sequence[EventDraft]) -> list[Outcome]:
    """Store events, making the profiles that are new."""
    with context.store.transaction():
        events = _events(context, operation, drafts)
        outcomes = _outcomes(context, drafts, events)
        context.store.events.save([event for event in events if event is not None])
    return outcomes


def record_transactions(
    context: Context, operation: str, drafts: Sequence[EventDraft], positions: Sequence[int] | None = None
) -> list[Outcome]:
    """Store transactions and the events that they make; `positions` in the request, where others were refused."""
    with context.store.transaction():
        charges = _events(context, operation, drafts, positions)
        outcomes = _outcomes(context, drafts, charges)
        made = [(item, charge) for item, charge in zip(drafts, charges, strict=True) if charge is not None]
        context.store.events.save(
            [event for item, charge in made for event in (charge, *purchase_events(item, charge))]
        )
        context.store.transactions.save([(charge, item.item) for item, charge in made])
    return outcomes


def record_server_event(context: Context, client_id: int, action: str, params: Json) -> None:
    """Store an event that the server makes by itself."""
    context.store.events.save(
        [event_from_draft(draft_event({}, action, params, context.millis(), frozenset()), client_id)]
    )


def _events(
    context: Context, operation: str, drafts: Sequence[EventDraft], positions: Sequence[int] | None = None
) -> list[StoredEvent | None]:
    """The event of each draft; None, and an entry among the dropped writes, for what is dropped."""
    events: list[StoredEvent | None] = []
    own_params = context.spec.own_params
    for index, (item, owner) in enumerate(zip(drafts, _owners(context, drafts), strict=True)):
        reason = _refusal(item, owner, own_params)
        if owner is None or reason is not None:
            context.record_dropped(operation, positions[index] if positions else index, reason or "", item.item)
            events.append(None)
        else:
            events.append(event_from_draft(item, owner.client_id))
    return events


def _owners(context: Context, drafts: Sequence[EventDraft]) -> list[StoredProfile | None]:
    clients: list[Json] = [item.item["client"] for item in drafts]
    working = _load_working_set(context, clients, id_field="id")
    owners = [working.identify(client) for client in clients]
    _save_working_set(context, working)
    return owners


def _refusal(item: EventDraft, owner: StoredProfile | None, own_params: Collection[str]) -> str | None:
    """Why an event takes no effect.

    Some params "must be exactly the same" as the profile's, says the reference of `email`, not what happens otherwise.
    The profile is known only when the event is taken from the queue, so the request can't be refused: the
    event is dropped.
    """
    if owner is None:
        client: Json = item.item["client"]
        if "id" in client:
            return f"no profile has the id {client['id']}"
        return "its client has no identifier that names a profile or makes one"
    identifiers = owner.identifiers
    for name in own_params:
        if name in item.params and item.params[name] != identifiers.get(name):
            return f"params.{name} is not the {name} of the profile"
    return None


def _outcomes(context: Context, drafts: Sequence[EventDraft], events: Sequence[StoredEvent | None]) -> list[Outcome]:
    """The outcome of each event; of two equal ones in a request the second overwrites the first."""
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


# --- devices


def link_device(context: Context, operation: str, client_id: int, device: Json) -> list[Outcome]:
    """Link a device of an app to a profile; dropped when the profile is gone."""
    if context.store.devices.link(client_id, device):
        return [Outcome.APPLIED]
    context.record_dropped(operation, 0, f"the profile {client_id} is gone", device)
    return [Outcome.DROPPED]


def clean_up_devices(context: Context, client_id: int, push: PushKind, before: int, version: str | None) -> int:
    """Remove old push tokens, each with an event; the number of them."""
    with context.store.transaction():
        removed = context.store.devices.clean_up(client_id, push, before, version)
        for device_id in removed:
            record_server_event(context, client_id, _TOKEN_DELETED_ACTIONS[push], {"deviceId": device_id})
    return len(removed)


# --- what they share


def _load_working_set(context: Context, items: Iterable[Json], id_field: str = "clientId") -> WorkingSet:
    """The working set of the profiles that the items can touch."""
    unique_emails = context.options.unique_emails
    profiles = context.store.profiles
    keys = lookup_keys(items, id_field, unique_emails=unique_emails)
    found, aliases = profiles.load(keys)
    loaded = LoadedProfiles(found, aliases, profiles.next_id(), profiles.uuid_prefix, context.iso(), bool(keys.phones))
    return WorkingSet(loaded, MatchOptions(context.spec.agreements, unique_emails))


def _save_working_set(context: Context, working: WorkingSet) -> None:
    """Save what was touched; the caller holds the transaction."""
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
