"""The state of delta sync: a SQLite file that says, for each key, as which content the server confirmed its row.

How the state works. An entry is found by a keyed digest of the row's key (63 bits). It holds a slot, at which the keyed
digest of the row's canonical bytes stands (96 bits) and by which the row is marked as seen, and a bitmap of the fields
that were sent. Before a changed row is sent, its digest is written as zeros, in doubt (write-ahead), so that it is sent
again whatever the next table says, until the server confirms one. So a crash at any moment costs rows that are sent
twice, and never one that is believed and not there; nor does a row that goes back to what it was pass for unchanged
after an attempt of which no answer is known. A digest that was damaged, or two keys of one number, are no danger
either: the row differs from its entry then, and is sent. An entry or a kept key that was damaged could let a profile
pass for gone: these are checked where they are read, and refused.

Why SQLite. The rows of a run are confirmed in any order while others are compared, so the file has to take writes at
random places and survive the end of the process between any two of them. A write-ahead log with checksums does that,
is part of Python, and has been proved by others; a file of our own would be faster only in reading, where there is
nothing to prove. So digests stand in it as blocks in the order of their slots, a page each. A run reads them into
memory at the speed of the disk (`ConfirmedDigests`), and finds a table that comes in its old order there without a
look-up. Keys are looked up for rows that differ alone, by blocks, in the order of their numbers, since one by one they
would cost several times as much. The number is the row number of the table, which SQLite stores once and searches
fastest. A run of unchanged rows measured on two cores, in multiples of reading and mapping the same CSV file: an index
of all digests made at each start 3.3 to 3.9, digests in the order of their slots 1.7 to 2.2.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import orjson

from .confirmed_digests import ConfirmedDigests
from .digest_blocks import DigestBlocks
from .entries import (
    DIGEST_BYTES,
    DOUBT,
    SLOT_BYTES,
    read_sent_fields,
    sealed,
    sent_fields,
    stored_mask,
    stored_slot,
    unsealed,
)
from .packing import pack
from .past_fields import PastFields
from .spellings import Spellings
from .state_errors import DeltaStateError, damaged
from .state_file import StateFile
from .waiting_rows import WaitingRows

__all__ = ["DeltaState"]

_ENTRIES: Final = "SELECT id, value FROM entries"
_CLEARED_ENTRIES: Final = "SELECT id, value FROM entries WHERE id IN (SELECT id FROM cleared)"

_REMOVED_TABLE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS removed (id INTEGER PRIMARY KEY, value BLOB NOT NULL, key BLOB NOT NULL)"
)
_NOTE_REMOVED: Final = (
    "INSERT OR REPLACE INTO temp.removed SELECT id, value, key FROM main.entries JOIN main.keys USING (id) WHERE id = ?"
)


class DeltaState:
    """The entries of one file, which no other run may have open meanwhile. Whatever is wrong is a DeltaStateError.

    `header` is what another run must have in common with the one that made the file. `full` begins anew: nothing that
    the file holds is believed, and with the first write of the run it is gone.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: Mapping[str, Any],
        secret: bytes | None,
        *,
        full: bool = False,
        is_plan: bool = False,
    ) -> None:
        self._file = StateFile(path, is_plan=is_plan)
        self._is_in_doubt = False
        """Whether a transaction was begun of which it is not known how it ended, so that the memory may be wrong."""
        try:
            self.digests = self._file.prepare(header, secret, full=full)
            self._hides_entries = self._file.is_to_begin_anew
            self.past = PastFields(self._file)
            self.spellings = Spellings(self._file, self.digests, header["key field"])
            self._load()
        except BaseException:
            self._file.close()
            raise

    def _load(self) -> None:
        self.count = 0
        self.names: list[str] = []
        self._blocks = DigestBlocks(self._file)
        self.has_refused = self.has_cleared = self._has_repeated = False
        if not self._hides_entries or self._file.keeps_fields:
            self.names = [name for (name,) in self._file.execute("SELECT name FROM fields ORDER BY number")]
        if not self._hides_entries:
            self.count = self._file.number("entries")
            self._blocks.load()
            self.has_refused = bool(self._file.execute("SELECT 1 FROM refused LIMIT 1"))
            self.has_cleared = bool(self._file.execute("SELECT 1 FROM cleared LIMIT 1"))
            self._has_repeated = bool(self._file.execute("SELECT 1 FROM repeated LIMIT 1"))
        self._numbers = {name: number for number, name in enumerate(self.names)}

    @property
    def slots(self) -> int:
        """How many digests have a place, those of no entry among them."""
        return self._blocks.slots

    def confirmed(self) -> ConfirmedDigests:
        """Return the digests of the rows that were confirmed, but those of which a field was sent and is empty."""
        found = ConfirmedDigests(self._blocks.copy())
        if self.has_cleared and not self._hides_entries:
            for number, content in self._file.cursor(_CLEARED_ENTRIES):
                found.remove(stored_slot(unsealed(number, content)))
        return found

    def known(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the entries of these numbers: the digest, the slot, and which fields were sent."""
        if self._hides_entries:
            return {}
        return {
            number: self._blocks.entry(unsealed(number, content))
            for number, content in self._file.select(_ENTRIES, ids)
        }

    def cleared(self, ids: Iterable[int]) -> dict[int, int]:
        """Return which fields of these rows were sent once and are empty, by their masks."""
        if not self.has_cleared or self._hides_entries:
            return {}
        found = self._file.select("SELECT id, mask FROM cleared", ids)
        return {number: stored_mask(unsealed(number, content)) for number, content in found}

    def refused(self, ids: Iterable[int]) -> dict[int, tuple[bytes, int]]:
        """Return the digest of what was refused of these rows last, and how often."""
        if not self.has_refused or self._hides_entries:
            return {}
        return {number: (digest, n) for number, digest, n in self._file.select("SELECT * FROM refused", ids)}

    def repeated(self, ids: Iterable[int]) -> set[int]:
        """Return those of these rows whose key came twice in an earlier table, with different rows."""
        if not self._has_repeated:
            return set()
        return {number for (number,) in self._file.select("SELECT id FROM repeated", ids)}

    def note_repeated(self, ids: Iterable[int]) -> None:
        """Remember whose key came twice, for the next run."""
        with self.changing():
            self._file.put("repeated", [(number,) for number in ids])

    def waiting_rows(self) -> WaitingRows:
        """Return a place for rows to wait until the source has come to its end."""
        return WaitingRows(self._file)

    def distrust(self, ids: Iterable[int], sent: int = 0) -> int:
        """Say of these rows that their profiles are in doubt, so that their next rows are sent; return how many are.

        `sent` is the mask of fields that are sent to these profiles beside their rows.
        """
        known = self.known(ids)
        if not sent:
            self.write((), digests=[DOUBT + entry[DIGEST_BYTES:] for entry in known.values()])
        else:
            end, masks = DIGEST_BYTES + SLOT_BYTES, {number: read_sent_fields(known[number])[0] for number in known}
            self.write(
                [
                    (number, DOUBT + known[number][DIGEST_BYTES:end] + sent_fields(masks[number] | sent))
                    for number in known
                ]
            )
        return len(known)

    def field_bit(self, name: str) -> int:
        """Return the bit of a field in the masks."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return 1 << number

    def write(
        self,
        entries: Sequence[tuple[int, bytes]],
        *,
        digests: Sequence[bytes] = (),
        removed: Sequence[int] = (),
        is_past: bool = False,
        keys: Sequence[tuple[int, bytes]] = (),
        cleared: Sequence[tuple[int, int]] = (),
        refused: Sequence[tuple[int, bytes]] = (),
        accepted: Sequence[int] = (),
    ) -> None:
        """Write entries in one transaction: all of it survives the end of the process, or nothing of it is there.

        `digests` are entries of which the digest alone changes. With `is_past` the profiles of `removed` stay on the
        server, and it stays known which of their fields were sent.
        """
        # Set before, since it costs a look-up where it is wrong, and a wrong count where it is missing.
        self.has_refused = self.has_refused or bool(refused)
        with self.changing():
            self._file.put("fields", [*enumerate(self.names)][self._file.number("fields") :])
            self._blocks.write([*(value for _, value in entries), *digests, *self._without_digests(removed)])
            self._file.put("entries", [(number, sealed(number, value[DIGEST_BYTES:])) for number, value in entries])
            self._file.put("keys", keys)
            self.spellings.keep(keys)
            if is_past:
                self.past.keep(removed)
            self.spellings.forget(removed)
            for table in ("entries", "keys", "cleared", "repeated"):
                self._file.remove(table, removed)
            self._write_cleared(cleared)
            tried = {number for number, _ in refused}
            self._file.count("refused", len(tried - {*self.refused(tried)}))
            self._file.many(
                "INSERT INTO refused VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET "
                "attempts = CASE WHEN digest = excluded.digest THEN attempts + 1 ELSE 1 END, digest = excluded.digest",
                refused,
            )
            self.past.forget(accepted)
            if self.has_refused:
                self._file.remove("refused", accepted)

    @contextmanager
    def changing(self) -> Generator[None]:
        """Write what is inside as a whole. Where the state begins anew, all that the file held is gone with it."""
        if self._is_in_doubt:
            self._restore()
        self._is_in_doubt = True
        try:
            with self._file.transaction():
                if self._hides_entries:
                    self._file.begin_anew()
                yield
        except BaseException:
            with suppress(DeltaStateError):  # else before the next one
                self._restore()
            raise
        self._note_begun_anew()
        self._is_in_doubt = False

    def _note_begun_anew(self) -> None:
        if self._hides_entries and self._file.has_begun_anew:
            self.past.note_begun_anew()
            self._hides_entries = False

    def _restore(self) -> None:
        """Let the memory be as the file is, whether the last transaction came to its end or not."""
        self._file.restore()
        self._note_begun_anew()
        if self._hides_entries:
            self._blocks.clear()
        else:
            self._blocks.load()
        self._is_in_doubt = False

    def unseen(self, seen: bytearray) -> Iterator[int]:
        """Yield the numbers of the entries that are not marked."""
        if self._hides_entries:
            return
        for number, content in self._file.cursor(_ENTRIES):
            slot = stored_slot(content)
            if slot >= len(seen) or not seen[slot]:
                unsealed(number, content)
                yield number

    def key_of(self, number: int) -> Any:
        """Return the key of an entry, where keys are kept."""
        found = self._file.execute("SELECT key FROM keys WHERE id = ?", number)
        if not found or found[0][0].__class__ is not bytes or self.digests.number(found[0][0]) != number:
            raise damaged()
        return orjson.loads(found[0][0])

    def note_planned(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Remember what a run would send, so that a key that comes twice is seen; gone when the state is closed."""
        self._file.execute("CREATE TEMP TABLE IF NOT EXISTS planned (id INTEGER PRIMARY KEY, value BLOB NOT NULL)")
        self._file.many("INSERT OR REPLACE INTO temp.planned VALUES (?, ?)", entries)

    def planned(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return what `note_planned` remembered of these numbers."""
        return dict(self._file.select("SELECT id, value FROM temp.planned", ids))

    def note_removed(self, ids: Sequence[int]) -> None:
        """Remember these entries, which are to be removed, for `put_back`; gone when the state is closed."""
        self._file.execute(_REMOVED_TABLE)
        self._file.many(_NOTE_REMOVED, [(number,) for number in ids])

    def put_back(self, ids: Iterable[int]) -> int:
        """Make entries again that were removed, as in doubt; return how many."""
        entries: list[tuple[int, bytes]] = []
        keys: list[tuple[int, bytes]] = []
        for number, content, key in self._file.select("SELECT id, value, key FROM temp.removed", ids):
            mask = stored_mask(unsealed(number, content))
            slot = (self.slots + len(entries)).to_bytes(SLOT_BYTES, "big")
            entries.append((number, DOUBT + slot + sent_fields(mask)))
            keys.append((number, key))
        self.write(entries, keys=keys)
        return len(entries)

    def pack(self) -> None:
        """Write the file anew, without the room between its entries, where there is too much of it."""
        pack(self._file, self._blocks, self.changing)

    @property
    def was_empty(self) -> bool:
        """Whether the file was there and held nothing, so that all rows count as new."""
        return self._file.was_empty

    def change(self) -> str | None:
        """Return what somebody else did to the file meanwhile, so that the next run cannot know of this one."""
        return self._file.change()

    def close(self) -> str | None:
        """Close the file; return what somebody else did to it."""
        return self._file.close()

    def _without_digests(self, ids: Sequence[int]) -> list[bytes]:
        """Return the entries of these numbers with zeros for their digests."""
        found = self._file.select(_ENTRIES, ids)
        return [DOUBT + value[:SLOT_BYTES] for _, value in found]

    def _write_cleared(self, cleared: Sequence[tuple[int, int]]) -> None:
        if self.has_cleared:
            self._file.remove("cleared", [number for number, mask in cleared if not mask])
        slot = bytes(SLOT_BYTES)  # there is none: it is written as an entry is
        found = [(number, sealed(number, slot + sent_fields(mask))) for number, mask in cleared if mask]
        self._file.put("cleared", found)
        self.has_cleared = self.has_cleared or bool(found)
