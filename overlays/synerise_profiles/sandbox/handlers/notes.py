"""Notes on profiles."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest
from synerise_profiles.sandbox.schemas import Json

_KIND = "note"
_AUTHOR = "sandbox@example.com"
_AUTHOR_ID = 1


def list_notes(request: RequestContext) -> HandlerResponse:
    """All notes of a profile."""
    profile = request.profile("clientId", request.path["clientId"])
    return HandlerResponse(request.store.records.of_profile(_KIND, profile.client_id))


def create(request: RequestContext) -> HandlerResponse:
    """A new note."""
    profile = request.profile("clientId", request.path["clientId"])
    now = request.context.iso()
    note: Json = {
        **dict.fromkeys(request.operation.body.fields),
        **request.known,
        "created": now,
        "createdBy": _AUTHOR,
        "updated": now,
        "updatedBy": _AUTHOR,
        "userId": _AUTHOR_ID,
    }
    with request.store.transaction():
        note = {"id": request.store.records.next_id(_KIND), **note}
        request.store.records.put(_KIND, note["id"], note, profile.client_id)
    return HandlerResponse(note, applied=1)


def get(request: RequestContext) -> HandlerResponse:
    """One note."""
    return HandlerResponse(_note(request))


def update(request: RequestContext) -> HandlerResponse:
    """Change what was sent of a note."""
    note = _note(request)
    note.update(request.known)
    note.update(updated=request.context.iso(), updatedBy=_AUTHOR)
    request.store.records.put(_KIND, note["id"], note, request.path["clientId"])
    return HandlerResponse(note, applied=1)


def delete(request: RequestContext) -> HandlerResponse:
    """Remove a note."""
    # No 404 is documented: what is gone already is the same success without content.
    removed = request.store.records.delete(_KIND, request.path["noteId"], request.path["clientId"])
    return HandlerResponse(status=None if removed else 204, applied=int(removed))


def _note(request: RequestContext) -> Json:
    found = request.store.records.get(_KIND, request.path["noteId"], request.path["clientId"])
    if found is None:
        raise RefusedRequest(404, "Note not found.")
    return found


HANDLERS: Mapping[str, Handler] = {
    "notes.list": list_notes,
    "notes.create": create,
    "notes.get": get,
    "notes.update": update,
    "notes.delete": delete,
}
