"""Return types: the documented successes of an operation folded into none, text, an object or a list of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.errors import GeneratorFailure
from generator.parsed import Kind, ParsedOperation, Success
from generator.spec.bundle import Bundle


@dataclass(frozen=True, slots=True)
class ResultView:
    """What `parse` returns: `kind` is none, text, object or objects; `optional` when some success has no body.

    `inferred` when no source states the body, or when the operation cannot be undone: no body may fail the call.
    """

    kind: str
    model: str
    optional: bool
    inferred: bool
    annotation: str
    resource_annotation: str


def result_view(bundle: Bundle, path: str, method: str, seen: ParsedOperation) -> ResultView:
    """Fold the documented successes into one result; two different bodies are beyond what a method can return."""
    bodies: dict[tuple[str, str], None] = {}
    optional = False
    for success in seen.successes:
        found = _result_kind(success)
        optional = optional or found[0] == "none"
        if found[0] != "none":
            bodies[found] = None
    if len(bodies) > 1:
        message = "the documented successes have different bodies"
        raise GeneratorFailure([bundle.finding(("paths", path, method, "responses"), "render", message)])
    if not bodies:
        return ResultView("none", "", optional=True, inferred=False, annotation="None", resource_annotation="None")
    (kind, model), *_ = bodies
    base = {"text": "str", "object": model, "objects": f"list[{model}]"}[kind]
    inferred = kind != "text" and _is_inferred(bundle, bundle.document["paths"][path][method])
    tail = " | RawJson | None" if inferred else " | None" if optional else ""
    return ResultView(kind, model, optional, inferred, base + tail, base.replace("list[", "builtins.list[") + tail)


def _is_inferred(bundle: Bundle, operation: dict[str, Any]) -> bool:
    """Whether no source states the body of a success; of what cannot be undone a body is never demanded.

    Of a batch none is: a body that lists no refused entry says that there are none.
    """
    if operation.get("x-batch"):
        return False
    if operation.get("x-irreversible"):
        return True
    nodes: list[dict[str, Any]] = []
    for status, item in operation["responses"].items():
        if status[0] == "2":
            response = bundle.resolve(item)
            schemas = [bundle.resolve(media.get("schema", {})) for media in response.get("content", {}).values()]
            nodes += [response, *schemas, *(bundle.resolve(schema["items"]) for schema in schemas if "items" in schema)]
    return any(str(node.get("x-source", "")).endswith(", inferred") for node in nodes)


def _result_kind(success: Success) -> tuple[str, str]:
    if success.body in ("none", "text"):
        return success.body, ""
    content = success.content
    if content.kind is Kind.MODEL:
        return "object", content.class_name
    if content.kind is Kind.LIST and content.item.kind is Kind.MODEL:
        return "objects", content.item.class_name
    raise TypeError(f"a success with a body of {content.kind.value} cannot be read; use a named object or a list")


def returns_section(bundle: Bundle, operation: dict[str, Any], result: ResultView) -> list[tuple[str, str]]:
    """The descriptions of the successes that carry a body."""
    if result.kind == "none":
        return []
    successes = [bundle.resolve(item) for status, item in operation["responses"].items() if status[0] == "2"]
    texts = [item["description"] for item in successes if item.get("content")]
    if result.inferred:
        tail = " Its shape is inferred: an answer without a body is None, one of another shape comes as it is."
    elif "x-batch" in operation:
        tail = " None where the answer lists none."
    else:
        tail = " None where the answer has no body." if result.optional else ""
    return [("", " ".join(texts) + tail)]


def accept_header(bundle: Bundle, operation: dict[str, Any]) -> str:
    """The media types of an operation's answers, those of its successes first."""
    ordered = sorted(operation["responses"].items(), key=lambda item: item[0][0] != "2")
    found = [media_type for _, response in ordered for media_type in bundle.resolve(response).get("content", {})]
    return ", ".join(dict.fromkeys(found)) or "application/json"
