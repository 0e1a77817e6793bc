"""The reference pages: every operation has its place, every link leads somewhere."""

from __future__ import annotations

import json
import re
from inspect import signature
from pathlib import Path

import pytest

from generator.output.rendering import PAGE_MARK
from synerise_profiles.bulk.client import Bulk
from tests.contract.document import DOCUMENT, Documented, operations

FOLDER = Path(__file__).parents[3] / "generated" / "reference"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
OPERATIONS = operations()
OTHERS = ("README", "deprecations", "models", "paths", "permissions", "statuses")
SCHEMAS = DOCUMENT["components"]["schemas"]
FRONT = (FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")


def section(resource: str, method: str) -> str:
    _, _, rest = PAGES[f"{resource}.md"].partition(f"\n## {method}\n")
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("documented", OPERATIONS, ids=lambda item: item.name)
def test_an_operation_has_its_section(documented: Documented) -> None:
    """Name, where it is sent, who may call it and with what, limits, deprecation."""
    item, node = documented, documented.node
    text = section(item.resource, item.method)
    assert f"client.{item.name}(" in text
    assert f"| sent as | `{item.http_method} {item.path}` |" in text
    assert node["summary"] in text
    for consumer in node.get("x-synerise-consumers", ()):
        assert consumer in text
    for key in ("x-synerise-permission", "x-synerise-role", "x-synerise-action", "x-sunset"):
        assert node.get(key, "") in text
    assert ("| deprecated |" in text) is node.get("deprecated", False)
    assert ("| irreversible |" in text) is node.get("x-irreversible", False)
    if "x-batch" in node:
        assert f"{node['x-batch']['max-items']:,} items" in text


def test_the_table_of_deprecations() -> None:
    """All of them, with a date or none, and what to use instead."""
    rows = [line.split(" | ") for line in PAGES["deprecations.md"].splitlines() if line.startswith("| [")]
    deprecated = {item.name: item.node for item in OPERATIONS if item.node.get("deprecated")}
    assert len(rows) == len(deprecated) > 0
    for name, _, date, instead in rows:
        node = deprecated[re.findall(r"`(.*?)`", name)[0]]
        assert date == node.get("x-sunset", "no date announced")
        assert len(instead.strip(" |")) > 3


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """A page links to pages and sections that there are."""
    assert PAGES[name].startswith(PAGE_MARK)
    for target in re.findall(r"\]\(([^)]*)\)", PAGES[name]):
        page, _, anchor = target.partition("#")
        assert page in PAGES
        assert not anchor or f"\n## {anchor}\n" in PAGES[page].lower()


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]*)\)", text))


def model_section(name: str) -> str:
    _, _, rest = PAGES["models.md"].partition(f"\n## {name}\n")
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("documented", OPERATIONS, ids=lambda item: item.name)
def test_statuses_models_and_ways_of_an_operation(documented: Documented) -> None:
    """Each status stands there, in words or as a link; models are linked both ways; builders and bulk are named."""
    text = section(documented.resource, documented.method)
    for status in documented.node["responses"]:
        own = f"answers {status} |" in text or f"refused with {status} |" in text
        assert own or f"[{status}](statuses.md#{status.lower()})" in text
    for link in links(text):
        if link.startswith("models.md#"):
            [name] = [name for name in SCHEMAS if name.lower() == link.partition("#")[2]]
            assert f"({documented.resource}.md#{documented.method})" in model_section(name)
    assert (f"`synerise_profiles.events.{documented.method}`" in text) is ("x-event-type" in documented.node)
    if "x-bulk" in documented.node:
        assert f"`client.bulk.{documented.node['x-bulk']}`" in text


def test_bulk_methods_are_those_of_the_client() -> None:
    """Each method of bulk that sends rows is named by an operation, and no other."""
    sending = {name for name, found in vars(Bulk).items() if callable(found) and "rows" in signature(found).parameters}

    assert {item.node["x-bulk"] for item in OPERATIONS if "x-bulk" in item.node} == {
        name for name in sending if not name.startswith("_")
    }


@pytest.mark.parametrize("model", ["Profile", "ProfileInput", "Sex", "BatchEvent", "Money"])
def test_a_model_has_its_fields_and_values(model: str) -> None:
    """Each property or value, what it is part of, and an example that is JSON."""
    text = model_section(model)
    for name in SCHEMAS[model].get("properties", {}):
        assert f"| `{name}`" in text
    for value in SCHEMAS[model].get("enum", ()):
        assert f"`{value}`" in text
    assert "- part of: " in text or "- sent by: " in text or "- returned by: " in text
    example = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert ("enum" in SCHEMAS[model]) is (example is None)
    assert example is None or json.loads(example[1])


def test_indexes_lead_to_every_operation() -> None:
    """By path and by permission."""
    for item in OPERATIONS:
        link = f"[`{item.name}`]({item.resource}.md#{item.method})"
        assert f"| `{item.http_method} {item.path}` | {link} |" in PAGES["paths.md"]
        assert PAGES["permissions.md"].count(f"{link},") + PAGES["permissions.md"].count(f"{link} |") == 1


def test_counts_of_the_front_page_come_from_here() -> None:
    """What README says of operations is what the index counts."""
    counted = re.search(r"^(\d+) operations; (\d+) of them", PAGES["README.md"], re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) == len(OPERATIONS)
    assert re.findall(r"\b(\d+) operations", FRONT) == [counted[1]] * FRONT.count(" operations, ")
    assert f"{counted[1]} operations" in FRONT


def test_nothing_else_has_a_page() -> None:
    """One a resource, the models, the statuses, the indexes and the deprecations."""
    resources = {item["x-sdk"]["resource"] for path in DOCUMENT["paths"].values() for item in path.values()}
    assert {*PAGES} == {f"{name}.md" for name in (*resources, *OTHERS)}
