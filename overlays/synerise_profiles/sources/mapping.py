"""Row mappings, from columns to the fields of an operation.

A mapping is checked in two steps, each as early as it can be and with all issues at once. Against the schema, when
it is made: fields, types, constants, and what no row could have. Against the columns, when a file is opened: whether
they are there, and whether the kinds of their cells fit. Then a function is generated for the rows; see `row_builder`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Self, TypeAlias, cast, get_args

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._validation.schema import Schema, body_schema
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation

from .cell_reader import CellReader
from .columns import CellDefaults, Column, MappedTarget, Note, bind_columns, is_pattern, is_unnamed
from .errors import MappingError, MappingIssue
from .fields import ResolvedField, UnknownFieldError, constant_problem, find_field, find_target_field, parse_path
from .row_builder import Row, RowBuilder, object_tree
from .targets import Empty, Target, field, null_values_problem

__all__ = ["FieldTarget", "RowMapping"]

FieldTarget: TypeAlias = "str | Target | Sequence[str | Target] | None"
"""Where a column goes: a path, what `field` makes, several of them, or None to leave the column out of a pattern."""


class RowMapping:
    """A row mapping, from columns to fields. One serves CSV files, JSON Lines and tables.

        columns = RowMapping.for_profiles(
            {"CustomerID": "customId", "Born": field("birthDate", "date", format="%d.%m.%Y"), "*": "attributes.*"}
        )

    Keys are names of columns, values are the publisher's paths, or what `field` makes of them, or a list of those.
    `{"*": "attributes.*"}` takes all columns that are not named otherwise, `{"attr_*": "attributes.*"}` those that
    begin so, and None leaves a column out. Columns that the mapping does not mention are not read. `products[].sku` is
    a field of the one product that the row describes.

    `constants` are fields that are the same in every row: `{"action": "shop.visit"}`. Those of an object with required
    fields, such as the currency beside an amount, are left out together with it where its columns are empty. `empty`
    says what an empty cell means, `null_values` are texts that mean one too, such as `NULL`, and `trim` takes the
    blanks off both ends of texts; see `field`.

    Raises MappingError, with all issues at once: unknown fields, types that do not fit, a field that is given twice,
    and rows that could never name a profile or lack what is required. Whether the columns exist is checked when a file
    is opened. Made by `for_profiles`, `for_events`, `for_transactions` or `for_identifiers`, each for its methods
    of `client.bulk`.
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
        null_values: Collection[str] | None = None,
    ) -> None:
        self.operations = tuple(operations)
        self._batch_operation = batch_operation
        self._schema = schema
        self._defaults = CellDefaults(empty=empty, trim=trim, null_values=())
        self._issues: list[MappingIssue] = []
        if (problem := _mapping_issue(columns)) is not None:
            raise MappingError([problem], operation=self.operations[0].name)
        if empty not in get_args(Empty):
            self._issues.append(MappingIssue("", "", f"empty={empty!r} is none of {', '.join(get_args(Empty))}"))
        if (words_problem := null_values_problem(null_values)) is not None:
            self._issues.append(MappingIssue("", "", words_problem))
        elif null_values:
            self._defaults = attrs.evolve(self._defaults, null_values=tuple(sorted(null_values)))
        self.targets = {name: self._targets_of(name, given) for name, given in columns.items()}
        self._mapped = {name: self._mapped_targets(name, targets) for name, targets in self.targets.items()}
        self._constants = list(self._find_constants(constants or {}))
        self._check()
        self._raise_issues(self._issues)
        self.digest: str = self._find_digest()
        """What tells mappings apart: the same for the same columns, targets and constants, in any process."""

    @classmethod
    def for_profiles(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
        null_values: Collection[str] | None = None,
    ) -> Self:
        """Make rows for `client.bulk.upsert_profiles`."""
        return cls._for_operation(
            operations.profiles(), columns, constants=constants, empty=empty, trim=trim, null_values=null_values
        )

    @classmethod
    def for_events(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
        null_values: Collection[str] | None = None,
    ) -> Self:
        """Make rows for `client.bulk.send_events`."""
        return cls._for_operation(
            operations.events(), columns, constants=constants, empty=empty, trim=trim, null_values=null_values
        )

    @classmethod
    def for_transactions(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
        null_values: Collection[str] | None = None,
    ) -> Self:
        """Make rows for `client.bulk.create_transactions`: one purchase a row."""
        return cls._for_operation(
            operations.transactions(), columns, constants=constants, empty=empty, trim=trim, null_values=null_values
        )

    @classmethod
    def for_identifiers(
        cls,
        columns: Mapping[str, FieldTarget],
        *,
        trim: bool = False,
        null_values: Collection[str] | None = None,
    ) -> Self:
        """Make rows for `client.bulk.delete_profiles` and `assign_tag`: a `clientId`, or a `customId` to delete."""
        deletions = operations.profile_deletions()
        whole = body_schema(operations.profiles().operation)
        schema = attrs.evolve(whole, properties={name: whole.properties[name] for name in deletions.identifiers})
        facts = (deletions.operation, operations.tag_assignments(0).operation)
        return cls(deletions, schema, facts, columns, trim=trim, null_values=null_values)

    @classmethod
    def _for_operation(
        cls, batch_operation: operations.BatchOperation, columns: Mapping[str, FieldTarget], **options: Any
    ) -> Self:
        operation = batch_operation.operation
        return cls(batch_operation, body_schema(operation), (operation,), columns, **options)

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the mapping is made for another operation."""
        if operation not in self.operations:
            made = " or ".join(known.name for known in self.operations)
            raise InvalidRequestError(f"the mapping of these rows is made for {made}", operation=operation.name)

    @property
    def operation_names(self) -> frozenset[str]:
        """The names of the operations that its rows are made for."""
        return frozenset(operation.name for operation in self.operations)

    def _find_digest(self) -> str:
        targets = sorted((name, list(map(attrs.astuple, found))) for name, found in self.targets.items())
        constants = sorted((resolved.path, repr(value)) for resolved, value in self._constants)
        facts = (*sorted(item.name for item in self.operations), targets, constants, attrs.astuple(self._defaults))
        return sha256(repr(facts).encode()).hexdigest()[:16]

    def row_builder(self, columns: Sequence[Column], note: Note, *, of_objects: bool = False) -> RowBuilder:
        """Find the columns in those of a file, and generate the function for its rows; raises MappingError.

        `note` is called for each cell that could be read in two ways. With `of_objects`, rows are made of objects whose
        keys are the columns, and else of the cells.
        """
        names = [column.name for column in columns]
        issues: list[MappingIssue] = []
        bound = bind_columns(columns, self._mapped, issues, schema=self._schema, defaults=self._defaults, note=note)
        if not issues:
            given = [(binding.column, resolved) for resolved, binding in bound]
            issues += self._clashes(given)
            issues += self._missing_required(given)
        self._raise_issues(issues)
        return RowBuilder(object_tree(bound, self._constants), names, self.digest, of_objects=of_objects)

    def _targets_of(self, name: str, given: FieldTarget) -> tuple[Target, ...]:
        if given is None:
            return ()
        if (issue := _target_issue(name, given)) is not None:
            self._issues.append(issue)
            return ()
        targets = [given] if isinstance(given, str | Target) else given
        return tuple(field(target) if isinstance(target, str) else target for target in targets)

    def _mapped_targets(self, name: str, targets: Sequence[Target]) -> list[MappedTarget]:
        if is_pattern(name, targets):
            return [MappedTarget(target, None) for target in targets]
        return [
            MappedTarget(target, resolved)
            for target in targets
            if (resolved := find_target_field(name, target, parse_path(target.field), self._schema, self._issues))
        ]

    def _find_constants(self, constants: Mapping[str, Any]) -> Iterator[tuple[ResolvedField, Any]]:
        for path, value in constants.items():
            try:
                yield find_field(self._schema, parse_path(path)), value
            except UnknownFieldError as error:
                self._issues.append(MappingIssue("", path, str(error)))

    def _check(self) -> None:
        """Look for fields that are given twice, constants that do not fit, and what rows would always lack."""
        given = [
            (name, mapped.field)
            for name, targets in self._mapped.items()
            for mapped in targets
            if mapped.field is not None
        ]
        self._issues += self._clashes(given)
        for resolved, value in self._constants:
            problem = constant_problem(value, resolved.schema)
            if problem is not None:
                self._issues.append(MappingIssue("", resolved.path, f"the constant {problem}"))
        if not self._issues and not self._needs_columns:
            self._issues += self._missing_required(given)

    def _clashes(self, given: Sequence[tuple[str, ResolvedField]]) -> Iterator[MappingIssue]:
        """Find fields that are given twice, or as a whole and in parts, by these columns and the constants."""
        owners: dict[tuple[str, ...], str] = {}
        parts: dict[tuple[str, ...], str] = {}
        for column, resolved in [*given, *(("", constant) for constant, _ in self._constants)]:
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

    def _missing_required(self, given: Sequence[tuple[str, ResolvedField]]) -> Iterator[MappingIssue]:
        """Find what no row could have: required fields, and an identifier of its profile."""
        fields = [resolved for _, resolved in given] + [constant for constant, _ in self._constants]
        paths = {tuple(step.name for step in resolved.steps) for resolved in fields}
        tops = {path[0] for path in paths}
        for name in self._schema.required:
            if name not in tops:
                yield MappingIssue("", name, "is required, and no column or constant gives it")
        holder_field, identifiers = self._batch_operation.holder_field, self._batch_operation.identifiers
        holder = () if holder_field is None else (holder_field,)
        wanted = {(*holder, name) for name in identifiers}
        if not paths & wanted and holder not in paths:
            names = ", ".join(".".join(path) for path in sorted(wanted))
            yield MappingIssue("", "", f"no row would name a profile; map a column to one of {names}")

    def cell_reader(self) -> Callable[[object], Row]:
        """Make a function of the cells of a row by the names of their columns, as a dead letter keeps them.

        It returns the row; an UnreadableRow for a cell that cannot be read, or has lost bytes (U+FFFD stands for them),
        and for what is no object. A column that is not there is empty.
        """
        named = [name for name, targets in self.targets.items() if not is_pattern(name, targets)]

        def build(columns: Sequence[Column]) -> RowBuilder:
            return self.row_builder(columns, _ignore_note, of_objects=True)

        return CellReader(named, build, self.digest)

    def unnamed_columns(self, columns: Sequence[str]) -> Iterator[str]:
        """Yield a note about each column that only a pattern could mean, and which has no name."""
        for position, name in enumerate(columns, 1):
            if self.has_patterns and name not in self.targets and is_unnamed(name):
                yield f"column {position} has no name, and is not read"

    @property
    def has_patterns(self) -> bool:
        """Whether it takes columns that it does not name."""
        return any(mapped.field is None for targets in self._mapped.values() for mapped in targets)

    @property
    def _needs_columns(self) -> bool:
        """Whether it takes a file to know the fields that columns go to, those aside that are the caller's own."""
        tops = [
            self._schema.properties.get(parse_path(mapped.target.field)[0].name)
            for targets in self._mapped.values()
            for mapped in targets
            if mapped.field is None
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


def _target_issue(name: str, given: object) -> MappingIssue | None:
    problem = f"expected a path or what field() makes, got {type(given).__name__}"
    targets = cast("Sequence[object]", given) if isinstance(given, list | tuple) else (given,)
    return None if all(isinstance(target, str | Target) for target in targets) else MappingIssue(name, "", problem)


def _origin(column: str) -> str:
    return f"column {column!r}" if column else "a constant"


def _ignore_note(_: str) -> None:
    """Drop a note: letters have no report that it could go to."""
