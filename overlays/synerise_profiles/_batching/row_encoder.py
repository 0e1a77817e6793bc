"""From a row to its bytes: its rule, its JSON, written once, and its group. What bulk runs and queues share.

A row is written to JSON once, since that is the largest share of the cost of a row; what is added later, a salt or a
time, is added to the bytes. What JSON cannot carry, and nulls, are refused with the name of the field: a null deletes
the stored value, and orjson writes a NaN as null.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from types import MappingProxyType, WrapperDescriptorType
from typing import Any, Final, Literal, TypeAlias

import attrs
import orjson

from synerise_profiles._validation.basic_rules import basic_rule
from synerise_profiles._validation.plain_rows import (
    EXACT_OPTIONS,
    exact_default,
    plain_copy,
    raise_interrupt,
    raise_unless_of_enums,
)
from synerise_profiles._validation.rules import Note, Rule, fields_of, fields_of_rows
from synerise_profiles._validation.strict_rules import identifier_rules, object_rule
from synerise_profiles._validation.totals_rule import TotalsRule
from synerise_profiles_api.bounded import READ_ONCE
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import (
    MAX_DEPTH,
    TOO_DEEP,
    unwritten_problem,
)

from .operations import BatchOperation
from .row_refusal import RefusedError, as_wire, dump, reject_nulls

__all__ = [
    "BlockScan",
    "BlockScanner",
    "Checks",
    "IdentifierGroup",
    "RowEncoder",
    "append_fields",
    "contains_null",
    "has_enums_of_their_own",
    "row_rule",
    "timestamp_reserve",
]

Checks: TypeAlias = Literal["strict", "basic", "off"]
IdentifierGroup: TypeAlias = frozenset[str] | None
"""The identifiers by which a row names its profile, where all rows of a request must use the same; else None."""
_VALUE_OF_ENUMS: Final = vars(enum.Enum)["value"]
_SUBCLASSES: Final = type.__subclasses__
_FEW_LISTS: Final = 32
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_MAX_CACHED_GROUPS: Final = 1000
_TIMESTAMP_BYTES: Final = len("2026-01-01T00:00:00.000Z")
"""The length of every time that is set here, so that its bytes can be counted before it is known."""


class _KnownEnums:
    """The classes of enums that there were when they were last looked through.

    A class with members has no subclasses, so that a look at those of the others tells whether there are new ones.
    """

    def __init__(self) -> None:
        kinds: list[type[enum.Enum]] = [enum.Enum]
        for kind in kinds:
            kinds += _SUBCLASSES(kind)
        self.open_classes: Sequence[type[enum.Enum]] = [kind for kind in kinds if not vars(kind).get("_member_map_")]
        self.subclasses = list(map(_SUBCLASSES, self.open_classes))
        self.has_own = not all(map(_is_asked_safely, kinds))


class RowEncoder:
    """Writes the rows of one operation. Safe from any thread.

    `allow_null` names the fields that may be null, None allows all.
    """

    def __init__(self, batch_operation: BatchOperation, allow_null: Collection[str] | None) -> None:
        self.batch_operation = batch_operation
        self._allow_null = allow_null
        self.copies_first = has_enums_of_their_own()
        """Whether each row is copied before it is written."""
        self._identifiers = frozenset(batch_operation.identifiers)
        self._groups: dict[tuple[str, ...], frozenset[str]] = {}
        # Rows that can be read only once, and were, by their ids.
        self._read: dict[int, tuple[Any, RefusedError]] = {}

    def look_for_enums(self) -> None:
        """Take note of new classes of enums, for the rows that are written next: one may have a `value` of its own."""
        self.copies_first = has_enums_of_their_own()

    def encode(self, row: Any) -> tuple[bytes, Any]:
        """Write a row; return its bytes, and the row as plain values. Raises RefusedError.

        All that is asked of a row later is asked of these: `reject_nulls` alone takes the row as it was given.
        """
        if not self.copies_first:
            try:
                item = orjson.dumps(row, exact_default, EXACT_OPTIONS)
            except TypeError as error:
                raise_interrupt(error)
            else:
                return self._checked(item, row), row
        try:
            if id(row) in self._read:
                raise self._read[id(row)][1]
            fields = plain_copy(row)
            return self._checked(orjson.dumps(fields, exact_default, EXACT_OPTIONS), fields), fields
        except (TypeError, RecursionError, InvalidRequestError) as error:
            raise_interrupt(error)
            if isinstance(error, InvalidRequestError) and error.problem == READ_ONCE:
                raise RefusedError(error.field, error.problem) from None
        item = dump(as_wire(row))  # says of which field
        return item, orjson.loads(item)

    @staticmethod
    def _checked(item: bytes, row: Any) -> bytes:
        """Return a row as it is written; refuse one that is nested too deeply."""
        if is_too_deep(item):
            path, problem = unwritten_problem(fields_of(row) or row, TypeError())
            if problem == TOO_DEEP:
                raise RefusedError(path.removeprefix("."), problem)
        return item

    def reject_nulls(self, row: Any, item: bytes) -> bytes:
        """Refuse nulls that are not allowed by name, and NaN; return the bytes of a row."""
        if self._allow_null is None or not contains_null(item):
            return item
        return reject_nulls(row, self._allow_null)

    def may_hold_null(self, data: bytes) -> bool:
        """Whether JSON may hold a null that is not allowed."""
        return self._allow_null is not None and contains_null(data)

    def plain_block(self, rows: Sequence[Any]) -> Sequence[Any] | None:
        """Return rows as plain values; None if one of them cannot be written."""
        found: list[Any] = []
        self._read.clear()
        for row in rows:
            try:
                found.append(plain_copy(row))
            except RecursionError:
                pass
            except InvalidRequestError as error:
                if error.problem == READ_ONCE:
                    self._read[id(row)] = row, RefusedError(error.field, error.problem)
        return found if len(found) == len(rows) else None

    def identifier_group_of_block(self, rows: Sequence[dict[str, Any]]) -> IdentifierGroup:
        """Return by which identifiers all rows name their profiles; None if that differs, or does not matter."""
        field = self.batch_operation.holder_field
        holders: Sequence[Any] = rows if field is None else [row.get(field) for row in rows]
        if not self.batch_operation.uniform_identifier or set(map(type, holders)) != {dict}:
            return None
        names = frozenset[str]().union(*holders)
        return self._identifiers & names if sum(map(len, holders)) == len(names) * len(rows) else None

    def identifier_group_of(self, row: Any) -> IdentifierGroup:
        """Return by which identifiers a row names its profile, None where that does not matter.

        The group is all of them: whichever of several identifiers the server goes by, it is the same for all rows.
        """
        if not self.batch_operation.uniform_identifier:
            return None
        holder = fields_of(_identifier_holder(row, self.batch_operation.holder_field))
        names = tuple(holder) if holder is not None else ()
        group = self._groups.get(names)
        if group is None:
            group = self._identifiers.intersection(names)
            if len(self._groups) < _MAX_CACHED_GROUPS:
                self._groups[names] = group
        return group


@attrs.frozen(eq=False)
class BlockScan:
    """What the check of a block found: its rows as plain values, places of suspects, whether the others hold no null.

    `written` are the rows as JSON, one list or each by itself; None where they cannot be written together.
    """

    rows: Sequence[Any]
    suspects: Collection[int]
    is_safe: bool
    written: bytes | Sequence[bytes] | None = None


class BlockScanner:
    """Writes and checks blocks of rows, `as_one_list` or each row by itself."""

    def __init__(self, rule: Rule | None, encoder: RowEncoder, *, as_one_list: bool) -> None:
        self._rule = rule
        self._encoder = encoder
        self._as_one_list = as_one_list

    def scan(self, block: Sequence[Any]) -> BlockScan | None:
        """Write rows and check them; None if each of them has to be looked at, as one cannot be written."""
        found = self._read(block)
        if found is None:
            return None
        rows, written = found
        suspects, is_safe = set[int](), False
        try:
            if self._rule is not None:
                is_safe = self._rule.check_block(rows, range(len(rows)), suspects)
        except Exception as error:  # noqa: BLE001 - a method of an enum may raise anything
            raise_unless_of_enums(error, rows)
            return None
        data = written if isinstance(written, bytes) else b"".join(written)
        if is_too_deep(data):
            return None
        holds_null = not is_safe and self._encoder.may_hold_null(data)
        return BlockScan(rows, suspects, is_safe, None if holds_null else written)

    def _read(self, block: Sequence[Any]) -> tuple[Sequence[Any], bytes | Sequence[bytes]] | None:
        """Return rows as plain values, and written; None if one cannot be written."""
        self._encoder.look_for_enums()
        is_plain = all(kind is dict or issubclass(kind, Model) for kind in set[type[Any]](map(type, block)))
        if is_plain and not self._encoder.copies_first:
            rows = fields_of_rows(block)
            written = self._write(rows)
            if written is not None:
                return rows, written
        plain_rows = self._encoder.plain_block(block)
        if plain_rows is None:
            return None
        rows = fields_of_rows(plain_rows)
        written = self._write(rows)
        return None if written is None else (rows, written)

    def _write(self, rows: Sequence[Any]) -> bytes | Sequence[bytes] | None:
        """Write rows of Python's own types; None where one has other ones."""
        try:
            if self._as_one_list:
                return orjson.dumps(rows, exact_default, EXACT_OPTIONS)
            return [orjson.dumps(row, exact_default, EXACT_OPTIONS) for row in rows]
        except TypeError as error:
            raise_interrupt(error)
            return None


