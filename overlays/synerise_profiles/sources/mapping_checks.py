"""What is wrong with a mapping as a whole: fields that are given twice, and what no row could have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._validation.schema import Schema

from .errors import MappingIssue
from .fields import ResolvedField
from .targets import Target

__all__ = ["Given", "clashes", "columns_issue", "missing_required", "target_issue"]

Given = Sequence[tuple[str, ResolvedField]]
"""Columns and their fields; a constant has no column."""


def clashes(given: Given) -> Iterator[MappingIssue]:
    """Find fields that are given twice, or as a whole and in parts."""
    owners: dict[tuple[str, ...], str] = {}
    parts: dict[tuple[str, ...], str] = {}
    for column, resolved in given:
        names = tuple(step.name for step in resolved.steps)
        prefixes = [names[:length] for length in range(1, len(names))]
        whole = next((prefix for prefix in prefixes if prefix in owners), None)
        if names in owners:
            problem = f"is given twice; the other time by {_origin(owners[names])}"
            yield MappingIssue(column, resolved.path, problem)
        elif names in parts:
            problem = f"is given whole, and a part of it by {_origin(parts[names])}"
            yield MappingIssue(column, resolved.path, problem)
        elif whole is not None:
            problem = f"is part of {'.'.join(whole)}, which is given by {_origin(owners[whole])}"
            yield MappingIssue(column, resolved.path, problem)
        owners.setdefault(names, column)
        for prefix in prefixes:
            parts.setdefault(prefix, column)


def missing_required(
    given: Given, schema: Schema, operation: BatchOperation, computed: Collection[str] = ()
) -> Iterator[MappingIssue]:
    """Find what no row could have: required fields that are not `computed`, and an identifier of its profile."""
    paths = {tuple(step.name for step in resolved.steps) for _, resolved in given}
    tops = {path[0] for path in paths}.union(computed)
    for name in schema.required:
        if name not in tops:
            yield MappingIssue("", name, "is required, and no column or constant gives it")
    holder = () if operation.holder_field is None else (operation.holder_field,)
    wanted = {(*holder, name) for name in operation.identifiers}
    if not paths & wanted and holder not in paths:
        names = ", ".join(".".join(path) for path in sorted(wanted))
        yield MappingIssue("", "", f"no row would name a profile; map a column to one of {names}")


def columns_issue(columns: object) -> MappingIssue | None:
    """Say what a caller without a type checker got wrong."""
    if isinstance(columns, Mapping):
        return None
    return MappingIssue("", "", f"expected a mapping from columns to fields, got {type(columns).__name__}")


def target_issue(name: str, given: object) -> MappingIssue | None:
    """Say why this is no target, nor a list of targets; None if it is."""
    problem = f"expected a path or what field() makes, got {type(given).__name__}"
    targets = cast("Sequence[object]", given) if isinstance(given, list | tuple) else (given,)
    return None if all(isinstance(target, str | Target) for target in targets) else MappingIssue(name, "", problem)


def _origin(column: str) -> str:
    return f"column {column!r}" if column else "a constant"
