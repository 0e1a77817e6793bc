"""The reference pages: every operation has its place, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generator.output.rendering import PAGE_MARK
from tests.contract.document import DOCUMENT, Documented, operations

FOLDER = Path(__file__).parents[3] / "generated" / "reference"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
OPERATIONS = operations()


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
        assert not anchor or f"\n## {anchor}\n" in PAGES[page]


def test_nothing_else_has_a_page() -> None:
    """One a resource, the deprecations and the index."""
    resources = {item["x-sdk"]["resource"] for path in DOCUMENT["paths"].values() for item in path.values()}
    assert {*PAGES} == {f"{name}.md" for name in (*resources, "deprecations", "README")}