def has_enums_of_their_own() -> bool:
    """Whether a class of enums has a `value` of its own, also one that was made a moment ago.

    orjson asks for it without a look at what is raised, which ends the process. So where there is one, nothing is
    written before it was copied.
    """
    known = _known_enums[0]
    if list(map(_SUBCLASSES, known.open_classes)) != known.subclasses:
        known = _known_enums[0] = _KnownEnums()
    return known.has_own


def is_too_deep(data: bytes) -> bool:
    """Whether JSON may be nested more deeply than is sent; orjson counts no tuples.

    Texts may hold brackets too, and a look at nearly all data finds too few lists for that.
    """
    if data.find(b"[", 1) < 0 or len(data.split(b"[", _FEW_LISTS)) <= _FEW_LISTS:
        return False
    left = data.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH // 2 - 1):  # each takes two levels at most
        size, left = len(left), left.replace(b"[]", b"").replace(b"{}", b"")
        if len(left) in (0, size):
            return len(left) > MAX_DEPTH
    return bool(left)


def contains_null(item: bytes) -> bool:
    """Whether JSON may hold a null; a NaN is written as null too, so one search finds both.

    From the end, since not all builds of Python search from the start as fast: some take four times as long.
    """
    return item.rfind(b"null") >= 0


def timestamp_reserve(batch_operation: BatchOperation) -> int:
    """How many bytes a time will add to a row that has none."""
    return (
        0 if batch_operation.time_field is None else _TIMESTAMP_BYTES + len(batch_operation.time_field) + len(',"":""')
    )


