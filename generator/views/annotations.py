"""Python types of properties, as text: strict in what a caller passes, plain in what is read."""

from __future__ import annotations

import enum

from generator.parsed import Kind, Property


class Direction(enum.Enum):
    """Which way a value goes: into a request, or out of a response."""

    REQUEST = "request"
    RESPONSE = "response"


_RESPONSE_TYPES = {
    Kind.TEXT: ["str"],
    Kind.INTEGER: ["int"],
    Kind.BOOLEAN: ["bool"],
    Kind.ANY: ["Any"],
    Kind.NULL: ["None"],
    Kind.DATE_TIME: ["datetime.datetime"],
    Kind.DATE: ["datetime.date"],
    Kind.FLOAT: ["float"],
}
_REQUEST_TYPES = {
    **_RESPONSE_TYPES,
    Kind.DATE_TIME: ["datetime.datetime", "str"],
    Kind.DATE: ["datetime.date", "str"],
    Kind.FLOAT: ["float", "decimal.Decimal"],
}


def annotation(prop: Property, direction: Direction, *, prefix: str = "") -> str:
    """The type of a property; `prefix` is put before `list`, for classes that have a method of that name."""
    return " | ".join(_parts(prop, direction, prefix))


def inner_properties(prop: Property) -> list[Property]:
    """The alternatives of a union without null, or the property itself."""
    if prop.kind is Kind.UNION:
        return [part for inner in prop.inner for part in inner_properties(inner)]
    return [] if prop.kind is Kind.NULL else [prop]


def class_names(prop: Property) -> list[str]:
    """Names of the generated classes and aliases that the property's type mentions."""
    names: list[str] = []
    for inner in inner_properties(prop):
        if inner.kind in (Kind.MODEL, Kind.ENUM):
            names.append(inner.class_name)
        elif inner.kind is Kind.LIST:
            names.extend(class_names(inner.item))
    return names


def _parts(prop: Property, direction: Direction, prefix: str) -> list[str]:
    """The members of the type's union, None last, each once."""
    if prop.kind is Kind.UNION:
        parts = [part for inner in prop.inner for part in _parts(inner, direction, prefix)]
        if "Any" in parts:
            return ["Any"]
        ordered = [part for part in parts if part != "None"]
        return list(dict.fromkeys([*ordered, *(["None"] if "None" in parts else [])]))
    if prop.kind is Kind.MODEL:
        return [prop.class_name, "Mapping[str, Any]"] if direction is Direction.REQUEST else [prop.class_name]
    if prop.kind is Kind.ENUM:
        return [prop.class_name]
    if prop.kind is Kind.LIST:
        inner = " | ".join(_parts(prop.item, direction, prefix))
        return [f"Sequence[{inner}]" if direction is Direction.REQUEST else f"{prefix}list[{inner}]"]
    if prop.kind is Kind.CONSTANT:
        return [f"Literal[{prop.value!r}]"]
    types = _REQUEST_TYPES if direction is Direction.REQUEST else _RESPONSE_TYPES
    if prop.kind not in types:
        raise TypeError(f"no Python type for {prop.value or prop.kind.value} {prop.name!r}")
    return types[prop.kind]
