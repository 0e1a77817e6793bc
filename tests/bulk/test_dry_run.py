"""The dry run: what a run would send and refuse, and nothing is sent or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import BulkStoppedError, dry_run
from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.sandbox import Sandbox

ROWS: list[dict[str, Any]] = [
    *({"customId": f"c-{n}", "city": "Gdynia"} for n in range(2500)),
    {"city": "no identifier"},
    {"customId": "c-0", "firstName": None},
]


def test_it_counts_what_a_run_does() -> None:
    """Rows, refusals, requests and bytes are those of the run itself."""
    expected = dry_run(ROWS)
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.upsert_profiles(ROWS)
    for name in ("operation", "read", "accepted", "by_stage", "requests", "bytes_sent", "complete", "notes"):
        assert getattr(expected, name) == getattr(report, name), name
    assert [(r.index, r.reason, r.field) for r in expected.rejected] == [
        (r.index, r.reason, r.field) for r in report.rejected
    ]


@pytest.mark.parametrize(
    ("for_", "row"),
    [
        ("events", {"client": {"customId": "a"}, "action": "shop.visit", "type": "custom", "label": "Visit"}),
        ("deletions", {"customId": "a"}),
        ("tags", 7),
    ],
)
def test_every_kind_of_rows(for_: Any, row: Any) -> None:
    """Those that are sent one by one count a request each; what names no profile is refused."""
    report = dry_run([row, {}], for_=for_)
    assert (report.accepted, report.requests, report.by_stage["check"]) == (1, 1, 1)


def test_no_file_is_touched(tmp_path: Path) -> None:
    """Neither the journal nor the letters of last night."""
    letters = tmp_path / "letters.jsonl"
    letters.write_bytes(b"kept")
    dry_run(ROWS, journal=tmp_path / "journal", dead_letter=letters)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.jsonl"]
    assert letters.read_bytes() == b"kept"


def test_limits_and_arguments_are_those_of_the_run() -> None:
    """A run that would stop does so here, and an argument that the method does not take is refused."""
    with pytest.raises(BulkStoppedError, match="more than 1 row was rejected") as stopped:
        dry_run([{}, {}, {}], max_errors=1)
    assert stopped.value.too_many_rejected
    with pytest.raises(InvalidRequestError, match="salt"):
        dry_run([], salt="x")
    with pytest.raises(InvalidRequestError, match="for_"):
        dry_run([], for_="orders")  # type: ignore[arg-type]
