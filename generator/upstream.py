"""The one module that drives openapi-python-client: its parser, its names, the hashes of its templates.

Neither is that project's public API, so nothing else imports it and its version is pinned exactly.
"""

from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path
from typing import Any

import openapi_python_client as upstream
from openapi_python_client import strings
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError, ParseError
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties.model_property import ModelProperty
from openapi_python_client.schema.untrusted_string import UntrustedString

from generator.errors import Finding, GeneratorFailure
from generator.spec.bundle import Bundle

FIELD_PREFIX = "field_"
VERSION: str = upstream.__version__


def text(value: object) -> str:
    """The plain text of one of the parser's wrappers; nothing gives an empty text."""
    if value is None:
        return ""
    if isinstance(value, UntrustedString):
        return value.get_untrusted_value()
    return str(value)


def python_name(wire: str) -> str:
    """The snake_case name of a field or parameter: `time[from]` is time_from, `sourceCustomIDs` source_custom_ids."""
    plain = re.sub(r"IDs(?![a-z])", "Ids", wire.replace("[", "_").replace("]", ""))
    return str(strings.PythonIdentifier(plain, FIELD_PREFIX))


def class_name(schema: str) -> str:
    return str(strings.ClassName(schema, FIELD_PREFIX))


def module_name(schema: str) -> str:
    return str(strings.PythonIdentifier(class_name(schema), FIELD_PREFIX))


def parse(bundle: Bundle) -> GeneratorData:
    """Run the parser over the bundle; whatever it would drop or warn of is an error."""
    data = GeneratorData.from_dict(_parser_view(bundle), config=_config())
    if isinstance(data, GeneratorError):
        raise GeneratorFailure([Finding("spec/openapi.yaml", 1, "parser", f"{data.header}: {data.detail}")])
    problems: list[ParseError] = list(data.errors)
    for collection in data.endpoint_collections_by_tag.values():
        problems.extend(collection.parse_errors)
    if problems:
        raise GeneratorFailure([_finding(bundle, problem) for problem in problems])
    return data


def endpoints(data: GeneratorData) -> dict[tuple[str, str], Endpoint]:
    """The parser's endpoints by the operation's resource and method."""
    found: dict[tuple[str, str], Endpoint] = {}
    for resource, collection in data.endpoint_collections_by_tag.items():
        for endpoint in collection.endpoints:
            found[str(resource), str(endpoint.name)] = endpoint
    return found


def endpoint_key(resource: str, method: str) -> tuple[str, str]:
    """The key of an operation in `endpoints`: the parser appends an underscore to Python's reserved words."""
    return str(strings.PythonIdentifier(resource, "tag")), str(strings.PythonIdentifier(method, FIELD_PREFIX))


def models(data: GeneratorData) -> dict[str, ModelProperty]:
    return {str(model.class_info.name): model for model in data.models}


def template_hashes(templates: Path) -> dict[str, str]:
    """sha256 of each upstream template that one of ours replaces."""
    package = Path(upstream.__file__).parent / "templates"
    names = sorted(path.relative_to(templates).as_posix() for path in templates.rglob("*.jinja"))
    return {name: _sha256(package / name) for name in names if (package / name).is_file()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    message = " ".join(part for part in (problem.header, problem.detail) if part)
    for path, method, _ in bundle.operations():
        if f"{method.upper()} {path} " in message:
            return bundle.finding(("paths", path, method), "parser", message)
    for name in bundle.document.get("components", {}).get("schemas", {}):
        if f"/schemas/{name}" in message or f"schema {name}:" in message:
            return bundle.finding(("components", "schemas", name), "parser", message)
    return Finding("spec/openapi.yaml", 1, "parser", message)
