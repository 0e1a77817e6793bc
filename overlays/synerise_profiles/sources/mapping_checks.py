"""Checks of a mapping as a whole, such as a field that is given twice; and its digest, which tells mappings apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Final, cast, get_args

import attrs
import orjson

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.readable_row import write_any
from synerise_profiles._validation.schema import Schema
from synerise_profiles_api.types import Operation

from .columns import CellDefaults, MappedTarget
from .errors import MappingIssue
from .fields import ResolvedField, close_names, parse_path
from .plain_values import endless_problem, plain_texts, plain_value
from .targets import Empty, FieldTarget, Target, field, null_values_problem, zone_name

__all__ = [
    "Given",
    "argument_issues",
    "cell_defaults",
    "clashes",
    "given_issues",
    "mapping_digest",
    "missing_required",
    "needs_columns",
    "surely_missing",
    "targets_of",
]

_IS_MISSING: Final = "is required, and no column or constant gives it"
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
            yield MappingIssue("", name, _IS_MISSING)
    for path in _missing_inside(given, computed):
        yield MappingIssue("", path, _IS_MISSING)
    holder = () if operation.holder_field is None else (operation.holder_field,)
    wanted = {(*holder, name) for name in operation.identifiers}
    if not paths & wanted and holder not in paths:
        names = ", ".join(".".join(path) for path in sorted(wanted))
        yield MappingIssue("", "", f"no row would name a profile; map a column to one of {names}")


def surely_missing(missing: Iterable[MappingIssue], issues: Sequence[MappingIssue]) -> Iterator[MappingIssue]:
    """Yield what is missing beside what these issues are about: a field that is misspelt there is not missing too."""
    misspelt = [issue.field for issue in issues if issue.field]
    tops = {parse_path(path)[0].name for path in misspelt}
    if any(issue.column and not issue.field and not issue.problem.startswith("where") for issue in issues):
        return  # a column without a field may be for any
    for issue in missing:
        if not misspelt or (issue.field and issue.field not in tops and not close_names(issue.field, misspelt)):
            yield issue


def _missing_inside(given: Given, computed: Collection[str]) -> Iterator[str]:
    """Yield the required fields that objects lack of which other fields are given: no row would be taken with one."""
    known: set[tuple[str, ...]] = set()
    for _, resolved in given:
        whole = tuple(step.name for step in resolved.steps)
        known.update(whole[:length] for length in range(1, len(whole) + 1))
    wanted: dict[tuple[str, ...], str] = {}
    for _, resolved in given:
        for depth, schema in enumerate(resolved.parents[1:], 1):
            steps = resolved.steps[:depth]
            if schema is None or steps[0].name in computed:
                continue
            path = ".".join(f"{step.name}[]" if step.is_entry else step.name for step in steps)
            names = tuple(step.name for step in steps)
            wanted |= {(*names, name): f"{path}.{name}" for name in schema.required}
    return (path for names, path in wanted.items() if names not in known)


def given_issues(
    given: Given, schema: Schema, operation: BatchOperation, computed: Collection[str]
) -> Iterator[MappingIssue]:
    """Find both: fields that are given twice, and what no row could have."""
    yield from clashes(given)
    yield from missing_required(given, schema, operation, computed)


def needs_columns(schema: Schema, mapped: Mapping[str, Sequence[MappedTarget]]) -> bool:
    """Whether it takes a file to know the fields that columns go to, those aside that are the caller's own."""
    tops = [
        schema.properties.get(parse_path(item.target.field)[0].name)
        for targets in mapped.values()
        for item in targets
        if item.field is None
    ]
    return any(top is None or top.properties or not top.allows_additional for top in tops)


