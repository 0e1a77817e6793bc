"""Exports of profiles: taken at once, ready after a while, read in pages."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.context import Call, Handler
from synerise_profiles.sandbox.domain.exports import COMPLETED, ENDED, FILTERS, rows, state
from synerise_profiles.sandbox.responses import Answer, Failure, problem
from synerise_profiles.sandbox.spec import Json

_KIND = "export"


def create(call: Call) -> Answer:
    """Take the profiles as they are now: the moment of the request is what counts."""
    order: Json = call.body
    if order["fields"][:1] != ["id"]:
        raise _refused("fields", "must begin with id", order["fields"])
    if order["agreementFilter"] not in FILTERS:
        # An open enum; taken for NONE, an unknown value would hand out profiles that gave no agreement.
        raise _refused("agreementFilter", f"must be one of {', '.join(FILTERS)}", order["agreementFilter"])
    options = call.world.options
    with call.store.transaction():
        task_id = call.store.records.next_id(_KIND)
        task: Json = {
            "taskId": task_id,
            "ordered": call.world.millis(),
            "duration": int(options.export_time * 1000),
            "fails": options.failing_exports,
        }
        call.store.records.put(_KIND, task_id, task)
        if not options.failing_exports:
            call.store.records.put_rows(task_id, rows(order, call.store.all_details(call.store.profiles)))
    return Answer({"taskId": task_id}, applied=1)


def get_status(call: Call) -> Answer:
    """How far an export is. No refusal is documented here, so an unknown one is not found, as elsewhere."""
    task = _task(call, 404)
    reached = state(task, call.world.millis())
    other = call.world.options.export_status
    return Answer({"taskId": task["taskId"], "status": other if other and reached not in ENDED else reached})


def get_data(call: Call) -> Answer:
    """One page of an export that is complete; before that, and of one that failed, there is nothing to read.

    400 is the one refusal that the document lists here, so it stands for an unknown export too.
    """
    task = _task(call, 400)
    reached = state(task, call.world.millis())
    if reached != COMPLETED:
        raise _refused("taskId", f"is {reached}; there are data when it is {COMPLETED}", task["taskId"])
    return Answer(call.store.records.page(task["taskId"], call.query["offset"], call.query["limit"]))


def _task(call: Call, status: int) -> Json:
    found = call.store.records.get(_KIND, call.path["taskId"])
    if found is None:
        raise _refused("taskId", "names no export", call.path["taskId"], status)
    return found


def _refused(field: str, message: str, rejected: object, status: int = 400) -> Failure:
    return Failure(status, f"{field} {message}", [problem(field, message, rejected)])


HANDLERS: Mapping[str, Handler] = {
    "exports.create": create,
    "exports.get_status": get_status,
    "exports.get_data": get_data,
}
