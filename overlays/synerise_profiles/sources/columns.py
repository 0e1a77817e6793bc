"""Columns of a file or table: which of them a mapping means, and how their cells become values of a field.

A column is meant by its name, or by a pattern with one star: {"attr_*": "attributes.*"}. Its binding says where its
cells go, and which converter takes them there. That follows from the kind of the cells, the target's type and the
field's schema, and is decided once a file, so that nothing is left to decide for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from synerise_profiles._validation.rules import Rule, TextRule
from synerise_profiles._validation.schema import Schema

from .column_patterns import WILDCARD, is_unnamed
from .column_types import NO_NUMBERS, Column, TypeMismatchError, match_type, source_issues
from .converters import (
    CONVERTERS,
    Converter,
    list_converter,
    lookup_converter,
    number_converter,
    require_type,
)
from .dates import date_converter
from .datetimes import datetime_converter
from .derived_cells import cell_cleaner, derived_cell, derived_from, signed_converter
from .errors import MappingIssue
from .fields import (
    PathStep,
    ResolvedField,
    find_target_field,
    missing_column_problem,
    parse_path,
)
from .row_builder import ColumnBinding, EmptyForm
from .targets import Empty, Target

__all__ = ["CellDefaults", "MappedTarget", "Note", "bind_columns", "converter_of"]

Note: TypeAlias = Callable[[str], None]
"""Counts a note by its text."""
_EMPTY_FORMS: Final[Mapping[str, EmptyForm]] = {"text": "text", "float": "float", "json": "json"}
"""How an empty cell of a kind looks; of any other it is a null."""
_NUMBER_TYPES: Final = frozenset({"integer", "number", "decimal", "float"})
_NO_WORDS: Final = frozenset[str]()


@attrs.frozen(kw_only=True)
class CellDefaults:
    """What a mapping says about cells where a target does not."""

    empty: Empty = "omit"
    trim: bool = False
    null_values: Collection[str] = ()


@attrs.frozen
class MappedTarget:
    """A target and the field that its path leads to, which is None for a pattern: it has a field for each column."""

    target: Target
    field: ResolvedField | None


def bind_columns(
    columns: Sequence[Column],
    mapped: Mapping[str, Sequence[MappedTarget]],
    issues: list[MappingIssue],
    *,
    schema: Schema,
    defaults: CellDefaults,
    note: Note,
) -> list[tuple[ResolvedField, ColumnBinding]]:
    """Return the field and the binding of each column that is mapped; what is wrong is added to `issues`.

    `note` is called for each cell that could be read in two ways.
    """
    found: list[tuple[ResolvedField, ColumnBinding]] = []
    positions = {column.name: position for position, column in reversed(list(enumerate(columns)))}
    by_name = {name: columns[position] for name, position in positions.items()}
    for position, target, field in _match(columns, mapped, schema, issues):
        try:
            is_derived = target.template is not None or target.fallback is not None
            if is_derived and (
                found_issues := list(source_issues(target, columns[position], by_name, field.schema, field.path))
            ):
                issues += found_issues
                continue
            column = _column_of(target, position, columns, positions) if is_derived else columns[position]
            binding = _bind(position, column, target, field, defaults, note)
            if is_derived:
                binding = _derived(binding, target, field, positions, defaults, issues)
            found.append((field, binding))
        except TypeMismatchError as error:
            issues.append(MappingIssue(columns[position].name, field.path, str(error)))
    return found


def _match(
    columns: Sequence[Column],
    mapped: Mapping[str, Sequence[MappedTarget]],
    schema: Schema,
    issues: list[MappingIssue],
) -> Iterator[tuple[int, Target, ResolvedField]]:
    """Yield the position, the target and the field of each column that is mapped."""
    patterns = {name: targets for name, targets in mapped.items() if any(item.field is None for item in targets)}
    positions: dict[str, int] = {}
    twice: set[str] = set()
    for position, column in enumerate(columns):
        if positions.setdefault(column.name, position) != position:
            twice.add(column.name)
    for name in (name for name in mapped if name not in patterns and name not in positions):
        if not all(item.target.optional for item in mapped[name]):
            any_there = not positions.keys().isdisjoint(mapped)
            issues.append(
                MappingIssue(
                    name, "", missing_column_problem(name, [column.name for column in columns], any_there=any_there)
                )
            )
    for name, position in positions.items():
        found = [(item.target, item.field) for item in mapped.get(name, ()) if item.field is not None]
        if name in patterns or (name not in mapped and not is_unnamed(name)):
            found = list(_match_pattern(name, patterns, schema, issues))
        if found and name in twice:
            issues.append(MappingIssue(name, "", "is there twice, so that it is not clear which one is meant"))
        for target, field in found:
            yield position, target, field


def _match_pattern(
    name: str, patterns: Mapping[str, Sequence[MappedTarget]], schema: Schema, issues: list[MappingIssue]
) -> Iterator[tuple[Target, ResolvedField]]:
    """The targets by the longest pattern that fits, with their fields."""
    for pattern in sorted(patterns, key=len, reverse=True):
        head, _, tail = pattern.partition(WILDCARD)
        if len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            rest = name[len(head) : len(name) - len(tail)]
            for target in (item.target for item in patterns[pattern]):
                # A name is one step, whatever dots it has.
                path = parse_path(target.field)
                steps = tuple(PathStep(step.name.replace(WILDCARD, rest), step.is_entry) for step in path)
                before = len(issues)
                field = find_target_field(name, target, steps, schema, issues)
                if field is not None and len(issues) == before:
                    yield target, field
            return


def _bind(
    position: int, column: Column, target: Target, field: ResolvedField, defaults: CellDefaults, note: Note
) -> ColumnBinding:
    """Decide how the cells of a column are read; raises TypeMismatchError."""
    type_name = match_type(column, target, field.schema)
    past = TextRule(field.schema) if field.schema is not None and field.schema.is_past else None

    def note_cell(text: str) -> None:
        note(f"column {column.name!r} {text}")

    converter = converter_of(type_name, target, note_cell, past) if type_name else None
    if converter is not None and type_name in ("json", "nested") and field.schema is not None:
        converter = require_type(converter, field.schema.types)
    if target.absolute or target.negate:
        if type_name not in _NUMBER_TYPES and column.kind not in _NUMBER_TYPES:
            raise TypeMismatchError("is no number here; name its type, such as 'number', to take or turn its sign")
        converter = signed_converter(converter, absolute=target.absolute, negate=target.negate)
    is_text = column.kind in ("text", "json")
    words = defaults.null_values if target.null_values is None else target.null_values
    return ColumnBinding(
        name=field.steps[-1].name,
        path=field.path,
        column=column.name,
        position=position,
        empty_form="any" if column.may_be_nan else _EMPTY_FORMS.get(column.kind, "value"),
        converter=converter,
        empty=_empty_of(target, defaults.empty, type_name),
        trim=is_text and (defaults.trim if target.trim is None else target.trim),
        null_values=frozenset(words) if is_text else _NO_WORDS,
        may_be_number=type_name not in NO_NUMBERS if type_name else column.kind != "text",
    )


def _column_of(target: Target, position: int, columns: Sequence[Column], positions: Mapping[str, int]) -> Column:
    """Return the column with the kind of cell that its target reads: that of a template is a text."""
    column = columns[position]
    if target.template is not None and not target.fallback:
        return Column(column.name)
    kinds = {columns[positions[name]].kind for name in target.sources if name in positions} - {column.kind}
    return Column(column.name, "json", "values of several types") if kinds else column


def _derived(
    binding: ColumnBinding,
    target: Target,
    field: ResolvedField,
    positions: Mapping[str, int],
    defaults: CellDefaults,
    issues: list[MappingIssue],
) -> ColumnBinding:
    """Let the cells of a binding be derived from those of other columns."""
    for name in dict.fromkeys(target.sources):
        if name not in positions and not target.optional:
            problem = missing_column_problem(name, [*positions], any_there=True)
            issues.append(MappingIssue(binding.column, field.path, f"takes cells of column {name!r}, which {problem}"))
    clean = cell_cleaner(
        trim=defaults.trim if target.trim is None else target.trim,
        null_values=defaults.null_values if target.null_values is None else target.null_values,
    )
    return attrs.evolve(
        binding,
        derive=derived_cell(target.template, clean),
        origin=derived_from(target.template, clean),
        sources=tuple(positions.get(name, -1) for name in target.sources),
        empty_form="json",
        trim=False,
        null_values=_NO_WORDS,
    )


def _empty_of(target: Target, default: Empty, type_name: str) -> Empty:
    """What an empty cell means; only where texts go can one be kept."""
    empty = target.empty or default
    if empty != "keep" or type_name in ("", "text", "plain text"):
        return empty
    if target.empty == "keep":
        raise TypeMismatchError(f"empty='keep' keeps an empty text, which is no {type_name}")
    return "omit"


def converter_of(type_name: str, target: Target, note: Note, date_rule: Rule | None = None) -> Converter | None:
    """Make the converter to a type; None where a cell is its own value. `date_rule` judges dates."""
    if target.values is not None:
        return lookup_converter(target.values)
    if type_name in ("integer", "number", "decimal"):
        return number_converter(type_name, target.decimal, target.thousands)
    if type_name == "datetime":
        return datetime_converter(
            target.formats,
            target.zone,
            note,
            ambiguous=target.ambiguous,
            decimal=target.decimal,
            pivot_year=target.pivot_year,
        )
    if type_name == "date":
        return date_converter(
            target.formats, target.zone, decimal=target.decimal, pivot_year=target.pivot_year, rule=date_rule
        )
    if type_name == "list":
        return list_converter(target.separator)
    return CONVERTERS.get(type_name)
