"""The bundle as text: YAML for people and other tools, JSON for programs. Both are the same bytes on any machine."""

from __future__ import annotations

import json
from typing import Any

import yaml

# A text is one line: were it folded, a changed word would move the words of all lines after it.
MAX_LINE_CHARACTERS = 100_000


_BASE = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc, valid-type]  # libyaml writes the same four times as fast
    """Writes what is shared in memory out in full: anchors would tie places that have nothing in common."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the answer is the same for all
        return True


def dump_yaml(document: Any) -> str:
    """Block style, in the order given, Unicode kept."""
    return yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=MAX_LINE_CHARACTERS,
        default_flow_style=False,
        line_break="\n",
    )


def dump_json(document: dict[str, Any], notice: str) -> str:
    """One key or item a line, in the order given, so that an edit is a small diff; the notice stands in the first."""
    text = json.dumps({"x-generated": notice, **document}, ensure_ascii=False, allow_nan=False, indent=1)
    return text.replace("{\n ", "{", 1) + "\n"
