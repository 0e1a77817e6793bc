"""Kills children of its own at each moment of what they write, and looks at what they left; see `test_kills`.

`kill_program.py WHAT FOLDER STEP`: every so many moments. It prints how many children were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import httpx
import orjson

import synerise_profiles
from synerise_profiles import Synerise
from synerise_profiles._core.files import AppendFile, target_of
from synerise_profiles.bulk import Report, read_dead_letter
from synerise_profiles.exports.writers import JsonLinesWriter, atomic_writer
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.storage.store import StateStore
from tests._core.strikes import At

PACKAGE = Path(synerise_profiles.__file__).parent
FILES = (PACKAGE / "_core" / "files", PACKAGE / "exports", PACKAGE / "sandbox" / "storage")
BULK_FILES = (*FILES, PACKAGE / "bulk" / "journal.py", PACKAGE / "bulk" / "dead_letter.py", PACKAGE / "bulk" / "run.py")
ROWS, BAD = 12, {3, 7}


class _In:
    """The modules whose moments count."""

    def __init__(self, places: tuple[Path, ...]) -> None:
        self._places = tuple(map(str, places))

    def __contains__(self, name: str) -> bool:
        return name.startswith(self._places)


def check(holds: bool, *found: object) -> None:  # noqa: FBT001 - as of an assertion
    if not holds:
        raise AssertionError(found)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Export:
    """A file that is put in place whole."""

    files = FILES

    def prepare(self, folder: Path) -> None:
        (folder / "people.jsonl").write_bytes(b'{"n":0}\n')

    def run(self, folder: Path) -> None:
        with atomic_writer(folder / "people.jsonl", JsonLinesWriter) as file:
            for n in range(1, 4):
                file.add([{"n": n}] * 100)
            file.finish()

    def look(self, folder: Path, pid: int) -> None:
        lines = (folder / "people.jsonl").read_bytes().splitlines()
        check(len(lines) in (1, 300), lines)
        check(names(folder) <= {"people.jsonl", f".people.jsonl.{pid}.part"}, names(folder))
        self.run(folder)
        check(names(folder) == {"people.jsonl"}, names(folder))


class Appended:
    """Lines at the end of a file, as audits, spills and appended dead letters are."""

    files = FILES

    def prepare(self, folder: Path) -> None:
        (folder / "log.jsonl").write_bytes(b"{}\n")

    def run(self, folder: Path) -> None:
        with AppendFile(target_of(folder / "log.jsonl", "audit"), "audit", is_locked=True) as file:
            check(not file.is_in_use)
            for n in range(3):
                file.write(b'{"n":%d}\n' % n)
                file.sync()

    def look(self, folder: Path, _: int) -> None:
        whole = b'{}\n{"n":0}\n{"n":1}\n{"n":2}\n'
        found = (folder / "log.jsonl").read_bytes()
        check(whole.startswith(found) and found.endswith(b"\n"), found)
        self.run(folder)
        check((folder / "log.jsonl").read_bytes() == found + whole[3:])


class State:
    """The state of a sandbox: what is stored together is there together."""

    files = FILES

    def prepare(self, folder: Path) -> None:
        """There is none."""

    def run(self, folder: Path) -> None:
        store = StateStore(folder / "state.db")
        for n in range(0, 8, 2):
            with store.transaction():
                for client_id in (n + 1, n + 2):
                    text = f"c-{client_id}"
                    one = StoredProfile(client_id, text, None, text, None, "2026-01-01T00:00:00Z", {}, fresh=True)
                    store.profiles.save([one], client_id + 1)
        store.close()

    def look(self, folder: Path, _: int) -> None:
        store = StateStore(folder / "state.db")
        check(len(store.profiles) in range(0, 9, 2), len(store.profiles))
        store.close()


class Bulk:
    """A run with a journal and dead letters."""

    files = BULK_FILES

    def prepare(self, folder: Path) -> None:
        self._send([{"city": "nobody"}], folder, dead_letter=folder / "letters.jsonl")
        (folder / "sent").unlink(missing_ok=True)

    def run(self, folder: Path) -> Report:
        rows = [{"city": "nobody"} if n in BAD else {"customId": f"c{n}"} for n in range(ROWS)]
        return self._send(rows, folder, dead_letter=folder / "letters.jsonl", journal=folder / "night.db")

    def look(self, folder: Path, pid: int) -> None:
        old = self._letters(folder)
        check(old in ([0], sorted(BAD)), old)
        parts = {f".letters.jsonl.{pid}.part", f".letters.jsonl.{pid}.next.part"} & names(folder)
        others = names(folder) - parts
        check(
            others <= {"letters.jsonl", "sent", "night.db", "night.db-wal", "night.db-shm", "night.db-journal"}, others
        )
        report = self.run(folder)
        check(report.complete and report.read == ROWS, report)
        for part in parts:
            check(any(part in note for note in report.notes), report.notes)
        check(self._letters(folder) == sorted(BAD), self._letters(folder))
        sent = set((folder / "sent").read_text().split())
        check(sent == {f"c{n}" for n in range(ROWS)} - {f"c{n}" for n in BAD}, sent)
        check(names(folder) == {"letters.jsonl", "night.db", "sent"}, names(folder))

    def _letters(self, folder: Path) -> list[int]:
        return sorted(letter["index"] for letter in read_dead_letter(folder / "letters.jsonl"))

    def _send(self, rows: list[dict[str, Any]], folder: Path, **options: Any) -> Report:
        def store(request: httpx.Request) -> httpx.Response:
            text = "".join(f"{row['customId']}\n" for row in orjson.loads(request.content))
            with (folder / "sent").open("a") as file:
                file.write(text)
            return httpx.Response(202)

        with Synerise(token="t", transport=httpx.MockTransport(store)) as client:
            return client.bulk.upsert_profiles(rows, concurrency=1, **options)


JOBS: dict[str, Callable[[], Any]] = {"export": Export, "appended": Appended, "state": State, "bulk": Bulk}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def moments(step: int) -> Iterator[int]:
    n = 1
    while True:
        yield n
        n += step


def main(what: str, root: Path, step: int) -> None:
    job = JOBS[what]()
    killed = 0
    for n in moments(step):
        folder = root / str(n)
        folder.mkdir()
        job.prepare(folder)
        child = os.fork()
        if not child:
            with At(n, _In(job.files), kill).active():
                job.run(folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            break
        check(os.WIFSIGNALED(status), n, status)
        killed += 1
        try:
            job.look(folder, child)
        except Exception as error:
            error.add_note(f"killed at moment {n}")
            raise
    print(killed)  # noqa: T201 - the way by which this program speaks


main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
