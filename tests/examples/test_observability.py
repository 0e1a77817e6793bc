"""The traces and log lines that the guide on observability shows are those of the calls that it names."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox
from tests._core.support import Clock
from tests._core.traces import Telemetry, traced
from tests.examples.test_guides import PAGES, blocks

CONSTANT = ("server.", "url.", "http.request.method", "synerise.operation", "synerise.rows.resumed")
"""Attributes that the guide says once."""


@pytest.fixture
def answers() -> list[int | Exception]:
    """The statuses that the server answers with, or the failures; then only 202."""
    return []


@pytest.fixture
def client(answers: list[int | Exception]) -> Iterator[Synerise]:
    def handle(request: httpx.Request) -> httpx.Response:
        found = answers.pop(0) if answers else 202
        if isinstance(found, Exception):
            raise found
        if request.url.path.endswith("time"):
            return httpx.Response(200, json={"serverTime": "2026-01-01T12:00:00.000Z"})
        body = (
            [{"code": 400, "field": "firstName", "message": "is too long", "rejectedValue": "Jan7"}]
            if found == 207
            else None
        )
        return httpx.Response(found, headers={"Retry-After": "2"}) if body is None else httpx.Response(found, json=body)

    with Synerise(token="a.b.c", transport=httpx.MockTransport(handle), _timing=Clock().timing) as client:
        yield client


def people(count: int) -> list[dict[str, Any]]:
    return [{"customId": f"c-{n}", "firstName": f"Jan{n}"} for n in range(count)]


def a_call(client: Synerise, answers: list[int | Exception]) -> None:
    answers += [503, 503]
    client.profiles.upsert({"customId": "c-1", "firstName": "Jan"})


def a_run(client: Synerise, answers: list[int | Exception]) -> None:
    answers += [207, 429]
    client.bulk.upsert_profiles([*people(2500), {"customId": "c-x", "firstName": None}], concurrency=1)


def tree(telemetry: Telemetry, parent: Any = None, indent: str = "") -> list[str]:
    """Write spans as the guide does: the name, and the attributes that tell one from the other."""
    spans = [span for span in telemetry.spans if span.parent is None] if parent is None else telemetry.children(parent)
    lines: list[str] = []
    for span in spans:
        shown = {key: value for key, value in span.attributes.items() if not key.startswith(CONSTANT)}
        lines.append("  ".join([indent + span.name, *(f"{key}={value}" for key, value in sorted(shown.items()))]))
        lines += tree(telemetry, span, indent + "    ")
    return lines


@pytest.mark.parametrize(("call", "number"), [(a_call, 0), (a_run, 1)])
def test_the_traces_of_the_guide(
    call: Callable[..., None], number: int, client: Synerise, answers: list[int | Exception]
) -> None:
    """A call with two retries, and a bulk run with a refused row, a throttled batch and one row that is not sent."""
    pytest.importorskip("opentelemetry.sdk")
    with traced() as telemetry:
        call(client, answers)
        shown = tree(telemetry)

    assert shown == [block for block in blocks("observability.md", "text") if "POST" in block][number].splitlines()


def test_the_log_lines_of_the_guide(
    client: Synerise, answers: list[int | Exception], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A run while the host is away for some requests, and a queue."""
    caplog.set_level(logging.INFO, "synerise_profiles")
    answers += [httpx.ConnectTimeout("")] * 3

    client.bulk.upsert_profiles(
        [*people(2500), {"customId": "c-x", "firstName": None}],
        concurrency=1,
        journal=tmp_path / "journal",
        dead_letter=tmp_path / "letters.jsonl",
    )

    with client.queue() as queue:
        for row in people(20):
            queue.profiles.put(row)
    shown = [f"{item.levelname} {item.getMessage()}" for item in caplog.records]
    assert shown == next(block for block in blocks("observability.md", "text") if "WARNING" in block).splitlines()


def test_the_guide_lists_each_metric(telemetry_names: list[str]) -> None:
    """What is measured is named in the guide."""
    text = PAGES["observability.md"].read_text(encoding="utf-8")

    assert [name for name in telemetry_names if f"`{name}`" not in text] == []


@pytest.fixture
def telemetry_names() -> list[str]:
    pytest.importorskip("opentelemetry.sdk")
    with traced() as telemetry, Sandbox() as sandbox, Synerise(token=sandbox.token(), base_url=sandbox.url) as client:
        sandbox.faults.status(503, retry_after=0.0, times=1)
        client.bulk.upsert_profiles(people(2))
        found = list(telemetry.metrics())
    assert "opentelemetry.trace" not in sys.modules
    return found
