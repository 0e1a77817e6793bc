"""Tags of the workspace, and tags on profiles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox.admin.request_log import Outcome
from synerise_profiles.sandbox.context import Call, Handler, World
from synerise_profiles.sandbox.responses import Answer, Failure
from synerise_profiles.sandbox.spec import Json
from synerise_profiles.sandbox.storage.store import Store


def list_tags(call: Call) -> Answer:
    """All tags of the workspace."""
    return Answer(call.store.tags.all())


def create(call: Call) -> Answer:
    """A new tag, or the existing one of this name."""
    tags = call.store.tags
    tag = tags.create(call.body["name"], call.body.get("color"))
    workspace = None if tags.is_global(tag["id"]) else call.world.business_profile_id
    return Answer({**tag, "businessProfileId": workspace}, applied=1)


def update(call: Call) -> Answer:
    """Change the colour of a tag, which is all that can change; a global tag counts as none."""
    tag = _tag(call)
    color: str | None = call.sent.get("color")
    if color is not None:
        call.store.tags.recolor(tag["id"], color)
        tag["color"] = color
    return Answer({**tag, "businessProfileId": call.world.business_profile_id}, applied=1)


def delete(call: Call) -> Answer:
    """Remove a tag; a global one counts as none."""
    return Answer(job=partial(_delete, call.world, _tag(call)["id"]))


def list_for_profile(call: Call) -> Answer:
    """The tags of a profile."""
    return Answer(call.store.tags.of_profile(call.path["clientId"]))


def assign(call: Call) -> Answer:
    """Put a tag on a profile."""
    profile = call.profile("clientId", call.path["clientId"], status=400)
    tag = _assignable(call)
    assignment = call.store.tags.assign(profile.client_id, tag["id"])
    return Answer({"id": assignment, "clientId": profile.client_id, "tagId": tag["id"]}, applied=1)


def unassign(call: Call) -> Answer:
    """Take a tag off a profile."""
    profile = call.profile("clientId", call.path["clientId"], status=400)
    return Answer(job=partial(_unassign, call.store, profile.client_id, _assignable(call)["id"]))


def _tag(call: Call) -> Json:
    found = call.store.tags.get(call.path["tagID"])
    if found is None:
        raise Failure(404, "Tag not found.")
    return found


def _assignable(call: Call) -> Json:
    """Profiles can have global tags, and for a while removed ones too."""
    found = call.store.tags.assignable(call.path["tagID"])
    if found is None:
        raise Failure(404, "Tag not found.")
    return found


def _delete(world: World, tag_id: int) -> list[Outcome]:
    with world.store.transaction():
        if world.store.tags.delete(tag_id):
            return [Outcome.APPLIED]
    world.drop("tags.delete", 0, f"the tag {tag_id} is gone", {"id": tag_id})
    return [Outcome.DROPPED]


def _unassign(store: Store, client_id: int, tag_id: int) -> list[Outcome]:
    store.tags.unassign(client_id, tag_id)
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
