"""Identifiers of profiles: which fields name one, which is taken first, when two are the same, how to mask one.

The fields, their order, types and patterns, and the day of the change of July 2026, come from the spec.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import attrs

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.identifiers import IDENTIFIER_CHANGE, IDENTIFIERS, Identifier
from synerise_profiles_api.invisible import control_problem, invisible_characters, invisible_text, is_blank
from synerise_profiles_api.types import UNSET

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "CLIENT_IDENTIFIERS",
    "IDENTIFIER_CHANGE_DATE",
    "PROFILE_IDENTIFIERS",
    "ChangeCheck",
    "ChangeKind",
    "IdentifierChange",
    "canonical",
    "check_identifier_change",
    "email_uuid",
    "first_identifier",
    "guess_identifier",
    "mask",
    "problem",
    "same",
]

PROFILE_IDENTIFIERS: Final[tuple[str, ...]] = tuple(item.name for item in IDENTIFIERS["ProfileBatchItem"])
"""The fields that name a profile where profiles are written, in the order in which the server takes them."""
CLIENT_IDENTIFIERS: Final[tuple[str, ...]] = tuple(item.name for item in IDENTIFIERS["ClientIdentifier"])
"""The fields that name the profile of an event or a transaction, likewise; a phone number is none of them."""
IDENTIFIER_CHANGE_DATE: Final[str | None] = None if IDENTIFIER_CHANGE is None else IDENTIFIER_CHANGE.effective
"""The day (ISO) of the change: from then on accents count, white space at the ends is trimmed, uuids are unique."""

_UUID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ChangeKind: TypeAlias = Literal["accents", "whitespace", "blank", "duplicate-uuid", "invisible"]

_IDENTIFIERS_BY_NAME: Final[Mapping[str, Identifier]] = {
    item.name: item for items in IDENTIFIERS.values() for item in items
}
_PROFILE_FIELD: Final = "client"
_FIRST_SEEN_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -65536;
CREATE TABLE seen (digest BLOB PRIMARY KEY, number INTEGER, owner BLOB) WITHOUT ROWID;
BEGIN;
"""


def mask(value: object) -> str:
    """Show just enough of an identifier to recognise it beside the original: its first and last character."""
    text = str(value)
    return f"{text[0]}…{text[-1]}" if len(text) >= 6 else "…"


def problem(field: str, value: object) -> str | None:
    """Say what is wrong with an identifier by the type and the patterns of the spec; None if it is well formed.

    `field` is a name of the publisher: clientId, id, uuid, customId, email or phone; any other raises
    InvalidRequestError. The problem never quotes the value.
    """
    found = _identifier(field)
    if found.type == "integer":
        is_right = isinstance(value, int) and not isinstance(value, bool)
        return None if is_right else f"is not an integer: {type(value).__name__}"
    if not isinstance(value, str):
        return f"is not a text: {type(value).__name__}"
    if is_blank(value):
        return f"is blank{invisible_text(value)}"
    if control := control_problem(value):
        return control
    wrong = next((f"is not as documented: {words}" for match, words in _matchers(field) if match(value) is None), None)
    return None if wrong is None else wrong + invisible_text(value)


def first_identifier(
    row: Mapping[str, Any] | Model, names: Sequence[str] = PROFILE_IDENTIFIERS
) -> tuple[str, Any] | None:
    """Return the name and the value of the identifier that the server takes first; None if the row has none.

    What is missing, None, UNSET or an empty text is passed over. A phone number comes last: it counts only alone.
    """
    fields = _fields_of(row)
    for name in names:
        value = fields.get(name)
        if not _is_missing(value):
            return name, value
    return None


def _is_missing(value: object) -> bool:
    return value is None or value is UNSET or (isinstance(value, str) and not value)


def guess_identifier(text: str) -> str | None:
    """Guess what an identifier that a person typed is: `email`, `uuid`, `phone` or `customId`; None for digits alone.

    An address has an @, a phone number begins with a plus, a uuid is written as usual, and all else is a customId.
    Digits alone may be a clientId, a customId or a phone number: ask.
    """
    bare = text.strip()
    if bare.isdecimal():
        return None
    if "@" in bare:
        return "email"
    if bare.startswith("+") and not problem("phone", bare):
        return "phone"
    return "uuid" if _UUID_PATTERN.fullmatch(bare) else "customId"


