"""What the parser saw of the spec, in terms of our own: models, operations, and the kinds of their values.

`upstream.py` makes these of the parser's objects; nothing else knows those.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_DIGEST_CHARACTERS = 12


class Kind(enum.Enum):
    """What a value is."""

    ANY = "any"
    BOOLEAN = "boolean"
    CONSTANT = "constant"
    DATE = "date"
    DATE_TIME = "date-time"
    ENUM = "enum"
    FLOAT = "float"
    INTEGER = "integer"
    LIST = "list"
    MODEL = "model"
    NULL = "null"
    TEXT = "text"
    UNION = "union"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Property:
    """A field, a parameter, a body or a part of one of these.

    `class_name` is that of a model or an enum, `value` that of a constant, those
    of an enum, or the name of what is unknown; `inner` holds the items of a list, or the
    alternatives of a union.
    """

    name: str
    kind: Kind
    required: bool = False
    class_name: str = ""
    value: str = ""
    inner: tuple[Property, ...] = ()

    @property
    def item(self) -> Property:
        """Of a list, what it holds."""
        return self.inner[0]


@dataclass(frozen=True, slots=True)
class Success:
    """One documented success: the kind of its body is none, text or json."""

    body: str
    content: Property


@dataclass(frozen=True, slots=True)
class ParsedOperation:
    """Arguments, body and successes of an operation."""

    path_parameters: tuple[Property, ...]
    query_parameters: tuple[Property, ...]
    body: Property | None
    successes: tuple[Success, ...]


@dataclass(frozen=True, slots=True)
class ParsedSpec:
    """Models by class, as their fields by the name on the wire, and operations by resource and method."""

    models: dict[str, dict[str, Property]]
    operations: dict[tuple[str, str], ParsedOperation]

    def digests(self) -> Iterator[tuple[str, str]]:
        """(name, digest) of each model and operation: another one where the parser sees it otherwise."""
        for name in sorted(self.models):
            yield f"model {name}", _digest(sorted(self.models[name].items()))
        for resource, method in sorted(self.operations):
            yield f"operation {resource}.{method}", _digest(self.operations[resource, method])


def _digest(seen: object) -> str:
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:_DIGEST_CHARACTERS]
