"""Sentences of the reference text: how prose is taken apart, and the digest by which a sentence is known."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from generator.audit.reference_text import PrintedOperation, PrintedText, Reference

_END = re.compile(r"(?<=[.!?:;]) +(?=[A-Z0-9'\"(])|(?<=:) +(?=can't|must)|(?<=\)) +(?=can't|must)")
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence. `item` is the place of its text, such as `field email description`; `at` counts from 1 in it."""

    operation: str
    item: str
    at: int
    line: int
    text: str

    @property
    def digest(self) -> str:
        return digest(self.text)


def digest(text: str) -> str:
    """Known again without being kept: spaces and capitals make no difference."""
    return hashlib.sha256(" ".join(text.split()).casefold().encode()).hexdigest()[:_DIGEST_CHARACTERS]


def split(text: str) -> list[str]:
    """The sentences of one line of prose."""
    return [part.strip() for part in _END.split(text) if part.strip()]


def sentences(reference: Reference) -> Iterator[Sentence]:
    """All of them, in the document's order within an operation."""
    for operation in reference.operations:
        for item, prose in texts(operation).items():
            parts = [(line.line, part) for line in prose for part in split(line.text)]
            for at, (line, part) in enumerate(parts, 1):
                yield Sentence(operation.key, item, at, line, part)


def texts(operation: PrintedOperation) -> dict[str, list[PrintedText]]:
    """The texts of an operation by their place: its own, its body's, and the descriptions of its rows."""
    found = {"description": operation.prose}
    for parameter in operation.parameters:
        found[f"parameter {parameter.name} description"] = [PrintedText(parameter.line, parameter.description)]
    if operation.body:
        found["body description"] = operation.body.prose
        for row in operation.body.fields:
            found[f"field {row.name} description"] = [PrintedText(row.line, row.description)]
    for response in operation.responses:
        item = f"status {response.status.upper()}"
        found[item] = [PrintedText(response.line, response.description)]
    return found