def email_uuid(email: str, namespace: uuid.UUID) -> str:
    """Return the uuid (version 5) of an e-mail address in a namespace, the same in every program.

    `namespace` is the one that your other integrations use: the publisher's own do not agree on one. The address is
    taken as it is, its case and its spaces count: normalise it as those integrations do, most often by
    `email.strip().lower()`. Raises InvalidRequestError for what is no e-mail address, since the uuid of an empty text
    would join the profiles of strangers.
    """
    wrong = problem("email", email)
    if wrong is not None:
        raise InvalidRequestError(wrong, field="email")
    if not isinstance(namespace, uuid.UUID):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise InvalidRequestError("is no uuid.UUID; wrap the text in uuid.UUID(...)", field="namespace")
    return str(uuid.uuid5(namespace, email))


def canonical(field: str, value: object) -> str:
    """Return an identifier as the server compares it from `IDENTIFIER_CHANGE_DATE`: without white space at its ends.

    Accents count, and so does case. Whether composed and decomposed accents are the same is not documented: they are
    kept apart, since a merge of two profiles cannot be undone. Raises InvalidRequestError for what is neither a text
    nor an integer.
    """
    _identifier(field)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidRequestError(f"is neither a text nor an integer: {type(value).__name__}", field=field)
    return str.strip(value) if isinstance(value, str) else str(int(value))


def same(field: str, a: object, b: object) -> bool:
    """Whether two identifiers name the same profile from `IDENTIFIER_CHANGE_DATE`. Blank ones name none, so never."""
    first = canonical(field, a)
    return first != "" and first == canonical(field, b)


@attrs.frozen(kw_only=True)
class IdentifierChange:
    """An identifier that the change of `IDENTIFIER_CHANGE_DATE` touches.

    `row` is the row's number, from 0 unless the caller numbers otherwise. `kind` is `accents` (it is no longer the
    same as without them), `whitespace` (trimmed, or the profile is removed), `blank` (nothing would remain) or
    `duplicate-uuid` (row `other` has the same uuid and names another profile). `invisible` is an identifier that the
    change leaves as it is, but which has `characters` that nobody sees; a `whitespace` and a `blank` one may have such
    at its ends. `identifier` is masked.
    """

    row: int
    field: str
    kind: ChangeKind
    identifier: str
    other: int | None = None
    characters: tuple[str, ...] = ()

    def effect(self, unit: str = "row") -> str:
        """Say what changes, in words; `unit` is what the numbers count."""
        characters = " and ".join(self.characters)
        at_ends = f"; there it has {characters}" if characters and self.kind in ("whitespace", "blank") else ""
        return _EFFECTS[self.kind].format(unit=unit, other=self.other, characters=characters) + at_ends


_EFFECTS: Final[Mapping[ChangeKind, str]] = {
    "accents": "accents count: it is no longer the same as the spelling without them",
    "whitespace": "the white space at its ends is trimmed, or the profile is removed",
    "blank": "nothing remains without white space: the profile loses it, or is removed",
    "invisible": "it has {characters}, which nobody sees: it is not the same as without it",
    "duplicate-uuid": "uuids become unique: {unit} {other} has it too, and names another profile",
}


