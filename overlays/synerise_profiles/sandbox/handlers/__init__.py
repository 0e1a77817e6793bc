"""What each operation does, one module a resource.

A handler takes a validated request (`RequestContext`) and returns a `HandlerResponse`: the answer, and the write that
the request asks for, which `writes` has. An operation is found by its name, that of the client's method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synerise_profiles.sandbox.context import Handler
from synerise_profiles.sandbox.spec import OperationSpec

from . import account, devices, events, exports, notes, passwords, profiles, registration, tags, transactions

_HANDLERS: Mapping[str, Handler] = {
    **account.HANDLERS,
    **devices.HANDLERS,
    **events.HANDLERS,
    **exports.HANDLERS,
    **notes.HANDLERS,
    **passwords.HANDLERS,
    **profiles.HANDLERS,
    **registration.HANDLERS,
    **tags.HANDLERS,
    **transactions.HANDLERS,
}


def handler_for(operation: OperationSpec) -> Handler | None:
    """The handler of an operation, if there is one; single events share one, since the spec names their action."""
    found = _HANDLERS.get(operation.name)
    return events.send if found is None and operation.event_type is not None else found


def orphans(operations: Iterable[OperationSpec]) -> set[str]:
    """Names that handlers are listed under and no operation has."""
    return set(_HANDLERS) - {operation.name for operation in operations}
