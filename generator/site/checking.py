"""The built site: its links lead somewhere, and it loads nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself, unlike a link.
_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
_NOT_LOADED_LINKS = {"canonical", "next", "prev", "alternate"}


class _Page(HTMLParser):
    """The ids of a page, what it links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in _LOADED and given.get(_LOADED[tag]) and given.get("rel") not in _NOT_LOADED_LINKS:
            self.loaded.append(given[_LOADED[tag]])


def site_problems(site: Path) -> list[str]:
    """Return a line for each link that leads nowhere, and for each thing that is loaded from elsewhere."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    problems: list[str] = [] if pages else [f"{site}: there is no page"]
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        problems += [f"{name}: loads {url} from elsewhere" for url in page.loaded if urlsplit(url).netloc]
        local = [url for url in (*page.links, *page.loaded) if not urlsplit(url).scheme and not urlsplit(url).netloc]
        problems += [f"{name}: {url} leads nowhere" for url in dict.fromkeys(local) if not _leads(url, path, pages)]
    return problems


def _leads(url: str, path: Path, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(url)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].ids
