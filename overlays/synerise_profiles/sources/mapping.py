"""`RowMapping`: from the columns of a file or table to the fields of an operation, checked before a row is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias, cast, get_args

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._validation.schema import Schema, body_schema
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation

from .columns import Column, is_pattern, match_columns
from .converters import converter_of, require_type
from .errors import MappingError, MappingIssue
from .fields import PathStep, ResolvedField, UnknownFieldError, find_field, parse_path
from .row_builder import ColumnBinding, EmptyForm, ObjectTemplate, RowBuilder
from .rules import clashes, missing_required
from .targets import Empty, Target, field
from .type_matching import TypeMismatchError, constant_problem, match_type, type_problem

__all__ = ["FieldTarget", "RowMapping"]

FieldTarget: TypeAlias = "str | Target | Sequence[str | Target] | None"
"""Where a column goes: a path, what `to` makes, several of them, or None to leave the column out of a pattern."""

_EMPTY_FORMS: dict[str, EmptyForm] = {"text": "text", "float": "float", "json": "json"}


class RowMapping:
    """From columns to fields. One mapping serves CSV files, JSON Lines and tables.

        columns = RowMapping.for_profiles(
            {"CustomerID": "customId", "Born": to("birthDate", "date", format="%d.%m.%Y"), "*": "attributes.*"}
        )

    Keys are names of columns, values are the publisher's paths, or what `to` makes of them, or a list of those.
    `{"*": "attributes.*"}` takes all columns that are not named otherwise, `{"attr_*": "attributes.*"}` those that
    begin so, and None leaves a column out. Columns that the mapping does not mention are not read. `products[].sku` is
    a field of the one product of which the row tells.

    `constants` are fields that are the same in every row: `{"action": "shop.visit"}`. Those of an object with required
    fields, such as the currency beside an amount, are left out together with it where its columns are empty. `empty`
    says what an empty cell means, and `trim` takes the blanks off both ends of texts; see `to`.

    Raises MappingError, with all mistakes at once: unknown fields, types that do not fit, a field that is given twice,
    and rows that could never name a profile or lack what is required. Whether the columns exist is checked when a file
    is opened. Made by one of the four methods below, which say for which methods of `client.bulk` the rows are.
    """

    def __init__(
        self,
        batch_operation: operations.BatchOperation,
        schema: Schema,
        operations: Iterable[Operation],
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> None:
        self.operations = tuple(operations)
        self._batch_operation = batch_operation
        self._schema = schema
        self._empty: Empty = empty
        self._trim = trim
        self._issues: list[MappingIssue] = []
        if (problem := _mapping_issue(columns)) is not None:
            raise MappingError([problem], operation=self.operations[0].name)
        if empty not in get_args(Empty):
            self._issues.append(MappingIssue("", "", f"empty={empty!r} is none of {', '.join(get_args(Empty))}"))
        self.targets = {name: self._targets_of(name, goal) for name, goal in columns.items()}
        self._constants = [field for path in constants or {} if (field := self._find_field("", parse_path(path)))]
        self._values = dict(constants or {})
        self._check()
        self._raise_issues(self._issues)

    @classmethod
    def for_profiles(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> Self:
        """Make rows for `client.bulk.upsert_profiles`."""
        return cls._for_operation(operations.profiles(), columns, constants, empty, trim=trim)

    @classmethod
    def for_events(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> Self:
        """Make rows for `client.bulk.send_events`."""
        return cls._for_operation(operations.events(), columns, constants, empty, trim=trim)

    @classmethod
    def for_transactions(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> Self:
        """Make rows for `client.bulk.create_transactions`: one purchase a row."""
        return cls._for_operation(operations.transactions(), columns, constants, empty, trim=trim)

    @classmethod
    def for_identifiers(cls, columns: Mapping[str, FieldTarget], *, trim: bool = False) -> Self:
        """Make rows for `client.bulk.delete_profiles` and `assign_tag`: a `clientId`, or a `customId` to delete."""
        kind = operations.profile_deletions()
        whole = body_schema(operations.profiles().operation)
        schema = attrs.evolve(whole, properties={name: whole.properties[name] for name in kind.identifiers})
        return cls(kind, schema, (kind.operation, operations.tag_assignments(0).operation), columns, trim=trim)

    @classmethod
    def _for_operation(
        cls,
        batch_operation: operations.BatchOperation,
        columns: Mapping[str, FieldTarget],
        constants: Mapping[str, Any] | None,
        empty: Empty,
        *,
        trim: bool,
    ) -> Self:
        return cls(
            batch_operation,
            body_schema(batch_operation.operation),
            (batch_operation.operation,),
            columns,
            constants=constants,
            empty=empty,
            trim=trim,
        )

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the mapping is made for another operation."""
        if operation not in self.operations:
            made = " or ".join(known.name for known in self.operations)
            raise InvalidRequestError(f"the mapping of these rows is made for {made}", operation=operation.name)

    def row_builder(self, columns: Sequence[Column]) -> RowBuilder:
        """Find the columns in those of a file; raises MappingError."""
        mistakes: list[MappingIssue] = []
        found: list[tuple[ResolvedField, ColumnBinding]] = []
        for place, column, target, steps in match_columns(columns, self.targets, mistakes):
            try:
                field = find_field(self._schema, steps)
                found.append((field, self._binding(place, column, target, field)))
            except (UnknownFieldError, TypeMismatchError) as error:
                mistakes.append(MappingIssue(column.name, ".".join(map(str, steps)), str(error)))
        if not mistakes:
            given = [(leaf.column, field) for field, leaf in found]
            mistakes += clashes([*given, *(("", field) for field in self._constants)])
            mistakes += missing_required(
                [field for _, field in given] + self._constants, self._batch_operation, self._schema
            )
        self._raise_issues(mistakes)
        return RowBuilder(self._tree(found), [column.name for column in columns])

    def _binding(self, place: int, column: Column, target: Target, field: ResolvedField) -> ColumnBinding:
        problem = type_problem(target, field.schema)
        if problem is not None:
            raise TypeMismatchError(problem)
        kind = match_type(column, target, field.schema)
        cast = converter_of(kind, target) if kind else None
        if cast is not None and kind in ("json", "nested") and field.schema is not None:
            cast = require_type(cast, field.schema.types)
        return ColumnBinding(
            name=field.steps[-1].name,
            path=field.path,
            column=column.name,
            position=place,
            empty_form=_EMPTY_FORMS.get(column.kind, "value"),
            converter=cast,
            empty=self._empty_of(target, kind),
            trim=(self._trim if target.trim is None else target.trim) and column.kind in ("text", "json"),
        )

    def _empty_of(self, target: Target, kind: str) -> Empty:
        """What an empty cell means; only where texts go can one be kept."""
        empty = target.empty or self._empty
        if empty != "keep" or kind in ("", "text"):
            return empty
        if target.empty == "keep":
            raise TypeMismatchError(f"empty='keep' keeps an empty text, which is no {kind}")
        return "omit"

    def _tree(self, found: list[tuple[ResolvedField, ColumnBinding]]) -> ObjectTemplate:
        """Put the leaves into their objects, sorted: what an event's salt is made of must not depend on their order."""
        root = ObjectTemplate()
        for resolved, binding in sorted(found, key=lambda pair: pair[0].path):
            _object_of(root, resolved, has_columns=True).bindings.append(binding)
        for resolved in sorted(self._constants, key=lambda constant: constant.path):
            _object_of(root, resolved, has_columns=False).constants[resolved.steps[-1].name] = self._values[
                resolved.path
            ]
        return root

    def _targets_of(self, name: str, field_target: FieldTarget) -> tuple[Target, ...]:
        if field_target is None:
            return ()
        if (mistake := _target_issue(name, field_target)) is not None:
            self._issues.append(mistake)
            return ()
        given = [field_target] if isinstance(field_target, str | Target) else field_target
        found = tuple(field(one) if isinstance(one, str) else one for one in given)
        if is_pattern(name, found):
            return found
        for target in found:
            resolved = self._find_field(name, parse_path(target.field))
            problem = None if resolved is None else type_problem(target, resolved.schema)
            if problem is not None:
                self._issues.append(MappingIssue(name, target.field, problem))
        return found

    def _find_field(self, column: str, steps: tuple[PathStep, ...]) -> ResolvedField | None:
        try:
            return find_field(self._schema, steps)
        except UnknownFieldError as error:
            self._issues.append(MappingIssue(column, ".".join(map(str, steps)), str(error)))
            return None

    def _check(self) -> None:
        """Look for fields that are given twice, constants that do not fit, and what rows would always lack."""
        given = [
            (name, field)
            for name, targets in self.targets.items()
            if not is_pattern(name, targets)
            for target in targets
            if (field := _find_or_none(self._schema, target)) is not None
        ]
        self._issues += clashes([*given, *(("", field) for field in self._constants)])
        for field in self._constants:
            problem = constant_problem(self._values[field.path], field.schema)
            if problem is not None:
                self._issues.append(MappingIssue("", field.path, f"the constant {problem}"))
        if not self._issues and not self._needs_columns:
            self._issues += missing_required(
                [field for _, field in given] + self._constants, self._batch_operation, self._schema
            )

    @property
    def has_patterns(self) -> bool:
        """Whether it takes columns that it does not name."""
        return any(is_pattern(name, targets) for name, targets in self.targets.items())

    @property
    def _needs_columns(self) -> bool:
        """Whether it takes a file to know the fields that columns go to, those aside that are the caller's own."""
        tops = [
            self._schema.properties.get(parse_path(target.field)[0].name)
            for name, targets in self.targets.items()
            if is_pattern(name, targets)
            for target in targets
        ]
        return any(top is None or top.properties or not top.allows_additional for top in tops)

    def _raise_issues(self, issues: Sequence[MappingIssue]) -> None:
        if issues:
            raise MappingError(dict.fromkeys(issues), operation=self.operations[0].name)


def _mapping_issue(columns: object) -> MappingIssue | None:
    """Say what a caller without a type checker got wrong."""
    if isinstance(columns, Mapping):
        return None
    return MappingIssue("", "", f"expected a mapping from columns to fields, got {type(columns).__name__}")


def _target_issue(name: str, field_target: object) -> MappingIssue | None:
    problem = f"expected a path or what field() makes, got {type(field_target).__name__}"
    parts = cast("Sequence[object]", field_target) if isinstance(field_target, list | tuple) else (field_target,)
    return None if all(isinstance(part, str | Target) for part in parts) else MappingIssue(name, "", problem)


def _find_or_none(schema: Schema, target: Target) -> ResolvedField | None:
    try:
        return find_field(schema, parse_path(target.field))
    except UnknownFieldError:
        return None


def _object_of(root: ObjectTemplate, field: ResolvedField, *, has_columns: bool) -> ObjectTemplate:
    """Find or make the object that a field is in."""
    here = root
    for step, holder in zip(field.steps[:-1], field.parents[1:], strict=True):
        child = here.children.setdefault(step.name, ObjectTemplate(is_list=step.is_entry))
        child.omit_if_empty = child.omit_if_empty or (has_columns and holder is not None and bool(holder.required))
        here = child
    return here
