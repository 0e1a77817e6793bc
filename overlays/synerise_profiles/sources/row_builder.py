"""The row builder: from the cells of a row to the row that is sent, by a function that is generated for the mapping.

A mapping is a tree of objects whose leaves are columns. Walking the tree for every row takes twice the time of a
function in which it is unrolled, and this is the innermost loop of an import; so such a function is written as Python
text once a file, and executed. Every CSV record, JSON object and table row of a mapping goes through that code.
The text holds numbers, names of our own, and the names of fields as literals (`repr`); converters and constants are
handed in as globals. So a header can never become code, whatever it holds. `ObjectTemplate.build` does the same
without generated code: the tests compare the two, and it finds the reason where a cell cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from synerise_profiles._batching.row_source import UnreadableRow

from .converters import Converter, convert_plain_text, convert_text
from .derived_cells import is_nan
from .errors import cell_problem
from .fields import ResolvedField
from .targets import Empty

__all__ = [
    "Cells",
    "ColumnBinding",
    "EmptyForm",
    "ObjectTemplate",
    "Row",
    "RowBuilder",
    "object_tree",
]

Cells: TypeAlias = Sequence[Any]
Row: TypeAlias = "dict[str, Any] | UnreadableRow"
EmptyForm: TypeAlias = Literal["text", "value", "float", "json", "any"]
"""How an empty cell looks: an empty text or None; None alone; None or NaN; None or an empty text of JSON; all these."""


@attrs.frozen(kw_only=True)
class ColumnBinding:
    """One column's way into the row: the position of its cell, and what is done with it.

    With `derive` the cell is made of its own one and those at the positions of `sources`; -1 is a column that is not
    there, and `origin` tells which of them is at fault. `may_be_number` is false where no cell becomes a number.
    """

    name: str
    path: str
    column: str
    position: int
    empty_form: EmptyForm = "text"
    converter: Converter | None = None
    empty: Empty = "omit"
    trim: bool = False
    null_values: frozenset[str] = frozenset()
    derive: Callable[..., Any] | None = None
    origin: Callable[..., int] | None = None
    sources: tuple[int, ...] = ()
    may_be_number: bool = True

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of all cells that it is made of."""
        return (self.position, *(position for position in self.sources if position >= 0))

    def taken(self, cells: Cells) -> list[Any]:
        """Return the cells that it is made of, its own one first."""
        return [None if position < 0 else cells[position] for position in (self.position, *self.sources)]

    def column_at_fault(self, cells: Cells, names: Sequence[str]) -> str:
        """Return the name of the column whose cell cannot be read; `names` are those of all cells."""
        if self.origin is None:
            return self.column
        try:
            return names[(self.position, *self.sources)[self.origin(*self.taken(cells))]]
        except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way
            cell_problem(error)
            return self.column

    def value_of(self, cells: Cells) -> Any:
        """Return what is sent for a cell, or `OMITTED`; raises BadCellError."""
        cell = cells[self.position]
        if self.derive is not None:
            cell = self.derive(*self.taken(cells))
        if self.trim and isinstance(cell, str):
            cell = cell.strip()
        if isinstance(cell, str) and cell in self.null_values:
            cell = ""
        is_empty_nan = self.empty_form in ("float", "any") and is_nan(cell)
        if cell is None or cell == "" or is_empty_nan:
            if self.empty == "null":
                return None
            return "" if self.empty == "keep" and cell == "" else OMITTED
        return cell if self.converter is None else self.converter(cell)


OMITTED: Final = object()


@attrs.define(kw_only=True)
class ObjectTemplate:
    """An object of the row, as a tree. `omit_if_empty` leaves it out, constants included, where no column has a value.

    `is_list` makes it the one entry of a list.
    """

    bindings: list[ColumnBinding] = attrs.field(factory=list[ColumnBinding])
    children: dict[str, ObjectTemplate] = attrs.field(factory=dict[str, "ObjectTemplate"])
    constants: dict[str, Any] = attrs.field(factory=dict[str, Any])
    is_list: bool = False
    omit_if_empty: bool = False

    def build(self, cells: Cells, failed: list[tuple[ColumnBinding, str]] | None = None) -> dict[str, Any]:
        """Build the object cell by cell: what the generated function does, without generated code.

        What cannot be read is added to `failed`, with the reason, where that is given; else it raises.
        """
        built: dict[str, Any] = {}
        for binding in self.bindings:
            try:
                value = binding.value_of(cells)
            except Exception as error:
                if failed is None:
                    raise
                failed.append((binding, cell_problem(error)))
                continue
            if value is not OMITTED:
                built[binding.name] = value
        for name, child in self.children.items():
            if inner := child.build(cells, failed):
                built[name] = [inner] if child.is_list else inner
        if built or not self.omit_if_empty:
            built.update(self.constants)
        return built


