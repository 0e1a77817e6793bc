"""What changed between two editions, for people and programs: grouped, and with what the spec makes of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from generator.audit.comparison import AuditReport
from generator.audit.documents import Edition
from generator.audit.editions import EditionChange, edition_changes
from generator.audit.sentences import digest, sentences, split

MISSING, DECLARED, PRESENT, UNCOMPARED = "missing", "declared", "present", "not compared"
_SAID = {
    MISSING: "the spec lacks it",
    DECLARED: "the spec differs, as declared",
    PRESENT: "the spec has it",
    UNCOMPARED: "for people to read",
}
_ENUM_VALUE = re.compile(r'"[^"]*"|…')
_MAX_SHOWN_CHARACTERS = 300


Ties = dict[tuple[str, str, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class JudgedChange:
    """A change, what the spec makes of it, and the keys of the spec that rest on a sentence that is gone."""

    change: EditionChange
    state: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EditionReport:
    """The changes from one edition to another."""

    old: Edition
    new: Edition
    changes: tuple[JudgedChange, ...]

    def to_text(self) -> str:
        """For people, a block for equal changes."""
        counts = " -> ".join(f"{len(side.reference.operations)} in {side.name}" for side in (self.old, self.new))
        lines = [f"operations: {counts}; {len(self.changes)} changes"]
        if self.old.is_index or self.new.is_index:
            lines.append("An index is compared by its operations, titles, sections and deprecations alone.")
        for group in self._grouped():
            lines += ["", *_block(group, self)]
        return "\n".join(lines) + "\n"

    def to_entries(self) -> list[dict[str, object]]:
        """For programs, one entry a change."""
        return [
            {
                "operation": judged.change.operation,
                "item": judged.change.item,
                "old": judged.change.old,
                "new": judged.change.new,
                "file": self.file(judged.change),
                "line": judged.change.line,
                "spec": judged.state,
                "keys": list(judged.keys),
            }
            for judged in self.changes
        ]

    def file(self, change: EditionChange) -> str:
        """The edition that the line of a change is one of."""
        return self.old.name if change.is_gone else self.new.name

    def _grouped(self) -> list[list[JudgedChange]]:
        groups: dict[tuple[object, ...], list[JudgedChange]] = {}
        for judged in self.changes:
            change = judged.change
            item = "" if change.is_text else change.item
            groups.setdefault((item, change.old, change.new, judged.state, judged.keys), []).append(judged)
        return list(groups.values())


def compare_editions(old: Edition, new: Edition, audit: AuditReport, ties: Ties) -> EditionReport:
    """`audit` is that of the new edition; `ties` has the keys of the spec by operation, text and digest."""
    missing = {(found.operation, found.item) for found in audit.undeclared}
    declared = {(found.operation, found.item) for found in audit.declared}
    left = {(sentence.operation, sentence.item, sentence.digest) for sentence in sentences(new.reference)}
    judged: list[JudgedChange] = []
    for change in edition_changes(old, new):
        place = (change.operation, "operation" if change.item == "path" else change.item)
        state = PRESENT
        if not _is_compared(change):
            state = UNCOMPARED
        elif place in missing:
            state = MISSING
        elif place in declared:
            state = DECLARED
        parts = split(change.old) if change.is_text else []
        gone = {(change.operation, change.item, digest(part)) for part in parts} - left
        keys = {key for text in gone for key in ties.get(text, ())}
        judged.append(JudgedChange(change, state, tuple(sorted(keys))))
    return EditionReport(old, new, tuple(judged))


def _is_compared(change: EditionChange) -> bool:
    """Whether the audit holds the item against the spec: words are the publisher's, and values of examples are free."""
    if change.item.startswith("example "):
        return "absent" in (change.old, change.new)
    return change.item != "title" and not change.item.endswith("description")


def _block(group: list[JudgedChange], report: EditionReport) -> list[str]:
    first = group[0]
    change = first.change
    item = "text" if change.is_text else change.item
    lines = [f"{item}: {_values(change)} ({_SAID[first.state]})"]
    lines += [f"  rests on it: {key}" for key in first.keys]
    for judged in group:
        place = f"{judged.change.operation} / {judged.change.item}" if change.is_text else judged.change.operation
        lines.append(f"  {report.file(judged.change)}:{judged.change.line}: {place}")
    return lines


def _values(change: EditionChange) -> str:
    """Both values; of two enums only what came and went."""
    old, new = change.old, change.new
    if "enum<" in old and "enum<" in new:
        before, after = _ENUM_VALUE.findall(old), _ENUM_VALUE.findall(new)
        came, went = ([value for value in a if value not in b] for a, b in ((after, before), (before, after)))
        rest = [_ENUM_VALUE.sub("", side) for side in (old, new)]
        if (came or went) and rest[0].replace(", ", "") == rest[1].replace(", ", ""):
            return "; ".join(f"{word} {', '.join(found)}" for word, found in (("adds", came), ("drops", went)) if found)
    return f"{_short(old)} -> {_short(new)}"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"
