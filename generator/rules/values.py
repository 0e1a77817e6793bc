"""What a schema says about values agrees with itself: sets, limits, formats and required names."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import Finding
from generator.spec.bundle import Bundle
from generator.spec.composition import kinds, properties
from generator.spec.walk import SchemaNode, schemas
from generator.spec.yaml_reader import is_list

# What the models, the checks and the sandbox know.
FORMATS = {"date", "date-time", "email", "password", "phone", "uuid", "uri"}
_LIMITS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_KINDS = {limit: kind for kind, limits in _LIMITS.items() for limit in limits}
_PAIRS = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minimum", "maximum"),
)
_BESIDE_REFERENCE = {"$ref", "description", "title", "deprecated", "default", "examples"}


def are_listed_once(bundle: Bundle) -> Iterator[Finding]:
    """A set of values is not empty, has no value twice and no null among texts."""
    for node in schemas(bundle):
        for key in ("enum", "x-known-values"):
            values = node.schema.get(key)
            if not is_list(values):
                continue
            pointer = (*node.pointer, key)
            if not values:
                yield bundle.finding(pointer, "values", f"{key} of {node.name} is empty")
            for at, value in enumerate(values):
                if value in values[:at]:
                    yield bundle.finding((*pointer, str(at)), "values", f"{value!r} is listed twice")
            if len({type(value).__name__ for value in values}) > 1:
                yield bundle.finding(pointer, "values", f"the values of {node.name} are of different types")


def required_names_are_declared(bundle: Bundle) -> Iterator[Finding]:
    """A required name is a property of the schema; a misspelt one could never be fulfilled."""
    for node in schemas(bundle):
        names = node.schema.get("required")
        if node.role == "parameter" or not is_list(names) or _is_condition(node):
            continue
        declared = properties(bundle, _whole(node).schema)
        for at, name in enumerate(names):
            if name not in declared:
                message = f"required property {name!r} is not among the properties"
                yield bundle.finding((*node.pointer, "required", str(at)), "required", message)


def limits_fit(bundle: Bundle) -> Iterator[Finding]:
    """A limit is of the kind of values that it limits, and the lower one is not above the upper one."""
    for node in schemas(bundle):
        types = {"number" if kind == "integer" else kind for kind in kinds(bundle, node.schema)}
        for limit, kind in _KINDS.items():
            if limit in node.schema and types and kind not in types:
                message = f"{limit} limits no {' or '.join(sorted(types))}"
                yield bundle.finding((*node.pointer, limit), "limit", message)
        for lower, upper in _PAIRS:
            least, most = node.schema.get(lower), node.schema.get(upper)
            if least is not None and most is not None and least > most:
                yield bundle.finding((*node.pointer, lower), "limit", f"{lower} {least} is above {upper} {most}")


def formats_are_known(bundle: Bundle) -> Iterator[Finding]:
    """A misspelt format is ignored by every tool."""
    for node in schemas(bundle):
        name = node.schema.get("format")
        if name is not None and name not in FORMATS:
            message = f"format {name!r} is none of {', '.join(sorted(FORMATS))}"
            yield bundle.finding((*node.pointer, "format"), "format", message)


def arrays_have_items(bundle: Bundle) -> Iterator[Finding]:
    """A list says what it holds."""
    for node in schemas(bundle):
        if node.schema.get("type") == "array" and not {"items", "prefixItems"} & set(node.schema):
            yield bundle.finding(node.pointer, "items", f"{node.name} is a list and does not say of what")


def references_stand_alone(bundle: Bundle) -> Iterator[Finding]:
    """What limits values beside a $ref is not read by every tool; it belongs into allOf."""
    for node in schemas(bundle):
        if "$ref" in node.schema:
            for key in node.schema.keys() - _BESIDE_REFERENCE:
                if not key.startswith("x-"):
                    message = f"{key} beside $ref is not read by every tool: use allOf"
                    yield bundle.finding((*node.pointer, key), "ref", message)


def _is_condition(node: SchemaNode) -> bool:
    """Whether it stands below `not` or an alternative, where names of the schema around it are required."""
    above: SchemaNode | None = node
    while above is not None:
        if above.role in ("not", "anyOf", "oneOf") and "properties" not in above.schema:
            return True
        above = above.parent
    return False


def _whole(node: SchemaNode) -> SchemaNode:
    """The schema that the parts of an allOf make up."""
    while node.role == "allOf" and node.parent is not None:
        node = node.parent
    return node
