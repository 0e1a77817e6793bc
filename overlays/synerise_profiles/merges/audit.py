"""The audit: an append-only JSONL file that says who merged what when, and from which a killed run goes on.

It is a write-ahead log: an entry is on the disk (fsync) before the run takes its next step. A run is `started`, then
each group is `group-sent` and after that one of: `group-answered` (merged), `group-refused` (surely not merged), or
`group-doubtful` and then `group-looked`, once its sources were read to find out. It ends `finished` or `stopped`; a
plan that never starts is `refused`. A group that was sent and has no later entry is one that a crash left open.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

import attrs
import orjson

from synerise_profiles._core.files import AppendFile, target_of
from synerise_profiles_api.errors import InvalidRequestError

from .errors import AuditError
from .key_type import Key

if TYPE_CHECKING:
    from synerise_profiles._readers.block_reader import FileWatch

__all__ = ["Audit", "AuditLog", "AuditState", "NoAudit"]

FORMAT_VERSION: Final = 1
_ENTRY_PREFIX: Final = b'{"entry":'


@attrs.define
class AuditState:
    """What the audit says of the sources of one plan: `merged` for sure, or `sent` without a known result."""

    merged: set[Key] = attrs.field(factory=set[Key], repr=False)
    sent: set[Key] = attrs.field(factory=set[Key], repr=False)

    def add_entry(self, entry: Mapping[str, Any]) -> None:
        """Take in one entry of the plan."""
        name = entry.get("entry")
        if name == "group-sent":
            self.sent |= set(cast("list[Key]", entry["sources"])) - self.merged
        elif name in ("group-answered", "group-looked"):
            self.merged |= {pair[0] for pair in entry["merged"]}
            # A source that was there afterwards was not merged. Should it be gone one day, this request is not why.
            self.sent -= self.merged | {key for key, state in entry.get("seen", ()) if state == "there"}
        elif name == "group-refused":
            self.sent -= set(cast("list[Key]", entry["sources"]))


class AuditLog(Protocol):
    """The audit as a run sees it: it writes entries, and asks what earlier runs did."""

    def state_of(self, plan: str) -> AuditState:
        """What earlier runs say of a plan."""
        ...

    def write(self, entry: str, plan: str, **values: Any) -> None:
        """Add an entry; it is on the disk when this returns."""
        ...


class NoAudit:
    """No audit: nothing is kept, and nothing is known of earlier runs."""

    def state_of(self, plan: str) -> AuditState:  # noqa: ARG002 - nothing is known of any plan
        """Nothing is known."""
        return AuditState()

    def write(self, entry: str, plan: str, **values: Any) -> None:
        """Nothing is kept."""


class Audit:
    """The audit file of one run: entries are appended and synced one by one.

    The file is made readable for its owner alone (mode 0600), and locked while a run uses it. It may hold any number
    of runs and plans. A line that a crash cut off stays in the file and is not read.
    """

    def __init__(self, path: str | os.PathLike[str], actor: str, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._common = {"run": str(uuid.uuid4()), "actor": actor}
        self._states: dict[str, AuditState] = {}
        try:
            self._file = AppendFile(
                target_of(path, "audit", is_appended=True), "audit", is_locked=True, may_hold=_may_hold
            )
        except InvalidRequestError as error:
            raise AuditError(f"the audit file cannot be opened: {error}") from None
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._file)
            if self._file.is_in_use:
                raise AuditError("the audit file is in use by another run; wait for its end")
            self._read()
            stack.pop_all()

    def state_of(self, plan: str) -> AuditState:
        """What earlier runs, and this one so far, say of a plan."""
        return self._states.setdefault(plan, AuditState())

    def write(self, entry: str, plan: str, **values: Any) -> None:
        """Add an entry; it is on the disk when this returns."""
        now = datetime.datetime.fromtimestamp(self._wall(), datetime.UTC).isoformat(timespec="milliseconds")
        line = {"entry": entry, "format": FORMAT_VERSION, "time": now, **self._common, "plan": plan, **values}
        try:
            self._append(orjson.dumps(line) + b"\n")
            self._file.sync()
        except OSError as error:
            raise AuditError(f"the audit file cannot be written: {error.strerror}") from error
        self.state_of(plan).add_entry(line)

    def close(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:  # also where an interruption cut in
            self.close()

    def _append(self, content: bytes) -> None:
        self._file.write(content)

    def _read(self) -> None:
        """Read the entries; each line says whether the file is an audit, since it is appended to."""
        may_be_none = True
        for number, line in enumerate(self._file.lines(), 1):
            try:
                entry = orjson.loads(line)
                known = entry.get("format", FORMAT_VERSION)
                self.state_of(entry["plan"]).add_entry(entry)
            except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
                is_cut = isinstance(error, orjson.JSONDecodeError) and _is_start_of_entry(line, 1 + may_be_none)
                if not is_cut or (may_be_none and number > 1):
                    # The path is a mistake: another file would be appended to.
                    raise AuditError("the file exists and is no audit; give the name of another one") from None
                continue
            may_be_none = False
            if known != FORMAT_VERSION:
                raise AuditError(f"the audit has format {known}, and this release writes {FORMAT_VERSION}")


def _may_hold(lines: Sequence[bytes]) -> bool:
    """Whether lines are entries, or the beginning of one that a crash cut off."""
    return all(_is_start_of_entry(line, 1) or _is_entry(line) for line in lines)


def _is_entry(line: bytes) -> bool:
    try:
        entry = orjson.loads(line)
        return isinstance(entry["plan"], str) and entry.get("format", FORMAT_VERSION) == FORMAT_VERSION
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return False


def _is_start_of_entry(line: bytes, min_bytes: int) -> bool:
    """Whether a line that is no JSON may be an entry that a crash cut off, with so many bytes of it at least."""
    line = line.rstrip(b"\n")
    return not line or (len(line) >= min_bytes and _ENTRY_PREFIX.startswith(line[: len(_ENTRY_PREFIX)]))


def read_audit(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of an audit file, ids included; lines that a crash cut off are left out.

    Raises OSError where there is no such file, AuditError if somebody cuts or changes it while it is read.
    """
    from synerise_profiles._readers.block_reader import FileWatch  # noqa: PLC0415 - audits are seldom read

    with Path(path).open("rb") as lines:
        watch = FileWatch(lines)
        for line in lines:
            if watch.has_moved:
                _check_unchanged(watch)
            with contextlib.suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)
        _check_unchanged(watch)


def _check_unchanged(watch: FileWatch) -> None:
    if watch.is_changed:
        raise AuditError("the audit file was cut or changed by somebody else while it was read")
