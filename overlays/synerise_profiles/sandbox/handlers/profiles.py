"""Profiles: create, read, change, merge, delete, sign out; the older contact form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from synerise_profiles.sandbox import jobs
from synerise_profiles.sandbox.answers import Answer, Failure, problem
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.log import Outcome
from synerise_profiles.sandbox.rules import contacts
from synerise_profiles.sandbox.rules.profiles import Profile, missing_identifier
from synerise_profiles.sandbox.world import Call, Handler

# Two of three real spellings; the third belongs to the devices.
_IDENTIFIERS = {"by-custom-id": "customId", "by-phone": "phone", "by-uuid": "uuid", "by-email": "email"}


def upsert(call: Call) -> Answer:
    """Create or change one profile."""
    item = call.sent
    problems = missing_identifier(item)
    if problems:
        raise Failure(400, problems[0]["message"], problems)
    return Answer(job=partial(jobs.upsert_profiles, call.world, [item]))


def upsert_batch(call: Call) -> Answer:
    """Create or change many; invalid ones are reported and left out."""
    items: list[Json] = call.body
    invalid = call.world.validation.items(call.operation, items)
    for index, item in enumerate(items):
        if index not in invalid and (problems := missing_identifier(item, updating=True)):
            invalid[index] = problems
    if not invalid:
        return Answer(job=partial(jobs.upsert_profiles, call.world, items))
    good = [item for index, item in enumerate(items) if index not in invalid]
    errors = [error for problems in invalid.values() for error in problems]
    return Answer(errors, 207, job=partial(jobs.upsert_profiles, call.world, good))


def get(call: Call) -> Answer:
    """The profile with this clientId."""
    return Answer(call.store.details(call.profile("clientId", call.path["clientId"])))


def find(call: Call) -> Answer:
    """The profile with this identifier."""
    identifier = _IDENTIFIERS[call.path["identifierType"]]
    return Answer(call.store.details(call.profile(identifier, call.path["identifierValue"])))


def list_by_phone(call: Call) -> Answer:
    """All profiles with this phone number."""
    return Answer(call.store.all_details(call.store.profiles.all_with("phone", call.path["phoneNumber"])))


def update(call: Call) -> Answer:
    """Change the profile that the path names."""
    profile = _named_by_path(call)
    return Answer(job=partial(jobs.update_profile, call.world, profile.client_id, call.sent))


def delete(call: Call) -> Answer:
    """Remove the profile that the path names."""
    return Answer(job=partial(jobs.delete_profile, call.world, _named_by_path(call).client_id))


def merge_by_id(call: Call) -> Answer:
    """Merge profiles named by clientId."""
    return _merge(call, "clientId", call.path["fromClientIds"], call.path["toClientId"])


def merge_by_custom_id(call: Call) -> Answer:
    """Merge profiles named by customId."""
    return _merge(call, "customId", call.path["sourceCustomIDs"], call.path["targetCustomID"])


def log_out(call: Call) -> Answer:
    """Sign a profile out; leaves an event."""
    client_id: str = call.path["clientID"]
    if not client_id.isdecimal():
        raise Failure(404, "Profile not found.")
    profile = call.profile("clientId", int(client_id))
    jobs.record_own_event(call.world, profile.client_id, "client.logout", call.sent)
    return Answer(applied=1)


def get_contact(call: Call) -> Answer:
    """A profile in the older form."""
    profile = call.profile("clientId", call.path["clientId"])
    return Answer(contacts.contact(call.store.details(profile)))


def update_contact(call: Call) -> Answer:
    """Change a profile in the older form; the only change that is answered with its result."""
    profile = call.profile("clientId", call.path["clientId"])
    outcomes = jobs.update_profile(call.world, profile.client_id, contacts.profile_input(call.body))
    changed = call.profile("clientId", profile.client_id)
    return Answer(contacts.contact(call.store.details(changed)), applied=outcomes.count(Outcome.APPLIED))


def _named_by_path(call: Call) -> Profile:
    """The one path parameter names the profile: clientId, customId or clientEmail."""
    for name, identifier in (("clientId", "clientId"), ("customId", "customId"), ("clientEmail", "email")):
        if name in call.path:
            return call.profile(identifier, call.path[name])
    raise LookupError(call.operation.path)


def _merge(call: Call, identifier: str, from_values: Sequence[object], to_value: object) -> Answer:
    target = call.profile(identifier, to_value)
    sources: dict[int, Profile] = {}
    for value in from_values:
        source = call.profile(identifier, value)
        if source.client_id == target.client_id:
            message = "the target cannot be merged into itself"
            raise Failure(400, message, [problem(identifier, message, value)])
        sources[source.client_id] = source
    jobs.merge_profiles(call.world, target, list(sources.values()))
    merged = call.profile(identifier, to_value)
    return Answer(call.store.details(merged, list(dict.fromkeys(from_values))), applied=len(sources))


HANDLERS: Mapping[str, Handler] = {
    "profiles.upsert": upsert,
    "profiles.upsert_batch": upsert_batch,
    "profiles.get": get,
    "profiles.find": find,
    "profiles.list_by_phone": list_by_phone,
    "profiles.update": update,
    "profiles.update_by_email": update,
    "profiles.update_by_custom_id": update,
    "profiles.delete": delete,
    "profiles.delete_by_custom_id": delete,
    "profiles.merge_by_id": merge_by_id,
    "profiles.merge_by_custom_id": merge_by_custom_id,
    "profiles.log_out": log_out,
    "profiles.get_contact": get_contact,
    "profiles.update_contact": update_contact,
}
