"""Which pages the site has, and their text: links follow the files, headings keep the anchors that links name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from generator.site.anchors import anchored

SINGLE_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "LICENSE": "project/licence.md",
    "overlays/README.md": "project/architecture.md",
    "spec/README.md": "project/spec.md",
    "generator/README.md": "project/generator.md",
    "tests/README.md": "project/tests.md",
}
FOLDERS = {"overlays/guides": "guides", "generated/reference": "reference"}
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"(?P<mark>!?)\[(?P<words>[^\]]*)\]\((?!#|[a-z][a-z0-9+.-]*:)(?P<path>[^()\s#]+)(?P<anchor>#[^()\s]*)?\)"
)


def page_places(root: Path) -> dict[str, str]:
    """Where each file of the project stands in the site; pictures too."""
    places = dict(SINGLE_PAGES)
    for folder, place in FOLDERS.items():
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".md", ".svg"):
                inner = path.relative_to(root / folder).as_posix()
                name = re.sub(r"README\.md$", "index.md", inner)
                places[path.relative_to(root).as_posix()] = f"{place}/{name}"
    return places


def site_pages(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each page and picture, by its place in the site."""
    places = page_places(root)
    for name, place in places.items():
        content = (root / name).read_bytes()
        if name.endswith(".svg"):
            yield place, content
        elif name == "LICENSE":
            yield place, f"# Licence\n\n```text\n{content.decode()}```\n".encode()
        else:
            yield place, site_text(content.decode(), name, places).encode()


def site_text(text: str, name: str, places: dict[str, str]) -> str:
    """Return a page of the project as one of the site: what is fenced stays as it is."""
    parts = _FENCE.split(text)
    linked = [part if at % 2 else _linked(part, name, places) for at, part in enumerate(parts)]
    return anchored("".join(linked))


def _linked(text: str, name: str, places: dict[str, str]) -> str:
    here = PurePosixPath(places[name]).parent

    def link(found: re.Match[str]) -> str:
        target = os.path.normpath(PurePosixPath(name).parent / found["path"])
        place = places.get(target) or places.get(f"{target}/README.md")
        if place is None:  # a file of the project that is no page
            return found["words"]
        relative = os.path.relpath(place, here)
        return f"{found['mark']}[{found['words']}]({relative}{found['anchor'] or ''})"

    return _LINK.sub(link, text)
