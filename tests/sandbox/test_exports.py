"""Exports: what is ordered, the states that the clock moves, and the records by offset and limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox

from .conftest import client_of

ORDER = "/morph/exports/clients/segmentation"
SEGMENTATION = "e7cff342-b484-4fcb-aa34-4735122bc9e7"


def order(**changes: Any) -> dict[str, Any]:
    return {
        "name": "All",
        "fields": ["id", "customId"],
        "agreementFilter": "NONE",
        "segmentationHash": SEGMENTATION,
        "excludedIds": [],
        **changes,
    }


def ordered(api: httpx.Client, **changes: Any) -> str:
    """The task of a new export."""
    response = api.post(ORDER, json=order(**changes))
    assert response.status_code == 200
    task: str = response.json()["taskId"]
    return task


def status(api: httpx.Client, task: str) -> str:
    answer = api.get(f"/morph/exports/clients/{task}/status").json()
    assert answer["taskId"] == task
    found: str = answer["status"]
    return found


def data(api: httpx.Client, task: str, offset: int = 0, limit: int = 100) -> httpx.Response:
    return api.get(f"/morph/exports/clients/{task}/data", params={"offset": offset, "limit": limit})


@pytest.fixture
def three(api: httpx.Client, sandbox: Sandbox) -> list[int]:
    """Three profiles; the first has agreed to e-mails, the second to web push, and the third has a tag."""
    items: list[dict[str, Any]] = [
        {"customId": "e-0", "agreements": {"email": True}, "attributes": {"level": "gold"}},
        {"customId": "e-1", "agreements": {"webPush": True}},
        {"customId": "e-2", "tags": ["vip"]},
    ]
    assert api.post("/v4/clients/batch", json=items).status_code in (200, 202)
    return [profile.client_id for profile in sandbox.store.profiles]


def test_the_first_field_is_id(api: httpx.Client) -> None:
    """Any other first field is refused, and so is no field at all."""
    for fields in (["customId", "id"], ["email"], []):
        response = api.post(ORDER, json=order(fields=fields))
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "fields")


def test_the_clock_moves_an_export_through_its_states(sandbox: Sandbox, api: httpx.Client, three: list[int]) -> None:
    """It is queued, then processed, then complete; there are no data before that."""
    sandbox.clock.stop()
    sandbox.options.export_time = 60
    task = ordered(api)
    for state, seconds in (("QUEUED", 29.9), ("PROCESSING", 0.1), ("PROCESSING", 29.9)):
        if state == "PROCESSING":
            sandbox.clock.advance(seconds)
        assert status(api, task) == state
        assert data(api, task).status_code == 400
        if state == "QUEUED":
            sandbox.clock.advance(seconds)
            assert status(api, task) == "QUEUED"
    sandbox.clock.advance(0.1)
    assert status(api, task) == "COMPLETED"
    assert [row["id"] for row in data(api, task).json()] == three


def test_an_export_is_complete_at_once_by_default(api: httpx.Client, three: list[int]) -> None:
    """As writes are visible at once: waiting is for those who ask for it."""
    task = ordered(api)
    assert (status(api, task), len(data(api, task).json())) == ("COMPLETED", len(three))


def test_an_export_that_fails(sandbox: Sandbox, api: httpx.Client, three: list[int]) -> None:
    """Ordered by the option, it takes its time and fails for good, without data; the next one is well."""
    sandbox.clock.stop()
    sandbox.options.export_time = 60
    sandbox.options.failing_exports = True
    failing = ordered(api)
    sandbox.options.failing_exports = False
    good = ordered(api)
    assert (status(api, failing), status(api, good)) == ("QUEUED", "QUEUED")
    sandbox.clock.advance(300)
    assert (status(api, failing), status(api, good)) == ("FAILED", "COMPLETED")
    assert (data(api, failing).status_code, len(data(api, good).json())) == (400, len(three))


def test_a_status_that_nobody_knows(sandbox: Sandbox, api: httpx.Client, three: list[int]) -> None:
    """The option sets the status until the export has ended; there are no data meanwhile."""
    sandbox.clock.stop()
    sandbox.options.export_time = 60
    sandbox.options.export_status = "WARMING_UP"
    task = ordered(api)
    for seconds in (0, 30):
        sandbox.clock.advance(seconds)
        assert (status(api, task), data(api, task).status_code) == ("WARMING_UP", 400)
    sandbox.clock.advance(30)
    assert (status(api, task), len(data(api, task).json())) == ("COMPLETED", len(three))


def test_an_empty_export(api: httpx.Client, three: list[int]) -> None:
    """It completes and holds nothing."""
    task = ordered(api, excludedIds=three)
    assert (status(api, task), data(api, task).json()) == ("COMPLETED", [])


def test_the_moment_of_the_request_counts(sandbox: Sandbox, api: httpx.Client, three: list[int]) -> None:
    """Profiles that come or change while the export runs are not in it."""
    sandbox.clock.stop()
    sandbox.options.export_time = 60
    task = ordered(api, fields=["id", "level"])
    api.post("/v4/clients", json={"customId": "late"})
    api.post("/v4/clients", json={"customId": "e-0", "attributes": {"level": "silver"}})
    sandbox.clock.advance(60)
    assert [(row["id"], row["level"]) for row in data(api, task).json()] == list(
        zip(three, ["gold", None, None], strict=True)
    )


@pytest.mark.parametrize(
    ("agreement", "places"), [("NONE", [0, 1, 2]), ("EMAIL", [0]), ("WEB_PUSH", [1]), ("PUSH", []), ("SMS", [])]
)
def test_the_agreement_filter(api: httpx.Client, three: list[int], agreement: str, places: list[int]) -> None:
    """Only profiles that gave the agreement are exported; NONE asks for none."""
    rows = data(api, ordered(api, agreementFilter=agreement)).json()
    assert [row["id"] for row in rows] == [three[place] for place in places]


def test_an_unknown_agreement_filter_is_refused(api: httpx.Client) -> None:
    """It is not taken for NONE."""
    response = api.post(ORDER, json=order(agreementFilter="email"))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "agreementFilter")


def test_a_record(api: httpx.Client, three: list[int]) -> None:
    """Fields and attributes by name, flags as text; what was ordered by uuid comes back by a name that is not it."""
    task = ordered(
        api,
        fields=["id", "customId", "level"],
        tags=["vip"],
        segmentations=["s-1"],
        expressions=["x-1"],
        aggregates=["a-1"],
        excludedIds=[three[1]],
    )
    empty = {"segmentation s-1": "true", "expression x-1": None, "aggregate a-1": None}
    assert data(api, task).json() == [
        {"id": three[0], "customId": "e-0", "level": "gold", "vip": "false", **empty},
        {"id": three[2], "customId": "e-2", "level": None, "vip": "true", **empty},
    ]


def test_data_by_offset_and_limit(api: httpx.Client, three: list[int]) -> None:
    """Pages cover the export without a gap; beyond the end there is nothing."""
    task = ordered(api)
    pages = [[row["id"] for row in data(api, task, offset, 2).json()] for offset in (0, 2, 4)]
    assert pages == [three[:2], three[2:], []]
    for offset, limit in ((-1, 1), (0, 0), (0, -1)):
        assert data(api, task, offset, limit).status_code == 400
    assert api.get(f"/morph/exports/clients/{task}/data", params={"offset": 0}).status_code == 400


def test_an_unknown_task_is_refused(api: httpx.Client) -> None:
    """Its data answer with the refusal that the document lists, its status with what is usual elsewhere."""
    for response, code in ((api.get("/morph/exports/clients/none/status"), 404), (data(api, "none"), 400)):
        assert (response.status_code, response.json()["errors"][0]["field"]) == (code, "taskId")


def test_an_export_survives_a_restart(tmp_path: Path) -> None:
    """Its state and its records are kept with the rest."""
    file = str(tmp_path / "state.db")
    with Sandbox(state=file) as first, client_of(first, first.token()) as api:
        api.post("/v4/clients", json={"customId": "c-1"})
        first.options.export_time = 600
        task = ordered(api)
    with Sandbox(state=file) as second, client_of(second, second.token()) as api:
        assert status(api, task) == "QUEUED"
        second.clock.advance(600)
        assert [row["customId"] for row in data(api, task).json()] == ["c-1"]
