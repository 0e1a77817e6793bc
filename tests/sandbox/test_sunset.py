"""Deprecated operations after their end."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.spec import OperationSpec, load_spec

ENDING = [item for item in load_spec().operations if item.sunset is not None]


def end_of(operation: OperationSpec) -> datetime:
    assert operation.sunset is not None
    return datetime.combine(operation.sunset, time(), UTC)


def call(api: httpx.Client, operation: OperationSpec, jan: dict[str, Any]) -> httpx.Response:
    path = operation.path.replace("{clientId}", str(jan["clientId"]))
    return api.request(operation.method, path, json=None if operation.method == "GET" else {"city": "Gdynia"})


def test_both_crm_operations_end() -> None:
    """The spec has a date for these two."""
    assert {item.name for item in ENDING} >= {"profiles.get_contact", "profiles.update_contact"}


@pytest.mark.parametrize("operation", ENDING, ids=lambda operation: operation.name)
def test_an_operation_is_gone_after_its_sunset(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], operation: OperationSpec
) -> None:
    """Until the last second before its day it works; from then on it is 410, and the body says so."""
    sandbox.options.enforce_sunset = True
    sandbox.clock.stop()
    sandbox.clock.set(end_of(operation) - timedelta(seconds=1))
    api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    assert call(api, operation, jan).status_code == 200
    sandbox.clock.advance(1)
    answer = call(api, operation, jan)
    assert (answer.status_code, answer.json()["error"], answer.json()["status"]) == (410, "Gone", 410)
    assert str(operation.sunset) in answer.json()["message"]
    assert operation.replaced_by
    assert all(name in answer.json()["message"] for name in operation.replaced_by)


def test_gone_is_gone_for_everyone(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """An operation that is switched off is refused before credentials are checked; nothing is applied."""
    sandbox.options.enforce_sunset = True
    sandbox.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    for operation in ENDING:
        assert call(api, operation, jan).status_code == 410
        assert sandbox.log[-1].applied == 0
    found = sandbox.store.profile(jan["clientId"])
    assert found is not None
    assert found["city"] is None


@pytest.mark.parametrize("operation", ENDING, ids=lambda operation: operation.name)
def test_without_the_option_it_works_for_ever(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], operation: OperationSpec
) -> None:
    """By default nothing ends."""
    sandbox.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    assert call(api, operation, jan).status_code == 200


def test_what_has_no_sunset_does_not_end(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Deprecated or not: without a date an operation stays."""
    sandbox.options.enforce_sunset = True
    sandbox.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    path = f"/v4/events/by-client/{jan['clientId']}"
    query = {"time[from]": "2020-01-01T00:00:00Z", "time[to]": "2031-01-01T00:00:00Z"}
    assert api.get(path, params=query).status_code == 200
