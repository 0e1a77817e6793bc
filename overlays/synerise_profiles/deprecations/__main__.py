"""The command `python -m synerise_profiles.deprecations PATH...`: lists uses of what is deprecated or was removed."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synerise_profiles._scanning.scan import Finding, UnreadableFile, scan_paths

from .registry import DeprecatedName, DeprecatedNames, known_deprecated_names
from .report import document

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
    findings, unread, files = scan_paths(options.paths, names)
    if options.json:
        sys.stdout.write(json.dumps(document(findings, unread, files, day), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(findings, unread, files, day)
    return 1 if options.strict and (findings or unread) else 0


def _print(
    findings: list[Finding[DeprecatedName]], unread: list[UnreadableFile], files: int, on: datetime.date
) -> None:
    for found in findings:
        used = found.subject
        text = f"{used.name}: {used.instead}; " if used.instead else f"{used.name}: "
        sys.stdout.write(f"{found.file}:{found.line}:{found.column}: {text}{used.deadline_text(on)}\n")
    for item in unread:
        sys.stderr.write(f"{item.file}:{item.line}: {item.problem}\n")
    sys.stderr.write(f"{len(findings)} found in {files} {'file' if files == 1 else 'files'}\n")


if __name__ == "__main__":
    sys.exit(main())
