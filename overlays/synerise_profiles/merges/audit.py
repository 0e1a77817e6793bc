"""The audit: an append-only JSONL file that says who merged what when, and from which a killed run goes on."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

import attrs
import orjson

from .errors import AuditError
from .key_type import Key

if sys.platform != "win32":
    import fcntl

__all__ = ["Audit", "AuditLog", "AuditState", "NoAudit"]

FORMAT_VERSION: Final = 1
_ENTRY_PREFIX: Final = b'{"entry":'


@attrs.define
class AuditState:
    """What earlier runs say of the sources of one plan: merged for sure, or sent without a known end."""

    merged: set[Key] = attrs.field(factory=set[Key], repr=False)
    sent: set[Key] = attrs.field(factory=set[Key], repr=False)

    def add_entry(self, entry: Mapping[str, Any]) -> None:
        """Learn from one entry."""
        kind = entry.get("entry")
        if kind == "group-sent":
            self.sent |= set(cast("list[Key]", entry["sources"])) - self.merged
        elif kind in ("group-answered", "group-looked"):
            self.merged |= {pair[0] for pair in entry["merged"]}
            # One that was seen there afterwards was not merged; should it be gone one day, this says nothing of it.
            self.sent -= self.merged | {key for key, fate in entry.get("seen", ()) if fate == "there"}
        elif kind == "group-refused":
            self.sent -= set(cast("list[Key]", entry["sources"]))


class AuditLog(Protocol):
    """Where a run writes what it does, and asks what earlier ones did."""

    def state_of(self, plan: str) -> AuditState:
        """What earlier runs say of a plan."""
        ...

    def write(self, entry: str, plan: str, **values: Any) -> None:
        """Add an entry; it is on the disk when this returns."""
        ...


class NoAudit:
    """Keeps nothing."""

    def state_of(self, plan: str) -> AuditState:  # noqa: ARG002 - nothing is known of any plan
        """Nothing is known."""
        return AuditState()

    def write(self, entry: str, plan: str, **values: Any) -> None:
        """Nothing is kept."""


class Audit:
    """Appends to one file, each line written at once and synced before the run goes on.

    The file is made readable for its owner alone (mode 0600), and locked while a run uses it. It may hold any number
    of runs and plans. A line that a crash cut off is left as it is and not read.
    """

    def __init__(self, path: str | os.PathLike[str], actor: str, wall: Callable[[], float]) -> None:
        self._name = os.fspath(path)
        self._wall = wall
        self._common = {"run": str(uuid.uuid4()), "actor": actor}
        self._states: dict[str, AuditState] = {}
        try:
            self._file = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
            _sync_folder(self._name)
        except OSError as error:
            raise AuditError(f"the audit file cannot be opened: {error.strerror}") from None
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def state_of(self, plan: str) -> AuditState:
        """What earlier runs, and this one so far, say of a plan."""
        return self._states.setdefault(plan, AuditState())

    def write(self, entry: str, plan: str, **values: Any) -> None:
        """Add an entry; it is on the disk when this returns."""
        now = datetime.datetime.fromtimestamp(self._wall(), datetime.UTC).isoformat(timespec="milliseconds")
        line = {"entry": entry, "format": FORMAT_VERSION, "time": now, **self._common, "plan": plan, **values}
        try:
            self._append(orjson.dumps(line) + b"\n")
            os.fsync(self._file)
        except OSError as error:
            raise AuditError(f"the audit file cannot be written: {error.strerror}") from error
        self.state_of(plan).add_entry(line)

    def close(self) -> None:
        """Close the file, which unlocks it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._file, content) :]

    def _lock(self) -> None:
        if sys.platform != "win32":  # there, two runs at once are not kept apart
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise AuditError("the audit file is in use by another run; wait for its end") from None

    def _read(self) -> None:
        last = b"\n"
        with contextlib.closing(os.fdopen(os.dup(self._file), "rb")) as lines:
            lines.seek(0)
            for number, line in enumerate(lines, 1):
                last = line
                self._read_entry(number, line)
        if not last.endswith(b"\n"):
            self._append(b"\n")  # or the next entry would be lost with the one that was cut off

    def _read_entry(self, number: int, line: bytes) -> None:
        try:
            entry = orjson.loads(line)
            self.state_of(entry["plan"]).add_entry(entry)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            if number == 1 and not _ENTRY_PREFIX.startswith(line[: len(_ENTRY_PREFIX)].rstrip(b"\n")):
                # The path is a mistake, and the file would be spoilt.
                raise AuditError("the file exists and is no audit; give the name of another one") from None


def _sync_folder(name: str) -> None:
    """A new file survives a power cut only once its folder is on the disk."""
    if sys.platform != "win32":
        folder = os.open(Path(name).resolve().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_audit(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of an audit file, ids included; lines that a crash cut off are left out."""
    with Path(path).open("rb") as lines:
        for line in lines:
            with contextlib.suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)
