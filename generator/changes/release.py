"""What a release must keep: its version and date lead CHANGELOG.md, and the version tells what changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from generator.changes.base import PROJECT_FILE, folder_state, revision_state
from generator.changes.report import report_changes
from generator.errors import Finding

CHANGELOG_FILE = "CHANGELOG.md"
_HEADING = re.compile(r"## (?P<version>\S+) \((?P<date>[^)]*)\)")


def release_findings(root: Path, base: str | None) -> list[Finding]:
    """What stands against a release of the tree; `base` is the revision of the last one, None for the first."""
    state = folder_state(root)
    found = list(_changelog_findings(root / CHANGELOG_FILE, state.version))
    if base is not None:
        report = report_changes(base, revision_state(root, base), state)
        if not report.is_covered:
            message = f"version {state.version} does not tell what changed since {base}: see `make changes BASE={base}`"
            found.append(Finding(PROJECT_FILE, 1, "release", message))
    return found


def _changelog_findings(path: Path, version: str) -> Iterator[Finding]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    headings = [(at, line) for at, line in enumerate(lines, 1) if line.startswith("## ")]
    at, heading = headings[0] if headings else (1, "nothing")
    match = _HEADING.fullmatch(heading)
    if match is None or match["version"] != version:
        message = f"the newest part must be headed `## {version} (date)`, it is {heading!r}"
        yield Finding(CHANGELOG_FILE, at, "release", message)
    elif not _is_date(match["date"]):
        yield Finding(CHANGELOG_FILE, at, "release", f"{match['date']!r} is no date such as 2026-11-30")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