class _FirstSeenIndex:
    """An index on disk of the digests that were seen: the number and the owner with which each came first.

    It is a private temporary file of SQLite, so that memory stays flat however many digests there are. The file is
    made for the first digest and goes when the index is closed.
    """

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def first_seen(self, digest: bytes, number: int, owner: bytes) -> tuple[int, bytes]:
        """Return the number and the owner with which a digest came first; these ones, if it is new."""
        database = self._open() if self._database is None else self._database
        added = database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (digest, number, owner))
        if added.rowcount:
            return number, owner
        found = database.execute("SELECT number, owner FROM seen WHERE digest = ?", (digest,)).fetchone()
        return cast("tuple[int, bytes]", found)

    def close(self) -> None:
        """Remove the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        from ._core.files import scratch_database  # noqa: PLC0415 - most programs do without

        self._database = scratch_database()
        self._database.executescript(_FIRST_SEEN_SCHEMA)
        return self._database


class ChangeCheck:
    """A pass over rows that finds what the change of `IDENTIFIER_CHANGE_DATE` touches; close it afterwards.

    For each uuid it keeps a digest in a temporary file: some 64 MB of memory however many rows there are, and about
    50 bytes a uuid on disk.
    """

    def __init__(self) -> None:
        self._uuids = _FirstSeenIndex()

    def __repr__(self) -> str:
        return f"<ChangeCheck for {IDENTIFIER_CHANGE_DATE}>"

    def changes(self, row: Mapping[str, Any] | Model, number: int) -> Iterator[IdentifierChange]:
        """Yield what the change touches in a row. An event or a transaction names its profile in `client`."""
        fields = _fields_of(row)
        profile = fields.get(_PROFILE_FIELD)
        names = PROFILE_IDENTIFIERS
        if isinstance(profile, Mapping | Model):
            fields, names = _fields_of(cast("Mapping[str, Any] | Model", profile)), CLIENT_IDENTIFIERS
        texts = {name: value for name in names if isinstance(value := fields.get(name), str) and value}
        for name, value in texts.items():
            if _IDENTIFIERS_BY_NAME[name].type == "string":
                trimmed = value.strip()
                ends = value.replace(trimmed, "", 1) if trimmed else value
                parts = {"invisible": trimmed, "whitespace": ends, "blank": ends}
                for kind in _change_kinds(value):
                    yield IdentifierChange(
                        row=number,
                        field=name,
                        kind=kind,
                        identifier=mask(trimmed),
                        characters=tuple(invisible_characters(parts.get(kind, ""))),
                    )
        key = texts.get("uuid", "").strip()
        if key:
            owner = _owner_digest(fields, names)
            first, first_owner = self._uuids.first_seen(_digest([key]), number, owner)
            if owner != first_owner:
                yield IdentifierChange(
                    row=number, field="uuid", kind="duplicate-uuid", identifier=mask(key), other=first
                )

    def close(self) -> None:
        """Remove the temporary file."""
        self._uuids.close()


def check_identifier_change(rows: Iterable[Mapping[str, Any] | Model]) -> Iterator[IdentifierChange]:
    """Yield which identifiers of rows the change of `IDENTIFIER_CHANGE_DATE` touches, and how, while the rows are read.

    A row is a profile, or an event or a transaction with its profile in `client`. A shared uuid is yielded with the
    later row, and `other` is the earlier one; rows whose other identifiers agree are the same profile, and are not.
    `ChangeCheck` says how much memory and disk it needs. Raises InvalidRequestError for a row that is neither a
    mapping nor a model.
    """
    with closing(ChangeCheck()) as check:
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping | Model):  # pyright: ignore[reportUnnecessaryIsInstance]  # from a file
                raise InvalidRequestError(
                    f"is neither a model nor a mapping: {type(row).__name__}", field=f"rows[{number}]"
                )
            yield from check.changes(row, number)


def _fields_of(row: Mapping[str, Any] | Model) -> Mapping[str, Any]:
    return row._fields() if isinstance(row, Model) else row  # pyright: ignore[reportPrivateUsage]  # their own protocol


def _identifier(name: str) -> Identifier:
    found = _IDENTIFIERS_BY_NAME.get(name)
    if found is None:
        raise InvalidRequestError(f"is no identifier; one of {', '.join(_IDENTIFIERS_BY_NAME)}", field=name)
    return found


@functools.cache
def _matchers(field: str) -> tuple[tuple[Callable[[str], object], str], ...]:
    return tuple((re.compile(pattern).search, words) for pattern, words in _IDENTIFIERS_BY_NAME[field].rules)


def _change_kinds(value: str) -> Iterator[ChangeKind]:
    trimmed = value.strip()
    if trimmed != value:
        yield "whitespace" if trimmed else "blank"
    if not value.isascii() and any(map(_is_accented, value)):
        yield "accents"
    if invisible_characters(trimmed):
        yield "invisible"


@functools.cache
def _is_accented(char: str) -> bool:
    """Whether it has a mark, or is one: letters with a stroke do not decompose, but their names say it."""
    if char.isascii():
        return False
    marks = any(unicodedata.category(character) == "Mn" for character in unicodedata.normalize("NFD", char))
    return marks or (char.isalpha() and " WITH " in unicodedata.name(char, ""))


def _owner_digest(fields: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """Digest what tells a profile apart from others with the same uuid; a phone number does not."""
    parts: list[str] = []
    for name in names:
        value = fields.get(name)
        if name not in ("uuid", "phone") and not _is_missing(value):
            parts += (name, str(value).strip())
    return _digest(parts) if parts else b""


def _digest(parts: Sequence[str]) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
