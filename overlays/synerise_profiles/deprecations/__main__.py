"""The command `python -m synerise_profiles.deprecations PATH...`: lists uses of what is deprecated or was removed."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .registry import DeprecatedNames, known_deprecated_names
from .scan import Finding, UnreadableFile, python_files, scan_file

_DESCRIPTION = (
    "List where programs use methods of synerise-profiles that are deprecated, and names that were removed: the place,"
    " what to use instead, the days that are left. Programs are read, not run. A method is recognised by its resource"
    " and its name, whatever the client is called."
)


def main(
    arguments: Sequence[str] | None = None,
    *,
    deprecated: DeprecatedNames | None = None,
    on: datetime.date | None = None,
) -> int:
    """Run the command; return its status."""
    parser = argparse.ArgumentParser(prog="python -m synerise_profiles.deprecations", description=_DESCRIPTION)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, a notebook or a folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    strict = "end with status 1 if anything was found, or a file could not be read"
    parser.add_argument("--strict", action="store_true", help=strict)
    options = parser.parse_args(arguments)
    for path in options.paths:
        if not path.exists():
            parser.error(f"there is no {path}")
    names = known_deprecated_names() if deprecated is None else deprecated
    day = datetime.datetime.now(datetime.UTC).date() if on is None else on
    paths = dict.fromkeys(file for path in options.paths for file in python_files(path))
    results = [item for path in paths for item in scan_file(path, names)]
    findings = [item for item in results if isinstance(item, Finding)]
    unread = [item for item in results if isinstance(item, UnreadableFile)]
    if options.json:
        sys.stdout.write(json.dumps(_document(findings, unread, len(paths), day), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(findings, unread, len(paths), day)
    return 1 if options.strict and results else 0


def _print(findings: list[Finding], unread: list[UnreadableFile], files: int, on: datetime.date) -> None:
    for found in findings:
        used = found.deprecated_name
        text = f"{used.name}: {used.instead}; " if used.instead else f"{used.name}: "
        sys.stdout.write(f"{found.file}:{found.line}:{found.column}: {text}{used.deadline_text(on)}\n")
    for item in unread:
        sys.stderr.write(f"{item.file}:{item.line}: {item.problem}\n")
    sys.stderr.write(f"{len(findings)} found in {files} {'file' if files == 1 else 'files'}\n")


def _document(findings: list[Finding], unread: list[UnreadableFile], files: int, on: datetime.date) -> dict[str, Any]:
    return {
        "files": files,
        "findings": [
            {
                "file": found.file,
                "line": found.line,
                "column": found.column,
                "name": found.deprecated_name.name,
                "instead": found.deprecated_name.instead,
                "sunset": None if found.deprecated_name.sunset is None else found.deprecated_name.sunset.isoformat(),
                "days_left": found.deprecated_name.days_left(on),
                "removed_in": found.deprecated_name.removed_in,
            }
            for found in findings
        ],
        "unread": [{"file": item.file, "line": item.line, "problem": item.problem} for item in unread],
    }


if __name__ == "__main__":
    sys.exit(main())
