"""A plan as text: tables in columns of fixed width, for a terminal or an e-mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from .document import DocumentTable, PlanDocument, document_of

if TYPE_CHECKING:
    from .document import ShownPlan

__all__ = ["align_columns", "to_text"]

_MAX_CELL_CHARS: Final = 60
_MAX_ROWS: Final = 200


def to_text(plan: ShownPlan, *, show_values: bool) -> str:
    """Return a plan as text."""
    return "\n".join(_lines(document_of(plan, show_values=show_values)))


def align_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align cells in columns; a long cell is cut, which … marks."""
    cells = [[_truncate(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _lines(document: PlanDocument) -> Iterator[str]:
    yield document.title
    yield ", ".join(f"{name} {value[:12] if name == 'fingerprint' else value}" for name, value in document.facts)
    for problem in document.problems:
        yield f"CANNOT BE APPLIED: {problem}"
    for warning in document.warnings:
        yield f"NOTE: {warning}"
    for table in document.tables:
        yield ""
        yield from _table(table)


def _table(table: DocumentTable) -> Iterator[str]:
    if not table.rows:
        yield f"{table.title}: none"
        return
    yield f"{table.title} ({len(table.rows):,}). {table.note}"
    yield from align_columns(table.header, table.rows[:_MAX_ROWS])
    if len(table.rows) > _MAX_ROWS:
        yield f"  and {len(table.rows) - _MAX_ROWS:,} more; to_html() and to_dict() hold all of them"


def _truncate(cell: str) -> str:
    return cell if len(cell) <= _MAX_CELL_CHARS else f"{cell[: _MAX_CELL_CHARS - 1]}…"
