"""Profiles: create, read, change, merge, delete; and the older contact form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain import contacts
from synerise_profiles.sandbox.domain.profiles import StoredProfile, identifier_of_type, missing_identifier
from synerise_profiles.sandbox.domain.value_checks import future_dates
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest, refuse
from synerise_profiles.sandbox.schemas import Json
from synerise_profiles.sandbox.spec import is_object

from . import writes


def upsert(request: RequestContext) -> HandlerResponse:
    """Create or change one profile."""
    item = request.known
    if not request.context.options.unique_emails:
        refuse(missing_identifier(item))
    refuse(future_dates(item, request.operation.body.past, request.context.today()))
    return HandlerResponse(write=partial(writes.upsert_profiles, request.context, [item]))


def upsert_batch(request: RequestContext) -> HandlerResponse:
    """Create or change many; invalid ones are reported and left out.

    Where all are invalid, nothing is documented but 207: "Correct entries are sent for further processing, the invalid
    ones are rejected" holds with no correct one too, and the errors reach the caller in one form.
    """
    context, body = request.context, request.operation.body
    invalid = context.validator.item_problems(request.operation, request.body)
    items = [item if index in invalid else body.known(item) for index, item in enumerate(request.body)]
    today, unique_emails = request.context.today(), context.options.unique_emails
    for index, item in enumerate(items):
        problems = future_dates(item, body.past, today) if is_object(item) else []
        if not unique_emails and index not in invalid:
            problems += missing_identifier(item, updating=True)
        if problems:
            invalid[index] = [*invalid.get(index, ()), *problems]
    write = partial(
        writes.upsert_profiles, context, items, operation=request.operation.name, refused=frozenset(invalid), batch=True
    )
    if not invalid:
        return HandlerResponse(write=write)
    return HandlerResponse([error for index in sorted(invalid) for error in invalid[index]], 207, write=write)


def get(request: RequestContext) -> HandlerResponse:
    """The profile with this clientId."""
    return HandlerResponse(
        request.store.details(request.require_visible(request.profile("clientId", request.path["clientId"])))
    )


def find(request: RequestContext) -> HandlerResponse:
    """The profile with this identifier."""
    identifier = identifier_of_type(request.path["identifierType"])
    return HandlerResponse(
        request.store.details(
            request.require_visible(_find_profile(request, identifier, request.path["identifierValue"]))
        )
    )


def list_by_phone(request: RequestContext) -> HandlerResponse:
    """All profiles with this phone number that the caller may see; 404 where there are some and none may be seen."""
    found = request.store.profiles.find_all("phone", request.path["phoneNumber"])
    visible = [profile for profile in found if request.context.is_visible(profile, request.caller)]
    if found and not visible:
        raise RefusedRequest(404)
    return HandlerResponse(list(request.store.all_details(visible)))


def update(request: RequestContext) -> HandlerResponse:
    """Change the profile that the path names."""
    profile = _named_by_path(request)
    item = request.known
    refuse(future_dates(item, request.operation.body.past, request.context.today()))
    return HandlerResponse(
        write=partial(writes.update_profile, request.context, profile.client_id, item, operation=request.operation.name)
    )


def delete(request: RequestContext) -> HandlerResponse:
    """Remove the profile that the path names."""
    client_id = _named_by_path(request).client_id
    return HandlerResponse(
        write=partial(writes.delete_profile, request.context, client_id, operation=request.operation.name)
    )


def merge_by_id(request: RequestContext) -> HandlerResponse:
    """Merge profiles named by clientId."""
    return _merge(request, "clientId", request.path["fromClientIds"], request.path["toClientId"])


def merge_by_custom_id(request: RequestContext) -> HandlerResponse:
    """Merge profiles named by customId."""
    return _merge(request, "customId", request.path["sourceCustomIDs"], request.path["targetCustomID"])


def get_contact(request: RequestContext) -> HandlerResponse:
    """A profile in the older form."""
    profile = request.require_visible(request.profile("clientId", request.path["clientId"]))
    return HandlerResponse(_contact(request, profile))


def update_contact(request: RequestContext) -> HandlerResponse:
    """Change a profile in the older form; the only change that is answered with its result."""
    profile = request.profile("clientId", request.path["clientId"])
    contact = request.operation.body
    refuse(future_dates(request.body, contact.past, request.context.today()))
    item = contacts.to_profile_input(request.body, contact)
    outcomes = writes.update_profile(request.context, profile.client_id, item, operation=request.operation.name)
    changed = request.profile("clientId", profile.client_id)
    return HandlerResponse(_contact(request, changed), outcomes=outcomes)


def _contact(request: RequestContext, profile: StoredProfile) -> Json:
    fields = request.context.spec.operation("profiles.update_contact").body.fields
    return contacts.to_contact(request.store.details(profile), fields)


def _named_by_path(request: RequestContext) -> StoredProfile:
    """The one path parameter names the profile: clientId, customId or clientEmail."""
    for name, identifier in (("clientId", "clientId"), ("customId", "customId"), ("clientEmail", "email")):
        if name in request.path:
            return _find_profile(request, identifier, request.path[name])
    raise LookupError(request.operation.path)


def _find_profile(request: RequestContext, identifier: str, value: object) -> StoredProfile:
    """The profile with this identifier; an e-mail address is none where it may repeat."""
    if identifier == "email" and not request.context.options.unique_emails:
        raise RefusedRequest(404, "E-mail addresses identify no profile in this workspace.")
    return request.profile(identifier, value)


def _merge(
    request: RequestContext, identifier: str, from_values: Sequence[object], to_value: object
) -> HandlerResponse:
    """Merge the sources into the target, which is skipped among them; where it is the only one, nothing changes.

    The reference does not speak of that, but its cURL examples of both operations name the target among the sources:
    from/custom-ids/customIdExample,customIdExample2,... to/custom-id/customIdExample.
    """
    target = request.profile(identifier, to_value)
    sources: dict[int, StoredProfile] = {}
    merged: list[object] = []
    for value in dict.fromkeys(from_values):
        source = request.profile(identifier, value)
        if source.client_id != target.client_id:
            sources[source.client_id] = source
            merged.append(value)
    if sources:
        writes.merge_profiles(request.context, target, list(sources.values()))
    return HandlerResponse(request.store.details(request.profile(identifier, to_value), merged), applied=len(sources))


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
