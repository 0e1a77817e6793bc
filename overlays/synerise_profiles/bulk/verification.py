"""Verification: a random sample of profiles that were accepted is read back and compared. A state machine, without I/O.

202 says that profiles were queued, not that they arrived: a write that conflicts with another one is dropped later, and
nothing tells. The sample is a reservoir sample: every row has the same chance, however many there will be, and memory
is bounded by the size of the sample. It is drawn while rows are put into chunks, and read back after the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

import attrs
import orjson

from synerise_profiles._batching.batch import Chunk, SampledRow
from synerise_profiles._batching.machine import DONE, Machine, Signal, Wait
from synerise_profiles._batching.row_encoder import ORJSON_OPTIONS, orjson_default
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.timing import Timing
from synerise_profiles._validation.schema import Schema
from synerise_profiles.identifiers import PROFILE_IDENTIFIERS, first_identifier, mask, same
from synerise_profiles_api.api.profiles import find, get
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_list, is_object
from synerise_profiles_api.models.profile_identifier_type import ProfileIdentifierType
from synerise_profiles_api.types import Request

from .report import Missing, Verification

__all__ = ["Sample", "Verifier", "differing_fields"]

_FIRST_DELAY_SECONDS: Final = 0.25
_MAX_DELAY_SECONDS: Final = 8.0
_OVERSAMPLING_FACTOR: Final = 2
"""How many times the size of the sample is kept, since some rows will be refused or cannot be compared."""
_NOT_FOUND_REASON: Final = "was not found, or cannot be read with this key"
_TRUE_TEXTS: Final = frozenset({"true", "1"})


class Sample:
    """A reservoir sample of rows (algorithm L of Li, 1994).

    It draws how many rows to skip until the next one that is kept, so that a row that is skipped costs next to nothing.
    A row that names the same profile as one of the sample gives that one a duplicate: which of the two the server
    applied last is not known, so it is not compared.
    """

    def __init__(self, size: int, identifiers: Sequence[str], random: Callable[[], float]) -> None:
        self.size = size
        self._capacity = size * _OVERSAMPLING_FACTOR
        self._random = random
        self._reservoir: list[SampledRow] = []
        self._by_identifier: dict[str, dict[Any, SampledRow]] = {name: {} for name in identifiers}
        self._seen = 0
        self._next_pick = 0
        self._weight = 1.0

    def offer(self, chunk: Chunk, rows: Sequence[Mapping[str, Any]]) -> None:
        """Offer the rows that were added to a chunk last, as mappings."""
        columns = self._columns(rows)
        for name, column in columns.items():
            named = self._by_identifier[name]
            if named and not named.keys().isdisjoint(column):
                for value in named.keys() & set(column):
                    named[value].has_duplicate = True
        first = len(chunk) - len(rows)
        for place in self._draw(len(rows)):
            data: dict[str, Any] = orjson.loads(orjson.dumps(rows[place], orjson_default, ORJSON_OPTIONS))
            entry = SampledRow(chunk.indexes[first + place], data)
            chunk.sampled.append((first + place, entry))
            self._keep(entry, columns)

    def accepted(self) -> list[SampledRow]:
        """Return as many rows as were asked for, of those that the server accepted, in the order of the input."""
        found = [entry for entry in self._reservoir if entry.is_accepted]
        order = sorted(found, key=lambda _: self._random())[: self.size]
        return sorted(order, key=lambda entry: entry.index)

    def _columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {}
        for name in self._by_identifier:
            column = [value for row in rows if (value := row.get(name)).__class__ in (str, int) and value]
            if column:
                columns[name] = column
        return columns

    def _keep(self, entry: SampledRow, columns: Mapping[str, list[Any]]) -> None:
        if len(self._reservoir) < self._capacity:
            self._reservoir.append(entry)
        else:
            place = int(self._random() * self._capacity)
            self._forget(self._reservoir[place])
            self._reservoir[place] = entry
        for name, column in columns.items():
            value = entry.data.get(name)
            if value in column:
                entry.has_duplicate = (
                    entry.has_duplicate or column.count(value) > 1 or value in self._by_identifier[name]
                )
                self._by_identifier[name].setdefault(value, entry)

    def _forget(self, entry: SampledRow) -> None:
        for name, named in self._by_identifier.items():
            if named.get(entry.data.get(name)) is entry:
                del named[entry.data[name]]

    def _draw(self, count: int) -> list[int]:
        """Draw which of the next rows are kept; return their places."""
        end = self._seen + count
        found: list[int] = []
        while self._next_pick < end:
            found.append(self._next_pick - self._seen)
            self._next_pick += 1
            if self._next_pick >= self._capacity:
                self._weight *= (1.0 - self._random()) ** (1.0 / self._capacity)
                self._next_pick += int(math.log(1.0 - self._random()) / math.log1p(-min(self._weight, 1.0 - 1e-12)))
        self._seen = end
        return found


@attrs.define(eq=False)
class ProfileLookup:
    """A task: one profile that is read again and again until it is as it was sent, or time is up."""

    sampled_row: SampledRow
    name: str
    value: Any
    due: float = 0.0
    attempts: int = 0
    in_flight: bool = False

    def request(self) -> Request[Any]:
        """Build the request."""
        if self.name == get.OPERATION.path.partition("{")[2].rstrip("}"):
            return get.request(self.value)
        return find.request(_identifier_type(self.name), self.value)


class Verifier(Machine[ProfileLookup]):
    """Compares a sample with what the server holds, within seconds. A `Machine` that reads no rows."""

    def __init__(self, sample: Sample, schema: Schema, *, concurrency: int, within: float, timing: Timing) -> None:
        self._schema = schema
        self._concurrency = concurrency
        self._timing = timing
        self._deadline = timing.monotonic() + within
        self._pending: list[ProfileLookup] = []
        self._in_flight = 0
        self._missing: list[Missing] = []
        self._arrived = self._skipped = self._unread = 0
        self._problem: str | None = None
        self.failure: BaseException | None = None
        for entry in sample.accepted():
            lookup = None if entry.has_duplicate else _lookup_of(entry)
            if lookup is None:
                self._skipped += 1
            else:
                self._pending.append(lookup)

    def result(self) -> Verification:
        """Return what was found."""
        return Verification(
            sample=self._arrived + len(self._missing),
            arrived=self._arrived,
            missing=tuple(sorted(self._missing, key=lambda missing: missing.index)),
            skipped=self._skipped,
            unread=self._unread,
            problem=self._problem,
        )

    @property
    def max_ready_rows(self) -> int:
        """No rows are read."""
        return 0

    def next(self) -> ProfileLookup | Wait | Signal:
        """Say what to do next."""
        if not self._in_flight and (not self._pending or self.failure is not None):
            return DONE
        now = self._timing.monotonic()
        waiting = [lookup for lookup in self._pending if not lookup.in_flight]
        if not waiting or self.failure is not None or self._in_flight >= self._concurrency:
            return Wait(None)
        lookup = min(waiting, key=lambda lookup: lookup.due)
        if lookup.due > now:
            return Wait(lookup.due - now)
        lookup.in_flight = True
        self._in_flight += 1
        lookup.attempts += 1
        return lookup

    def read(self, rows: Iterable[Any]) -> bool:  # noqa: ARG002 - it reads none
        """Read no rows."""
        return False

    def end(self) -> None:
        """Nothing ends that was not read."""

    def fail(self, error: BaseException) -> None:
        """Take note of what ends the verification."""
        self.failure = self.failure or error

    def close(self) -> None:
        """There is nothing to be written down."""

    def on_result(self, task: ProfileLookup, result: SendResult) -> None:
        """Take what came of reading a profile."""
        if not task.in_flight:
            return
        task.in_flight = False
        self._in_flight -= 1
        if task not in self._pending:  # given up meanwhile
            return
        stored = _parse_profile(result) if result.is_success else None
        fields = () if stored is None else tuple(differing_fields(task.sampled_row.data, stored, self._schema))
        if stored is not None and not fields:
            self._pending.remove(task)
            self._arrived += 1
        elif result.is_final and not result.is_success and result.status != 404:
            self._problem = f"profiles cannot be read: {result.description}"
            self._unread += len(self._pending)
            self._pending.clear()
        else:
            self._retry_later(task, fields, known=stored is not None or result.status == 404)

    def _retry_later(self, task: ProfileLookup, fields: tuple[str, ...], *, known: bool) -> None:
        """Read it again later, since a queued write takes its time; after the deadline what was found last counts."""
        now = self._timing.monotonic()
        due = now + min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2**task.attempts)
        if now < self._deadline:
            task.due = min(due, self._deadline)
            return
        self._pending.remove(task)
        if not known:
            self._unread += 1
            return
        entry = task.sampled_row
        self._missing.append(
            Missing(
                index=entry.index,
                identifier=f"{task.name} {mask(task.value)}",
                fields=fields,
                reason="is not as it was sent" if fields else _NOT_FOUND_REASON,
                reference=entry.reference,
            )
        )


def differing_fields(sent: Mapping[str, Any], stored: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    """Name the fields of a profile that are not stored as they were sent.

    What the server may change or not return is left out: uuids, of which a profile has several, and reserved names.
    """
    for name, value in sent.items():
        field_schema, found = schema.properties.get(name), stored.get(name)
        if field_schema is None or name in ("uuid", "clientId"):
            continue
        if is_object(value):
            stored_object = found if is_object(found) else {}
            is_same = _is_same_agreement if name == "agreements" else _is_same
            reserved_names = field_schema.reserved_names
            sent_object = {key: item for key, item in value.items() if key not in reserved_names}
            yield from (
                f"{name}.{key}" for key, item in sent_object.items() if not is_same(item, stored_object.get(key))
            )
        elif is_list(value):
            if not all(item in (found if is_list(found) else ()) for item in value):
                yield name
        elif value != found and not (name in PROFILE_IDENTIFIERS and _is_same_identifier(name, value, found)):
            yield name


def _is_same(sent: Any, stored: Any) -> bool:
    return bool(sent == stored)


def _is_same_agreement(sent: Any, stored: Any) -> bool:
    """Agreements are sent as booleans, texts or numbers, and come back as booleans."""
    return (str(sent).lower() in _TRUE_TEXTS) == (str(stored).lower() in _TRUE_TEXTS)


def _is_same_identifier(name: str, sent: Any, stored: Any) -> bool:
    if not isinstance(sent, str) or not isinstance(stored, str):
        return False
    return same(name, sent, stored) or (name == "email" and sent.strip().lower() == stored.lower())


def _parse_profile(result: SendResult) -> Mapping[str, Any] | None:
    try:
        found: Any = orjson.loads(result.content)
    except orjson.JSONDecodeError:
        return None
    return found if is_object(found) else None


def _identifier_type(name: str) -> ProfileIdentifierType:
    """Find the publisher's name for looking a profile up by a field: customId is by-custom-id."""
    type_name = "by-" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    known_types: Sequence[ProfileIdentifierType] = get_args(ProfileIdentifierType)
    return next(known for known in known_types if known == type_name)


def _lookup_of(entry: SampledRow) -> ProfileLookup | None:
    """Prepare to read a profile; None if its identifier cannot stand in a path."""
    named = first_identifier(entry.data)
    if named is None:
        return None
    lookup = ProfileLookup(entry, *named)
    try:
        lookup.request()
    except InvalidRequestError:
        return None
    return lookup
