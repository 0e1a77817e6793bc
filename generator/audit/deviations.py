"""Differences from the reference text, and those among them that spec/deviations.yaml declares as meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.errors import Finding, GeneratorFailure
from generator.spec.yaml_reader import is_list, is_mapping, load_yaml

_KEYS = ("operation", "item", "document", "spec", "reason")


@dataclass(frozen=True, slots=True)
class Difference:
    """One item that the two sides put differently; `line` is where the document speaks of it, 0 if it does not."""

    operation: str
    item: str
    document: str
    spec: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Deviation:
    """A difference that is meant, with its reason. `operation` is `*` where it holds for all.

    An entry of the file may list several operations; each is a deviation of its own.
    """

    operation: str
    item: str
    document: str
    spec: str
    reason: str
    file: str
    line: int

    def covers(self, difference: Difference) -> bool:
        """Only the very same two values: a later, different difference shows up again."""
        return self.operation in ("*", difference.operation) and (self.item, self.document, self.spec) == (
            difference.item,
            difference.document,
            difference.spec,
        )


def load_deviations(path: Path, file: str) -> list[Deviation]:
    """The declared differences; each needs a reason of its own."""
    try:
        loaded = load_yaml(path.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {type(error).__name__}"
        raise GeneratorFailure([Finding(file, 1, "deviation", message)]) from error
    if loaded.value is not None and not is_list(loaded.value):
        raise GeneratorFailure([Finding(file, 1, "deviation", "the file holds a list of entries")])
    entries: list[Any] = loaded.value or []
    findings: list[Finding] = []
    found: dict[tuple[str, str], Deviation] = {}
    for index, entry in enumerate(entries):
        line = loaded.lines[(str(index),)].line
        if not is_mapping(entry) or set(entry) != set(_KEYS):
            findings.append(Finding(file, line, "deviation", f"an entry has the keys {', '.join(_KEYS)}"))
            continue
        if _text(entry["reason"]).strip() in ("", "TODO", "none"):
            message = f"{', '.join(_operations(entry))} / {_text(entry['item'])} has no reason"
            findings.append(Finding(file, line, "deviation", message))
        for operation in _operations(entry):
            values = {key: _text(entry[key]) for key in _KEYS if key != "operation"}
            deviation = Deviation(operation=operation, **values, file=file, line=line)
            key = (operation, deviation.item)
            if key in found:
                findings.append(Finding(file, line, "deviation", f"{' / '.join(key)} is declared twice"))
            found[key] = deviation
    if findings:
        raise GeneratorFailure(findings)
    return list(found.values())


def _operations(entry: dict[str, Any]) -> Iterable[str]:
    named = entry["operation"]
    return [_text(name) for name in named] if is_list(named) else [_text(named)]


def _text(value: Any) -> str:
    """YAML words back to the audit's own: true, false and none are written without quotes there."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
