"""Operations, a model, enums and JSON values to try the runtime with; none depends on the spec."""

from __future__ import annotations

import enum
from typing import Any

import attrs
from hypothesis import strategies as st

from synerise_profiles_api.encoding import Model
from synerise_profiles_api.types import UNSET, BatchLimits, Operation

READ = Operation(
    resource="things",
    method="get",
    operation_id="getThing",
    http_method="GET",
    path="/v1/things/{thingId}",
    summary="Read a thing",
    consumers=("workspace",),
)
BATCH = attrs.evolve(READ, method="write_batch", batch=BatchLimits(max_items=3, max_bytes=100))
KEYED = attrs.evolve(READ, method="send", retry="keyed", retry_keys=("eventSalt", "time"))

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=5)


@attrs.define(kw_only=True, repr=False)
class Thing(Model):
    """A model as the templates write it."""

    name: Any = UNSET
    note: Any = UNSET
    additional_properties: dict[str, Any] = attrs.field(factory=dict)

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = dict(self.additional_properties)
        if self.name is not UNSET:
            fields["name"] = self.name
        if self.note is not UNSET:
            fields["note"] = self.note
        return fields


@attrs.frozen
class Answer:
    """The least that `parse` reads."""

    content: bytes
    status_code: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)


class TextEnum(str, enum.Enum):  # noqa: UP042  # the older kind, whose str() is its name, is what is tried
    RED = "red"


class NewTextEnum(enum.StrEnum):
    RED = "red"


class Number(int, enum.Enum):
    ONE = 1


class Half(float, enum.Enum):
    HALF = 0.5


class Plain(enum.Enum):
    RED = "red"


class Loud(str):
    __slots__ = ()

    def __str__(self):
        return self.upper()
