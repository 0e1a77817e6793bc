"""View models of the pages about models, statuses, paths and permissions: what the pages of resources link to."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from generator.spec import composition
from generator.spec.bundle import Bundle
from generator.views.models import EnumView, ModelView
from generator.views.operations import OperationView
from generator.views.pages import model_link

_NAME = re.compile(r"\b[A-Z]\w+\b")


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model or an enum as the page shows it; `links` says where it is used."""

    name: str
    description: str
    kind: str
    links: list[tuple[str, str]]
    fields: list[tuple[str, str, str, str]]
    values: list[str]
    example: str


def model_entries(
    bundle: Bundle,
    models: list[ModelView],
    enums: list[EnumView],
    operations: Iterable[OperationView],
    example_of: Callable[[str], Any],
) -> list[ModelEntry]:
    """By name, models and enums together."""
    known = {view.name for view in models} | {view.name for view in enums}
    uses = _uses(models, operations, known)
    found = [_model(bundle, view, uses[view.name], known, example_of) for view in models]
    found += [
        ModelEntry(
            enum.name,
            _description(bundle, enum.name),
            "open enum: other values may come" if enum.is_open else "enum",
            _links(uses[enum.name]),
            [],
            [f"`{value}`" for value in enum.values],
            "",
        )
        for enum in enums
    ]
    return sorted(found, key=lambda entry: entry.name.lower())


def _model(
    bundle: Bundle, view: ModelView, uses: dict[str, list[str]], known: set[str], example_of: Callable[[str], Any]
) -> ModelEntry:
    body = bundle.document["components"]["schemas"][view.name]
    described = composition.properties(bundle, body)
    fields: list[tuple[str, str, str, str]] = []
    for field in view.fields:
        schema = described[field.wire]
        text = schema.get("description") or bundle.resolve(schema).get("description") or ""
        name = field.wire if field.name == field.wire else f"{field.wire}` as `{field.name}"
        fields.append((name, _typed(field.annotation, known), "yes" if field.required else "", " ".join(text.split())))
    return ModelEntry(
        view.name,
        _description(bundle, view.name),
        "is sent" if view.is_request else "is read: any field may be None",
        _links(uses),
        fields,
        [],
        json.dumps(example_of(view.name), ensure_ascii=False, indent=2),
    )


def _description(bundle: Bundle, name: str) -> str:
    return " ".join(str(bundle.document["components"]["schemas"][name].get("description", "")).split())


def _typed(annotation: str, known: set[str]) -> str:
    """The type in words, its models as links."""
    plain = (
        annotation.removesuffix(" | Unset").replace("datetime.datetime", "datetime").replace("datetime.date", "date")
    )
    return _NAME.sub(lambda found: model_link(found[0]) if found[0] in known else found[0], plain)


def _uses(
    models: list[ModelView], operations: Iterable[OperationView], known: set[str]
) -> defaultdict[str, dict[str, list[str]]]:
    """By model: the operations that send or return it, and the models that hold it."""
    uses: defaultdict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for operation in operations:
        link = f"[`{operation.resource}.{operation.method}`]({operation.resource}.md#{operation.method})"
        for _, name in operation.typing_imports:
            uses[name]["sent by"].append(link)
        if operation.result.model:
            uses[operation.result.model]["returned by"].append(link)
    for view in models:
        for name in sorted({found for field in view.fields for found in _NAME.findall(field.annotation)} & known):
            uses[name]["part of"].append(model_link(view.name))
    return uses


def _links(uses: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(title, ", ".join(dict.fromkeys(links))) for title, links in uses.items()]


def status_entries(bundle: Bundle) -> list[tuple[str, list[str]]]:
    """What the refusals that share their words mean, by status."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for _, _, operation in bundle.operations():
        for status, item in operation["responses"].items():
            response = bundle.resolve(item)
            text = " ".join(response["description"].split())
            if not (str(status).startswith("2") or response.get("x-specific") or text in found[str(status)]):
                found[str(status)].append(text)
    return sorted((status, texts) for status, texts in found.items() if texts)
