"""What a site builder reads, and the check of what it built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from generator.site.anchors import anchored
from generator.site.building import write_site_source
from generator.site.checking import site_problems
from generator.site.pages import page_places, site_text

PROJECT = Path(__file__).resolve().parents[3]
LINK = re.compile(r"\]\((?!#|[a-z]+:)([^()\s#]+)(?:#([^()\s]*))?\)")
FENCED = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    write_site_source(PROJECT, folder)
    return folder


def test_each_page_is_there_once(docs: Path) -> None:
    """Each guide, each reference page and each page of the project stands in the site and in its navigation."""
    settings = tomllib.loads((docs / "zensical.toml").read_text(encoding="utf-8"))
    listed = re.findall(r"'([^']+\.md)'", str(settings["project"]["nav"]))
    pages = [path.relative_to(docs / "docs").as_posix() for path in (docs / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(pages)
    guides = {path.name for path in (PROJECT / "overlays" / "guides").glob("*.md")} - {"README.md"}
    assert guides < {name.removeprefix("guides/") for name in pages}
    assert {"api/synerise_profiles.bulk.md", "api/synerise_profiles.events.md", "reference/profiles.md"} < set(pages)


def test_links_follow_the_files(docs: Path) -> None:
    """Each relative link of each page leads to a page or a picture of the site, and to an anchor of it."""
    broken: list[str] = []
    for path in (docs / "docs").rglob("*.md"):
        for name, anchor in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
            target = path.parent / name
            if not target.exists() or (anchor and f"{{#{anchor}}}" not in target.read_text(encoding="utf-8")):
                broken.append(f"{path.name}: {name}#{anchor}")
    assert broken == []


def test_names_have_signature_and_docstring(docs: Path) -> None:
    """A page of names shows what `help` would: the signature, the docstring, the methods of a class."""
    text = (docs / "docs" / "api" / "synerise_profiles.bulk.md").read_text(encoding="utf-8")
    assert "## read_dead_letter {#read_dead_letter}" in text
    assert "read_dead_letter: def (path: str | os.PathLike[str]" in text
    assert "### raise_for_rejected" in text
    assert "Raise RejectedRowsError if a row was not accepted." in text
    models = (docs / "docs" / "api" / "synerise_profiles.models.md").read_text(encoding="utf-8")
    assert "Attributes:" not in models
    assert re.search(r"- `password`: `field str`\. Password of the profile; ", models)
    assert "class JournalMismatchError(JournalError, ValueError)" in text


def test_a_link_out_of_the_site_is_plain_text() -> None:
    """A file that is no page loses its link and keeps its words; a folder leads to its page; code stays as it is."""
    places = page_places(PROJECT)
    code = "\n```text\n[e](bulk.md)\n```\n"
    text = f"[a](bulk.md#x), [b](../../pyproject.toml), [c](../../spec), ![d](pictures/run.svg){code}"
    expected = f"[a](bulk.md#x), b, [c](../project/spec.md), ![d](pictures/run.svg){code}"
    assert site_text(text, "overlays/guides/queue.md", places) == expected


def test_anchors_are_those_of_code_hosts() -> None:
    """A heading says its anchor; the second of one name gets a number; a comment in code is no heading."""
    text = "# A `page`, twice\n## A page, twice\n```bash\n# no heading\n```\n"
    expected = "# A `page`, twice {#a-page-twice}\n## A page, twice {#a-page-twice-1}\n```bash\n# no heading\n```\n"
    assert anchored(text) == expected


def test_the_check_finds_what_is_wrong(tmp_path: Path) -> None:
    """A missing page, a missing anchor and a script from elsewhere are named with their page; the rest is passed."""
    (tmp_path / "a.html").write_text(
        '<h1 id="x">A</h1><a href="#x">good</a><a href="b.html#y">good</a><a href="https://example.invalid">good</a>'
        '<a href="c.html">bad</a><a href="b.html#z">bad</a><script src="https://example.invalid/a.js"></script>',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<h2 id="y">B</h2>', encoding="utf-8")
    assert site_problems(tmp_path) == [
        "a.html: loads https://example.invalid/a.js from elsewhere",
        "a.html: c.html leads nowhere",
        "a.html: b.html#z leads nowhere",
    ]
    assert site_problems(tmp_path / "nothing") == [f"{tmp_path / 'nothing'}: there is no page"]