def argument_issues(columns: object, group_by: object, **tables: object) -> Iterator[MappingIssue]:
    """Say what a caller without a type checker got wrong."""
    for name, given in {"columns": columns, "group_by": group_by, **tables}.items():
        if (problem := endless_problem(name, given)) is not None:
            yield MappingIssue("", "", problem)
            return
        inner: Collection[object] = ()
        if name == "where" and isinstance(given, Mapping):
            inner = cast("Mapping[str, object]", given).values()
        for condition in inner:
            if (problem := endless_problem(name, condition)) is not None:
                yield MappingIssue("", "", problem)
    if not isinstance(columns, Mapping):
        yield MappingIssue("", "", f"expected a mapping from columns to fields, got {type(columns).__name__}")
    if not isinstance(group_by, str | Sequence | None):
        problem = f"group_by is the name of a column, or a list of names, not {type(group_by).__name__}"
        yield MappingIssue("", "", problem)
    elif group_by is not None and not group_by:
        yield MappingIssue(
            "", "", "group_by is the name of a column, or a list of names; leave it out to group nothing"
        )
    for name, table in tables.items():
        if not isinstance(table, Mapping | None):
            yield MappingIssue("", "", f"{name} is a mapping, not {type(table).__name__}")


def cell_defaults(
    issues: list[MappingIssue], *, empty: Empty, trim: bool, null_values: Collection[str] | None
) -> CellDefaults:
    """Return what a mapping says about all its cells; what is wrong with that is added to `issues`."""
    if empty not in get_args(Empty):
        issues.append(MappingIssue("", "", f"empty={empty!r} is none of {', '.join(get_args(Empty))}"))
    problem = null_values_problem(null_values)
    if problem is not None:
        issues.append(MappingIssue("", "", problem))
    words = () if problem is not None or null_values is None else tuple(sorted(plain_texts(null_values)))
    return CellDefaults(empty=plain_value(empty), trim=trim, null_values=words)


def targets_of(name: str, given: FieldTarget, issues: list[MappingIssue]) -> tuple[Target, ...]:
    """Return the targets of a column; what is none is added to `issues`."""
    if given is None:
        return ()
    if (issue := _target_issue(name, given)) is not None:
        issues.append(issue)
        return ()
    targets = [given] if isinstance(given, str | Target) else given
    return tuple(field(target) if isinstance(target, str) else target for target in targets)


def _target_issue(name: str, given: object) -> MappingIssue | None:
    """Say why this is no target, nor a list of targets; None if it is."""
    problem = f"expected a path or what field() makes, got {type(given).__name__}"
    targets = cast("Sequence[object]", given) if isinstance(given, list | tuple) else (given,)
    return None if all(isinstance(target, str | Target) for target in targets) else MappingIssue(name, "", problem)


def mapping_digest(
    operations: Iterable[Operation],
    columns: Mapping[str, Sequence[Target]],
    constants: Sequence[tuple[ResolvedField, object]],
    *options: object,
) -> str:
    """Return what tells mappings apart: the same for the same columns, targets, constants and options."""
    targets = sorted((name, list(map(_target_facts, found))) for name, found in columns.items())
    values = sorted((resolved.path, _constant_fact(value)) for resolved, value in constants)
    facts = (*sorted(item.name for item in operations), targets, values, *options)
    return sha256(repr(facts).encode()).hexdigest()[:16]


def _target_facts(target: Target) -> tuple[object, ...]:
    """Return what tells a target apart, in any process."""
    facts = attrs.astuple(attrs.evolve(target, zone=None), recurse=False)
    return tuple(plain_value(_collection_fact(fact)) for fact in facts), zone_name(target.zone)


def _collection_fact(value: object) -> object:
    """Return a collection as a file would give it: a tuple is a list, and a set has an order."""
    if isinstance(value, AbstractSet):
        return sorted(cast("AbstractSet[str]", value))
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value


def _constant_fact(value: object) -> str:
    """Write a constant as it is sent: a list and a tuple are the same, and so are dictionaries in another order."""
    try:
        return write_any(value, orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError):
        return repr(value)


def _origin(column: str) -> str:
    return f"column {column!r}" if column else "a constant"
