"""The comparison: rows in, those to send out, and what the state learns of their fate. Without I/O but the state's.

`Comparison.read` passes over the rows that are among the confirmed digests. `Comparison.changed` takes the others by
blocks, since one look-up of many keys costs far less than many of one. What it returns has been written to the state as
in doubt before; `settle` is told by the bulk run what became of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from synerise_profiles._batching.attribution import Stage
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._validation.plain_rows import exact_default
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.errors import InvalidRequestError

from .entries import DIGEST_BYTES, DOUBT, FIELD_DIGEST_BYTES, SLOT_BYTES, read_sent_fields, sent_fields
from .field_paths import numbers_of, paths_of, with_nulls
from .report import MAX_NAMED, DeltaPlan
from .settings import DeltaSettings
from .state import DeltaState
from .unchanged_rows import CANONICAL_OPTIONS, Sampler, UnchangedRows, canonical_data
from .waiting_rows import Digested, PendingRow

__all__ = ["Comparison"]

_FIELDS_AT: Final = DIGEST_BYTES + SLOT_BYTES
_NO_FIELD: Final = bytes(FIELD_DIGEST_BYTES)


class Comparison:
    """Compares the rows of one source with a state; `counts` says what was found.

    With `is_plan` the state is left as it is. `sample` is offered the rows that are unchanged; `locate`
    gives the reference of a row by its place in the source.
    """

    def __init__(
        self,
        state: DeltaState,
        settings: DeltaSettings,
        counts: DeltaPlan,
        *,
        is_plan: bool,
        sample: Sampler | None = None,
        locate: Callable[[int], Any] = int,
    ) -> None:
        self.counts = counts
        self._state, self.state_was_empty = state, state.was_empty
        self._settings = settings
        self._is_plan = is_plan
        self._digests = state.digests
        self._max_attempts = settings.max_attempts or 0
        self._locate = locate
        self._unchanged = UnchangedRows(state, settings.key, counts, sample, locate)
        self._sent = 0
        self._pending: dict[int, PendingRow] = {}
        self._latest: dict[int, PendingRow] = {}
        self._waiting = state.waiting_rows()
        self._repeated = array("q")
        """The keys of which a row was sent after one that was seen."""
        self.sent_numbers = array("q")
        """The numbers of the keys of the rows that were handed over, in their order, where some are read back."""
        self._known_slots = state.slots
        self.unidentified = 0
        """Rows of which the key could not be read: each may be one that is missed."""
        counts.known = state.count
        self._keeps_keys = settings.keep_keys and state.count > 0
        """Whether keys that are new may be other spellings of known ones."""

    def read(self, rows: Iterable[Any], *, are_fixed: bool) -> list[Digested]:
        """Read rows to their end; return those that have to be compared, as they are not known to be unchanged.

        Unless `are_fixed` says that reading on changes none, copies are returned.
        """
        return self._unchanged.read(rows, are_fixed=are_fixed)

    def changed(self, rows: Iterable[Digested]) -> list[Any]:
        """Compare rows that were read; return those to send, with what could not be read, in their order.

        Rows of a key that came twice in an earlier table wait, and are returned by `rest` if no other replaces them.
        """
        block: list[Digested] = []
        to_send: list[Any] = []
        numbers = set[int | None]()
        for digested in rows:
            number = digested[2]
            self.unidentified += number is None
            if number in numbers and number is not None:
                to_send += self._changed_block(block)
                block, numbers = [], set[int | None]()
            block.append(digested)
            numbers.add(number)
        if block:
            to_send += self._changed_block(block)
        self._unchanged.end_block()
        return to_send

    def rest(self) -> Iterator[list[Any]]:
        """Yield the rows to send that waited, once the source has come to its end."""
        if self._repeated and not self._is_plan:
            self._state.note_repeated(self._repeated)
        for block in self._waiting.blocks():
            yield self._changed_block(block, are_last=True)

    def settle(self, indexes: Sequence[int], refused: Mapping[int, Stage]) -> None:
        """Take the fate of rows, by the order in which they were handed over."""
        entries: list[tuple[int, bytes]] = []
        digests: list[bytes] = []
        cleared: list[tuple[int, int]] = []
        failed: list[tuple[int, bytes]] = []
        accepted: list[int] = []
        removed: list[int] = []
        for position, index in enumerate(indexes):
            pending = self._pending.pop(index)
            stage = refused.get(position)
            if stage == "check":
                self._count_invalid(pending)
            if pending.digest is DOUBT:
                continue
            is_latest = self._latest.get(pending.number) is pending
            if is_latest:
                del self._latest[pending.number]
            if stage is None:
                accepted.append(pending.number)
                if is_latest:  # else another row of the key is on its way, and the profile is in doubt until then
                    entry = pending.entry(pending.digest, self._sent_fields(pending))
                    if entry[_FIELDS_AT:] == pending.fields:
                        digests.append(entry)
                    else:
                        entries.append((pending.number, entry))
                    cleared.append((pending.number, pending.cleared))
            elif stage == "check" and is_latest and pending.before is not None:
                entries.append((pending.number, pending.before))
            elif stage in ("check", "server") and is_latest and pending.before is None:
                removed.append(pending.number)
            if stage in ("server", "ambiguous"):
                failed.append((pending.number, pending.digest))
        if not self._is_plan and (entries or digests or removed or failed):
            self._state.write(
                entries, digests=digests, removed=removed, cleared=cleared, refused=failed, accepted=accepted
            )

    def place_of(self, index: int) -> int:
        """Return the place in the source of a row that was handed over and has no fate yet."""
        return self._pending[index].place

    def gone(self) -> Iterator[int]:
        """Yield the numbers of the entries of which no row was seen, nor one of another spelling of the key."""
        if self._unchanged.seen.count(1, 0, self._known_slots) == self.counts.known:
            return iter(())
        unseen = self._state.unseen(self._unchanged.seen)
        return self._without_respelled(unseen) if self._keeps_keys else unseen

    def _without_respelled(self, unseen: Iterable[int]) -> Iterator[int]:
        for number, is_respelled in self._state.spellings.without_respelled(unseen, self._unchanged.seen):
            self.counts.respelled += is_respelled
            if not is_respelled:
                yield number

    def _changed_block(self, block: Sequence[Digested], *, are_last: bool = False) -> list[Any]:
        """Compare rows of different keys; `are_last` says that they have waited."""
        numbers = [number for _, _, number, _, _ in block if number is not None]
        state = self._state
        known = state.known(numbers) | (state.planned(numbers) if self._is_plan and self._sent else {})
        if self._keeps_keys:
            state.spellings.note_new(
                key for _, _, number, key, _ in block if number is not None and number not in known
            )
        past = state.past.masks(number for number in numbers if number not in known)
        stale = state.cleared(numbers)
        repeating = set[int]() if are_last else state.repeated(numbers)
        refused = {} if self._settings.max_attempts is None else state.refused(numbers)
        changed: list[tuple[PendingRow, bytes, int]] = []
        to_send: list[Any] = []
        for place, row, number, key, digest in block:
            entry = None if number is None else known.get(number)
            if number is None or not digest:
                if entry is not None:  # it is there, whatever is wrong with it
                    self._unchanged.mark_seen(entry, place)
                to_send.append(self._unreadable(row, key if number is None else b"", place))
                continue
            was_seen = not are_last and entry is not None and self._unchanged.mark_seen(entry, place)
            past_mask, is_back = past.get(number, (0, False))
            old_mask, old_fields = (past_mask, b"") if entry is None else read_sent_fields(entry)
            latest = self._latest.get(number)
            last = latest.digest if latest is not None else entry and entry[:DIGEST_BYTES]
            is_unchanged = last == digest and not (stale and self._nulled(stale.get(number, 0)))
            if (
                entry is not None
                and number in repeating
                and self._waits(place, row, number, key, digest, is_unchanged=is_unchanged)
            ):
                self._unchanged.forget(entry)
            elif is_unchanged:
                self.counts.unchanged += 1
                self._unchanged.offer_sample(row, place)
                if entry is not None:
                    self._unchanged.note_moved(entry, is_clean=number not in stale)
                self._note_cleared(stale.get(number, 0), place)
            elif (tried := refused.get(number)) and tried[0] == digest and tried[1] >= self._max_attempts:
                self.counts.held += 1
            else:
                if entry is not None:
                    self._unchanged.forget(entry)
                if was_seen:
                    self._repeated.append(number)
                pending = PendingRow(place, number, is_new=last is None, is_back=is_back, digest=digest, before=entry)
                pending.slot = self._unchanged.new_slot() if entry is None else entry[DIGEST_BYTES:_FIELDS_AT]
                to_send.append(self._with_masks(self._as_read(row, digest), pending, old_mask))
                if old_fields and latest is None:
                    self._note_changed_fields(pending, old_mask, old_fields)
                self._hand_over(pending)
                changed.append((pending, key, old_mask | pending.mask))
        self._write_ahead(changed)
        return to_send

    def _waits(self, place: int, row: Any, number: int, key: bytes, digest: bytes, *, is_unchanged: bool) -> bool:
        """Let a row wait in the place of the one of its key that does, unless it is as it was confirmed."""
        self.counts.unchanged += self._waiting.drop(number)
        if not is_unchanged:
            self._waiting.put(place, number, key, digest, self._content(row, digest))
        return not is_unchanged

    def _write_ahead(self, changed: Sequence[tuple[PendingRow, bytes, int]]) -> None:
        """Write that the profiles of rows are in doubt, before one is sent; a plan remembers what it would send."""
        if not changed:
            return
        if self._is_plan:
            self._state.note_planned(
                [(found.number, found.entry(found.digest, self._sent_fields(found))) for found, _, _ in changed]
            )
            return
        entries: list[tuple[int, bytes]] = []
        digests: list[bytes] = []
        for found, _, mask in changed:
            found.fields = sent_fields(mask)
            if found.before is not None and found.before[_FIELDS_AT:] == found.fields:
                digests.append(found.entry(DOUBT, found.fields))
            else:
                entries.append((found.number, found.entry(DOUBT, found.fields)))
        keys = [(found.number, key) for found, key, _ in changed] if self._settings.keep_keys else ()
        self._state.write(entries, digests=digests, keys=keys)

    def _content(self, row: Any, digest: bytes) -> bytes:
        """Return a row as JSON, unless its source has filled it anew since: then its content is lost."""
        try:
            data = canonical_data(row)
        except TypeError:
            data = b""
        if self._digests.content(data) != digest:
            problem = "is an object that the source fills anew for each row; yield a new mapping each time: dict(row)"
            raise InvalidRequestError(problem, field="source")
        return data

    def _as_read(self, row: Any, digest: bytes) -> Any:
        """Return a row, unless its content is lost."""
        self._content(row, digest)
        return row

    def _sent_fields(self, pending: PendingRow) -> bytes:
        """Write which fields of a row were sent, with their digests where these are kept."""
        found = pending.field_digests
        if not self._settings.fields:
            return sent_fields(pending.mask)
        # A field that is empty and was sent before stays as it was on the server, and has no digest of its own.
        return sent_fields(pending.mask, b"".join(found.get(number, _NO_FIELD) for number in numbers_of(pending.mask)))

    def _hand_over(self, pending: PendingRow) -> None:
        self._pending[self._sent] = pending
        self._sent += 1
        if self._settings.verify_sample:
            self.sent_numbers.append(pending.number)
        if pending.digest is not DOUBT:
            self.counts.new += pending.is_new
            self.counts.back += pending.is_back
            self.counts.changed += not pending.is_new
            self._latest[pending.number] = pending

    def _unreadable(self, row: Any, reason: bytes, place: int) -> Any:
        self._hand_over(PendingRow(place))
        return UnreadableRow(self._settings.key, reason.decode(), row) if reason else row

    def _count_invalid(self, pending: PendingRow) -> None:
        self.counts.invalid += 1
        if pending.digest is not DOUBT:
            self.counts.new -= pending.is_new
            self.counts.back -= pending.is_back
            self.counts.changed -= not pending.is_new

    def _with_masks(self, row: Any, pending: PendingRow, old_mask: int) -> Any:
        """Note which fields are sent, and which were and are empty; return the row, with nulls for those if asked."""
        fields = row if row.__class__ is dict else fields_of(row) or {}
        nulls = 0
        for name, value in paths_of(fields):
            bit = self._state.field_bit(name)
            if value is None:
                nulls |= bit
            else:
                pending.mask |= bit
                if self._settings.fields:
                    content = orjson.dumps(value, exact_default, CANONICAL_OPTIONS)
                    pending.field_digests[bit.bit_length() - 1] = self._digests.field(name, content)
        missing = old_mask & ~pending.mask & ~nulls
        if not missing:
            return row
        nulled = self._nulled(missing)
        self._note_cleared(missing & ~nulled, pending.place)
        pending.cleared = missing & ~nulled
        pending.mask |= pending.cleared
        return with_nulls(fields, self._names(nulled)) if nulled else row

    def _note_changed_fields(self, pending: PendingRow, mask: int, digests: bytes) -> None:
        """Count the fields that are not as they were confirmed."""
        size = FIELD_DIGEST_BYTES
        parts = (digests[at : at + size] for at in range(0, len(digests), size))
        before = {number: part for number, part in zip(numbers_of(mask), parts, strict=False) if part != _NO_FIELD}
        after, counts = pending.field_digests, self.counts.changed_fields
        for number in before.keys() | after.keys():
            if before.get(number) != after.get(number):
                name = self._state.names[number]
                counts[name] = counts.get(name, 0) + 1

    def _nulled(self, mask: int) -> int:
        """Return the fields of a mask that are to be sent as null."""
        if self._settings.cleared != "null":
            return 0
        allowed = sum(self._state.field_bit(name) for name in set(self._settings.allow_null))
        return mask & allowed

    def _note_cleared(self, mask: int, place: int) -> None:
        if not mask:
            return
        counts = self.counts
        for name in self._names(mask):
            counts.cleared[name] = counts.cleared.get(name, 0) + 1
        if len(counts.cleared_references) < MAX_NAMED:
            counts.cleared_references.append(self._locate(place))

    def _names(self, mask: int) -> list[str]:
        return [self._state.names[number] for number in numbers_of(mask)]
