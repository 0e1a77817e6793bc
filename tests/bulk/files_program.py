"""A bulk run in a process of its own, to be killed or to run out of room; see `test_dead_letter` and `test_journal`."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synerise_profiles import Synerise
from synerise_profiles.bulk import BulkStoppedError, JournalError

COUNT = 3000


def rows(stop: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - of this program alone
    for n in range(COUNT):
        if stop and n == COUNT - 500:
            os.kill(os.getpid(), 9)
        yield {"customId": f"c-{n}"} if n % 2 else {"city": f"nobody {n} {'x' * 100}"}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes in the block; behind it coverage, where it runs, writes what it measured."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def main(url: str, key: str, what: str, folder: Path) -> None:
    options: dict[str, Any] = {"dead_letter": folder / "letters.jsonl", "concurrency": 1}
    if what == "journal":
        options = {"journal": folder / "night.db", "concurrency": 1}
    if what == "append":
        options["dead_letter_mode"] = "append"
    limit = {"killed": resource.RLIM_INFINITY, "journal": 40_000, "small": 2_000, "tiny": 50}.get(what, 100_000)
    with room_for(limit), Synerise(api_key=key, base_url=url) as client:
        try:
            if what == "journal":
                report = client.bulk.delete_profiles(({"customId": f"c-{n}"} for n in range(COUNT)), **options)
            else:
                report = client.bulk.upsert_profiles(rows(what == "killed"), **options)
        except BulkStoppedError as error:
            report = error.report
            print(error.problem)  # noqa: T201 - the way by which this program speaks
        except JournalError as error:
            print(error)  # noqa: T201
            return
        print(report.read == report.accepted + report.rejected_count())  # noqa: T201
        print(report.rejected_count() == len(list(report.rejected)))  # noqa: T201


main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
