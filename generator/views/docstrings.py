"""Docstrings of generated code, as lines that are safe inside triple quotes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

WIDTH = 108
MAX_WRAPPED_LINES = 3
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def escape(text: str) -> str:
    """Text that stands inside triple double quotes as it is meant."""
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    safe = "".join(char if char.isprintable() or char == "\n" else " " for char in safe)
    return safe[:-1] + '\\"' if safe.endswith('"') else safe


def paragraphs(text: str, indent: str = "", hanging: str = "") -> list[str]:
    """Wrap each paragraph of a description; in a long one each sentence by itself, so that a word moves few others."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        words = " ".join(paragraph.split())
        wrapped = textwrap.wrap(words, WIDTH, initial_indent=indent, subsequent_indent=indent + hanging)
        if len(wrapped) > MAX_WRAPPED_LINES:
            first, *others = _SENTENCE_END.split(words)
            wrapped = textwrap.wrap(first, WIDTH, initial_indent=indent, subsequent_indent=indent + hanging)
            for sentence in others:
                wrapped += textwrap.wrap(
                    sentence, WIDTH, initial_indent=indent + hanging, subsequent_indent=indent + hanging
                )
        lines.extend(wrapped)
    return lines


def sections(summary: str, description: str, blocks: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
    """A summary line, the description, then titled blocks of `name: text` entries."""
    lines = paragraphs(summary.rstrip(".") + ".")
    if description:
        lines += ["", *paragraphs(description)]
    for title, entries in blocks:
        if entries:
            lines += ["", f"{title}:"]
            for name, text in entries:
                lines += paragraphs(f"{name}: {text}" if name else text, "    ", "    ")
    return [escape(line) for line in lines]


def operation_section(operation: dict[str, Any], path: str, method: str, replacement: str) -> list[tuple[str, str]]:
    """Who may call an operation, with what, and where it is sent."""
    callers = ", ".join(operation.get("x-synerise-consumers", []))
    who = [f"callers: {callers}"] if callers else []
    if operation.get("security") == []:
        who.append("no authentication is needed")
    if "x-synerise-permission" in operation:
        who.append(f"permission: {operation['x-synerise-permission']}")
    if "x-synerise-role" in operation:
        who.append(f"user role: {operation['x-synerise-role']}")
    if operation.get("x-synerise-pii"):
        who.append("PII")
    entries = [("", f"{method.upper()} {path}")]
    if who:
        entries.append(("", _sentence("; ".join(who))))
    if replacement:
        entries.append(("Deprecated", replacement))
    return entries


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
