"""Rows in, chunks out: serialise each row once, check it, group it, and close a chunk before it grows too large."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from hashlib import sha256
from typing import Any, Literal, TypeAlias

import attrs
import orjson

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import UNSET

from .checks import Check, Note, Problem, compile_object, fields_of
from .chunks import TIME_LENGTH, Chunk
from .facts import Schema
from .kinds import Kind
from .rows import OPTIONS, RefusedError, default, encoded_slowly, guarded, has_mark, with_fields

__all__ = ["Checks", "Intake", "IntakeOptions", "Refuse", "check_of", "held", "readable"]

Checks: TypeAlias = Literal["strict", "basic", "off"]
Refuse: TypeAlias = Callable[[int, Any, bytes, str, str], bool]
"""Told of a refused row: index, reference, bytes if there are any, field, reason. Returns whether to read on."""
_REMEMBERED = 1000


@attrs.frozen(kw_only=True)
class IntakeOptions:
    """What the caller chose about reading and checking."""

    checks: Checks = "basic"
    allow_null: Collection[str] = ()
    reference: Callable[[Any], Any] | None = None
    salt: Callable[[Any], str] | None = None
    keep_duplicates: bool = False


class Intake:
    """Reads rows until a chunk is full. Holds one open chunk a group, and nothing else."""

    def __init__(self, kind: Kind, options: IntakeOptions, refuse: Refuse, note: Note) -> None:
        self.kind = kind
        self.read = 0
        self._options = options
        self._refuse = refuse
        self._open: dict[Any, Chunk] = {}
        self._groups: dict[tuple[str, ...], frozenset[str]] = {}
        self._check = check_of(kind, options, note)
        self._allowed = None if options.checks == "off" else options.allow_null
        self._identifiers = frozenset(kind.identifiers)
        self._is_keyed = kind.salt_field is not None
        self._time_room = 0 if kind.time_field is None else TIME_LENGTH + len(kind.time_field) + len(',"":""')
        # Of the row that was prepared last: its group, and how many bytes a time will add to it.
        self._group: frozenset[str] | None = None
        self._extra = 0
        self._last = Chunk(kind)
        self.is_halted = False
        """Whether refusals have ended the run."""

    def take(self, rows: Iterable[Any]) -> Chunk | None:
        """Read rows until a chunk is full; None when they end before, or when refusals end the run."""
        is_plain = not (self._is_keyed or self.kind.uniform or self.kind.single or self._options.reference)
        return self._take_plain(rows) if is_plain else self._take_any(rows)

    def _take_plain(self, rows: Iterable[Any]) -> Chunk | None:
        """The short way, for rows that are only checked and written: each instruction here is paid a million times."""
        chunk = self._open.setdefault(None, Chunk(self.kind))
        append, note, size, index = chunk.items.append, chunk.indexes.append, chunk.size, self.read - 1
        limit, room = self.kind.max_bytes, self.kind.max_items - len(chunk.items)
        write = orjson.dumps if self._check is None else _checked(self._check)
        item: bytes | None
        try:
            for row in rows:
                index += 1
                try:
                    item = write(row, default, OPTIONS)
                    grown = size + len(item) + 1
                except (TypeError, RefusedError):
                    item, grown = None, limit + 1
                if item is not None and grown <= limit:
                    size = grown
                    append(item)
                    note(index)
                    room -= 1
                    if not room:
                        return self._open.pop(None)
                    continue
                chunk.size = size
                full = self._put_slowly(row, item, index)
                chunk = self._open.setdefault(None, Chunk(self.kind))
                append, note, size = chunk.items.append, chunk.indexes.append, chunk.size
                room = self.kind.max_items - len(chunk.items)
                if full is not None or self.is_halted:
                    return full
        finally:
            self.read = index + 1
            chunk.size = size
        return None

    def _take_any(self, rows: Iterable[Any]) -> Chunk | None:
        """The long way, for rows that are grouped, keyed, referred to or sent one by one."""
        kind, reference, index = self.kind, self._options.reference, self.read - 1
        try:
            for row in rows:
                index += 1
                try:
                    item = self._prepared(row, index)
                    request = None if kind.single is None else kind.single(row)
                    full = self._put(item, index)
                except (RefusedError, InvalidRequestError) as error:
                    if self._refused(index, row, error):
                        continue
                    return None
                if reference is not None or request is not None:
                    _add_more(self._last, reference, row, request)
                if full is None and len(self._last) >= kind.max_items:
                    full = self._open.pop(self._group)
                if full is not None:
                    return full
        finally:
            self.read = index + 1
        return None

    def _put(self, item: bytes, index: int) -> Chunk | None:
        """Put a row into its group's chunk; return the chunk before, if it was full."""
        size, limit = len(item) + self._extra + 1, self.kind.max_bytes
        if size >= limit:
            text = f"is {size + 1:,} bytes with its brackets; one request carries {limit:,}"
            raise RefusedError("", text)
        full, chunk = None, self._open.get(self._group)
        if chunk is None or chunk.size + size > limit:
            full, chunk = chunk, Chunk(self.kind)
            self._open[self._group] = chunk
        if self._extra:
            chunk.timeless.append(len(chunk.items))
        chunk.items.append(item)
        chunk.indexes.append(index)
        chunk.size += size
        self._last = chunk
        return full if full is None or len(full) else None

    def _put_slowly(self, row: Any, item: bytes | None, index: int) -> Chunk | None:
        """Put a row that was refused, or does not fit into the open chunk."""
        try:
            full = self._put(self._prepared(row, index) if item is None else item, index)
        except RefusedError as error:
            self._refused(index, row, error)
            return None
        if full is None and len(self._last) >= self.kind.max_items:
            return self._open.pop(None)
        return full

    def rest(self) -> list[Chunk]:
        """Close and return the open chunks, in the order of their first rows."""
        chunks = sorted((chunk for chunk in self._open.values() if len(chunk)), key=lambda chunk: chunk.indexes[0])
        self._open.clear()
        return chunks

    def _prepared(self, row: Any, index: int) -> bytes:
        """Check a row, write it, and find its group and its keys."""
        if self._check is not None and (problem := self._check(row)) is not None:
            raise RefusedError(*problem)
        item = _plain(row, index)
        if self._allowed is not None and has_mark(item):
            item = guarded(row, item, self._allowed)
        if self.kind.uniform:
            self._group = self._group_of(row)
        return self._keyed(row, item, index) if self._is_keyed else item

    def _group_of(self, row: Any) -> frozenset[str]:
        """The kinds of identifier by which a row names its profile, all of them: uniform by any server's rule."""
        client = fields_of(held(row, self.kind.holder))
        names = tuple(client) if client is not None else ()
        group = self._groups.get(names)
        if group is None:
            group = self._identifiers.intersection(names)
            if len(self._groups) < _REMEMBERED:
                self._groups[names] = group
        return group

    def _keyed(self, row: Any, item: bytes, index: int) -> bytes:
        """Set the salt, and make room for a time where there is none."""
        fields = fields_of(row) or {}
        salt_field, time_field = self.kind.salt_field or "", self.kind.time_field or ""
        salt, moment = fields.get(salt_field, UNSET), fields.get(time_field, UNSET)
        if salt is UNSET:
            item = with_fields(item, b'"%b":%b' % (salt_field.encode(), self._salt(row, item, index)))
        elif not salt:
            raise RefusedError(salt_field, "is empty; leave it out, and it is made from the row")
        if moment is not UNSET and not moment:
            raise RefusedError(time_field, "is empty; leave it out, and it is set")
        self._extra = self._time_room if moment is UNSET else 0
        return item

    def _salt(self, row: Any, item: bytes, index: int) -> bytes:
        if self._options.salt is not None:
            return orjson.dumps(str(self._options.salt(row)))
        content = b"%b#%d" % (item, index) if self._options.keep_duplicates else item
        return b'"%b"' % sha256(content).hexdigest()[:32].encode()

    def _refused(self, index: int, row: Any, error: RefusedError | InvalidRequestError) -> bool:
        reason = error.reason if isinstance(error, RefusedError) else error.problem
        reference = None if self._options.reference is None else self._options.reference(row)
        self.is_halted = not self._refuse(index, reference, readable(row), error.field, reason)
        return not self.is_halted


