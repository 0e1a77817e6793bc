"""The options of a mapping that are about lines: which are wanted, what prepares them, and which are one order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, cast, get_args

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.callables import closed_coroutine, is_coroutine_function, takes
from synerise_profiles_api.api.events import cancelled_transaction
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object

from .column_patterns import pattern_steps
from .columns import CellDefaults, MappedTarget
from .conditions import CellTest, Condition, condition_test
from .derived_cells import cell_cleaner
from .errors import MappingIssue
from .fields import ResolvedField, accepted_types_text, close_names
from .grouping import TOTAL_FIELDS, BadLine, Combine, FieldPath, Grouping, entry_list_of
from .line_plan import LinePlan, Prepare
from .mapping_options import MappingKind
from .order_ids import IdFields
from .order_keys import fields_in_doubt, key_readers
from .plain_values import plain_texts, plain_value
from .row_builder import ColumnBinding, Row

__all__ = ["EqualByDigest", "LineOptions"]

_NUMBERS: Final = frozenset({"integer", "number"})
_TOTALS_OF_KIND: Final[Mapping[MappingKind, FieldPath]] = {"transactions": (), "events": ("params",)}
_PREPARE_TEXTS: Final = (
    "prepare= is a function of the cells of a line",
    "prepare= is a function, and no coroutine function, since what it returns is not awaited",
)
_PRODUCTS: Final = "products"
_CANCELLATION: Final = (
    ("action", cancelled_transaction.OPERATION.action),
    ("type", cancelled_transaction.OPERATION.event_type),
)
"""Fields of an event, of which one says that it cancels a purchase."""


_NO_SUM: Final = "holds texts, or what is no number, and combine='sum' adds numbers; give it the type 'number'"
_BY_ONE_TYPE: Final = (frozenset({"string"}), _NUMBERS, frozenset({"boolean"}))


def _has_any_type(field: ResolvedField) -> bool:
    """Whether the values of a field may be numbers in some lines, and true or false in others."""
    types = frozenset[str]() if field.schema is None else field.schema.types
    return entry_list_of(field) is None and not (types and any(types <= known for known in _BY_ONE_TYPE))


def _as_in_files(where: Mapping[str, Condition]) -> dict[str, Condition]:
    """Return conditions as TOML has them: of several values a list, and of enum members their values."""
    return {name: cast("Condition", plain_value(condition)) for name, condition in where.items()}


def _plain_combine(combine: Mapping[str, Combine]) -> dict[str, Combine]:
    return {path: cast("Combine", plain_value(how)) for path, how in combine.items()}


@attrs.frozen(kw_only=True)
class LineOptions:
    """What a mapping says about lines; see `RowMapping`."""

    where: Mapping[str, Condition] = attrs.field(factory=dict[str, Condition], converter=_as_in_files)
    prepare: Prepare | None = None
    group_by: tuple[str, ...] = attrs.field(default=(), converter=plain_texts)
    combine: Mapping[str, Combine] = attrs.field(factory=dict[str, Combine], converter=_plain_combine)
    bad_line: BadLine = attrs.field(default="refuse_order", converter=plain_value)

    @property
    def is_plain(self) -> bool:
        """Whether every line is a row, as it stands."""
        return not self.where and self.prepare is None and not self.group_by

    @property
    def facts(self) -> str:
        """What tells these options apart, in any process: a function by its name."""
        where = {column: _name_of(condition) for column, condition in self.where.items()}
        prepare = None if self.prepare is None else _name_of(self.prepare)
        return repr((sorted(where.items()), prepare, self.group_by, sorted(self.combine.items()), self.bad_line))

    @property
    def functions(self) -> tuple[object, ...]:
        """The functions among them, of which `facts` has the names."""
        return (self.prepare, *(self.where[name] for name in sorted(self.where) if callable(self.where[name])))

    @property
    def file_options(self) -> dict[str, Any]:
        """Return those that stand above the tables of a mapping file; raises InvalidRequestError for a function."""
        if self.prepare is not None:
            raise InvalidRequestError("is a function, which TOML cannot carry", field="prepare")
        return {
            "group_by": self.group_by[0] if len(self.group_by) == 1 else self.group_by,
            "bad_line": None if self.bad_line == "refuse_order" else self.bad_line,
        }

    @property
    def computed(self) -> tuple[str, ...]:
        """The fields that grouping computes where nothing gives them."""
        return TOTAL_FIELDS if self.group_by else ()

    def issues(
        self, kind: MappingKind, fields: Iterable[ResolvedField], patterns: Collection[str]
    ) -> Iterable[MappingIssue]:
        """Yield what is wrong with these options for a mapping to these fields, and those of patterns."""
        paths = {field.path: field.schema for field in fields if entry_list_of(field) is None}
        for column in self.where:
            try:
                self._test(column, CellDefaults())
            except ValueError as error:
                yield MappingIssue(column, "", f"where= {error}")
        if not takes(self.prepare or len, 1) or is_coroutine_function(self.prepare):
            yield MappingIssue("", "", _PREPARE_TEXTS[is_coroutine_function(self.prepare)])
        if self.group_by and kind not in _TOTALS_OF_KIND:
            yield MappingIssue("", "", f"group_by is for {' and '.join(_TOTALS_OF_KIND)}")
        if not all(isinstance(name, str) and name for name in cast("Sequence[object]", self.group_by)):
            yield MappingIssue("", "", "group_by is the name of a column, or a list of names")
        if not self.group_by and (self.combine or self.bad_line != "refuse_order"):
            yield MappingIssue("", "", "combine and bad_line are for lines that are grouped; give group_by")
        if self.bad_line not in get_args(BadLine):
            yield MappingIssue("", "", f"bad_line={self.bad_line!r} is none of {', '.join(get_args(BadLine))}")
        for path, how in self.combine.items():
            if how not in get_args(Combine):
                yield MappingIssue("", path, f"combine={how!r} is none of {', '.join(get_args(Combine))}")
            elif path not in paths and not any(pattern_steps(pattern, path) for pattern in patterns):
                close = close_names(path, paths)
                problem = "combine names a field that no column gives, or that stands in a list"
                yield MappingIssue("", path, f"{problem}; did you mean {close}?" if close else problem)
            elif (
                how == "sum"
                and (schema := paths.get(path)) is not None
                and schema.types
                and not schema.types & _NUMBERS
            ):
                yield MappingIssue("", path, f"takes {accepted_types_text(schema)}, and combine='sum' adds numbers")

    def sum_issues(self, bound: Iterable[tuple[ResolvedField, ColumnBinding]]) -> Iterator[MappingIssue]:
        """Yield an issue for each field that is to be summed, and is given by cells of which none is a number."""
        for field, binding in bound:
            if self.combine.get(field.path) == "sum" and not binding.may_be_number:
                yield MappingIssue(binding.column, field.path, _NO_SUM)

    def columns(self, names: Iterable[str]) -> list[str]:
        """Return which of these columns are read beside those that are mapped."""
        own = {*self.where, *(() if self.prepare else self.group_by)}
        return [name for name in names if self.prepare is not None or name in own]

    def missing(self, names: Sequence[str]) -> Iterable[MappingIssue]:
        """Yield an issue for each column that is not among these."""
        wanted = [(name, "where=") for name in self.where]
        wanted += [(name, "group_by") for name in (() if self.prepare else self.group_by)]
        for name, option in wanted:
            if name not in names:
                close = close_names(name, names)
                yield MappingIssue(
                    name, "", f"{option} names what is not there" + (f"; did you mean {close}?" if close else "")
                )

    def grouping(
        self, kind: MappingKind, fields: Sequence[ResolvedField], max_bytes: int, *, patterns: Collection[str]
    ) -> Grouping | None:
        """Return how lines become orders, in rows of these fields and those of patterns; None if they do not."""
        if not self.group_by:
            return None
        lists = [path for field in fields if (path := entry_list_of(field)) is not None]
        holder = _TOTALS_OF_KIND[kind]
        is_priced = (*holder, _PRODUCTS) in lists
        known = {field.path for field in fields}
        combine: dict[FieldPath, Combine] = {}
        for name, how in self.combine.items():
            found = () if name in known else filter(None, (pattern_steps(pattern, name) for pattern in patterns))
            combine[next(iter(found), tuple(name.split(".")))] = how
        return Grouping(
            lists,
            combine,
            totals_in=holder if is_priced else None,
            totals_of=_CANCELLATION if kind == "events" else (),
            has_any_type=bool(patterns) or any(map(_has_any_type, fields)),
            max_bytes=max_bytes,
        )

    def plan(
        self,
        convert: Callable[[Any], Row],
        read_cells: Callable[[object], Row],
        grouping: Grouping | None,
        mapped: Mapping[str, Sequence[MappedTarget]],
        defaults: CellDefaults,
        columns: Sequence[str] | None = None,
        *,
        ids: IdFields | None = None,
    ) -> LinePlan:
        """Make the plan for records that are lists of cells in the order of `columns`, or objects without."""

        def cell_of(name: str) -> Callable[[Any], Any]:
            return _key_getter(name) if columns is None else itemgetter(columns.index(name))

        def cells_of(record: Any) -> dict[str, Any]:
            return dict(record) if columns is None else dict(zip(columns, record, strict=True))

        return LinePlan(
            cells_of=cells_of,
            convert=convert,
            read_cells=None if self.prepare is not None else read_cells,
            tests=[(cell_of(name), self._test(name, defaults)) for name in self.where],
            prepare=None if self.prepare is None else _checked(self.prepare),
            key_columns=self.group_by,
            key_cells=[] if self.prepare is not None else [cell_of(name) for name in self.group_by],
            key_readers=key_readers(self.group_by, mapped, defaults),
            key_fields=fields_in_doubt(self.group_by, mapped),
            grouping=grouping,
            id_fields=ids,
            bad_line=self.bad_line,
        )

    def _test(self, column: str, defaults: CellDefaults) -> CellTest:
        return condition_test(self.where[column], cell_cleaner(trim=defaults.trim, null_values=defaults.null_values))


class EqualByDigest:
    """What is equal to another one by its digest, and by the functions of its options, of which that has the names."""

    digest: str
    lines: LineOptions

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EqualByDigest):
            return NotImplemented
        return self.digest == other.digest and self.lines.functions == other.lines.functions

    def __hash__(self) -> int:
        return hash(self.digest)


def _name_of(value: object) -> str:
    if not callable(value):
        return repr(value)
    module = getattr(value, "__module__", type(value).__module__)  # a method of a built-in type has none
    return f"{module}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _checked(prepare: Prepare) -> Prepare:
    def checked(cells: dict[str, Any]) -> Any:
        found: Any = prepare(cells)
        if found is None or isinstance(found, UnreadableRow) or is_object(found):
            return found
        if isinstance(found, Mapping):
            return dict(cast("Mapping[str, Any]", found))
        closed_coroutine(found)
        problem = f"returned a {type(found).__name__}; return the cells of the line, None, or an UnreadableRow"
        raise InvalidRequestError(problem, field="prepare")

    return checked


def _key_getter(name: str) -> Callable[[Any], Any]:
    def get(record: dict[str, Any]) -> Any:
        return record.get(name)

    return get
