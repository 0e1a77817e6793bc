"""The one module that drives openapi-python-client: its parser and its names; what it sees leaves in terms of ours.

It has no public API for that, so nothing else imports it, its version is pinned exactly, and checked before its names
are looked for.
"""

# ruff: noqa: E402  # the version is checked first
from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

from generator.upstream_version import checked_version

VERSION = checked_version()

from openapi_python_client import strings
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError, ParseError
from openapi_python_client.parser.openapi import Endpoint
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
from openapi_python_client.schema.untrusted_string import UntrustedString

from generator.errors import Finding, GeneratorFailure
from generator.parsed import Kind, ParsedOperation, ParsedSpec, Property, Success
from generator.spec.bundle import Bundle

FIELD_PREFIX = "field_"
_KINDS: tuple[tuple[type, Kind], ...] = (
    (AnyProperty, Kind.ANY),
    (BooleanProperty, Kind.BOOLEAN),
    (ConstProperty, Kind.CONSTANT),
    (DateProperty, Kind.DATE),
    (DateTimeProperty, Kind.DATE_TIME),
    (FloatProperty, Kind.FLOAT),
    (IntProperty, Kind.INTEGER),
    (ListProperty, Kind.LIST),
    (LiteralEnumProperty, Kind.ENUM),
    (ModelProperty, Kind.MODEL),
    (NoneProperty, Kind.NULL),
    (StringProperty, Kind.TEXT),
    (UnionProperty, Kind.UNION),
)
_BODIES = {"None": "none", "response.text": "text"}


def python_name(wire: str) -> str:
    """The snake_case name of a field or parameter: `time[from]` is time_from, `sourceCustomIDs` source_custom_ids."""
    plain = re.sub(r"IDs(?![a-z])", "Ids", wire.replace("[", "_").replace("]", ""))
    return str(strings.PythonIdentifier(plain, FIELD_PREFIX))


def class_name(schema: str) -> str:
    return str(strings.ClassName(schema, FIELD_PREFIX))


def module_name(schema: str) -> str:
    return str(strings.PythonIdentifier(class_name(schema), FIELD_PREFIX))


def parse(bundle: Bundle) -> ParsedSpec:
    """Run the parser over the bundle; whatever it would drop or warn of is an error."""
    data = GeneratorData.from_dict(_parser_view(bundle), config=_config())
    if isinstance(data, GeneratorError):
        raise GeneratorFailure([Finding("spec/openapi.yaml", 1, "parser", f"{data.header}: {data.detail}")])
    problems: list[ParseError] = list(data.errors)
    for collection in data.endpoint_collections_by_tag.values():
        problems.extend(collection.parse_errors)
    if problems:
        raise GeneratorFailure([_finding(bundle, problem) for problem in problems])
    endpoints = {
        (str(resource), str(endpoint.name)): endpoint
        for resource, collection in data.endpoint_collections_by_tag.items()
        for endpoint in collection.endpoints
    }
    named = [(node["x-sdk"]["resource"], node["x-sdk"]["method"]) for _, _, node in bundle.operations()]
    return ParsedSpec(
        {str(model.class_info.name): _fields(model) for model in data.models},
        {key: _operation(endpoints[_endpoint_key(*key)]) for key in named},
    )


def _endpoint_key(resource: str, method: str) -> tuple[str, str]:
    """What the parser calls an operation: it appends an underscore to Python's reserved words."""
    return str(strings.PythonIdentifier(resource, "tag")), str(strings.PythonIdentifier(method, FIELD_PREFIX))


def _fields(model: ModelProperty) -> dict[str, Property]:
    found = [_property(prop) for prop in (*(model.required_properties or []), *(model.optional_properties or []))]
    return {prop.name: prop for prop in found}


def _operation(endpoint: Endpoint) -> ParsedOperation:
    successes = [
        Success(_BODIES.get(response.source["attribute"], "json"), _property(response.prop))
        for response in endpoint.responses.patterns
        if response.status_code.range is not None and response.status_code.range[0] // 100 == 2
    ]
    return ParsedOperation(
        path_parameters=tuple(map(_property, endpoint.path_parameters)),
        query_parameters=tuple(map(_property, endpoint.query_parameters)),
        body=_property(endpoint.bodies[0].prop) if endpoint.bodies else None,
        successes=tuple(successes),
    )


def _property(prop: PropertyProtocol) -> Property:
    kind = next((kind for known, kind in _KINDS if isinstance(prop, known)), Kind.UNKNOWN)
    value = type(prop).__name__ if kind is Kind.UNKNOWN else ""
    if isinstance(prop, ConstProperty):
        value = _text(prop.value.raw_value)
    elif isinstance(prop, LiteralEnumProperty):
        value = ", ".join(sorted(map(_text, prop.values)))
    inner: tuple[Property, ...] = ()
    if isinstance(prop, UnionProperty):
        inner = tuple(map(_property, prop.inner_properties))
    elif isinstance(prop, ListProperty):
        inner = (_property(prop.inner_property),)
    return Property(
        name=_text(prop.name),
        kind=kind,
        required=prop.required,
        class_name=str(prop.class_info.name) if isinstance(prop, ModelProperty | LiteralEnumProperty) else "",
        value=value,
        inner=inner,
    )


def _text(value: object) -> str:
    """The plain text of one of the parser's wrappers; nothing gives an empty text."""
    if value is None:
        return ""
    return value.get_untrusted_value() if isinstance(value, UntrustedString) else str(value)


def _config() -> Config:
    file = ConfigFile(literal_enums=True, post_hooks=[], field_prefix=FIELD_PREFIX)
    return Config.from_sources(file, MetaType.NONE, Path("unused"), "utf-8", overwrite=False, output_path=None)


def _parser_view(bundle: Bundle) -> dict[str, Any]:
    """The bundle as the parser shall see it: grouped by resource, named by method, open enums as enums.

    Constant headers are the transport's business and leave; everything else stays as it is.
    """
    view: dict[str, Any] = copy.deepcopy(bundle.document)
    for path, method, operation in bundle.operations():
        sdk = operation["x-sdk"]
        seen = view["paths"][path][method]
        seen["tags"] = [sdk["resource"]]
        seen["operationId"] = sdk["method"]
        kept = [item for item in operation.get("parameters", []) if bundle.resolve(item)["in"] != "header"]
        seen["parameters"] = copy.deepcopy(kept)
    components: dict[str, Any] = view.get("components", {})
    for name, parameter in list(components.get("parameters", {}).items()):
        if parameter["in"] == "header":
            del components["parameters"][name]
    for schema in components.get("schemas", {}).values():
        if "x-known-values" in schema:
            schema["enum"] = list(schema["x-known-values"])
    return view


def _finding(bundle: Bundle, problem: ParseError) -> Finding:
    message = " ".join(f"{problem.header} {problem.detail or ''}".split())
    for path, method, _ in bundle.operations():
        if f"{method.upper()} {path} " in message:
            return bundle.finding(("paths", path, method), "parser", message)
    for name in bundle.document.get("components", {}).get("schemas", {}):
        if f"/schemas/{name}" in message or f"schema {name}:" in message:
            return bundle.finding(("components", "schemas", name), "parser", message)
    return Finding("spec/openapi.yaml", 1, "parser", message)
