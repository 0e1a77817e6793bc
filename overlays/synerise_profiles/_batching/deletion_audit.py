"""The audit of deletions: an append-only JSONL file that says which profile was deleted when, a line for each row.

A line is written as soon as a row has its fate, ahead of the journal: a deletion that the journal knows has its line.
One whose answer a crash took away has none yet; with a journal the next run finds it, and writes its line. The file
holds identifiers as they are, for its owner alone (mode 0600).
"""

from __future__ import annotations

import datetime
import os
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from synerise_profiles._core.files import AppendFile, last_line, refused, target_of
from synerise_profiles.identifiers import first_identifier
from synerise_profiles_api.json_values import is_object

from .attribution import Stage
from .bisection import ChunkState

__all__ = ["DeletionAudit", "audit_target"]

_FORMAT_VERSION: Final = 1
_ENTRY: Final = "deletion"
_ENTRY_PREFIX: Final = b'{"entry":"deletion",'
_SYNC_SECONDS: Final = 1.0
"""Seconds after which lines have to be on the disk."""
Line: TypeAlias = dict[str, Any]


def audit_target(path: object) -> Path:
    """Return the file of an audit; nothing is touched.

    Raises InvalidRequestError for what cannot be appended to, and for a file that is there and no audit of deletions.
    """
    target = target_of(path, "audit", is_appended=True)
    if target.exists():
        try:
            with target.open("rb") as file:
                first, second = file.readline(), file.readline()
                last = last_line(file.fileno(), 0, file.seek(0, os.SEEK_END))
        except OSError as error:
            raise refused("audit", f"cannot be read: {error.strerror}") from None
        is_whole = _is_entry(first) or first.endswith(b"}\n")
        is_cut = not is_whole and _ENTRY_PREFIX.startswith(first.rstrip(b"\n")[: len(_ENTRY_PREFIX)])
        is_alone = is_cut and not second and first.strip() != b"{"  # any JSON begins with a brace
        is_entry = _is_entry(second if is_cut and second else first) and _may_hold([last])
        if first and not is_entry and not is_alone:
            raise refused("audit", "exists and is no audit of deletions; give the name of another file")
    return target


def _is_entry(line: bytes) -> bool:
    """Whether a line is an entry of this format, as far as a crash let it be written."""
    if not line.startswith(_ENTRY_PREFIX):
        return False
    try:
        return bool(orjson.loads(line)["format"] == _FORMAT_VERSION)
    except (orjson.JSONDecodeError, KeyError):
        return not line.endswith(b"}\n")


def _may_hold(lines: Sequence[bytes]) -> bool:
    """Whether lines are entries, or the beginning of one that a crash cut off."""
    return all(_is_entry(line) or _ENTRY_PREFIX.startswith(line.rstrip(b"\n")) for line in lines)


class DeletionAudit:
    """The audit of one run: the file is locked while the run uses it, and may hold any number of runs.

    A line is in the file when the method that writes it returns, so that it survives the end of the process, and on the
    disk after a second at most. Writing raises OSError.
    """

    def __init__(self, path: str | os.PathLike[str], wall: Callable[[], float]) -> None:
        self._wall = wall
        self._run = str(uuid.uuid4())
        self._file = AppendFile(audit_target(path), "audit", is_locked=True, may_hold=_may_hold)
        if self._file.is_in_use:
            self._file.close()
            raise refused("audit", "is in use by another run; wait for its end")
        self._synced_at = time.monotonic()

    def record(self, state: ChunkState) -> None:
        """Write what became of the rows of a chunk."""
        result = state.last_result
        answer = {} if result is None else {"status": result.status, "trace_id": result.trace_id}
        for position, index in enumerate(state.chunk.indexes):
            refusal = state.refused.get(position)
            line: Line = {**_named(state.chunk.row_bytes(position)), "fate": "deleted", **answer}
            if refusal is not None:
                line |= {"fate": refusal.stage, "reason": refusal.reason}
            self._write(index, line)

    def record_refusal(self, index: int, row: bytes, reason: str, fate: Stage = "check") -> None:
        """Write that a row was refused by the checks, or not come to, so that nothing was sent."""
        self._write(index, {**_named(row), "fate": fate, "reason": reason})

    def sync(self) -> None:
        """Bring the lines to the disk."""
        self._file.sync()
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()

    def _write(self, index: int, values: Line) -> None:
        now = datetime.datetime.fromtimestamp(self._wall(), datetime.UTC).isoformat(timespec="milliseconds")
        line = {"entry": _ENTRY, "format": _FORMAT_VERSION, "time": now, "run": self._run, "row": index, **values}
        self._file.write(orjson.dumps(line) + b"\n")
        if time.monotonic() - self._synced_at > _SYNC_SECONDS:
            self.sync()


def _named(row: bytes) -> Line:
    """Return the name and the value of a row's identifier; None for both where it has none."""
    try:
        found: Any = orjson.loads(row)
    except orjson.JSONDecodeError:
        found = None
    fields = {"clientId": found} if isinstance(found, int) else found
    named = first_identifier(fields, ("clientId", "customId")) if is_object(fields) else None
    name, value = named or (None, None)
    return {"identifier": name, "value": value}
