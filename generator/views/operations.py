"""View models of operations and resources: arguments, body, path expression, docstrings, imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.errors import GeneratorFailure
from generator.parsed import Kind, ParsedOperation, ParsedSpec, Property
from generator.spec.bundle import Bundle
from generator.upstream import module_name, python_name
from generator.views.annotations import Direction, annotation, class_names
from generator.views.docstrings import operation_section, sections
from generator.views.facts import batch_limits, merge_limits, operation_facts, refusals, retry_keys
from generator.views.results import ResultView, result_view, returns_section


@dataclass(frozen=True, slots=True)
class ArgumentView:
    """One argument of `request`: `wire` is its name in the path or query."""

    name: str
    wire: str
    annotation: str
    required: bool
    doc: str


@dataclass(frozen=True, slots=True)
class BodyView:
    """The body argument: one object or a list of them."""

    annotation: str
    required: bool
    is_list: bool
    takes_built: bool
    doc: str


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation and its module."""

    resource: str
    method: str
    http_method: str
    path: str
    path_code: str
    choices: dict[str, tuple[str, ...]]
    facts: dict[str, Any]
    doc: list[str]
    method_doc: list[str]
    path_arguments: list[ArgumentView]
    query_arguments: list[ArgumentView]
    body: BodyView | None
    result: ResultView
    repeatable: str
    batch: dict[str, Any] | None
    merge: dict[str, Any] | None
    deprecation: str
    imports: list[tuple[str, str]]
    typing_imports: list[tuple[str, str]]

    @property
    def summary_line(self) -> str:
        return f"{self.http_method} {self.path}"


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource: its operations in the order of the spec."""

    name: str
    class_name: str
    operations: list[OperationView]

    @property
    def takes_built(self) -> bool:
        return any(operation.body is not None and operation.body.takes_built for operation in self.operations)

    @property
    def names_pii(self) -> bool:
        return any(operation.facts.get("pii") for operation in self.operations)

    @property
    def imports(self) -> list[tuple[str, str]]:
        return sorted(
            {item for operation in self.operations for item in (*operation.imports, *operation.typing_imports)}
        )


def resource_views(bundle: Bundle, parsed: ParsedSpec) -> list[ResourceView]:
    """Resources and operations in the order of the spec."""
    names = {op["operationId"]: op["x-sdk"] for _, _, op in bundle.operations()}
    grouped: dict[str, list[OperationView]] = {}
    for path, method, operation in bundle.operations():
        sdk = operation["x-sdk"]
        seen = parsed.operations[sdk["resource"], sdk["method"]]
        try:
            view = _operation_view(bundle, path, method, operation, seen, names)
        except (TypeError, LookupError) as error:
            finding = bundle.finding(("paths", path, method), "render", str(error))
            raise GeneratorFailure([finding]) from error
        grouped.setdefault(sdk["resource"], []).append(view)
    return [ResourceView(name, camel_case(name), views) for name, views in grouped.items()]


def _operation_view(
    bundle: Bundle, path: str, method: str, operation: dict[str, Any], seen: ParsedOperation, names: dict[str, Any]
) -> OperationView:
    shared: list[Any] = bundle.document["paths"][path].get("parameters", [])
    parameters = [bundle.resolve(item) for item in (*shared, *operation.get("parameters", []))]
    by_wire = {(item["in"], item["name"]): item for item in parameters}
    path_arguments = [_argument(by_wire["path", prop.name], prop) for prop in seen.path_parameters]
    query_arguments = [_argument(by_wire["query", prop.name], prop) for prop in seen.query_parameters]
    body = _body(bundle, operation, seen)
    result = result_view(bundle, path, method, seen)
    replacements = [_replacement(item, names) for item in operation.get("x-replaced-by", [])]
    deprecation = _deprecation(operation, replacements)
    run_time, typing_only = _imports(seen, result)
    doc = _DocstringParts(
        summary=operation["summary"],
        description=operation.get("description", ""),
        arguments=_argument_entries(path_arguments, body, query_arguments),
        returns=returns_section(bundle, operation, result),
        refused=[(str(status), meaning) for status, meaning in refusals(bundle, operation)],
        sent=operation_section(operation, path, method, deprecation),
    )
    keys = retry_keys(bundle, operation)
    return OperationView(
        resource=operation["x-sdk"]["resource"],
        method=operation["x-sdk"]["method"],
        http_method=method.upper(),
        path=path,
        path_code=_path_code(bundle, path, by_wire, _merge_target(bundle, operation, by_wire)),
        choices=_choices(bundle, by_wire),
        facts=operation_facts(path, method, operation, parameters, bundle, replacements, keys),
        doc=doc.lines([("Raises", _REQUEST_RAISES)]),
        method_doc=doc.lines([]),
        path_arguments=path_arguments,
        query_arguments=query_arguments,
        body=body,
        result=result,
        repeatable=_repeatable(operation, body),
        batch=batch_limits(operation),
        merge=merge_limits(bundle, operation, parameters),
        deprecation=deprecation,
        imports=run_time,
        typing_imports=typing_only,
    )


def _argument(parameter: dict[str, Any], prop: Property) -> ArgumentView:
    required = bool(parameter.get("required"))
    kind = annotation(prop, Direction.REQUEST)
    return ArgumentView(
        name=python_name(parameter["name"]),
        wire=parameter["name"],
        annotation=kind if required else f"{kind} | Unset",
        required=required,
        doc=parameter.get("description", ""),
    )


def _merge_target(bundle: Bundle, operation: dict[str, Any], by_wire: dict[tuple[str, str], dict[str, Any]]) -> str:
    """The argument of a merge's path that is no list: what is merged into; empty for other operations."""
    names = (
        python_name(name)
        for (place, name), parameter in by_wire.items()
        if place == "path" and bundle.resolve(parameter["schema"]).get("type") != "array"
    )
    return next(names) if "x-merge" in operation else ""


