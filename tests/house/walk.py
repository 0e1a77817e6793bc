"""Follow one row through the code: which of our files it meets, and how often it changes from one to another.

`python tests/house/walk.py` prints both ways as JSON: `row`, of a CSV row from the call of bulk to the transport, and
`answer`, of a 207 from the transport back to the rejection. `--list` prints the files in their order as well.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import attrs
import httpx

import synerise_profiles
import synerise_profiles_api
from synerise_profiles import Synerise
from synerise_profiles._core.timing import SYSTEM_TIMING
from synerise_profiles.sources import RowMapping, field, read_csv

ROOTS = tuple(str(Path(package.__file__).parent) for package in (synerise_profiles, synerise_profiles_api))
ROWS = "Id,Mail,Born\n1,a@example.com,1990-01-02\n"
COLUMNS = {"Id": "customId", "Mail": "email", "Born": field("birthDate", "date")}
REFUSAL = [{"customId": "1", "status": 400, "message": "refused"}]


class Walk(httpx.BaseTransport):
    """Records the file of each function of ours that is called, before the request is sent and after its answer.

    The thread of the caller and the one that sends go on beside each other. So each has a record of its own, which
    change from the row to the answer when the one takes the result, and the other gets the response.
    """

    def __init__(self) -> None:
        self._caller = threading.get_ident()
        self.caller_steps: tuple[list[str], list[str]] = ([], [])
        self.sender_steps: tuple[list[str], list[str]] = ([], [])
        self._caller_has_result = self._sender_has_response = False

    @property
    def row(self) -> list[str]:
        """The files of the way to the transport."""
        return self.caller_steps[0] + self.sender_steps[0]

    @property
    def answer(self) -> list[str]:
        """The files of the way back to the report."""
        return self.sender_steps[1] + self.caller_steps[1]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer the batch: its only row was refused."""
        self._sender_has_response = True
        return httpx.Response(207, json=REFUSAL, request=request)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what is called inside, in every thread, from its beginning."""
        self.caller_steps, self.sender_steps = ([], []), ([], [])
        self._caller_has_result = self._sender_has_response = False
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> None:
        name, function = frame.f_code.co_filename, frame.f_code.co_name
        if not name.startswith(ROOTS) or function == "<module>":
            return
        if threading.get_ident() == self._caller:
            self._caller_has_result |= function == "on_result"
            self.caller_steps[self._caller_has_result].append(name)
        else:
            self.sender_steps[self._sender_has_response].append(name)


def follow() -> dict[str, list[str]]:
    """Send one row that is refused; return the files of both ways, each change once."""
    walk = Walk()
    mapping = RowMapping.for_profiles(COLUMNS)
    # Time stands still: now and then a run notes how far it is, which is no part of the way.
    timing = attrs.evolve(SYSTEM_TIMING, monotonic=lambda: 0.0)
    with tempfile.TemporaryDirectory() as folder, Synerise(token="a.b.c", transport=walk, _timing=timing) as client:
        path = Path(folder) / "rows.csv"
        path.write_text(ROWS, encoding="utf-8")
        # What is loaded and compiled once is no part of a row's way.
        client.bulk.upsert_profiles(read_csv(path, mapping))
        rows = read_csv(path, mapping)
        with walk.recorded():
            report = client.bulk.upsert_profiles(rows)
    assert report.by_stage["server"] == 1
    return {way: changes(files) for way, files in (("row", walk.row), ("answer", walk.answer))}


def changes(files: list[str]) -> list[str]:
    """Leave out what stays in the file before."""
    return [now for before, now in zip(["", *files], files, strict=False) if now != before]


if __name__ == "__main__":
    found = follow()
    if "--list" in sys.argv:
        print(*(f"{way} {Path(name).parent.name}/{Path(name).name}" for way in found for name in found[way]), sep="\n")
    print(json.dumps({way: {"files": len(set(names)), "changes": len(names)} for way, names in found.items()}))
