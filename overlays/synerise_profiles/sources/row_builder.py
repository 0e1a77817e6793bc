"""The row builder: from the cells of a row to the row that is sent, by a function that is generated for the mapping.

A mapping is a tree of objects whose leaves are columns. Walking the tree for every row takes twice the time of a
function in which it is unrolled, and this is the innermost loop of an import; so such a function is written as Python
text once a file, and executed. Every CSV record, JSON object and table row of a mapping goes through that code.
The text holds numbers, names of our own, and the names of fields as literals (`repr`); converters and constants are
handed in as globals. So a header can never become code, whatever it holds. `ObjectTemplate.build` does the same
without generated code: the tests compare the two, and it finds the reason where a cell cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from synerise_profiles._batching.row_source import UnreadableRow

from .converters import Converter
from .errors import BadCellError
from .fields import ResolvedField
from .targets import Empty

__all__ = ["Cells", "ColumnBinding", "EmptyForm", "ObjectTemplate", "Row", "RowBuilder", "object_tree"]

Cells: TypeAlias = Sequence[Any]
Row: TypeAlias = "dict[str, Any] | UnreadableRow"
EmptyForm: TypeAlias = Literal["text", "value", "float", "json"]
"""How an empty cell looks: an empty text or None; None alone; None or NaN; None or an empty text of JSON."""


@attrs.frozen(kw_only=True)
class ColumnBinding:
    """One column's way into the row: the position of its cell, and what is done with it."""

    name: str
    path: str
    column: str
    position: int
    empty_form: EmptyForm = "text"
    converter: Converter | None = None
    empty: Empty = "omit"
    trim: bool = False

    def value_of(self, cell: Any) -> Any:
        """Return what is sent for a cell, or `OMITTED`; raises BadCellError."""
        if self.trim and isinstance(cell, str):
            cell = cell.strip()
        is_nan = isinstance(cell, float) and cell != cell  # noqa: PLR0124 - NaN
        if cell is None or cell == "" or is_nan:
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

    def build(self, cells: Cells) -> dict[str, Any]:
        """Build the object cell by cell: what the generated function does, without generated code."""
        built: dict[str, Any] = {}
        for binding in self.bindings:
            value = binding.value_of(cells[binding.position])
            if value is not OMITTED:
                built[binding.name] = value
        for name, child in self.children.items():
            if inner := child.build(cells):
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
    """Makes rows of cells: `convert(cells)` returns the row, or an UnreadableRow for a cell that cannot be read.

    `columns` are the names of the cells, `bindings` those of them that are mapped.
    """

    def __init__(self, root: ObjectTemplate, columns: Sequence[str]) -> None:
        self.root = root
        self.columns = tuple(columns)
        self.bindings = tuple(_bindings(root))
        self.convert: Callable[[Cells], Row] = _generate_function(root, self._unreadable_row)

    def _unreadable_row(self, cells: Cells) -> UnreadableRow:
        """Find the first cell that cannot be read."""
        row = dict(zip(self.columns, cells, strict=False))
        for binding in self.bindings:
            try:
                binding.value_of(cells[binding.position])
            except BadCellError as error:
                return UnreadableRow(binding.path, f"column {binding.column!r} {error}", row)
        return UnreadableRow("", "cannot be read", row)


def _bindings(template: ObjectTemplate) -> list[ColumnBinding]:
    return template.bindings + [binding for child in template.children.values() for binding in _bindings(child)]


def _generate_function(
    root: ObjectTemplate, unreadable_row: Callable[[Cells], UnreadableRow]
) -> Callable[[Cells], Row]:
    """Write the function of a tree as Python text, and execute it; the module says why, and what the text holds."""
    writer = _CodeWriter({"BadCellError": BadCellError, "unreadable_row": unreadable_row})
    writer.add_object(root, "row")
    head, tail = (
        ["def convert(cells):", "    try:"],
        ["    except BadCellError:", "        return unreadable_row(cells)"],
    )
    exec("\n".join([*head, *writer.lines, *tail, "    return row"]), writer.scope)  # noqa: S102 - see the module
    convert: Callable[[Cells], Row] = writer.scope["convert"]
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
        self._add_line(f"c = cells[{binding.position}]")
        if binding.trim:
            self._add_line("if c.__class__ is str: c = c.strip()")
        value = "c" if binding.converter is None else f"{self._constant_name(binding.converter)}(c)"
        self._add_line(f"if {_PRESENT_CONDITIONS[binding.empty_form]}: {item} = {value}")
        if binding.empty == "null":
            self._add_line(f"else: {item} = None")
        elif binding.empty == "keep":
            self._add_line(f"elif c == '': {item} = ''")

    def _constant_name(self, value: Any) -> str:
        name = f"v{len(self.scope)}"
        self.scope[name] = value
        return name

    def _add_line(self, line: str) -> None:
        self.lines.append(f"        {line}")


_PRESENT_CONDITIONS: Final = {
    "text": "c",
    "value": "c is not None",
    "float": "c is not None and c == c",
    "json": "c is not None and c != ''",
}
