"""A small specification of an invented library, copied for each test so that the test may spoil it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generator.errors import Finding
from generator.rules import check_rules
from generator.spec.bundle import Bundle
from generator.spec.fragments import load_fragments

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Spec:
    """A copy of the specification; `edit` changes one text that must be there."""

    folder: Path

    def edit(self, file: str, old: str, new: str) -> Spec:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return self

    def add(self, file: str, text: str) -> Spec:
        (self.folder / file).write_text(text, encoding="utf-8")
        return self

    def bundle(self) -> Bundle:
        return load_fragments(self.folder)

    def findings(self) -> list[Finding]:
        return check_rules(self.bundle())
