"""Profiles: create, read, change, merge, delete; the older contact form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain import contacts, writes
from synerise_profiles.sandbox.domain.profiles import Profile, missing_identifier
from synerise_profiles.sandbox.domain.value_checks import wrong_values
from synerise_profiles.sandbox.responses import Answer, Failure

from .checks import check_values, refuse, today

# Two of three real spellings; the third belongs to the devices.
_IDENTIFIERS = {"by-custom-id": "customId", "by-phone": "phone", "by-uuid": "uuid", "by-email": "email"}


def upsert(call: Call) -> Answer:
    """Create or change one profile."""
    item = call.sent
    refuse(missing_identifier(item, unique_emails=call.world.options.unique_emails))
    check_values(call, item)
    return Answer(job=partial(writes.upsert_profiles, call.world, [item]))


def upsert_batch(call: Call) -> Answer:
    """Create or change many; invalid ones are reported and left out.

    Where all are invalid, nothing is documented but 207: "Correct entries are sent for further processing, the invalid
    ones are rejected" holds with no correct one too, and the errors reach the caller in one form.
    """
    world, items = call.world, call.body
    invalid = world.validation.items(call.operation, items)
    now, unique_emails = today(call), world.options.unique_emails
    for index, item in enumerate(items):
        if index not in invalid:
            problems = missing_identifier(item, updating=True, unique_emails=unique_emails) + wrong_values(item, now)
            if problems:
                invalid[index] = problems
    job = partial(
        writes.upsert_profiles, world, items, operation=call.operation.name, refused=frozenset(invalid), batch=True
    )
    if not invalid:
        return Answer(job=job)
    return Answer([error for index in sorted(invalid) for error in invalid[index]], 207, job=job)


def get(call: Call) -> Answer:
    """The profile with this clientId."""
    return Answer(call.store.details(call.visible(call.profile("clientId", call.path["clientId"]))))


def find(call: Call) -> Answer:
    """The profile with this identifier."""
    identifier = _IDENTIFIERS[call.path["identifierType"]]
    return Answer(call.store.details(call.visible(_known(call, identifier, call.path["identifierValue"]))))


def list_by_phone(call: Call) -> Answer:
    """All profiles with this phone number that the caller may see; 404 where there are some and none may be seen."""
    found = call.store.profiles.all_with("phone", call.path["phoneNumber"])
    visible = [profile for profile in found if call.world.shows(profile, call.caller)]
    if found and not visible:
        raise Failure(404, "Profile not found.")
    return Answer(list(call.store.all_details(visible)))


def update(call: Call) -> Answer:
    """Change the profile that the path names."""
    profile = _named_by_path(call)
    item = call.sent
    check_values(call, item)
    return Answer(
        job=partial(writes.update_profile, call.world, profile.client_id, item, operation=call.operation.name)
    )


def delete(call: Call) -> Answer:
    """Remove the profile that the path names."""
    client_id = _named_by_path(call).client_id
    return Answer(job=partial(writes.delete_profile, call.world, client_id, operation=call.operation.name))


def merge_by_id(call: Call) -> Answer:
    """Merge profiles named by clientId."""
    return _merge(call, "clientId", call.path["fromClientIds"], call.path["toClientId"])


def merge_by_custom_id(call: Call) -> Answer:
    """Merge profiles named by customId."""
    return _merge(call, "customId", call.path["sourceCustomIDs"], call.path["targetCustomID"])


def get_contact(call: Call) -> Answer:
    """A profile in the older form."""
    profile = call.visible(call.profile("clientId", call.path["clientId"]))
    return Answer(contacts.contact(call.store.details(profile)))


def update_contact(call: Call) -> Answer:
    """Change a profile in the older form; the only change that is answered with its result."""
    profile = call.profile("clientId", call.path["clientId"])
    item = contacts.profile_input(call.body)
    refuse(contacts.renamed(wrong_values(item, today(call))))
    outcomes = writes.update_profile(call.world, profile.client_id, item, operation=call.operation.name)
    changed = call.profile("clientId", profile.client_id)
    return Answer(contacts.contact(call.store.details(changed)), outcomes=outcomes)


def _named_by_path(call: Call) -> Profile:
    """The one path parameter names the profile: clientId, customId or clientEmail."""
    for name, identifier in (("clientId", "clientId"), ("customId", "customId"), ("clientEmail", "email")):
        if name in call.path:
            return _known(call, identifier, call.path[name])
    raise LookupError(call.operation.path)


def _known(call: Call, identifier: str, value: object) -> Profile:
    """The profile with this identifier; an e-mail address is none where it may repeat."""
    if identifier == "email" and not call.world.options.unique_emails:
        raise Failure(404, "E-mail addresses identify no profile in this workspace.")
    return call.profile(identifier, value)


def _merge(call: Call, identifier: str, from_values: Sequence[object], to_value: object) -> Answer:
    """Merge the sources into the target, which is skipped among them; where it is the only one, nothing changes.

    The reference does not speak of that, but its cURL examples of both operations name the target among the sources:
    from/custom-ids/customIdExample,customIdExample2,... to/custom-id/customIdExample.
    """
    target = call.profile(identifier, to_value)
    sources: dict[int, Profile] = {}
    merged: list[object] = []
    for value in dict.fromkeys(from_values):
        source = call.profile(identifier, value)
        if source.client_id != target.client_id:
            sources[source.client_id] = source
            merged.append(value)
    if sources:
        writes.merge_profiles(call.world, target, list(sources.values()))
    return Answer(call.store.details(call.profile(identifier, to_value), merged), applied=len(sources))


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
    "profiles.get_contact": get_contact,
    "profiles.update_contact": update_contact,
}
