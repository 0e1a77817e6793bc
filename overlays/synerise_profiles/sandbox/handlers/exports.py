"""Exports of profiles: taken at once, ready after a while, read in pages."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Handler, RequestContext
from synerise_profiles.sandbox.domain.exports import (
    AGREEMENT_FILTERS,
    COMPLETED,
    ENDED_STATES,
    export_rows,
    export_state,
)
from synerise_profiles.sandbox.responses import HandlerResponse, RefusedRequest, error_entry
from synerise_profiles.sandbox.spec import Json

_KIND = "export"


def create(request: RequestContext) -> HandlerResponse:
    """Take the profiles as they are now: the moment of the request is what counts."""
    order: Json = request.body
    if order["fields"][:1] != ["id"]:
        raise _refused("fields", "must begin with id", order["fields"])
    if order["agreementFilter"] not in AGREEMENT_FILTERS:
        # An open enum; taken for NONE, an unknown value would hand out profiles that gave no agreement.
        raise _refused("agreementFilter", f"must be one of {', '.join(AGREEMENT_FILTERS)}", order["agreementFilter"])
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
            request.store.records.put_rows(
                task_id, export_rows(order, request.store.all_details(request.store.profiles))
            )
    return HandlerResponse({"taskId": task_id}, applied=1)


def get_status(request: RequestContext) -> HandlerResponse:
    """How far an export is. No refusal is documented here, so an unknown one is not found, as elsewhere."""
    task = _task(request, 404)
    reached = export_state(task, request.context.millis())
    other = request.context.options.export_status
    return HandlerResponse(
        {"taskId": task["taskId"], "status": other if other and reached not in ENDED_STATES else reached}
    )


def get_data(request: RequestContext) -> HandlerResponse:
    """One page of an export that is complete; before that, and of one that failed, there is nothing to read.

    400 is the one refusal that the document lists here, so it stands for an unknown export too.
    """
    task = _task(request, 400)
    reached = export_state(task, request.context.millis())
    if reached != COMPLETED:
        raise _refused("taskId", f"is {reached}; there are data when it is {COMPLETED}", task["taskId"])
    return HandlerResponse(request.store.records.page(task["taskId"], request.query["offset"], request.query["limit"]))


def _task(request: RequestContext, status: int) -> Json:
    found = request.store.records.get(_KIND, request.path["taskId"])
    if found is None:
        raise _refused("taskId", "names no export", request.path["taskId"], status)
    return found


def _refused(field: str, message: str, rejected: object, status: int = 400) -> RefusedRequest:
    return RefusedRequest(status, f"{field} {message}", [error_entry(field, message, rejected)])


HANDLERS: Mapping[str, Handler] = {
    "exports.create": create,
    "exports.get_status": get_status,
    "exports.get_data": get_data,
}
