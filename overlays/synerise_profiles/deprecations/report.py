"""The report of the scanner: what was found, as a document."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synerise_profiles._scanning.scan import Finding, UnreadableFile, scan_paths
from synerise_profiles_api.errors import InvalidRequestError

from .registry import DeprecatedName, known_deprecated_names

__all__ = ["document", "scan_programs"]


def scan_programs(paths: Iterable[str | os.PathLike[str]], on: datetime.date | None) -> dict[str, Any]:
    """Scan programs and return what was found."""
    places = [Path(path) for path in paths]
    for path in places:
        if not path.exists():
            raise InvalidRequestError(f"there is no {path}", field="paths")
    findings, unread, files = scan_paths(places, known_deprecated_names())
    return document(findings, unread, files, datetime.datetime.now(datetime.UTC).date() if on is None else on)


def document(
    findings: list[Finding[DeprecatedName]], unread: list[UnreadableFile], files: int, on: datetime.date
) -> dict[str, Any]:
    """Return what was found as plain values."""
    return {
        "files": files,
        "findings": [
            {
                "file": found.file,
                "line": found.line,
                "column": found.column,
                "name": found.subject.name,
                "instead": found.subject.instead,
                "sunset": None if found.subject.sunset is None else found.subject.sunset.isoformat(),
                "days_left": found.subject.days_left(on),
                "removed_in": found.subject.removed_in,
            }
            for found in findings
        ],
        "unread": [{"file": item.file, "line": item.line, "problem": item.problem} for item in unread],
    }
