"""The reference pages for people: one a resource, one of what is deprecated, and their index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openapi_python_client.parser import GeneratorData

from generator.output.rendering import MARK
from generator.spec.fragments import Bundle
from generator.upstream import environment
from generator.views.operations import OperationView, ResourceView, resource_views

FOLDER = "reference"
PAGE_MARK = f"<!-- {MARK.removeprefix('# ')} -->"
WIDTH = 100
_RETRY = {
    "idempotent": "yes",
    "keyed": "yes, if every item has {keys}",
    "never": "no, unless it was not sent at all, or refused with 429 or 503",
}


@dataclass(frozen=True, slots=True)
class Entry:
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
class Page:
    """One resource."""

    name: str
    entries: list[Entry]


def render_pages(bundle: Bundle, data: GeneratorData, templates: Path) -> dict[str, str]:
    """Every page by its path below generated/."""
    env = environment(templates)
    env.filters["cell"] = _cell
    pages = [_page(bundle, resource) for resource in resource_views(bundle, data)]
    template = env.get_template("reference_page.md.jinja")
    files = {f"{page.name}.md": template.render(page=page) for page in pages}
    deprecated = [entry for page in pages for entry in page.entries if entry.instead]
    files["deprecations.md"] = env.get_template("reference_deprecations.md.jinja").render(entries=deprecated)
    files["README.md"] = env.get_template("reference_index.md.jinja").render(pages=pages, deprecated=len(deprecated))
    return {f"{FOLDER}/{name}": f"{PAGE_MARK}\n{text}" for name, text in files.items()}


def _page(bundle: Bundle, resource: ResourceView) -> Page:
    nodes = {(node["x-sdk"]["resource"], node["x-sdk"]["method"]): node for _, _, node in bundle.operations()}
    return Page(resource.name, [_entry(item, nodes[item.resource, item.method]) for item in resource.operations])


def _entry(view: OperationView, node: dict[str, Any]) -> Entry:
    arguments = [(item.name, item.doc) for item in view.path_arguments]
    arguments += [("body", view.body.doc)] if view.body else []
    arguments += [(item.name, item.doc) for item in view.query_arguments]
    replaced_by: tuple[str, ...] = view.facts.get("replaced_by", ())
    instead = ", ".join(f"`{name}`" for name in replaced_by) or str(view.facts.get("deprecated_reason", ""))
    return Entry(
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


def _cell(text: str) -> str:
    """Text that stands in a table."""
    return text.replace("|", "\\|")


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