def object_tree(
    columns: Iterable[tuple[ResolvedField, ColumnBinding]], constants: Iterable[tuple[ResolvedField, Any]]
) -> ObjectTemplate:
    """Put columns and constants into their objects, sorted: an event's salt must not depend on the mapping's order."""
    root = ObjectTemplate()
    for field, binding in sorted(columns, key=lambda pair: pair[0].path):
        _object_of(root, field, has_columns=True).bindings.append(binding)
    for field, value in sorted(constants, key=lambda pair: pair[0].path):
        _object_of(root, field, has_columns=False).constants[field.steps[-1].name] = value
    return root


def _object_of(root: ObjectTemplate, field: ResolvedField, *, has_columns: bool) -> ObjectTemplate:
    """Find or make the object that a field is in."""
    here = root
    for step, schema in zip(field.steps[:-1], field.parents[1:], strict=True):
        child = here.children.setdefault(step.name, ObjectTemplate(is_list=step.is_entry))
        child.omit_if_empty = child.omit_if_empty or (has_columns and schema is not None and bool(schema.required))
        here = child
    return here


class RowBuilder:
    """Makes rows: `convert` returns the row, or an UnreadableRow for a cell that cannot be read.

    It takes the cells in the order of `columns`, which are their names, or `of_objects` the object whose keys are the
    columns. `bindings` are the columns that are mapped, `digest` is that of the mapping.
    """

    def __init__(
        self, root: ObjectTemplate, columns: Sequence[str], digest: str | None = None, *, of_objects: bool = False
    ) -> None:
        self.root = root
        self.digest = digest
        self.columns = tuple(columns)
        self.bindings = tuple(_bindings(root))
        self.positions = list(dict.fromkeys(place for binding in self.bindings for place in binding.positions))
        """The positions of all cells that rows are made of, in the order of the fields."""
        unreadable_row = self._unreadable_object if of_objects else self._unreadable_cells
        head = ["get = cells.get", *_cell_lines(self.bindings, lambda position: f"get({self.columns[position]!r})")]
        if not of_objects:
            head = _cell_lines(self.bindings, lambda position: f"cells[{position}]")
        self.convert: Callable[[Any], Row] = _generate_function(root, head, unreadable_row)

    def path_of(self, position: int) -> str:
        """Return the field that the cell at a position goes to first; none has an empty path."""
        return next((binding.path for binding in self.bindings if position in binding.positions), "")

    def convert_in_order(self, convert_other: Callable[[Any], Row]) -> Callable[[Any], Row]:
        """Make a function of objects whose keys are the columns, in their order; it gives any other value on.

        Nearly all objects of a file have the keys of the first, and taking all values at once is twice as fast.
        """
        used = frozenset(self.positions)
        cells = "".join(f"c{position}, " if position in used else "_, " for position in range(len(self.columns)))
        head = ["if cells.__class__ is not dict or tuple(cells) != columns: return convert_other(cells)"]
        if used:
            head.append(f"{cells}= cells.values()")
        scope = {"columns": self.columns, "convert_other": convert_other}
        return _generate_function(self.root, head, self._unreadable_object, scope)

    def _unreadable_cells(self, cells: Cells, error: Exception) -> UnreadableRow:
        return self._unreadable_row(dict(zip(self.columns, cells, strict=False)), cells, error)

    def _unreadable_object(self, found: dict[str, Any], error: Exception) -> UnreadableRow:
        return self._unreadable_row(found, [found.get(name) for name in self.columns], error)

    def _unreadable_row(self, row: dict[str, Any], cells: Cells, raised: Exception) -> UnreadableRow:
        """Find the first cell that cannot be read, and the fields that can."""
        cell_problem(raised)
        failed: list[tuple[ColumnBinding, str]] = []
        fields = self.root.build(cells, failed)
        path, reason = "", "cannot be read"
        if failed:
            binding, problem = failed[0]
            path, reason = binding.path, f"column {binding.column_at_fault(cells, self.columns)!r} {problem}"
        return UnreadableRow(path, reason, row, mapping=self.digest, fields=fields)


