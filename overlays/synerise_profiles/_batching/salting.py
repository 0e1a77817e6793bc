"""Salts and keys of events: what makes a second sending overwrite the first. What bulk runs, queues and builders share.

The server keeps one event for each salt, time, profile and action (the key of an event). A row that has no salt gets
one: made from its content, or as the caller says. The salt of the content is a digest of what is stored of an event: of
its action, its moment and its fields, whatever the order of their keys. So equal events have one salt wherever it is
made, and are one once they have the same time.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeAlias, cast

import orjson

from synerise_profiles._validation.basic_rules import EMPTY_TEXT, KEY_FIELDS
from synerise_profiles._validation.plain_rows import ORJSON_OPTIONS, orjson_default, raise_interrupt
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.operations import NAMES, load
from synerise_profiles_api.types import UNSET, Operation

from .operations import BatchOperation
from .row_encoder import append_fields
from .row_refusal import RefusedError

__all__ = [
    "MakeSalt",
    "RowSalter",
    "SaltedRow",
    "action_of",
    "content_salt",
    "moment_of",
    "written",
]

MakeSalt: TypeAlias = Callable[[Any, Any], str]
"""Makes the salt of a row that has none, from the row with plain values and from the row as it was given."""
_CUSTOM_TYPE: Final = "custom"
_SORTED: Final = ORJSON_OPTIONS | orjson.OPT_SORT_KEYS
_NOT_CONTENT: Final = KEY_FIELDS | {"label", "type", "action"}
"""Fields that the salt of the content does not hold: the label is not stored, and the others are part of the key."""


class SaltedRow(NamedTuple):
    """A row with its salt: its bytes, whether it has no time, its salt and its moment.

    `key` is the key of the event where the caller gave the salt, else None.
    """

    item: bytes
    is_untimed: bool
    salt: str
    moment: int | str | None
    key: Hashable | None


class RowSalter:
    """Adds salts, and a fixed time, to the rows of one operation. Safe from any thread.

    `make_salt` makes the salt of a row that has none, None makes it from the content; `is_random` says that it makes
    none twice. `default_time` is the time of rows that have none, None leaves them without.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        make_salt: MakeSalt | None = None,
        default_time: str | None = None,
        *,
        is_random: bool = False,
    ) -> None:
        self._salt_field, self._time_field = batch_operation.salt_field or "", batch_operation.time_field or ""
        self._holder_field = batch_operation.holder_field or ""
        self._identifiers = batch_operation.identifiers
        has_action = batch_operation.schema is not None and "action" in batch_operation.schema.properties
        self._action = None if has_action else batch_operation.operation.resource
        self._make_salt = make_salt
        self._salt_name = orjson.dumps(self._salt_field) + b":"
        self._is_random = is_random
        self._default_moment = None if default_time is None else moment_of(default_time)
        self._default_time = None if default_time is None else _field(self._time_field, default_time)

    def add_salt(self, row: Any, item: bytes, content_suffix: str = "", given: Any = None) -> SaltedRow:
        """Add a salt to a row that has none, and the fixed time; raise RefusedError for a salt that is none.

        `row` has plain values; `given` is the row as it was given, if that is another one: a function of the caller
        makes the salt of it.
        `content_suffix` keeps rows of equal content apart.
        """
        fields = row if row.__class__ is dict else fields_of(row) or {}
        time = fields.get(self._time_field, UNSET)
        is_untimed = time is UNSET
        if is_untimed:
            moment = self._default_moment
            if self._default_time is not None:
                item, is_untimed = append_fields(item, self._default_time), False
        elif _is_empty(time):
            raise RefusedError(self._time_field, EMPTY_TEXT)
        else:
            moment = moment_of(time)
        salt, is_given = fields.get(self._salt_field, UNSET), True
        if salt is UNSET:
            if self._make_salt is not None:
                salt, is_given = self._make_salt(row, row if given is None else given), not self._is_random
            else:
                salt, is_given = self._content_salt(fields, item, moment, content_suffix), False
            item = append_fields(item, self._salt_name + orjson.dumps(salt))
        elif _is_empty(salt):
            raise RefusedError(self._salt_field, EMPTY_TEXT)
        key = self._key(fields, salt, moment) if is_given else None
        return SaltedRow(item, is_untimed, salt, moment, key)

    def has_salt(self, row: Any) -> bool:
        """Whether a row gets a salt that is not made of its content, as far as that is seen."""
        return self._make_salt is not None or self._salt_field in (fields_of(row) or {})

    def has_profile(self, row: Any) -> bool:
        """Whether an identifier of a row names its profile."""
        holder = fields_of((fields_of(row) or {}).get(self._holder_field)) or {}
        return any(_value(holder, name) for name in self._identifiers)

    def key_of(self, fields: Mapping[str, Any]) -> Hashable:
        """Return the key of an event that has its salt, by its fields as they are sent."""
        time = fields.get(self._time_field)
        return self._key(fields, fields.get(self._salt_field), None if time is None else moment_of(time))

    def keys_of(self, row: Any, key: Hashable) -> Sequence[Hashable]:
        """Return what an event with this key writes: it under each identifier, since another may have one of them."""
        holder = fields_of((fields_of(row) or {}).get(self._holder_field)) or {}
        if len(holder) < 2:
            return (key,)
        named = [found for name in self._identifiers if (found := _named(holder, name))]
        event = cast("tuple[Hashable, ...]", key)[:-1]
        return [(*event, each) for each in named] or (key,)

    def have_times(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Whether all rows have a time, or get the fixed one."""
        return self._default_time is not None or all(self._time_field in row for row in rows)

    def salts_of(self, rows: Iterable[Mapping[str, Any]]) -> set[str]:
        """Return the salts of events that have theirs, as they stand in their keys."""
        return {_text(row.get(self._salt_field)) for row in rows}

    @staticmethod
    def salt_of_key(key: Any) -> str:
        """Return the salt of the key of an event."""
        return str(key[0])

    def _content_salt(self, fields: Mapping[str, Any], item: bytes, moment: int | str | None, suffix: str) -> str:
        try:
            return content_salt(self._action or action_of(fields), moment, fields, suffix)
        except TypeError:  # what orjson does not write as it is, was written already
            written: dict[str, Any] = orjson.loads(item)
            return content_salt(self._action or action_of(written), moment, written, suffix)

    def _key(self, fields: Mapping[str, Any], salt: object, moment: int | str | None) -> Hashable:
        holder, named = fields_of(fields.get(self._holder_field)) or {}, None
        for name in self._identifiers:
            # One identifier names the profile; with the others beside it, it is still the same event.
            if named := _named(holder, name):
                break
        return _text(salt), moment, self._action or action_of(fields), named


def content_salt(action: str, moment: int | str | None, fields: Mapping[str, Any], suffix: str = "") -> str:
    """Make a salt that is the same for the same event, so that an event that is sent twice is stored once."""
    content = {name: value for name, value in fields.items() if name not in _NOT_CONTENT}
    try:
        data = orjson.dumps([action, moment, content, suffix], orjson_default, _SORTED)
    except TypeError as error:
        raise_interrupt(error)
        # By itself the content may be nested by one level more.
        head, tail = orjson.dumps([action, moment])[:-1], orjson.dumps([suffix])[1:]
        data = b"%b,%b,%b" % (head, orjson.dumps(content, orjson_default, _SORTED), tail)
    return sha256(data).hexdigest()[:32]


def action_of(fields: Mapping[str, Any]) -> str:
    """Return what an item of a batch is stored as: by its type where that names an event, else by its action."""
    kind = _value(fields, "type") or _CUSTOM_TYPE
    if kind is not _CUSTOM_TYPE and (found := _actions_by_type().get(_text(kind))) is not None:
        return found
    return _text(_value(fields, "action") or kind)


def moment_of(time: object) -> int | str | None:
    """Return a time as milliseconds of the epoch, however it is written; a text that is no time as it is."""
    if type(time) is str:
        return _parsed_moment(time)
    if isinstance(time, datetime.datetime):
        return None if time.utcoffset() is None else round(time.timestamp() * 1000)
    return _parsed_moment(_text(time))


def _text(value: object) -> str:
    """Return the text of a value as JSON has it, whatever its class makes of it."""
    return value if type(value) is str else str(written(value))


def written(value: object) -> Any:
    """Return a value as it is written as JSON; what JSON cannot carry as it is."""
    try:
        return to_wire(value)
    except InvalidRequestError:
        return value


def _value(fields: Mapping[str, Any], name: str) -> Any:
    """Return the value of a field as it is written; None where there is none."""
    value = fields.get(name)
    return value if value is None or type(value) is str else written(value)


def _named(holder: Mapping[str, Any], name: str) -> str | None:
    """Return an identifier of a profile, as the server compares it: white space at the ends does not count."""
    value = _value(holder, name)
    text = _text(value).strip() if value else ""
    return f"{name} {text}" if text else None


def _is_empty(value: object) -> bool:
    return not (value if type(value) is str or type(value) is datetime.datetime else written(value))


def _field(name: str, value: str) -> bytes:
    return b"%b:%b" % (orjson.dumps(name), orjson.dumps(value))


@cache
def _actions_by_type() -> Mapping[str, str]:
    names: list[tuple[str, str]] = [(resource, method) for resource, method in NAMES if resource == "events"]
    operations: list[Operation] = [load(resource, method).OPERATION for resource, method in names]
    return {item.event_type: item.action for item in operations if item.event_type and item.action}


@lru_cache(maxsize=4096)
def _parsed_moment(text: str) -> int | str | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else round(moment.timestamp() * 1000)
