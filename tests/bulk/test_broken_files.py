"""Files that are cut off or broken: their run is not complete, and goes on by its journal once they are mended."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import Report, report_of
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import Source, read_json, read_jsonl

COUNT = 5000
EVENTS = [{"label": "V", "action": "a.b", "client": {"customId": "c"}, "params": {"n": n}} for n in range(COUNT)]
ARRAY = json.dumps(EVENTS).encode()
LINES = gzip.compress(b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS), 0)
LATE = json.dumps(EVENTS[4000]).encode()
MIDDLE = ARRAY.index(LATE)


def send(sandbox: Sandbox, source: Source, *, is_async: bool, **options: Any) -> Report:
    """Send events without a time, which would be stored twice if they were sent twice."""

    async def main() -> Report:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.bulk.send_events(source, **options)

    if is_async:
        return asyncio.run(main())
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        return client.bulk.send_events(source, **options)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("read", "damaged", "whole", "problem"),
    [
        (read_json, ARRAY[: MIDDLE + 9], ARRAY, "is cut off within element 4000"),
        (read_json, ARRAY[: MIDDLE - 2], ARRAY, "is cut off after element 3999"),
        (read_json, ARRAY.replace(LATE, b"{oops"), ARRAY, "is broken in element 4000, at character 2"),
        (read_json, ARRAY.replace(LATE, b'{"label": "V'), ARRAY, "is broken in element 4000, at character 17"),
        (read_json, ARRAY.replace(b", " + LATE, LATE), ARRAY, "is broken after element 3999"),
        (read_json, ARRAY + b"[]", ARRAY, "has something else below its end"),
        (read_jsonl, LINES[:-9], LINES, "is cut off: its end is missing"),
    ],
    ids=["within", "between", "no bracket", "no quote", "no comma", "two arrays", "gzip"],
)
def test_a_mended_file_goes_on_where_it_broke(
    sandbox: Sandbox,
    tmp_path: Path,
    read: Callable[[Path], Source],
    damaged: bytes,
    whole: bytes,
    problem: str,
    *,
    is_async: bool,
) -> None:
    """The error names the file and the place, and holds the report; no event is lost, and none is stored twice."""
    path, journal, ended = tmp_path / "events", tmp_path / "night.journal", list[bool]()
    path.write_bytes(damaged)
    with pytest.raises(InvalidRequestError) as caught:
        send(sandbox, read(path), is_async=is_async, journal=journal, on_finish=lambda end: ended.append(end.complete))
    assert f"{path} {problem}" in str(caught.value)
    assert str(caught.value).startswith("the ")
    report = report_of(caught.value)
    assert report is not None
    assert (report.complete, ended) == (False, [False])
    assert set(report.by_stage.values()) <= {0, report.by_stage["unsent"]}  # nothing was refused
    assert report.read == report.accepted + report.rejected_count()
    assert len(sandbox.store.events) == report.accepted > 0
    path.write_bytes(whole)
    again = send(sandbox, read(path), is_async=is_async, journal=journal)
    assert (again.accepted, again.resumed, again.complete) == (COUNT, report.accepted, True)
    (profile,) = sandbox.store.profiles
    assert sorted(event.params["n"] for event in sandbox.store.events.of_profile(profile.client_id)) == [*range(COUNT)]


def test_the_letters_hold_what_was_read_and_not_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each row that was read is accepted or a letter, and what cannot be read is neither: no letter stands for it."""
    path, letters = tmp_path / "events.json", tmp_path / "letters.jsonl"
    path.write_bytes(ARRAY.replace(LATE, b"{oops"))
    with pytest.raises(InvalidRequestError) as caught:
        send(sandbox, read_json(path), is_async=False, dead_letter=letters)
    report = report_of(caught.value)
    assert report is not None
    left = [json.loads(line) for line in letters.read_text().splitlines()]
    assert {letter["stage"] for letter in left} <= {"unsent"}
    assert report.accepted + len(left) == report.read == 4000
