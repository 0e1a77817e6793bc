"""Text that is safe to show: columns of fixed width, and nothing that a screen would take for a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["align_columns", "printable"]

_MAX_CELL_CHARS: Final = 60


def printable(text: str) -> str:
    r"""Escape what a screen would not show, or would take for a command: line ends, terminal codes, text direction."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def align_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align cells in columns; a long cell is cut, which … marks."""
    cells = [[_truncate(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _truncate(cell: str) -> str:
    return cell if len(cell) <= _MAX_CELL_CHARS else f"{cell[: _MAX_CELL_CHARS - 1]}…"
