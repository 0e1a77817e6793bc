"""A file as an edition of the reference: its whole text or an index of it; what is neither is refused at its end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from generator.audit.reference_text import PrintedOperation, Reference, parse_reference
from generator.errors import Finding, GeneratorFailure

_METHODS = "GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS"
_INDEX_ENTRY = re.compile(rf"({_METHODS}) ?(/\S*?)— ?(.+?)(?=(?:{_METHODS}) ?/|$)")
_MARKUP = re.compile(r"\s*(<!doctype|<html|<\?xml|<head|<body|<div)", re.IGNORECASE)
_DEPRECATED = "(deprecated)"
_MAX_QUOTED_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Edition:
    """The reference as it was at some time. An index has sections, paths and titles alone."""

    name: str
    text: str
    reference: Reference
    is_index: bool = False


def read_edition(path: Path, *, allow_index: bool = False) -> Edition:
    """Read a file; GeneratorFailure where it is no reference text or only a part of one, with the line of its end."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GeneratorFailure([Finding(str(path), 1, "reference", f"cannot be read: {error}")]) from error
    return edition_of(text, path.name, allow_index=allow_index)


def edition_of(text: str, name: str, *, allow_index: bool = False) -> Edition:
    """The edition that a text holds, read as `read_edition` does."""
    reference = parse_reference(text, name)
    index = _index(text) if not reference.operations else []
    if index and allow_index:
        return Edition(name, text, Reference(index, []), is_index=True)
    problem = _problem(text, reference, index)
    if problem:
        number, end = _end(text)
        raise GeneratorFailure([Finding(name, number, "reference", f"{problem}; it ends at line {number}: {end!r}")])
    return Edition(name, text, reference)


def _problem(text: str, reference: Reference, index: list[PrintedOperation]) -> str:
    """Why the text is no whole reference; empty where it is one."""
    operations = reference.operations
    if not text.strip():
        return "is empty"
    if _MARKUP.match(text):
        return "is markup: save what the page shows as text, not its source"
    if index:
        return f"is an index of {len(index)} operations without their details: compare it by --against"
    if not operations:
        return "is no reference text: no line opens an operation, as 'GET /path — Title' does"
    if not reference.announced and reference.findings:
        return f"lacks its beginning: nothing above its {len(operations)} operations says how many there are"
    announced = reference.announced or len(operations)
    if len(operations) < announced:
        within = f", within {operations[-1].key}" if reference.is_cut else ""
        return f"is cut short: it announces {announced} operations and has {len(operations)}{within}"
    return f"is cut short, within {operations[-1].key}" if reference.is_cut else ""


def _end(text: str) -> tuple[int, str]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    number, line = lines[-1] if lines else (1, "")
    return number, line if len(line) <= _MAX_QUOTED_CHARACTERS else f"…{line[-_MAX_QUOTED_CHARACTERS:]}"


def _index(text: str) -> list[PrintedOperation]:
    """The entries of an index: a section's name in a line, then its operations, whose cells may run together."""
    found: list[PrintedOperation] = []
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        entries = _INDEX_ENTRY.findall(line)
        for method, path, printed in entries:
            title = printed.strip()
            deprecated = title.endswith(_DEPRECATED)
            found.append(PrintedOperation(number, method, path, title, section, deprecated=deprecated))
        if not entries and line.strip():
            section = line.strip()
    return found
