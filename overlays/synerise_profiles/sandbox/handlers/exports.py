"""Exports of profiles: made at once, read in pages."""

from __future__ import annotations

from collections.abc import Mapping

from synerise_profiles.sandbox.answers import Answer, Failure, problem
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.rules.exports import rows
from synerise_profiles.sandbox.world import Call, Handler

_KIND = "export"


def create(call: Call) -> Answer:
    """Take the profiles as they are now."""
    order: Json = call.body
    if order["fields"][:1] != ["id"]:
        message = "the first one must be id"
        raise Failure(400, f"fields: {message}", [problem("fields", message, order["fields"])])
    with call.store.transaction():
        task_id = call.store.records.next_id(_KIND)
        count = call.store.records.put_rows(task_id, rows(order, call.store.all_details(call.store.profiles)))
        task: Json = {"taskId": task_id, "name": order["name"], "status": "COMPLETED", "count": count}
        call.store.records.put(_KIND, task_id, task)
    return Answer(task, applied=1)


def get_status(call: Call) -> Answer:
    """What became of an export."""
    return Answer(_task(call))


def get_data(call: Call) -> Answer:
    """One page of an export."""
    task = _task(call)
    offset, limit = call.query["offset"], call.query["limit"]
    problems = [problem(name, "must not be negative", call.query[name]) for name in call.query if call.query[name] < 0]
    if problems:
        raise Failure(400, f"{problems[0]['field']} {problems[0]['message']}", problems)
    return Answer(call.store.records.page(task["taskId"], int(offset), int(limit)))


def _task(call: Call) -> Json:
    found = call.store.records.get(_KIND, call.path["taskId"])
    if found is None:
        raise Failure(404, "Export not found.")
    return found


HANDLERS: Mapping[str, Handler] = {
    "exports.create": create,
    "exports.get_status": get_status,
    "exports.get_data": get_data,
}
