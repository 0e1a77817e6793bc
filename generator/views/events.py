"""View models of the event builders: one for each operation with an x-event-type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.parsed import ParsedSpec, Property
from generator.spec import composition
from generator.spec.bundle import Bundle, body_schema
from generator.upstream import class_name, module_name, python_name
from generator.views.annotations import Direction, annotation, class_names
from generator.views.docstrings import escape, paragraphs, sections
from generator.views.operations import OperationView, camel_case

_FIRST = ("client",)
_SET_BY_BUILDER = frozenset({"time", "eventSalt"})
_ENVELOPE = [
    ("time", "When it happened, with its zone; left out, it is now by the builder's clock."),
    ("salt", 'Makes it replaceable: a text of your own, "content" or "unique"; needs a time.'),
]


@dataclass(frozen=True, slots=True)
class EventFieldView:
    """One argument of a builder; `default` is an expression, `value` what is passed on."""

    wire: str
    name: str
    annotation: str
    default: str | None
    value: str
    doc: str


@dataclass(frozen=True, slots=True)
class EventView:
    """One kind of event: its method, its class and its model."""

    method: str
    class_name: str
    type: str
    sent_by: str
    model: str
    model_module: str
    params: str
    params_module: str
    params_required: bool
    fields: list[EventFieldView]
    doc: list[str]
    class_doc: list[str]
    deprecation: str
    imports: list[tuple[str, str]]


def event_views(bundle: Bundle, parsed: ParsedSpec, operations: list[OperationView]) -> list[EventView]:
    """The events in the order of the spec."""
    views = {(view.http_method.lower(), view.path): view for view in operations}
    return [
        _event_view(bundle, operation, parsed, views[method, path])
        for path, method, operation in bundle.operations()
        if "x-event-type" in operation
    ]


def _event_view(bundle: Bundle, operation: dict[str, Any], parsed: ParsedSpec, view: OperationView) -> EventView:
    _, schema = body_schema(bundle, operation)
    name = class_name(schema["$ref"].rpartition("/")[2])
    properties = parsed.models[name]
    described = composition.properties(bundle, schema)
    fields = [
        _field(wire, properties[wire], described[wire], view.method, has_action="action" in properties)
        for wire in _ordered(described, properties)
    ]
    [params] = class_names(properties["params"])
    mentioned = sorted(
        {item for wire in described if wire not in _SET_BY_BUILDER for item in class_names(properties[wire])}
    )
    label = _label(view.method)
    return EventView(
        method=view.method,
        class_name=camel_case(view.method),
        type=operation["x-event-type"],
        sent_by=f"{view.resource}.{view.method}",
        model=name,
        model_module=module_name(name),
        params=params,
        params_module=module_name(params),
        params_required=properties["params"].required,
        fields=fields,
        doc=_doc(label, operation, fields, view),
        class_doc=[escape(line) for line in paragraphs(f"{label}: a {name} that knows its kind.")],
        deprecation=view.deprecation,
        imports=[(module_name(item), item) for item in mentioned],
    )


def _ordered(described: dict[str, Any], properties: dict[str, Property]) -> list[str]:
    """The client first, then what else is required, then the rest; the label, which has a default, last."""
    names = [wire for wire in described if wire not in _SET_BY_BUILDER and wire not in (*_FIRST, "label")]
    names.sort(key=lambda wire: not properties[wire].required)
    return [*_FIRST, *names, "label"]


def _field(wire: str, prop: Property, schema: dict[str, Any], method: str, *, has_action: bool) -> EventFieldView:
    kind = annotation(prop, Direction.REQUEST)
    name, doc = python_name(wire), schema.get("description", "")
    default, value = (None, name) if prop.required else ("UNSET", name)
    if wire == "label" and has_action:
        # The label of an event with an action of its own says no less than its action.
        default, value = "UNSET", "action if label is UNSET else label"
    elif wire == "label":
        default = repr(_label(method))
    annotated = f"{kind} | Unset" if default == "UNSET" else kind
    return EventFieldView(wire, name, annotated, default, value, doc)


def _label(method: str) -> str:
    return method.replace("_", " ").capitalize()


def _doc(label: str, operation: dict[str, Any], fields: list[EventFieldView], view: OperationView) -> list[str]:
    facts = [("", f"{view.summary_line}, or `type` {operation['x-event-type']} of a batch")]
    if view.deprecation:
        facts.append(("Deprecated", view.deprecation))
    raises = [("InvalidRequestError", "it would be refused, or stored as something else.")]
    arguments = [(field.name, field.doc) for field in fields] + _ENVELOPE
    summary = f'Build the event "{label}": {operation["summary"].lower()}'
    blocks = [("Args", arguments), ("Raises", raises), ("Operation", facts)]
    return sections(summary, operation.get("description", ""), blocks)
