"""Row mappings, from columns to the fields of an operation.

A mapping is checked in two steps, each as early as it can be and with all issues at once. Against the schema, when
it is made: fields, types, constants, and what no row could have. Against the columns, when a file is opened: whether
they are there, and whether the kinds of their cells fit. Then a function is generated for the rows; see `row_builder`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, Unpack

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._core.files import replaced_file
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._validation.schema import Schema, body_schema
from synerise_profiles_api.json_values import is_list, is_object
from synerise_profiles_api.names import checks_names
from synerise_profiles_api.types import Operation

from .cell_reader import CellReader
from .column_patterns import is_pattern, is_unnamed, pattern_issues
from .column_types import Column
from .columns import MappedTarget, Note, bind_columns
from .conditions import Condition
from .derived_cells import fallback_columns
from .errors import MappingError, MappingIssue
from .fields import ResolvedField, UnknownFieldError, constant_problem, find_field, find_target_field, parse_path
from .grouping import BadLine, Combine
from .line_options import EqualByDigest, LineOptions
from .line_plan import LinePlan, Prepare, read_lines
from .mapping_checks import (
    argument_issues,
    cell_defaults,
    clashes,
    given_issues,
    mapping_digest,
    missing_required,
    needs_columns,
    surely_missing,
    targets_of,
)
from .mapping_file import MappingFile, located_in, mapping_text, read_mapping_file
from .mapping_options import CellArguments, GroupArguments, MappingArguments, MappingKind
from .order_ids import SeenIds, id_fields
from .plain_values import plain_texts
from .row_builder import Row, RowBuilder, object_tree
from .targets import Empty, FieldTarget, Target

__all__ = ["RowMapping"]


class RowMapping(EqualByDigest):
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

    `where` chooses lines by their cells: a value, a list of which one fits, `{"matches": "C[0-9]+"}` (a regular
    expression for the whole cell), `{"empty": False}`, or a function of the cell. `prepare` is a function over a line's
    cells: it returns cells, None to leave the line out, or an UnreadableRow that refuses it.

    With `group_by` adjacent lines with the same cell in that column, or those columns, become one event or purchase.
    Lists such as `products[]` are collected; other fields have to agree in all lines that give them, unless `combine`
    says for a field that the `first`, the `last` or the `sum` is meant. Of purchases, and of their cancellations,
    `revenue` and `value` are computed from finalUnitPrice times quantity, and checked where they are given. A line that
    cannot be read refuses its order, or with `bad_line="refuse_line"` only itself.

    Raises MappingError, with all issues at once: unknown fields, types that do not fit, a field that is given twice,
    and rows that could never name a profile or lack what is required. Whether the columns exist is checked when a file
    is opened. Made by the method for the rows that `client.bulk` is to send, or by `load` from a TOML file. Mappings of
    the same columns, constants, options and functions are equal.
    """

    @checks_names
    def __init__(
        self,
        kind: MappingKind,
        batch_operation: operations.BatchOperation,
        schema: Schema,
        operations: Iterable[Operation],
        columns: Mapping[str, FieldTarget],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
        null_values: Collection[str] | None = None,
        where: Mapping[str, Condition] | None = None,
        prepare: Prepare | None = None,
        group_by: str | Sequence[str] | None = None,
        combine: Mapping[str, Combine] | None = None,
        bad_line: BadLine = "refuse_order",
    ) -> None:
        self.kind: MappingKind = kind
        """What its rows are for, by the method that made it."""
        self.operations = tuple(operations)
        self.file: MappingFile | None = None
        """The file that it was read from."""
        self._batch_operation = batch_operation
        self._schema = schema
        self._issues: list[MappingIssue] = []
        self._raise_issues(list(argument_issues(columns, group_by, constants=constants, where=where, combine=combine)))
        self._defaults = cell_defaults(self._issues, empty=empty, trim=trim, null_values=null_values)
        self.lines = LineOptions(
            where=dict(where or {}),
            prepare=prepare,
            group_by=fallback_columns(group_by),
            combine=dict(combine or {}),
            bad_line=bad_line,
        )
        """What it says about lines."""
        self.is_plain = self.lines.is_plain  # every line is a row
        self._computed = self.lines.computed
        self.targets = {name: targets_of(name, columns[name], self._issues) for name in plain_texts(columns)}
        own_words = (target.null_values or () for found in self.targets.values() for target in found)
        self.null_words = frozenset(self._defaults.null_values).union(*own_words)
        self._mapped = {name: self._mapped_targets(name, targets) for name, targets in self.targets.items()}
        self._constants = list(self._find_constants(constants or {}))
        self._ids = id_fields(self.lines.group_by, self._mapped, [*(constants or {})], batch_operation)
        self._check()
        self._raise_issues(self._issues)
        line_facts = () if self.is_plain else (self.lines.facts,)
        defaults = attrs.astuple(self._defaults)
        self.digest: str = mapping_digest(self.operations, self.targets, self._constants, defaults, *line_facts)
        """What tells mappings apart: the same for the same columns, targets and constants, in any process."""

    def __repr__(self) -> str:
        return f"<RowMapping for {self.kind}: {len(self.targets)} columns>"

    @classmethod
    @shows_options(lambda: (MappingArguments, RowMapping))
    def for_profiles(cls, columns: Mapping[str, FieldTarget], **options: Unpack[MappingArguments]) -> Self:
        """Make rows for `client.bulk.upsert_profiles`."""
        return cls._for_operation("profiles", operations.profiles(), columns, **options)

    @classmethod
    @shows_options(lambda: (GroupArguments, RowMapping))
    def for_events(cls, columns: Mapping[str, FieldTarget], **options: Unpack[GroupArguments]) -> Self:
        """Make rows for `client.bulk.send_events`."""
        return cls._for_operation("events", operations.events(), columns, **options)

    @classmethod
    @shows_options(lambda: (GroupArguments, RowMapping))
    def for_transactions(cls, columns: Mapping[str, FieldTarget], **options: Unpack[GroupArguments]) -> Self:
        """Make rows for `client.bulk.create_transactions`: one purchase a row, or with `group_by` one an order."""
        return cls._for_operation("transactions", operations.transactions(), columns, **options)

    @classmethod
    @shows_options(lambda: (CellArguments, RowMapping))
    def for_identifiers(cls, columns: Mapping[str, FieldTarget], **options: Unpack[CellArguments]) -> Self:
        """Make rows for `client.bulk.delete_profiles` and `assign_tag`: a `clientId`, or a `customId` to delete."""
        deletions = operations.profile_deletions()
        whole = body_schema(operations.profiles().operation)
        schema = attrs.evolve(whole, properties={name: whole.properties[name] for name in deletions.identifiers})
        facts = (deletions.operation, operations.tag_assignments(1).operation)
        return cls("identifiers", deletions, schema, facts, columns, **options)

    @classmethod
    @checks_names
    def load(cls, path: str | os.PathLike[str], *, prepare: Prepare | None = None) -> Self:
        """Read a mapping from a TOML file, in the words of Python; `prepare`, a function, has no place in one.

        Raises MappingError for what is wrong with it, each issue with its line, and OSError where it is not there.
        """
        file = read_mapping_file(path)
        make: Callable[..., Self] = getattr(cls, f"for_{file.kind}")
        with located_in(file):
            mapping = make(file.columns, prepare=prepare, **file.options)
        mapping.file = file
        return mapping

    def write_toml(self, path: str | os.PathLike[str]) -> None:
        """Write a TOML file, from which `load` makes an equal mapping.

        Raises InvalidRequestError for what TOML cannot carry, such as null, and for a file that cannot be written.
        """
        defaults, lines = self._defaults, self.lines
        text = mapping_text(
            self.kind,
            self.targets,
            {"constants": self._constant_values, "where": lines.where, "combine": lines.combine},
            empty=None if defaults.empty == "omit" else defaults.empty,
            trim=defaults.trim,
            null_values=tuple(defaults.null_values),
            **lines.file_options,
        )
        with replaced_file(path) as file:
            file.write(text.encode())

    @classmethod
    def _for_operation(
        cls,
        kind: MappingKind,
        batch_operation: operations.BatchOperation,
        columns: Mapping[str, FieldTarget],
        **options: Any,
    ) -> Self:
        operation = batch_operation.operation
        return cls(kind, batch_operation, body_schema(operation), (operation,), columns, **options)

    @property
    def operation_names(self) -> frozenset[str]:
        """The names of the operations that its rows are made for."""
        return frozenset(operation.name for operation in self.operations)

    def row_builder(self, columns: Sequence[Column], note: Note, *, of_objects: bool = False) -> RowBuilder:
        """Find the columns in those of a file, and generate the function for its rows; raises MappingError.

        `note` is called for each cell that could be read in two ways. With `of_objects`, rows are made of objects whose
        keys are the columns, and else of the cells.
        """
        names = [column.name for column in columns]
        issues: list[MappingIssue] = []
        bound = bind_columns(columns, self._mapped, issues, schema=self._schema, defaults=self._defaults, note=note)
        issues += self.lines.sum_issues(bound)
        if not issues:
            given = [(binding.column, resolved) for resolved, binding in bound]
            given += [("", resolved) for resolved, _ in self._constants]
            issues += given_issues(given, self._schema, self._batch_operation, self._computed)
        self._raise_issues(issues)
        return RowBuilder(object_tree(bound, self._constants), names, self.digest, of_objects=of_objects)

    def _mapped_targets(self, name: str, targets: Sequence[Target]) -> list[MappedTarget]:
        if is_pattern(name, targets):
            self._issues += pattern_issues(name, targets, self._schema)
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
        given = [(name, item.field) for name, found in self._mapped.items() for item in found if item.field is not None]
        given += [("", resolved) for resolved, _ in self._constants]
        self._issues += clashes(given)
        self._issues += self.lines.issues(self.kind, [resolved for _, resolved in given], self._patterns)
        if self._ids is not None and self.lines.prepare is None:  # what that returns has any cells in any column
            self._issues += self._ids.issues()
        for resolved, value in self._constants:
            problem = constant_problem(value, resolved.schema)
            if problem is not None:
                self._issues.append(MappingIssue("", resolved.path, f"the constant {problem}"))
        if not needs_columns(self._schema, self._mapped):
            missing = missing_required(given, self._schema, self._batch_operation, self._computed)
            self._issues += surely_missing(missing, self._issues)

    @property
    def _constant_values(self) -> dict[str, Any]:
        return {resolved.path: value for resolved, value in self._constants}

    def line_plan(self, builder: RowBuilder | None, columns: Sequence[str] | None) -> LinePlan:
        """Return how records become rows, which are lists of cells in the order of `columns`, or objects without.

        `builder` is that of the columns, or None where cells are prepared first. Raises MappingError for a column that
        the options need and that is not there.
        """
        fields = [resolved for resolved, _ in self._constants]
        fields += [item.field for found in self._mapped.values() for item in found if item.field is not None]
        grouping = self.lines.grouping(self.kind, fields, self._batch_operation.max_bytes, patterns=self._patterns)
        if columns is not None:
            self._raise_issues(list(self.lines.missing(columns)))
        if builder is None:
            # A column that is not there is empty, but where lines are complete: then it refuses the line.
            named = self.named_columns if columns is None else ()
            convert: Callable[[Any], Row] = CellReader(named, self._object_builder, self.digest, are_stored=False)
        else:
            convert = builder.convert
        read = CellReader(self.named_columns, self._object_builder, self.digest)
        return self.lines.plan(convert, read, grouping, self._mapped, self._defaults, columns, ids=self._ids)

    def cell_reader(self) -> Callable[[object], Row]:
        """Make a function of the cells of a row by the names of their columns, as a dead letter keeps them.

        It returns the row; an UnreadableRow for a cell that cannot be read, or has lost bytes (U+FFFD stands for them),
        and for what is no object. A column that is not there is empty. Where lines are grouped it takes a list of the
        cells of all lines of an order.
        """
        convert = CellReader(self.named_columns, self._object_builder, self.digest)
        if self.is_plain:
            return convert
        plan = attrs.evolve(self.line_plan(None, None), convert=convert)

        def read(cells: object) -> Row:
            given = cells if is_list(cells) and self.lines.group_by else [cells]
            lines = [line for line in given if is_object(line)]
            return read_lines(plan, lines) if lines and len(lines) == len(given) else convert(cells)

        return read

    def order_ids(self) -> SeenIds | None:
        """Return what keeps the ids of the orders that it makes; None where it groups no lines, or they have none."""
        return None if self._ids is None else SeenIds(self._ids)

    def _object_builder(self, columns: Sequence[Column]) -> RowBuilder:
        return self.row_builder(columns, _ignore_note, of_objects=True)

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns that it names, patterns aside: those that are mapped, and those that cells are derived from."""
        named = dict.fromkeys(name for name, targets in self.targets.items() if not is_pattern(name, targets))
        named |= dict.fromkeys(name for found in self.targets.values() for item in found for name in item.sources)
        return tuple(named)

    def unnamed_columns(self, columns: Sequence[str]) -> Iterator[str]:
        """Yield a note about each column that only a pattern could mean, and which has no name."""
        for position, name in enumerate(columns if self._patterns else (), 1):
            if name not in self.targets and is_unnamed(name):
                yield f"column {position} has no name, and is not read"

    @property
    def has_patterns(self) -> bool:
        """Whether it takes columns that it does not name."""
        return bool(self._patterns)

    @property
    def _patterns(self) -> list[str]:
        """The fields that columns go to which it does not name, with a star for their names."""
        return [item.target.field for targets in self._mapped.values() for item in targets if item.field is None]

    def _raise_issues(self, issues: Sequence[MappingIssue]) -> None:
        if issues:
            file, found, name = self.file, dict.fromkeys(issues), self.operations[0].name
            raise MappingError(found, operation=name) if file is None else file.error(found, name)


def _ignore_note(_: str) -> None:
    """Letters have no report that a note could go to."""
