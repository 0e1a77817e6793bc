"""View models of the reference pages: one page a resource, one entry an operation."""

from __future__ import annotations

import pprint
import textwrap
from dataclasses import dataclass
from typing import Any

from generator.spec.bundle import Bundle, body_example
from generator.views.operations import OperationView, ResourceView

WIDTH = 100
_RETRY = {
    "idempotent": "yes",
    "keyed": "yes, if every item has {keys}",
    "never": "no, unless it was not sent at all, or refused with 429 or 503",
}


@dataclass(frozen=True, slots=True)
class EntryView:
    """One operation as its page shows it; `facts` are the rows of a table."""

    resource: str
    name: str
    summary: str
    description: str
    signature: str
    arguments: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    statuses: list[tuple[str, str]]
    example: str
    permission: str
    sent: str
    sent_path: str
    sunset: str
    instead: str


@dataclass(frozen=True, slots=True)
class PageView:
    """One resource."""

    name: str
    entries: list[EntryView]


def page_views(bundle: Bundle, resources: list[ResourceView]) -> list[PageView]:
    """A page for each resource, in the order of the spec."""
    nodes = {(node["x-sdk"]["resource"], node["x-sdk"]["method"]): node for _, _, node in bundle.operations()}
    bulk = {resource: node["x-bulk"] for (resource, _), node in nodes.items() if "x-batch" in node and "x-bulk" in node}
    pages: list[PageView] = []
    for resource in resources:
        entries: list[EntryView] = []
        for view in resource.operations:
            node = nodes[view.resource, view.method]
            many = node.get("x-bulk") or (bulk.get(view.resource, "") if "x-event-type" in node else "")
            entries.append(_entry(bundle, view, node, many))
        pages.append(PageView(resource.name, entries))
    return pages


def _entry(bundle: Bundle, view: OperationView, node: dict[str, Any], many: str) -> EntryView:
    arguments = [(item.name, item.doc) for item in view.path_arguments]
    arguments += [("body", view.body.doc)] if view.body else []
    arguments += [(item.name, item.doc) for item in view.query_arguments]
    replaced_by: tuple[str, ...] = view.facts.get("replaced_by", ())
    instead = ", ".join(f"`{name}`" for name in replaced_by) or str(view.facts.get("deprecated_reason", ""))
    return EntryView(
        resource=view.resource,
        name=view.method,
        summary=view.facts["summary"],
        description=" ".join(str(node.get("description", "")).split()),
        signature=_signature(view),
        arguments=[(name, " ".join(doc.split())) for name, doc in arguments],
        facts=[*_facts(view), *_ways(view, node, many)],
        statuses=_statuses(bundle, node),
        example=_example(bundle, view, node),
        permission=view.facts.get("permission", ""),
        sent=f"{view.http_method} {view.path}",
        sent_path=f"{view.path} {view.http_method}",
        sunset=view.facts.get("sunset", ""),
        instead=instead if view.facts.get("deprecated") else "",
    )


def _ways(view: OperationView, node: dict[str, Any], many: str) -> list[tuple[str, str]]:
    """The models that go and come, and what else makes or sends the same."""
    sent = [model_link(name) for _, name in view.typing_imports]
    rows = [("takes", ", ".join(sent))] if sent else []
    if view.result.model:
        rows.append(("returns", model_link(view.result.model)))
    if "x-event-type" in node:
        rows.append(("builder", f"`synerise_profiles.events.{view.method}`"))
    if many:
        rows.append(("many at once", f"`client.bulk.{many}`"))
    return rows


def _statuses(bundle: Bundle, node: dict[str, Any]) -> list[tuple[str, str]]:
    """Successes and refusals with a meaning of their own in words; what all share stands on a page of its own."""
    rows: list[tuple[str, str]] = []
    shared: list[str] = []
    for status, item in node["responses"].items():
        response = bundle.resolve(item)
        if str(status).startswith("2") or response.get("x-specific"):
            title = "answers" if str(status).startswith("2") else "refused with"
            rows.append((f"{title} {status}", " ".join(response["description"].split())))
        else:
            shared.append(f"[{status}](statuses.md#{str(status).lower()})")
    return [*rows, *([("refused as everywhere", ", ".join(shared))] if shared else [])]


def _example(bundle: Bundle, view: OperationView, node: dict[str, Any]) -> str:
    """A call whose path arguments are variables; the body is the spec's example."""
    parts = [item.name for item in view.path_arguments]
    given, body = body_example(bundle, node)
    if view.body and (given or view.body.required):
        parts.append(pprint.pformat(body, width=WIDTH - 4, sort_dicts=False))
    least = {item["name"]: item["schema"].get("minimum", 0) for item in map(bundle.resolve, node.get("parameters", []))}
    parts += [f"{item.name}={least[item.wire]}" for item in view.query_arguments if item.required]
    call = f"client.{view.resource}.{view.method}("
    if len(call) + sum(map(len, parts)) + 2 * len(parts) < WIDTH and not any("\n" in part for part in parts):
        return f"{call}{', '.join(parts)})"
    return "\n".join([call, *(textwrap.indent(f"{part},", "    ") for part in parts), ")"])


def model_link(name: str) -> str:
    """To a model's or enum's section."""
    return f"[{name}](models.md#{name.lower()})"


def _signature(view: OperationView) -> str:
    """The method as it is called; one argument a line where it would be long."""
    parts = [f"{item.name}: {_type(item.annotation)}" for item in view.path_arguments]
    if view.body:
        parts.append(f"body: {_type(view.body.annotation)}{'' if view.body.required else ' = UNSET'}")
    if view.query_arguments:
        parts.append("*")
    parts += [
        f"{item.name}: {_type(item.annotation)}{'' if item.required else ' = UNSET'}" for item in view.query_arguments
    ]
    start, end = f"client.{view.resource}.{view.method}(", f") -> {_type(view.result.resource_annotation)}"
    short = f"{start}{', '.join(parts)}{end}"
    if len(short) <= WIDTH:
        return short
    return "\n".join([start, *(f"    {part}," for part in parts), end])


def _type(annotation: str) -> str:
    return annotation.removesuffix(" | Unset").replace("builtins.", "").replace("datetime.datetime", "datetime")


def _facts(view: OperationView) -> list[tuple[str, str]]:
    """The rows of the table."""
    known = view.facts
    rows = [
        ("sent as", f"`{view.http_method} {view.path}`"),
        ("callers", ", ".join(known.get("consumers", ())) or "anyone; no authentication is needed"),
    ]
    rows += [(title, f"`{known[key]}`") for title, key in _NAMED.items() if key in known]
    if known.get("pii"):
        rows.append(("PII permissions", "needed in addition, where PII protection is on"))
    if view.batch is not None:
        rows.append(("limits of a request", _limits(view.batch)))
    keys = " and ".join(f"`{key}`" for key in known.get("retry_keys", ()))
    rows.append(("is repeated", _RETRY[known["retry"]].format(keys=keys)))
    if known.get("irreversible"):
        rows.append(("irreversible", "yes"))
    if view.deprecation:
        rows.append(("deprecated", view.deprecation))
    return rows


_NAMED = {"permission of the API key": "permission", "permission of the user": "role", "action of the event": "action"}


def _limits(batch: dict[str, Any]) -> str:
    text = f"{batch['max_items']:,} items, {batch['max_bytes']:,} bytes"
    if batch.get("uniform_identifier"):
        text += "; one kind of identifier throughout"
    return text + ("; assumed, since the reference is silent" if batch.get("assumed") else "")