def _add_more(chunk: Chunk, reference: Callable[[Any], Any] | None, row: Any, request: Any) -> None:
    if reference is not None:
        chunk.references = chunk.references or []
        chunk.references.append(reference(row))
    if request is not None:
        chunk.requests = [request]


def _plain(row: Any, _: int) -> bytes:
    try:
        return orjson.dumps(row, default, OPTIONS)
    except TypeError:
        return encoded_slowly(row)


def held(row: Any, holder: str | None) -> Any:
    """Return what holds a row's identifiers: the row itself, or one of its fields."""
    fields = fields_of(row)
    return fields if holder is None or fields is None else fields.get(holder)


def readable(row: Any) -> bytes:
    """Write a refused row as JSON, as it was given: what JSON cannot carry becomes text."""
    try:
        return orjson.dumps(row, _as_text, OPTIONS | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return b"null"


def _as_text(value: Any) -> Any:
    fields = fields_of(value)
    return str(value) if fields is None else dict(fields)


def _checked(check: Check) -> Callable[[Any, Any, int], bytes]:
    """Check a row and write it; a TypeError or RefusedError says that it needs a closer look."""
    dumps, look = orjson.dumps, has_mark

    def write(row: Any, default: Any, options: int) -> bytes:
        if check(row) is not None:
            raise TypeError
        item = dumps(row, default, options)
        if look(item):
            raise TypeError
        return item

    return write


def check_of(kind: Kind, options: IntakeOptions, note: Note) -> Check | None:
    """Make the check of a row, as the options ask for it; None where there is nothing to look at."""
    schema = kind.schema
    if schema is None or options.checks == "off":
        return None
    named = _named_check(kind, schema)
    if options.checks == "basic":
        return named
    inner = compile_object(schema, note)

    def check(row: Any) -> Problem | None:
        return named(row) or inner(row)

    return check


def _named_check(kind: Kind, schema: Schema) -> Check:
    """The check that a row names a profile by identifiers of the right type, and has what is required.

    Their patterns are left to the strict checks: the one of e-mail addresses takes longer than all else together.
    """
    holder, names = kind.holder, kind.identifiers
    required = frozenset(schema.required)
    owner = schema if holder is None else schema.properties[holder]
    types = [(name, int if "integer" in owner.properties[name].types else str) for name in names]
    where = "" if holder is None else f"{holder}."

    def check(row: Any) -> Problem | None:
        fields = row if row.__class__ is dict else fields_of(row)
        if fields is None:
            return "", f"is neither a model nor a mapping: {type(row).__name__}"
        if required and not required <= fields.keys():
            return min(required - fields.keys()), "is required"
        if holder is not None:
            inner = fields[holder]
            fields = inner if inner.__class__ is dict else fields_of(inner)
            if fields is None:
                return holder, f"is neither a model nor a mapping: {type(inner).__name__}"
        is_named = False
        for name, kind_of in types:
            if name in fields and (value := fields[name]):
                if value.__class__ is not kind_of and (type(value) is bool or not isinstance(value, kind_of)):
                    return where + name, f"is not {_WORDS[kind_of]}: {type(value).__name__}"
                is_named = True
        return None if is_named else (holder or "", f"names no profile; give one of {', '.join(names)}")

    return check


_WORDS = {int: "an integer", str: "a text"}
