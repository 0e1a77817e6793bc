"""Python types of properties, as text: strict in what a caller passes, plain in what is read."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from openapi_python_client.parser.properties.any import AnyProperty
from openapi_python_client.parser.properties.boolean import BooleanProperty
from openapi_python_client.parser.properties.const import ConstProperty
from openapi_python_client.parser.properties.date import DateProperty
from openapi_python_client.parser.properties.datetime import DateTimeProperty
from openapi_python_client.parser.properties.float import FloatProperty
from openapi_python_client.parser.properties.int import IntProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.literal_enum_property import LiteralEnumProperty
from openapi_python_client.parser.properties.model_property import ModelProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.protocol import PropertyProtocol
from openapi_python_client.parser.properties.string import StringProperty
from openapi_python_client.parser.properties.union import UnionProperty

from generator.upstream import text


class Direction(enum.Enum):
    """Which way a value goes: into a request, or out of a response."""

    REQUEST = "request"
    RESPONSE = "response"


_REQUEST_TYPES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (DateTimeProperty, ("datetime.datetime", "str")),
    (DateProperty, ("datetime.date", "str")),
    (FloatProperty, ("float", "decimal.Decimal")),
)
_RESPONSE_TYPES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (DateTimeProperty, ("datetime.datetime",)),
    (DateProperty, ("datetime.date",)),
    (FloatProperty, ("float",)),
)
_PLAIN_TYPES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (StringProperty, ("str",)),
    (IntProperty, ("int",)),
    (BooleanProperty, ("bool",)),
    (AnyProperty, ("Any",)),
    (NoneProperty, ("None",)),
)


def annotation(prop: PropertyProtocol, direction: Direction, *, prefix: str = "") -> str:
    """The type of a property; `prefix` is put before `list`, for classes that have a method of that name."""
    return " | ".join(_parts(prop, direction, prefix))


def inner_properties(prop: PropertyProtocol) -> list[PropertyProtocol]:
    """The alternatives of a union without null, or the property itself."""
    if isinstance(prop, UnionProperty):
        return [part for inner in prop.inner_properties for part in inner_properties(inner)]
    return [] if isinstance(prop, NoneProperty) else [prop]


def class_names(prop: PropertyProtocol) -> list[str]:
    """Names of the generated classes and aliases that the property's type mentions."""
    names: list[str] = []
    for inner in inner_properties(prop):
        if isinstance(inner, ModelProperty | LiteralEnumProperty):
            names.append(str(inner.class_info.name))
        elif isinstance(inner, ListProperty):
            names.extend(class_names(inner.inner_property))
    return names


def _parts(prop: PropertyProtocol, direction: Direction, prefix: str) -> list[str]:
    """The members of the type's union, None last, each once."""
    if isinstance(prop, UnionProperty):
        parts = [part for inner in prop.inner_properties for part in _parts(inner, direction, prefix)]
        if "Any" in parts:
            return ["Any"]
        ordered = [part for part in parts if part != "None"]
        return list(dict.fromkeys([*ordered, *(["None"] if "None" in parts else [])]))
    if isinstance(prop, ModelProperty):
        name = str(prop.class_info.name)
        return [name, "Mapping[str, Any]"] if direction is Direction.REQUEST else [name]
    if isinstance(prop, LiteralEnumProperty):
        return [str(prop.class_info.name)]
    if isinstance(prop, ListProperty):
        inner = " | ".join(_parts(prop.inner_property, direction, prefix))
        return [f"Sequence[{inner}]" if direction is Direction.REQUEST else f"{prefix}list[{inner}]"]
    if isinstance(prop, ConstProperty):
        return [f"Literal[{text(prop.value.raw_value)!r}]"]
    directed: Sequence[tuple[type, tuple[str, ...]]]
    directed = _REQUEST_TYPES if direction is Direction.REQUEST else _RESPONSE_TYPES
    for kind, names in (*directed, *_PLAIN_TYPES):
        if isinstance(prop, kind):
            return list(names)
    raise TypeError(f"no Python type for {type(prop).__name__} {text(prop.name)!r}")
