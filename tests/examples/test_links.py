"""The links of the pages that people read lead somewhere: to a file, and to a heading in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *sorted(PROJECT.glob("[!.]*/README.md")),
    *sorted((PROJECT / "overlays" / "guides").glob("*.md")),
]
CODE = re.compile(r"^```.*?^```$|`[^`]*`", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def links(text: str) -> list[str]:
    """The relative links of a page, its code left out."""
    found: list[str] = LINK.findall(CODE.sub("", text))
    return [link for link in found if not ELSEWHERE.match(link)]


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get where it is shown: in lower case, without marks, `-` for a blank."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", FENCED.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        again = 1
        while (name := anchor if again == 1 else f"{anchor}-{again - 1}") in found:
            again += 1
        found.add(name)
    return found


def leads_somewhere(link: str, page: Path, text: str) -> bool:
    """Whether a link of a page, which has this text, leads to a file of the project, and to a heading of it."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(PROJECT) or not target.exists():
        return False
    return not anchor or anchor in anchors(text if target == page else target.read_text(encoding="utf-8"))


def broken(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    return [link for link in links(text) if not leads_somewhere(link, page, text)]


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(PROJECT).as_posix() for path in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page leads to a file that exists, and its anchor to a heading of that file."""
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_the_front_page_leads_to_the_pages_for_maintainers() -> None:
    """How to work on the project, how it is built, and what each folder is, are one link away from README."""
    front = links((PROJECT / "README.md").read_text(encoding="utf-8"))

    assert {"CONTRIBUTING.md", "overlays/README.md", "spec/README.md", "generator/README.md"} <= set(front)


def test_a_broken_link_is_found() -> None:
    """A missing file, a missing heading and a path out of the project are found; code and addresses are no links."""
    text = (
        "# A page, twice\n## A page, twice\n```text\n# no heading\n[no](link.md)\n```\n`[no](link.md)`\n"
        "[good](README.md), [good](#a-page-twice), [good](#a-page-twice-1), [good](spec/README.md#keys), "
        "[good](https://example.invalid/#x)\n"
        "[bad](MISSING.md), [bad](#no-heading), [bad](spec/README.md#no-heading), [bad](../README.md)\n"
    )
    expected = ["MISSING.md", "#no-heading", "spec/README.md#no-heading", "../README.md"]
    assert broken(PROJECT / "README.md", text) == expected
