"""What a package index shows of README: its links and pictures made absolute, below the home page of `project.urls`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?!#|[a-z][a-z0-9+.-]*:)(?P<path>[^()\s]+)\)")
PLACES = {"": "blob", "!": "raw"}


class ReadmeHook(MetadataHookInterface):
    """Gives the text of README, which in a checkout has relative links."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`, which pyproject.toml says is dynamic."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        home = metadata["urls"]["Homepage"]
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, home)}


def absolute(text: str, home: str) -> str:
    """Return a page whose relative links lead to the same files of the project at its home page."""

    def link(found: re.Match[str]) -> str:
        mark, words, path = found["mark"], found["text"], found["path"]
        return f"{mark}[{words}]({home}/{PLACES[mark]}/main/{path})"

    return LINK.sub(link, text)
