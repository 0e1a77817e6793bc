"""View models of the models and enums: fields, their types, and the expressions that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.errors import GeneratorFailure
from generator.parsed import Kind, ParsedSpec, Property
from generator.spec import composition
from generator.spec.bundle import Bundle, ref_pointer
from generator.spec.walk import mappings, reachable, references
from generator.upstream import class_name, module_name, python_name
from generator.views.annotations import Direction, annotation, class_names, inner_properties
from generator.views.docstrings import escape, paragraphs


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field: `read` is the expression that takes it from a mapping called `rest`."""

    wire: str
    name: str
    annotation: str
    required: bool
    doc: list[str]
    read: str


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model class and its module; `is_mapping` says that it is a mapping in full, since its keys are free."""

    name: str
    module: str
    direction: Direction
    doc: list[str]
    fields: list[FieldView]
    imports: list[tuple[str, str]]
    typing_imports: list[tuple[str, str]]
    is_mapping: bool

    @property
    def is_request(self) -> bool:
        return self.direction is Direction.REQUEST

    @property
    def required_keys(self) -> list[str]:
        return [field.wire for field in self.fields if field.required]


@dataclass(frozen=True, slots=True)
class EnumView:
    """One alias of literals; an open one takes any other text as well."""

    name: str
    module: str
    doc: list[str]
    values: list[str]
    is_open: bool


def model_views(bundle: Bundle, parsed: ParsedSpec) -> list[ModelView]:
    """The models in the order of the spec."""
    requests = _requested(bundle)
    parts_only = _parts_only(bundle)
    views: list[ModelView] = []
    for schema in bundle.document.get("components", {}).get("schemas", {}):
        model = parsed.models.get(class_name(schema))
        if model is not None and schema not in parts_only:
            direction = Direction.REQUEST if schema in requests else Direction.RESPONSE
            try:
                views.append(_model_view(bundle, schema, model, direction))
            except TypeError as error:
                finding = bundle.finding(("components", "schemas", schema), "render", str(error))
                raise GeneratorFailure([finding]) from error
    return views


def enum_views(bundle: Bundle) -> list[EnumView]:
    """Named enums, closed and open, in the order of the spec; a header is sent unasked, so its enum is no type."""
    views: list[EnumView] = []
    parameters = [parameter for _, parameter in mappings(bundle.document) if parameter.get("in") == "header"]
    constants = [bundle.resolve(parameter["schema"]) for parameter in parameters]
    for schema, body in bundle.document.get("components", {}).get("schemas", {}).items():
        if any(body is constant for constant in constants):
            continue
        known = body.get("x-known-values")
        values = known if known is not None else body.get("enum")
        if values:
            doc = [escape(line) for line in paragraphs(body.get("description", schema))]
            views.append(EnumView(class_name(schema), module_name(schema), doc, list(values), known is not None))
    return views


def _model_view(bundle: Bundle, schema: str, by_wire: dict[str, Property], direction: Direction) -> ModelView:
    body = bundle.document["components"]["schemas"][schema]
    described = composition.properties(bundle, body)
    name = class_name(schema)
    fields = [_field_view(bundle, wire, by_wire[wire], described[wire], direction) for wire in described]
    at_run_time = sorted({name for prop in by_wire.values() for name in _nested(prop)})
    mentioned = {name for prop in by_wire.values() for name in class_names(prop)}
    lines = [escape(line) for line in paragraphs(body.get("description", schema))]
    return ModelView(
        name=name,
        module=module_name(schema),
        direction=direction,
        doc=lines,
        fields=fields,
        imports=[(module_name(nested), nested) for nested in at_run_time],
        typing_imports=[(module_name(other), other) for other in sorted(mentioned - set(at_run_time))],
        # A field of this name would hide a method of a mapping.
        is_mapping=composition.is_free_form(bundle, body) and not any(hasattr(dict, field.name) for field in fields),
    )


def _field_view(bundle: Bundle, wire: str, prop: Property, schema: Any, direction: Direction) -> FieldView:
    kind = annotation(prop, direction)
    required = prop.required and direction is Direction.REQUEST
    if direction is Direction.RESPONSE:
        kind = kind if kind == "Any" or kind.endswith("None") else f"{kind} | None"
        read = _read_response(wire, prop)
    else:
        kind = kind if required else f"{kind} | Unset"
        read = _read_request(wire, prop, required=required)
    description = schema.get("description") or bundle.resolve(schema).get("description") or ""
    doc = [escape(line) for line in paragraphs(f"{python_name(wire)}: {description}", "    ", "    ")]
    return FieldView(wire=wire, name=python_name(wire), annotation=kind, required=required, doc=doc, read=read)


def _read_request(wire: str, prop: Property, *, required: bool) -> str:
    value = f"rest.pop({wire!r})" if required else f"rest.pop({wire!r}, UNSET)"
    for inner in inner_properties(prop):
        if inner.kind is Kind.MODEL:
            return f"pop_model({value}, {inner.class_name}.from_dict)"
        if inner.kind is Kind.LIST and inner.item.kind is Kind.MODEL:
            return f"pop_models({value}, {inner.item.class_name}.from_dict)"
    return value


# By kind: the types that its JSON may have, none where it is read from a text, and the function that reads it.
_SCALARS = {
    Kind.TEXT: ("str", "take_str"),
    Kind.ENUM: ("str", "take_str"),
    Kind.BOOLEAN: ("bool", "take_bool"),
    Kind.INTEGER: ("int", "take_int"),
    Kind.FLOAT: ("float, int", "take_float"),
    Kind.DATE_TIME: ("", "take_datetime"),
    Kind.DATE: ("", "take_date"),
}


def _read_response(wire: str, prop: Property) -> str:
    parts = inner_properties(prop)
    if not parts or any(part.kind is Kind.ANY for part in parts):
        return f"take_any(rest, {wire!r})"
    first = parts[0]
    if len(parts) > 1:
        return f"take_one_of(rest, {wire!r}, ({_kinds(parts)}))"
    if first.kind is Kind.MODEL:
        return f"take_model(rest, {wire!r}, {first.class_name}.from_dict)"
    if first.kind is Kind.LIST:
        items = inner_properties(first.item)
        if items[0].kind is Kind.MODEL:
            return f"take_models(rest, {wire!r}, {items[0].class_name}.from_dict)"
        if any(item.kind is Kind.ANY for item in items):
            return f"take_list(rest, {wire!r})"
        return f"take_list(rest, {wire!r}, ({_kinds(items)},))"
    return f"{_scalar(first)[1]}(rest, {wire!r})"


def _kinds(parts: list[Property]) -> str:
    """The types that the JSON values of a union, or of a list's items, may have."""
    names = [_scalar(part)[0] for part in parts]
    if "" in names:
        raise TypeError(f"{parts[0].name!r} of a response: a moment or a day within a list or a union is not read")
    return ", ".join(names)


def _scalar(prop: Property) -> tuple[str, str]:
    if prop.kind not in _SCALARS:
        raise TypeError(f"no reader for {prop.value or prop.kind.value} {prop.name!r} in a response")
    return _SCALARS[prop.kind]


def _nested(prop: Property) -> list[str]:
    """The models that reading this field needs at run time."""
    names: list[str] = []
    for inner in inner_properties(prop):
        if inner.kind is Kind.MODEL:
            names.append(inner.class_name)
        elif inner.kind is Kind.LIST and inner.item.kind is Kind.MODEL:
            names.append(inner.item.class_name)
    return names


def _requested(bundle: Bundle) -> set[str]:
    """Names of the schemas that request bodies lead to."""
    bodies = [operation.get("requestBody") for _, _, operation in bundle.operations()]
    return {pointer[-1] for pointer in reachable(bundle, bodies) if pointer[1] == "schemas"}


def _parts_only(bundle: Bundle) -> set[str]:
    """Names of the schemas that others are only composed of: nothing is ever one of them."""
    parts: set[str] = set()
    whole: set[str] = set()
    for at, ref in references(bundle.document):
        (parts if "allOf" in at[-3:] else whole).add(ref_pointer(ref)[-1])
    return parts - whole
