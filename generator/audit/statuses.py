"""What the statuses of an operation mean: the texts of the reference against the words that the spec expects there.

The descriptions of the spec are its own, so they cannot be compared. `x-printed` of a response says by which words the
reference's text is known. Of all words of the bundle the longest in a text decide what it means.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from generator.audit.reference_text import PrintedOperation
from generator.spec.bundle import Bundle
from generator.spec.composition import Schema
from generator.spec.walk import mappings

Items = dict[str, str]

_PII = re.compile(r"PII permissions are required")
_PII_ITEM = "PII permissions"


def needs_pii(operation: PrintedOperation) -> bool:
    """Whether the reference says that PII permissions are needed in addition."""
    return any(_PII.search(response.description) for response in operation.responses)


def status_items(bundle: Bundle, operation: PrintedOperation, node: Schema) -> tuple[Items, Items]:
    """The meanings of both sides, by status: the deciding words, or the whole text where no words are in it."""
    document, spec = {_PII_ITEM: _need(needs_pii(operation))}, {_PII_ITEM: _need(node.get("x-synerise-pii", False))}
    expected = {str(status).upper(): _words(bundle.resolve(found)) for status, found in node["responses"].items()}
    every = [words for _, mapping in mappings(bundle.document) for words in _words(mapping)]
    for response in operation.responses:
        status = response.status.upper()
        if status in expected and response.description:
            means = _meaning(response.description, every)
            own = expected[status]
            document[f"status {status}"] = means
            spec[f"status {status}"] = means if means in own else ", ".join(own) or "none"
    return document, spec


def _words(response: dict[str, Any]) -> list[str]:
    found: list[str] = response.get("x-printed", [])
    return found


def _meaning(printed: str, every: list[str]) -> str:
    inside = filter(partial(_holds, printed), every)
    return max(inside, key=len, default=printed)


def _holds(printed: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", printed, re.IGNORECASE) is not None


def _need(value: object) -> str:
    return "needed in addition" if value else "not needed"
