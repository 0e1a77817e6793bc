"""The folder that a site builder reads: all pages, a picture, the navigation and the settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import cast

from generator.site.api import api_pages
from generator.site.pages import site_pages

GUIDE_LINK = "guides/"
_SETTINGS = Path(__file__).with_name("zensical.toml")
_ASSETS = {"worker.js": "iframe-worker.js", "site.css": "site.css"}  # by the names that the builder goes by


def write_site_source(root: Path, folder: Path) -> None:
    """Write the pages to `docs` in the folder, and the settings beside it; what stood there is removed."""
    if folder.exists():
        shutil.rmtree(folder)
    for place, content in site_pages(root):
        _write(folder / "docs" / place, content)
    names: list[str] = []
    for name, text in api_pages(root):
        _write(folder / "docs" / "api" / f"{name}.md", text.encode())
        names.append(name)
    for name, place in _ASSETS.items():
        _write(folder / "docs" / "assets" / place, Path(__file__).with_name(name).read_bytes())
    settings = _SETTINGS.read_text(encoding="utf-8").replace("NAVIGATION", _navigation(folder / "docs", names))
    _write(folder / "zensical.toml", settings.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _navigation(docs: Path, api_names: list[str]) -> str:
    """TOML: the guides in the order and under the headings of their index, the reference, the names."""
    section: list[object] = []
    guides: list[object] = ["guides/index.md"]
    for line in (docs / "guides" / "index.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = []
            guides.append({line[3:].partition(" {")[0]: section})
        elif line.startswith("- ["):
            title, _, rest = line[3:].partition("](")
            section.append({title: GUIDE_LINK + rest.partition(")")[0]})
    reference: list[object] = ["reference/index.md"]
    for path in sorted((docs / "reference").rglob("*.md")):
        place = path.relative_to(docs).as_posix()
        if place != "reference/index.md":
            reference.append({_title(path): place})
    names: list[object] = ["api/index.md", *({_label(name): f"api/{name}.md"} for name in api_names if name != "index")]
    project: list[object] = [{_title(path): f"project/{path.name}"} for path in sorted((docs / "project").glob("*.md"))]
    navigation = [
        {"Start": ["index.md", {"Changelog": "changelog.md"}]},
        {"Guides": guides},
        {"Reference": reference},
        {"Public names": names},
        {"Project": project},
    ]
    return _toml(navigation)


def _label(module: str) -> str:
    """The name of a module as short as the margin asks for."""
    return module.partition(".")[2] or module


def _title(page: Path) -> str:
    heading = next(line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
    return heading[2:].partition(" {#")[0]


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, cast('list[object]', value)))}]"
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(inner)}' for key, inner in items)} }}"
    return json.dumps(value, ensure_ascii=False)
