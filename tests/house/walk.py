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

import httpx

import synerise_profiles
import synerise_profiles_api
from synerise_profiles import Synerise
from synerise_profiles.sources import RowMapping, field, read_csv

ROOTS = tuple(str(Path(package.__file__).parent) for package in (synerise_profiles, synerise_profiles_api))
ROWS = "Id,Mail,Born\n1,a@example.com,1990-01-02\n"
COLUMNS = {"Id": "customId", "Mail": "email", "Born": field("birthDate", "date")}
REFUSAL = [{"customId": "1", "status": 400, "message": "refused"}]


class Walk(httpx.BaseTransport):
    """Records the file of each function of ours that is called, before the request is sent and after its answer."""

    def __init__(self) -> None:
        self.row: list[str] = []
        self.answer: list[str] = []
        self._steps = self.row
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer the batch: its only row was refused."""
        self._steps = self.answer
        return httpx.Response(207, json=REFUSAL, request=request)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what is called inside, in every thread."""
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if name.startswith(ROOTS) and frame.f_code.co_name != "<module>":
            with self._lock:
                self._steps.append(name)


def follow() -> dict[str, list[str]]:
    """Send one row that is refused; return the files of both ways, each change once."""
    walk = Walk()
    mapping = RowMapping.for_profiles(COLUMNS)
    with tempfile.TemporaryDirectory() as folder, Synerise(token="a.b.c", transport=walk) as client:
        path = Path(folder) / "rows.csv"
        path.write_text(ROWS, encoding="utf-8")
        # What is loaded and compiled once is no part of a row's way.
        client.bulk.upsert_profiles(read_csv(path, mapping))
        rows = read_csv(path, mapping)
        walk.row.clear()
        walk.answer.clear()
        walk._steps = walk.row
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
