"""The audit of deletions: an append-only JSONL file that says which profile was deleted when, a line for each row.

A line is written as soon as a row has its fate, ahead of the journal: a deletion that the journal knows has its line.
One whose answer a crash took away has none yet; with a journal the next run finds it, and writes its line. The file
holds identifiers as they are, for its owner alone (mode 0600).

A row gets one line, whatever cuts in. Its line waits in memory until it is in the file; with the line it is noted, and
no call is between, that the row has one: an interpreter calls the handler of a signal at calls alone. So whatever was
cut off is called again. What could not be written, as the disk was full, waits too, and goes ahead of the next line.
"""

from __future__ import annotations

import datetime
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import orjson

from synerise_profiles._core.error_chain import add_note
from synerise_profiles._core.files import AppendFile, last_line, refused, target_of
from synerise_profiles._core.wording import counted
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
_MAX_NAMED_ROWS: Final = 20
Line: TypeAlias = dict[str, Any]


@attrs.frozen
class WaitingLine:
    """A line that is not in the file yet, of the row with this index."""

    index: int
    content: bytes
    is_deleted: bool = False


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
    disk after a second at most. Writing raises OSError; each method that writes begins with what waits.
    """

    def __init__(self, path: str | os.PathLike[str], wall: Callable[[], float]) -> None:
        self._wall = wall
        self._run = str(uuid.uuid4())
        self._waiting: list[WaitingLine] = []
        self._start: int | None = None
        """How large the file was before the first line that waits, once that is being written."""
        self._state: ChunkState | None = None
        self._taken = 0
        """Of how many rows of `_state` there are lines."""
        self._refusals: dict[Stage, tuple[int, bytes]] = {}
        """By fate the row that was refused last, and its line until that waits, or is written."""
        self._synced_at = time.monotonic()
        # Last, so that no interruption comes behind it that would keep the file open, and locked, by its traceback.
        self._file = AppendFile(audit_target(path), "audit", is_locked=True, may_hold=_may_hold)
        if self._file.is_in_use:
            self._file.close()
            raise refused("audit", "is in use by another run; wait for its end")

    @property
    def is_behind(self) -> bool:
        """Whether lines wait to be written."""
        return bool(self._waiting)

    @property
    def left_text(self) -> str:
        """Say which rows have no line, to be added to why a run ended; "" where all have theirs."""
        deleted, others = self._left_rows, sum(not line.is_deleted for line in self._waiting)
        texts = [f"{counted(len(deleted), 'deleted row')} ({_some(deleted)})"] * bool(deleted)
        texts += [f"{counted(others, 'rejected row')}, which report.rejected names"] * bool(others)
        return f"; the audit has no line of {', and of '.join(texts)}" if texts else ""

    def tell_left(self, error: BaseException) -> None:
        """Add `left_text` to the text of what ended a run, unless it says so."""
        if self._waiting and self.left_text not in str(error):
            add_note(error, self.left_text.removeprefix("; "))

    @property
    def left_notes(self) -> Mapping[str, int]:
        """The note about rows that were deleted and have no line."""
        deleted = self._left_rows
        return {f"deleted without a line in the audit, by row: {_some(deleted)}": len(deleted)} if deleted else {}

    @property
    def _left_rows(self) -> list[int]:
        return sorted(line.index for line in self._waiting if line.is_deleted)

    def record(self, state: ChunkState) -> None:
        """Write what became of the rows of a chunk."""
        if self._state is not state:
            # With the next line, as in all that follows here, no call between these.
            self._state, self._taken = state, 0
        result, indexes = state.last_result, state.chunk.indexes
        answer = {} if result is None else {"status": result.status, "trace_id": result.trace_id}
        for position in range(self._taken, len(indexes)):
            refusal = state.refused.get(position)
            values: Line = {**_named(state.chunk.row_bytes(position)), "fate": "deleted", **answer}
            if refusal is not None:
                values |= {"fate": refusal.stage, "reason": refusal.reason}
            content = self._content(indexes[position], values)
            line = WaitingLine(indexes[position], content, is_deleted=refusal is None)
            # No call from here on.
            self._waiting += (line,)
            self._taken = position + 1
        self.flush()

    def note_refusal(self, index: int, row: bytes, fate: Stage, field: str | None, reason: str) -> None:
        """Make the line of a row that is refused by the checks, or not come to, so that nothing was sent.

        It is written by `record_refusal`, once the report has the row.
        """
        if self._refusals.get(fate, (-1, b""))[0] != index:
            values: Line = {**_named(row), "fate": fate, "reason": f"{field}: {reason}" if field else reason}
            self._refusals[fate] = index, self._content(index, values)

    def record_refusal(self, index: int, fate: Stage) -> None:
        """Write the line of a row that the report has by this fate."""
        noted, content = self._refusals.get(fate, (-1, b""))
        if noted == index and content:
            line, written = WaitingLine(index, content), (index, b"")
            # No call from here on.
            self._waiting += (line,)
            self._refusals[fate] = written
        self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        while self._waiting:
            if self._start is None:
                self._start = self._file.size
            self._file.write_once(self._waiting[0].content, self._start)
            # No call from here on.
            del self._waiting[0]
            self._start = None
        if time.monotonic() - self._synced_at > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Bring the lines to the disk."""
        if self._waiting:
            self.flush()
        self._file.sync()
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()

    def _content(self, index: int, values: Line) -> bytes:
        now = datetime.datetime.fromtimestamp(self._wall(), datetime.UTC).isoformat(timespec="milliseconds")
        line = {"entry": _ENTRY, "format": _FORMAT_VERSION, "time": now, "run": self._run, "row": index, **values}
        return orjson.dumps(line) + b"\n"


def _some(indexes: Sequence[int]) -> str:
    """Name the first ones of some rows."""
    shown = ", ".join(map(str, indexes[:_MAX_NAMED_ROWS]))
    return f"{shown}, …" if len(indexes) > _MAX_NAMED_ROWS else shown


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