def _path_code(bundle: Bundle, path: str, by_wire: dict[tuple[str, str], dict[str, Any]], merge_target: str) -> str:
    """The path as a Python expression; each value is encoded by itself."""
    parts: list[str] = []
    for piece in path.replace("}", "{").split("{"):
        parameter = by_wire.get(("path", piece))
        parts.append(piece if parameter is None else "{" + _segment_code(bundle, parameter, merge_target) + "}")
    code = "".join(parts)
    return f'f"{code}"' if "{" in code else f'"{code}"'


def _choices(bundle: Bundle, by_wire: dict[tuple[str, str], dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The values of the closed sets among the arguments of a path."""
    schemas = {
        python_name(name): bundle.resolve(parameter["schema"])
        for (place, name), parameter in by_wire.items()
        if place == "path"
    }
    return {name: tuple(schema["enum"]) for name, schema in schemas.items() if "enum" in schema}


def _segment_code(bundle: Bundle, parameter: dict[str, Any], merge_target: str) -> str:
    schema = bundle.resolve(parameter["schema"])
    name = python_name(parameter["name"])
    arguments = f"OPERATION, '{name}', {name}"
    if schema.get("type") == "array":
        integers = bundle.resolve(schema["items"]).get("type") == "integer"
        target = f", target={merge_target}" if merge_target else ""
        return f"path_list({arguments}, integers={integers}, most={schema.get('maxItems')}{target})"
    if schema.get("type") == "integer":
        return f"path_integer({arguments})"
    choices = f", choices=_CHOICES['{name}']" if "enum" in schema else ""
    return f"path_text({arguments}{choices})"


def _body(bundle: Bundle, operation: dict[str, Any], seen: ParsedOperation) -> BodyView | None:
    prop = seen.body
    if prop is None:
        return None
    body = bundle.resolve(operation["requestBody"])
    required = bool(body.get("required"))
    kind = annotation(prop, Direction.REQUEST)
    names = " or ".join(class_names(prop))
    is_list = prop.kind is Kind.LIST
    doc = f"a list of {names} or of mappings" if is_list else f"{names}, or a mapping"
    takes_built = is_list and _has_events(bundle, operation)
    if takes_built:
        kind, doc = kind.replace("Sequence[", "Sequence[BuiltEvent | ", 1), f"events made by builders, or {doc}"
    return BodyView(
        annotation=kind.replace("Sequence[", "Iterable[", 1) + ("" if required else " | Unset"),
        required=required,
        is_list=is_list,
        takes_built=takes_built,
        doc=f"{doc} with the publisher's keys.",
    )


def _has_events(bundle: Bundle, operation: dict[str, Any]) -> bool:
    """Whether the items of a list are events of the kinds that builders make: its resource has them."""
    resource = operation["x-sdk"]["resource"]
    return any(
        "x-event-type" in other and other["x-sdk"]["resource"] == resource for _, _, other in bundle.operations()
    )


def _imports(seen: ParsedOperation, result: ResultView) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(module, class) pairs: what `parse` needs at run time, and what annotations alone mention."""
    run_time = [(module_name(result.model), result.model)] if result.model else []
    mentioned: set[str] = set()
    for prop in (*seen.path_parameters, *seen.query_parameters, *([seen.body] if seen.body else [])):
        mentioned.update(class_names(prop))
    return run_time, [(module_name(name), name) for name in sorted(mentioned - {result.model})]


def _repeatable(operation: dict[str, Any], body: BodyView | None) -> str:
    if operation["x-retry"] == "keyed" and body is not None:
        return "is_keyed(OPERATION, wire)"
    return "True" if operation["x-retry"] == "idempotent" else "False"


def _replacement(target: str, names: dict[str, Any]) -> str:
    sdk = names.get(target)
    return target if sdk is None else f"{sdk['resource']}.{sdk['method']}"


def _deprecation(operation: dict[str, Any], replacements: list[str]) -> str:
    """What is deprecated, instead of what, until when."""
    if not operation.get("deprecated"):
        return ""
    sdk = operation["x-sdk"]
    sentences = [f"{sdk['resource']}.{sdk['method']} is deprecated"]
    if replacements:
        sentences[0] += f": use {' or '.join(replacements)}"
    if "x-deprecated-reason" in operation:
        sentences.append(operation["x-deprecated-reason"].rstrip("."))
    if "x-sunset" in operation:
        sentences.append(f"It is due to be switched off on {operation['x-sunset']}")
    return ". ".join(sentences) + "."


_REQUEST_RAISES = [("InvalidRequestError", "an argument cannot be sent as it is.")]


@dataclass(frozen=True, slots=True)
class _DocstringParts:
    """The parts of an operation's docstring."""

    summary: str
    description: str
    arguments: list[tuple[str, str]]
    returns: list[tuple[str, str]]
    refused: list[tuple[str, str]]
    sent: list[tuple[str, str]]

    def lines(self, raises: list[tuple[str, list[tuple[str, str]]]]) -> list[str]:
        """The docstring of `request` says what it raises; that of a method does not: its class does, once for all."""
        blocks = [("Args", self.arguments), ("Returns", self.returns), *raises, ("Refused with", self.refused)]
        blocks.append(("Operation", self.sent))
        return sections(self.summary, self.description, blocks)


def _argument_entries(
    path_arguments: list[ArgumentView], body: BodyView | None, query_arguments: list[ArgumentView]
) -> list[tuple[str, str]]:
    arguments = [(item.name, item.doc) for item in path_arguments]
    if body is not None:
        arguments.append(("body", body.doc))
    return arguments + [(item.name, item.doc) for item in query_arguments]


def camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
