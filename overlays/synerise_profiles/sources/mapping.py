"""`RowMapping`: from the columns of a file or table to the fields of an operation, checked before a row is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias, cast, get_args

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._validation.schema import Schema, body_schema
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation

from .columns import Column, chosen, is_pattern
from .converters import cast_of, of_types
from .errors import MappingError, Mistake
from .fields import Field, Step, UnknownFieldError, find_field, steps_of
from .row_builder import Layout, Leaf, Missing, Node
from .rules import clashes, lacking
from .targets import Empty, Target, to
from .type_matching import UnfitError, constant_problem, fit, type_problem

__all__ = ["Goal", "RowMapping"]

Goal: TypeAlias = "str | Target | Sequence[str | Target] | None"
"""Where a column goes: a path, what `to` makes, several of them, or None to leave the column out of a pattern."""

_MISSING: dict[str, Missing] = {"text": "text", "float": "float", "json": "json"}


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
        kind: operations.Kind,
        schema: Schema,
        operations: Iterable[Operation],
        columns: Mapping[str, Goal],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> None:
        self.operations = tuple(operations)
        self._kind = kind
        self._schema = schema
        self._empty: Empty = empty
        self._trim = trim
        self._mistakes: list[Mistake] = []
        if (problem := _no_mapping(columns)) is not None:
            raise MappingError([problem], operation=self.operations[0].name)
        if empty not in get_args(Empty):
            self._mistakes.append(Mistake("", "", f"empty={empty!r} is none of {', '.join(get_args(Empty))}"))
        self.targets = {name: self._targets(name, goal) for name, goal in columns.items()}
        self._constants = [field for path in constants or {} if (field := self._field("", steps_of(path)))]
        self._values = dict(constants or {})
        self._check()
        self._raise(self._mistakes)

    @classmethod
    def for_profiles(
        cls,
        columns: Mapping[str, Goal],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> Self:
        """Make rows for `client.bulk.upsert_profiles`."""
        return cls._batch(operations.profiles(), columns, constants, empty, trim=trim)

    @classmethod
    def for_events(
        cls,
        columns: Mapping[str, Goal],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> Self:
        """Make rows for `client.bulk.send_events`."""
        return cls._batch(operations.events(), columns, constants, empty, trim=trim)

    @classmethod
    def for_transactions(
        cls,
        columns: Mapping[str, Goal],
        *,
        constants: Mapping[str, Any] | None = None,
        empty: Empty = "omit",
        trim: bool = False,
    ) -> Self:
        """Make rows for `client.bulk.create_transactions`: one purchase a row."""
        return cls._batch(operations.transactions(), columns, constants, empty, trim=trim)

    @classmethod
    def for_identifiers(cls, columns: Mapping[str, Goal], *, trim: bool = False) -> Self:
        """Make rows for `client.bulk.delete_profiles` and `assign_tag`: a `clientId`, or a `customId` to delete."""
        kind = operations.deletions()
        whole = body_schema(operations.profiles().operation)
        schema = attrs.evolve(whole, properties={name: whole.properties[name] for name in kind.identifiers})
        return cls(kind, schema, (kind.operation, operations.assignments(0).operation), columns, trim=trim)

    @classmethod
    def _batch(
        cls,
        kind: operations.Kind,
        columns: Mapping[str, Goal],
        constants: Mapping[str, Any] | None,
        empty: Empty,
        *,
        trim: bool,
    ) -> Self:
        return cls(
            kind, body_schema(kind.operation), (kind.operation,), columns, constants=constants, empty=empty, trim=trim
        )

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the mapping is made for another operation."""
        if operation not in self.operations:
            made = " or ".join(known.name for known in self.operations)
            raise InvalidRequestError(f"the mapping of these rows is made for {made}", operation=operation.name)

    def layout(self, columns: Sequence[Column]) -> Layout:
        """Find the columns in those of a file; raises MappingError."""
        mistakes: list[Mistake] = []
        found: list[tuple[Field, Leaf]] = []
        for place, column, target, steps in chosen(columns, self.targets, mistakes):
            try:
                field = find_field(self._schema, steps)
                found.append((field, self._leaf(place, column, target, field)))
            except (UnknownFieldError, UnfitError) as error:
                mistakes.append(Mistake(column.name, ".".join(map(str, steps)), str(error)))
        if not mistakes:
            given = [(leaf.column, field) for field, leaf in found]
            mistakes += clashes([*given, *(("", field) for field in self._constants)])
            mistakes += lacking([field for _, field in given] + self._constants, self._kind, self._schema)
        self._raise(mistakes)
        return Layout(self._tree(found), [column.name for column in columns])

    def _leaf(self, place: int, column: Column, target: Target, field: Field) -> Leaf:
        problem = type_problem(target, field.schema)
        if problem is not None:
            raise UnfitError(problem)
        kind = fit(column, target, field.schema)
        cast = cast_of(kind, target) if kind else None
        if cast is not None and kind in ("json", "nested") and field.schema is not None:
            cast = of_types(cast, field.schema.types)
        return Leaf(
            name=field.steps[-1].name,
            path=field.path,
            column=column.name,
            position=place,
            missing=_MISSING.get(column.kind, "value"),
            cast=cast,
            empty=self._empty_of(target, kind),
            trim=(self._trim if target.trim is None else target.trim) and column.kind in ("text", "json"),
        )

    def _empty_of(self, target: Target, kind: str) -> Empty:
        """What an empty cell means; only where texts go can one be kept."""
        empty = target.empty or self._empty
        if empty != "keep" or kind in ("", "text"):
            return empty
        if target.empty == "keep":
            raise UnfitError(f"empty='keep' keeps an empty text, which is no {kind}")
        return "omit"

    def _tree(self, found: list[tuple[Field, Leaf]]) -> Node:
        """Put the leaves into their objects, sorted: what an event's salt is made of must not depend on their order."""
        root = Node()
        for field, leaf in sorted(found, key=lambda pair: pair[0].path):
            _node(root, field, has_columns=True).leaves.append(leaf)
        for field in sorted(self._constants, key=lambda field: field.path):
            _node(root, field, has_columns=False).constants[field.steps[-1].name] = self._values[field.path]
        return root

    def _targets(self, name: str, goal: Goal) -> tuple[Target, ...]:
        if goal is None:
            return ()
        if (mistake := _no_goal(name, goal)) is not None:
            self._mistakes.append(mistake)
            return ()
        given = [goal] if isinstance(goal, str | Target) else goal
        found = tuple(to(one) if isinstance(one, str) else one for one in given)
        if is_pattern(name, found):
            return found
        for target in found:
            field = self._field(name, steps_of(target.field))
            problem = None if field is None else type_problem(target, field.schema)
            if problem is not None:
                self._mistakes.append(Mistake(name, target.field, problem))
        return found

    def _field(self, column: str, steps: tuple[Step, ...]) -> Field | None:
        try:
            return find_field(self._schema, steps)
        except UnknownFieldError as error:
            self._mistakes.append(Mistake(column, ".".join(map(str, steps)), str(error)))
            return None

    def _check(self) -> None:
        """Look for fields that are given twice, constants that do not fit, and what rows would always lack."""
        given = [
            (name, field)
            for name, targets in self.targets.items()
            if not is_pattern(name, targets)
            for target in targets
            if (field := _found(self._schema, target)) is not None
        ]
        self._mistakes += clashes([*given, *(("", field) for field in self._constants)])
        for field in self._constants:
            problem = constant_problem(self._values[field.path], field.schema)
            if problem is not None:
                self._mistakes.append(Mistake("", field.path, f"the constant {problem}"))
        if not self._mistakes and not self._is_open:
            self._mistakes += lacking([field for _, field in given] + self._constants, self._kind, self._schema)

    @property
    def has_patterns(self) -> bool:
        """Whether it takes columns that it does not name."""
        return any(is_pattern(name, targets) for name, targets in self.targets.items())

    @property
    def _is_open(self) -> bool:
        """Whether it takes a file to know the fields that columns go to, those aside that are the caller's own."""
        tops = [
            self._schema.properties.get(steps_of(target.field)[0].name)
            for name, targets in self.targets.items()
            if is_pattern(name, targets)
            for target in targets
        ]
        return any(top is None or top.properties or not top.free for top in tops)

    def _raise(self, mistakes: Sequence[Mistake]) -> None:
        if mistakes:
            raise MappingError(dict.fromkeys(mistakes), operation=self.operations[0].name)


def _no_mapping(columns: object) -> Mistake | None:
    """Say what a caller without a type checker got wrong."""
    if isinstance(columns, Mapping):
        return None
    return Mistake("", "", f"expected a mapping from columns to fields, got {type(columns).__name__}")


def _no_goal(name: str, goal: object) -> Mistake | None:
    problem = f"expected a path or what to() makes, got {type(goal).__name__}"
    parts = cast("Sequence[object]", goal) if isinstance(goal, list | tuple) else (goal,)
    return None if all(isinstance(part, str | Target) for part in parts) else Mistake(name, "", problem)


def _found(schema: Schema, target: Target) -> Field | None:
    try:
        return find_field(schema, steps_of(target.field))
    except UnknownFieldError:
        return None


def _node(root: Node, field: Field, *, has_columns: bool) -> Node:
    """Find or make the object that a field is in."""
    here = root
    for step, holder in zip(field.steps[:-1], field.holders[1:], strict=True):
        child = here.children.setdefault(step.name, Node(is_list=step.is_entry))
        child.is_whole = child.is_whole or (has_columns and holder is not None and bool(holder.required))
        here = child
    return here