def _bindings(template: ObjectTemplate) -> list[ColumnBinding]:
    return template.bindings + [binding for child in template.children.values() for binding in _bindings(child)]


def _cell_lines(bindings: Iterable[ColumnBinding], source: Callable[[int], str]) -> list[str]:
    """The lines that take each cell from where it is, once, whatever number of fields it goes to."""
    positions = dict.fromkeys(position for binding in bindings for position in binding.positions)
    return [f"c{position} = {source(position)}" for position in positions]


def _generate_function(
    root: ObjectTemplate,
    head: Sequence[str],
    unreadable_row: Callable[[Any, Exception], UnreadableRow],
    scope: Mapping[str, Any] | None = None,
) -> Callable[[Any], Row]:
    """Write the function of a tree as Python text, and execute it; the module says why, and what the text holds.

    The lines of `head` take the cells, with what is in `scope`.
    """
    writer = _CodeWriter({"is_nan": is_nan, "unreadable_row": unreadable_row, **(scope or {})})
    writer.add_object(root, "row")
    lines = ["def convert(cells):", *(f"    {line}" for line in head), "    try:", *writer.lines]
    tail = ["    except Exception as error:", "        return unreadable_row(cells, error)", "    return row"]
    exec("\n".join([*lines, *tail]), writer.scope)  # noqa: S102 - see the module
    convert: Callable[[Any], Row] = writer.scope["convert"]
    return convert


class _CodeWriter:
    """The lines of the generated function, and the globals that they use."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.lines: list[str] = []
        self.scope = scope
        self._objects = 0

    def add_object(self, template: ObjectTemplate, variable: str) -> None:
        """Write what builds an object."""
        self._add_line(f"{variable} = {{}}")
        for binding in template.bindings:
            self._add_binding(binding, variable)
        for key, child in template.children.items():
            self._objects += 1
            inner = f"o{self._objects}"
            self.add_object(child, inner)
            self._add_line(f"if {inner}: {variable}[{key!r}] = {f'[{inner}]' if child.is_list else inner}")
        if template.constants:
            guard = f"if {variable}: " if template.omit_if_empty else ""
            self._add_line(f"{guard}{variable}.update({self._constant_name(template.constants)})")

    def _add_binding(self, binding: ColumnBinding, variable: str) -> None:
        item = f"{variable}[{binding.name!r}]"
        cell = f"c{binding.position}"
        if binding.derive is not None:
            others = "".join(f", c{position}" if position >= 0 else ", None" for position in binding.sources)
            self._add_line(f"c = {self._constant_name(binding.derive)}({cell}{others})")
            cell = "c"
        elif binding.trim or binding.null_values:
            # The cell may go to other fields as it is.
            self._add_line(f"c = {cell}")
            cell = "c"
        if binding.trim:
            self._add_line("if c.__class__ is str: c = c.strip()")
        if binding.null_values:
            words = self._constant_name(binding.null_values)
            self._add_line(f"if c.__class__ is str and c in {words}: c = ''")
        value = cell if binding.converter is None else f"{self._constant_name(binding.converter)}({cell})"
        if binding.converter in (convert_text, convert_plain_text):
            value = f"{cell} if {cell}.__class__ is str else {value}"
        self._add_line(f"if {_PRESENT_CONDITIONS[binding.empty_form].format(cell)}: {item} = {value}")
        if binding.empty == "null":
            self._add_line(f"else: {item} = None")
        elif binding.empty == "keep":
            self._add_line(f"elif {cell} == '': {item} = ''")

    def _constant_name(self, value: Any) -> str:
        name = f"v{len(self.scope)}"
        self.scope[name] = value
        return name

    def _add_line(self, line: str) -> None:
        self.lines.append(f"        {line}")


_PRESENT_CONDITIONS: Final = {
    "text": "{0}",
    "value": "{0} is not None",
    "float": "{0} is not None and {0} == {0}",
    "json": "{0} is not None and {0} != ''",
    "any": "{0} is not None and {0} != '' and ({0} == {0} or not is_nan({0}))",
}
