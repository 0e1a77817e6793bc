"""Anchors of headings, as code hosts make them, written out so that every builder of sites has the same ones."""

from __future__ import annotations

import re

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+ +)(.+?) *#*$", re.MULTILINE)


def anchored(text: str) -> str:
    """Return a page each of whose headings says its anchor."""
    taken: set[str] = set()

    def heading(found: re.Match[str]) -> str:
        anchor = _anchor(found[2])
        again, name = 0, anchor
        while name in taken:
            again += 1
            name = f"{anchor}-{again}"
        taken.add(name)
        return f"{found[1]}{found[2]} {{#{name}}}"

    parts = _FENCE.split(text)
    return "".join(part if at % 2 else _HEADING.sub(heading, part) for at, part in enumerate(parts))


def _anchor(heading: str) -> str:
    """In lower case, without marks, `-` for a blank."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
