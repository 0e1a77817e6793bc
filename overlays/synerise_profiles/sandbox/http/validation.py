"""Request validation against the spec: path, query and headers by type, bodies by JSON Schema.

Schemas are compiled on first use, since that takes longer than all else at start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import jsonschema_rs
import orjson

from synerise_profiles.sandbox.responses import RefusedRequest, error_entry, refuse
from synerise_profiles.sandbox.schemas import Json
from synerise_profiles.sandbox.spec import OpenAPISpec, OperationSpec, Parameter, is_list, is_object

_ROOT = "urn:synerise:bundle"
# The patterns of the spec are the documented rule for these; a library's own idea of an address or a number is not.
_CHECKED_FORMATS = frozenset({"date", "date-time"})
_INVALID = object()
_MAX_INTEGER = 2**63 - 1
"""The greatest integer that the state can hold; ids are 64 bits wide in the publisher's mobile clients."""
_MAX_DEPTH = 200
"""Deepest nesting of lists and objects that is accepted; answers and the log put some of their own around it."""
_MAX_ORJSON_DEPTH = 254
"""Deepest nesting that orjson writes."""
_LONG_BODY_BYTES = 50_000
_MAX_CACHED_HEADERS = 1000


class RequestValidator:
    """The validators of one document. What is invalid is refused with 400, or listed by the two `…problems` methods."""

    def __init__(self, spec: OpenAPISpec) -> None:
        document = _without_foreign_formats(spec.document)
        self._registry = jsonschema_rs.Registry([(_ROOT, document)], draft=jsonschema_rs.Draft202012)
        self._compiled: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._valid_headers: set[tuple[str, str]] = set()

    def schema_validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        """The compiled validator of the schema at this pointer."""
        found = self._compiled.get(pointer)
        if found is None:
            found = jsonschema_rs.Draft202012Validator(
                {"$ref": _ROOT + quote(pointer, safe="#/~$")},
                registry=self._registry,
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
            self._compiled[pointer] = found
        return found

    def path(self, operation: OperationSpec, raw: Mapping[str, bytes]) -> Json:
        """Decode and check the path parameters."""
        if not raw:
            return {}
        problems: list[Json] = []
        parameters = [item for item in operation.parameters if item.location == "path"]
        values = {item.name: self._path_value(item, raw[item.name], problems) for item in parameters}
        refuse(problems)
        return values

    def query(self, operation: OperationSpec, query: bytes) -> Json:
        """Read and check the query; unknown names are ignored."""
        sent = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
        problems: list[Json] = []
        values: Json = {}
        for item in operation.parameters:
            if item.location != "query":
                continue
            if item.name in sent:
                values[item.name] = self._scalar(item, sent[item.name], problems)
            elif item.required:
                problems.append(error_entry(item.name, "is required"))
        refuse(problems)
        return values

    def headers(self, operation: OperationSpec, headers: Mapping[bytes, bytes]) -> None:
        """Check the headers that the document lists."""
        problems: list[Json] = []
        for item in operation.parameters:
            if item.location != "header":
                continue
            sent = headers.get(item.name.lower().encode())
            if sent is not None:
                self._header(item, sent.decode("latin-1"), problems)
            elif item.required:
                problems.append(error_entry(item.name, "is required"))
        refuse(problems)

    def body(self, operation: OperationSpec, content: bytes) -> Any:
        """Read and check the body; None when there is none. The items of a list are left to `item_problems`."""
        if operation.max_bytes is not None and len(content) > operation.max_bytes:
            raise RefusedRequest(400, f"The body is {len(content)} bytes; at most {operation.max_bytes} are allowed.")
        if operation.body_pointer is None or not content.strip():
            if operation.body_required:
                raise RefusedRequest(400, "A body is required.", [error_entry("body", "is required")])
            return None
        try:
            value: Any = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise RefusedRequest(400, "The body is not JSON.", [error_entry("body", str(error))]) from None
        # In a long body counting brackets takes as long as measuring its depth.
        may_be_deep = len(content) > _LONG_BODY_BYTES or content.count(b"[") + content.count(b"{") > _MAX_DEPTH
        if may_be_deep and _is_deep(value):
            # Its value is not repeated in the answer: that could not be written either.
            refuse([error_entry(name, f"is nested more than {_MAX_DEPTH} deep") for name in _deep_fields(value)])
        if operation.body_is_list:
            return self._list(operation, value)
        refuse(self.problems(operation.body_pointer, value))
        return value

    def problems(self, pointer: str, value: Any) -> list[Json]:
        """What is wrong with a value, one entry a field; empty when nothing is."""
        validator = self.schema_validator(pointer)
        if validator.is_valid(value):
            return []
        found = [entry for error in validator.iter_errors(value) for entry in _entries(error)]
        return list({entry["field"]: entry for entry in reversed(found)}.values())[::-1]

    def item_problems(self, operation: OperationSpec, values: list[Any]) -> dict[int, list[Json]]:
        """What is wrong with the items of a list body, by index; one pass when nothing is."""
        if operation.body_pointer is None or self.schema_validator(operation.body_pointer).is_valid(values):
            return {}
        pointer = operation.body_pointer + "/items"
        found = ((index, self.problems(pointer, value)) for index, value in enumerate(values))
        return {index: problems for index, problems in found if problems}

    def _header(self, item: Parameter, text: str, problems: list[Json]) -> None:
        """Check a header; the same few texts come with every request, so valid ones are cached."""
        key = (item.pointer, text)
        if key in self._valid_headers:
            return
        before = len(problems)
        self._scalar(item, text, problems)
        if len(problems) == before and len(self._valid_headers) < _MAX_CACHED_HEADERS:
            self._valid_headers.add(key)

    def _list(self, operation: OperationSpec, value: Any) -> list[Any]:
        if not is_list(value):
            raise RefusedRequest(400, "The body must be a list.", [error_entry("body", "must be a list")])
        if not value:
            raise RefusedRequest(400, "The body holds no item.", [error_entry("body", "holds no item")])
        if operation.max_items is not None and len(value) > operation.max_items:
            raise RefusedRequest(400, f"The body holds {len(value)} items; at most {operation.max_items} are allowed.")
        return value

    def _path_value(self, item: Parameter, raw: bytes, problems: list[Json]) -> Any:
        if item.schema.get("type") != "array":
            return self._scalar(item, _decoded(item.name, raw), problems)
        # The commas between the values are literal; one inside a value would be percent-encoded.
        json_type = item.schema.get("items", {}).get("type", "string")
        texts = [_decoded(item.name, value) for value in raw.split(b",")]
        values = [_typed(json_type, text) for text in texts]
        if _INVALID in values:
            problems.append(error_entry(item.name, f"must hold values of type {json_type}", ",".join(texts)))
        else:
            problems.extend(error_entry(item.name, e["message"], texts) for e in self.problems(item.pointer, values))
        return values

    def _scalar(self, item: Parameter, text: str, problems: list[Json]) -> Any:
        json_type: Any = item.schema.get("type", "string")
        value = _typed(json_type, text)
        if value is _INVALID:
            problems.append(error_entry(item.name, f"must be of type {json_type}", text))
        elif item.schema.keys() - {"type", "description"}:
            problems.extend(error_entry(item.name, e["message"], text) for e in self.problems(item.pointer, value))
        return value


def _decoded(name: str, raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise RefusedRequest(400, "The path is not UTF-8.", [error_entry(name, "is not UTF-8")]) from None


def _typed(json_type: str, text: str) -> Any:
    try:
        if json_type == "integer":
            return _integer(text)
        if json_type == "number":
            return float(text)
    except ValueError:
        return _INVALID
    if json_type == "boolean":
        return {"true": True, "false": False}.get(text, _INVALID)
    return text


def _integer(text: str) -> Any:
    """The number; one beyond 64 bits becomes the greatest of them, which no id is. `int` reads 4300 digits at most."""
    digits = text.removeprefix("-")
    if not digits.isdecimal():
        return _INVALID
    number = min(int(digits), _MAX_INTEGER) if len(digits) <= len(str(_MAX_INTEGER)) else _MAX_INTEGER
    return number if digits == text else -number


def _is_deep(value: Any, outside: int = 0) -> bool:
    """Whether lists and objects are nested too deep; by orjson's own bound, which is far faster than a walk."""
    for _ in range(_MAX_ORJSON_DEPTH - _MAX_DEPTH + outside):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def _deep_fields(value: Any) -> Iterable[str]:
    """The fields of a body, or of the items of a list, that make it too deep."""
    if is_object(value):
        return [name for name, inner in value.items() if _is_deep(inner, 1)]
    if not is_list(value):
        return ["body"]
    deep = [(index, item) for index, item in enumerate(value) if _is_deep(item, 1)]
    inner = [(index, item, name) for index, item in deep if is_object(item) for name in item]
    return [f"[{index}].{name}" for index, item, name in inner if _is_deep(item[name], 2)] or ["body"]


def _entries(error: jsonschema_rs.ValidationError) -> Iterable[Json]:
    """One entry an error; of a value that may also be null, what is wrong with the value."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.OneOfNotValid | jsonschema_rs.ValidationErrorKind.AnyOf):
        inner = [choice for choice in kind.context if choice and not _is_null(choice)]
        if len(inner) == 1:
            return [entry for cause in inner[0] for entry in _entries(cause)]
    field = ".".join(str(part) for part in error.instance_path)
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Not):
        negated: Any = kind.schema
        condition = negated["not"]
        if "required" in condition:
            sent: Any = error.instance
            missing = [name for name in condition["required"] if not sent.get(name)]
            return [error_entry(f"{field}.{name}".lstrip("."), "is required") for name in missing]
        return [_unmet(field, condition, error.instance)]
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return [error_entry(f"{field}.{kind.property}".lstrip("."), "is required")]
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Pattern):
        return [error_entry(field or "body", "does not match the documented pattern", error.instance)]
    return [error_entry(field or "body", error.message, error.instance)]


def _unmet(field: str, condition: Any, value: Any) -> Json:
    """What is missing by a condition: a first item, one of some names, or one that a value makes needless."""
    if "prefixItems" in condition:
        first = ", ".join(item["const"] for item in condition["prefixItems"])
        return error_entry(field, f"must begin with {first}", value)
    names = [name for choice in condition["anyOf"] for name in choice["required"]]
    fields = [item for choice in condition["anyOf"] for item in choice.get("properties", {}).items()]
    listed = {name: node["enum"] for name, node in fields if "enum" in node}
    for name, values in listed.items():
        if value.get(name, values[0]) not in values:
            message = f"is none of the values that the document lists, and there is no {names[0]}"
            return error_entry(f"{field}.{name}".lstrip("."), message, value[name])
    if listed:
        message = f"is required, unless {' or '.join(listed)} says what it is"
        return error_entry(f"{field}.{names[0]}".lstrip("."), message)
    message = f"at least one of {', '.join(names)} is required"
    return error_entry(field, message, value) if field else error_entry("identifier", message)


def _is_null(choice: list[jsonschema_rs.ValidationError]) -> bool:
    return choice[0].schema_path[-1:] == ["type"] and choice[0].message.endswith('is not of type "null"')


def _without_foreign_formats(node: Any) -> Any:
    if is_object(node):
        kept = {key: value for key, value in node.items() if key != "format" or _is_checked(value)}
        return {key: _without_foreign_formats(value) for key, value in kept.items()}
    if is_list(node):
        return [_without_foreign_formats(value) for value in node]
    return node


def _is_checked(value: Any) -> bool:
    """Whether a `format` stays; a property that is called so is a schema, and stays too."""
    return not isinstance(value, str) or value in _CHECKED_FORMATS
