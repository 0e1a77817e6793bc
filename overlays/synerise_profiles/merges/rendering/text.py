"""A plan as text: tables in columns of fixed width, for a terminal or an e-mail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from synerise_profiles._reports import PageTable, align_columns

from .document import PlanDocument, document_of

if TYPE_CHECKING:
    from .document import ShownPlan

__all__ = ["to_text"]

_MAX_ROWS: Final = 200


def to_text(plan: ShownPlan, *, show_values: bool) -> str:
    """Return a plan as text."""
    return "\n".join(_lines(document_of(plan, show_values=show_values)))


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


def _table(table: PageTable) -> Iterator[str]:
    if not table.rows:
        yield f"{table.title}: none"
        return
    yield f"{table.title} ({len(table.rows):,}). {table.note}"
    yield from align_columns(table.header, table.rows[:_MAX_ROWS])
    if len(table.rows) > _MAX_ROWS:
        yield f"  and {len(table.rows) - _MAX_ROWS:,} more; to_html() and to_dict() hold all of them"
