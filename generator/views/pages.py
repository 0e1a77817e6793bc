"""View models of the reference pages: one page a resource, one entry an operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.spec.bundle import Bundle
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
    sent: str
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
    return [
        PageView(resource.name, [_entry(item, nodes[item.resource, item.method]) for item in resource.operations])
        for resource in resources
    ]


def _entry(view: OperationView, node: dict[str, Any]) -> EntryView:
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
        facts=_facts(view),
        sent=f"{view.http_method} {view.path}",
        sunset=view.facts.get("sunset", ""),
        instead=instead if view.facts.get("deprecated") else "",
    )


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
    rows += [(f"refused with {status}", meaning) for status, meaning in known.get("refusals", ())]
    if view.deprecation:
        rows.append(("deprecated", view.deprecation))
    return rows


_NAMED = {"permission of the API key": "permission", "permission of the user": "role", "action of the event": "action"}


def _limits(batch: dict[str, Any]) -> str:
    text = f"{batch['max_items']:,} items, {batch['max_bytes']:,} bytes"
    if batch.get("uniform_identifier"):
        text += "; one kind of identifier throughout"
    return text + ("; assumed, since the reference is silent" if batch.get("assumed") else "")
