"""What is wrong with the fields of a mapping taken together: given twice, or never given though required. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._validation.schema import Schema

from .errors import MappingIssue
from .fields import ResolvedField

__all__ = ["clashes", "missing_required"]


def clashes(given: Sequence[tuple[str, ResolvedField]]) -> Iterator[MappingIssue]:
    """Find fields that are given twice, or as a whole and in parts; each comes with its column, "" for a constant."""
    owners: dict[tuple[str, ...], str] = {}
    parts: dict[tuple[str, ...], str] = {}
    for column, field in given:
        way = tuple(step.name for step in field.steps)
        prefixes = [way[:length] for length in range(1, len(way))]
        if way in owners:
            yield MappingIssue(column, field.path, f"is given twice; the other time by {_named(owners[way])}")
        elif way in parts:
            yield MappingIssue(column, field.path, f"is given whole, and a part of it by {_named(parts[way])}")
        elif (whole := next((prefix for prefix in prefixes if prefix in owners), None)) is not None:
            yield MappingIssue(
                column, field.path, f"is part of {'.'.join(whole)}, which is given by {_named(owners[whole])}"
            )
        owners.setdefault(way, column)
        for prefix in prefixes:
            parts.setdefault(prefix, column)


def missing_required(
    fields: Sequence[ResolvedField], batch_operation: BatchOperation, schema: Schema
) -> Iterator[MappingIssue]:
    """Find what no row could have: required fields, and an identifier of its profile."""
    tops = {field.steps[0].name for field in fields}
    for name in schema.required:
        if name not in tops:
            yield MappingIssue("", name, "is required, and no column or constant gives it")
    holder = () if batch_operation.holder_field is None else (batch_operation.holder_field,)
    ways = {tuple(step.name for step in field.steps) for field in fields}
    wanted = {(*holder, name) for name in batch_operation.identifiers}
    if not ways & wanted and holder not in ways:
        names = ", ".join(".".join(way) for way in sorted(wanted))
        yield MappingIssue("", "", f"no row would name a profile; map a column to one of {names}")


def _named(column: str) -> str:
    return f"column {column!r}" if column else "a constant"