def append_fields(item: bytes, fields: bytes) -> bytes:
    """Add fields to an object that is JSON already, without writing it again."""
    return item[:-1] + (b"," if len(item) > 2 else b"") + fields + b"}"


def _identifier_holder(row: Any, holder_field: str | None) -> Any:
    """Return what holds a row's identifiers: the row itself, or one of its fields."""
    fields = fields_of(row)
    return fields if holder_field is None or fields is None else fields.get(holder_field)


def row_rule(
    batch_operation: BatchOperation, checks: Checks, note: Note, allow_unknown: Collection[str] = ()
) -> Rule | None:
    """Make the rule that rows of an operation are checked by; None where it only matters that JSON can carry them.

    Basic checks ask for required fields, for identifiers of the right type of which one names a profile, and for names
    that are no slips. The patterns of identifiers are left to the strict checks: that of e-mail addresses takes longer
    than all else together. Totals that do not add up are noted by the basic checks, and refused by the strict ones.
    """
    schema, holder = batch_operation.schema, batch_operation.holder_field
    if schema is None or checks == "off":
        return None
    rule: Rule
    if checks == "basic":
        rule = basic_rule(schema, note, allow_unknown)
    elif holder is None:
        named = identifier_rules(schema, note, "", batch_operation.identifiers)
        rule = object_rule(schema, note, "", batch_operation.identifiers, named, allow_unknown)
    else:
        held, path = schema.properties[holder], f"{holder}."
        named = identifier_rules(held, note, path, batch_operation.identifiers)
        inner = object_rule(held, note, path, batch_operation.identifiers, named, allow_unknown)
        fields = MappingProxyType({holder: inner})
        rule = object_rule(schema, note, "", field_rules=fields, allow_unknown=allow_unknown)
    has_totals = "products" in schema.properties and "revenue" in schema.properties
    return TotalsRule(rule, note, is_strict=checks == "strict") if has_totals else rule


def _is_asked_safely(kind: type[enum.Enum]) -> bool:
    """Whether a class has the `value` of all enums, and no way of its own to what is asked of its members."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        for name in ("value", "_value_", "__getattribute__"):
            if name in vars(base):
                found.setdefault(name, vars(base)[name])
    is_own = found["value"] is _VALUE_OF_ENUMS and "_value_" not in found
    return is_own and type(found["__getattribute__"]) is WrapperDescriptorType


_known_enums: Final = [_KnownEnums()]
"""The newest look at them, which a later one replaces."""
