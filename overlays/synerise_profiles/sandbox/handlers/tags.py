"""Tags of the workspace, and tags on profiles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox.context import Context, Handler, RequestContext
from synerise_profiles.sandbox.responses import HandlerResponse, Outcome, RefusedRequest
from synerise_profiles.sandbox.schemas import Json


def list_tags(request: RequestContext) -> HandlerResponse:
    """All tags of the workspace."""
    return HandlerResponse(request.store.tags.all())


def create(request: RequestContext) -> HandlerResponse:
    """A new tag, or the existing one of this name."""
    tags = request.store.tags
    tag = tags.create(request.body["name"], request.body.get("color"))
    workspace = None if tags.is_global(tag["id"]) else request.context.business_profile_id
    return HandlerResponse({**tag, "businessProfileId": workspace}, applied=1)


def update(request: RequestContext) -> HandlerResponse:
    """Change the colour of a tag, which is all that can change; a global tag counts as none."""
    tag = _tag(request)
    color: str | None = request.sent.get("color")
    if color is not None:
        request.store.tags.recolor(tag["id"], color)
        tag["color"] = color
    return HandlerResponse({**tag, "businessProfileId": request.context.business_profile_id}, applied=1)


def delete(request: RequestContext) -> HandlerResponse:
    """Remove a tag; a global one counts as none."""
    return HandlerResponse(write=partial(_delete, request.context, _tag(request)["id"]))


def list_for_profile(request: RequestContext) -> HandlerResponse:
    """The tags of a profile."""
    return HandlerResponse(request.store.tags.of_profile(request.path["clientId"]))


def assign(request: RequestContext) -> HandlerResponse:
    """Put a tag on a profile. Where both are unknown, it is the tag that is told: its status says what is missing."""
    tag = _assignable(request)
    profile = request.profile("clientId", request.path["clientId"], status=400)
    assignment = request.store.tags.assign(profile.client_id, tag["id"])
    return HandlerResponse({"id": assignment, "clientId": profile.client_id, "tagId": tag["id"]}, applied=1)


def unassign(request: RequestContext) -> HandlerResponse:
    """Take a tag off a profile."""
    tag = _assignable(request)
    profile = request.profile("clientId", request.path["clientId"], status=400)
    return HandlerResponse(write=partial(_unassign, request.context, profile.client_id, tag["id"]))


def _tag(request: RequestContext) -> Json:
    found = request.store.tags.get(request.path["tagID"])
    if found is None:
        raise RefusedRequest(404)
    return found


def _assignable(request: RequestContext) -> Json:
    """Profiles can have global tags, and for a while removed ones too."""
    found = request.store.tags.assignable(request.path["tagID"])
    if found is None:
        raise RefusedRequest(404)
    return found


def _delete(context: Context, tag_id: int) -> list[Outcome]:
    with context.store.transaction():
        if context.store.tags.delete(tag_id):
            return [Outcome.APPLIED]
    context.record_dropped("tags.delete", 0, f"the tag {tag_id} is gone", {"id": tag_id})
    return [Outcome.DROPPED]


def _unassign(context: Context, client_id: int, tag_id: int) -> list[Outcome]:
    context.store.tags.unassign(client_id, tag_id)
    return [Outcome.APPLIED]


HANDLERS: Mapping[str, Handler] = {
    "tags.list": list_tags,
    "tags.create": create,
    "tags.update": update,
    "tags.delete": delete,
    "tags.list_for_profile": list_for_profile,
    "tags.assign": assign,
    "tags.unassign": unassign,
}
