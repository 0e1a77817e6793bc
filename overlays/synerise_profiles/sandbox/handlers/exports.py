"""Exports of profiles: rows are stored at the request, ready after `export_time`, read in pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest, error_entry
from synerise_profiles.sandbox.schemas import Json

_KIND = "export"
_QUEUED = "QUEUED"
_PROCESSING = "PROCESSING"
_COMPLETED = "COMPLETED"
_FAILED = "FAILED"
_ENDED_STATES = frozenset({_COMPLETED, _FAILED})


def create(request: RequestContext) -> HandlerResponse:
    """Take the profiles as they are now: the moment of the request is what counts."""
    order: Json = request.body
    filters = _agreement_filters(request.context.spec.agreements)
    if order["agreementFilter"] not in filters:
        # An open enum; taken for NONE, an unknown value would hand out profiles that gave no agreement.
        raise _refused("agreementFilter", f"must be one of {', '.join(filters)}", order["agreementFilter"])
    options = request.context.options
    with request.store.transaction():
        task_id = request.store.records.next_id(_KIND)
        task: Json = {
            "taskId": task_id,
            "ordered": request.context.millis(),
            "duration": int(options.export_time * 1000),
            "fails": options.failing_exports,
        }
        request.store.records.put(_KIND, task_id, task)
        if not options.failing_exports:
            profiles = request.store.all_details(request.store.profiles)
            request.store.records.put_rows(task_id, _export_rows(order, filters[order["agreementFilter"]], profiles))
    return HandlerResponse({"taskId": task_id}, applied=1)


def get_status(request: RequestContext) -> HandlerResponse:
    """How far an export is. No refusal is documented here, so an unknown one is not found, as elsewhere."""
    task = _task(request, 404)
    state = _export_state(task, request.context.millis())
    other = request.context.options.export_status
    return HandlerResponse(
        {"taskId": task["taskId"], "status": other if other and state not in _ENDED_STATES else state}
    )


def get_data(request: RequestContext) -> HandlerResponse:
    """One page of an export that is complete; before that, and of one that failed, there is nothing to read.

    400 is the one refusal that the document lists here, so it stands for an unknown export too.
    """
    task = _task(request, 400)
    state = _export_state(task, request.context.millis())
    if state != _COMPLETED:
        raise _refused("taskId", f"is {state}; there are data when it is {_COMPLETED}", task["taskId"])
    return HandlerResponse(request.store.records.page(task["taskId"], request.query["offset"], request.query["limit"]))


def _task(request: RequestContext, status: int) -> Json:
    found = request.store.records.get(_KIND, request.path["taskId"])
    if found is None:
        raise _refused("taskId", "names no export", request.path["taskId"], status)
    return found


def _refused(field: str, message: str, rejected: object, status: int = 400) -> RefusedRequest:
    return RefusedRequest(status, f"{field} {message}", [error_entry(field, message, rejected)])


def _export_state(task: Json, now: int) -> str:
    """How far an export is; the names of the states are not documented, so these are the sandbox's own.

    It waits for the first half of its time and works for the second.
    """
    elapsed, duration = now - task["ordered"], task["duration"]
    if elapsed >= duration:
        return _FAILED if task["fails"] else _COMPLETED
    return _QUEUED if elapsed * 2 < duration else _PROCESSING


def _agreement_filters(agreements: Iterable[str]) -> dict[str, str | None]:
    """The agreement that each filter asks for; NONE asks for none.

    The reference prints four values and an ellipsis; the names follow the agreements'.
    """
    return {"NONE": None} | {re.sub("([A-Z])", r"_\1", name).upper(): name for name in agreements}


def _export_rows(order: Json, agreement: str | None, profiles: Iterable[Json]) -> Iterable[Json]:
    """The rows of an export of these profiles (as the API shows them)."""
    excluded = frozenset[int](order["excludedIds"])
    for profile in profiles:
        if profile["clientId"] not in excluded and (agreement is None or profile["agreements"][agreement] is True):
            yield _export_row(order, profile)


def _export_row(order: Json, profile: Json) -> Json:
    row: Json = {}
    for name in order["fields"]:
        row[name] = profile["clientId"] if name == "id" else profile.get(name, profile["attributes"].get(name))
    # Flags are text in an export. Nothing is segmented or computed here: every profile is in every segmentation. These
    # are ordered by uuid and come back by name; they have no names here, so one is made of the kind and the uuid.
    row.update({name: "true" if name in profile["tags"] else "false" for name in order.get("tags", ())})
    row.update({f"segmentation {uuid}": "true" for uuid in order.get("segmentations", ())})
    row.update({f"expression {uuid}": None for uuid in order.get("expressions", ())})
    row.update({f"aggregate {uuid}": None for uuid in order.get("aggregates", ())})
    return row


HANDLERS: Mapping[str, Handler] = {
    "exports.create": create,
    "exports.get_status": get_status,
    "exports.get_data": get_data,
}
