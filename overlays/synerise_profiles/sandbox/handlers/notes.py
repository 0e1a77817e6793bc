"""Notes on profiles."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.responses import Answer, Failure
from synerise_profiles.sandbox.spec import Json

_KIND = "note"
_AUTHOR = "sandbox@example.com"
_AUTHOR_ID = 1


def list_notes(call: Call) -> Answer:
    """All notes of a profile."""
    profile = call.profile("clientId", call.path["clientId"])
    return Answer(call.store.records.of_profile(_KIND, profile.client_id))


def create(call: Call) -> Answer:
    """A new note."""
    profile = call.profile("clientId", call.path["clientId"])
    sent = call.sent
    now = call.world.iso()
    note: Json = {
        "subject": sent.get("subject"),
        "body": sent.get("body"),
        "created": now,
        "createdBy": _AUTHOR,
        "updated": now,
        "updatedBy": _AUTHOR,
        "userId": _AUTHOR_ID,
    }
    with call.store.transaction():
        note = {"id": call.store.records.next_id(_KIND), **note}
        call.store.records.put(_KIND, note["id"], note, profile.client_id)
    return Answer(note, applied=1)


def get(call: Call) -> Answer:
    """One note."""
    return Answer(_note(call))


def update(call: Call) -> Answer:
    """Change what was sent of a note."""
    note = _note(call)
    sent = call.sent
    note.update({name: sent[name] for name in ("subject", "body") if name in sent})
    note.update(updated=call.world.iso(), updatedBy=_AUTHOR)
    call.store.records.put(_KIND, note["id"], note, call.path["clientId"])
    return Answer(note, applied=1)


def delete(call: Call) -> Answer:
    """Remove a note."""
    # No 404 is documented: what is gone already is the same success without content.
    removed = call.store.records.delete(_KIND, call.path["noteId"], call.path["clientId"])
    return Answer(status=None if removed else 204, applied=int(removed))


def _note(call: Call) -> Json:
    found = call.store.records.get(_KIND, call.path["noteId"], call.path["clientId"])
    if found is None:
        raise Failure(404, "Note not found.")
    return found


HANDLERS: Mapping[str, Handler] = {
    "notes.list": list_notes,
    "notes.create": create,
    "notes.get": get,
    "notes.update": update,
    "notes.delete": delete,
}
