"""From the cells of a row to the row that is sent: a tree of objects, written out as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from synerise_profiles._batching.row_source import UnreadableRow

from .converters import Converter
from .errors import BadCellError
from .targets import Empty

__all__ = ["Cells", "ColumnBinding", "EmptyForm", "ObjectTemplate", "RowBuilder"]

Cells: TypeAlias = Sequence[Any]
EmptyForm: TypeAlias = Literal["text", "value", "float", "json"]
"""How an empty cell looks: an empty text or None; None alone; None or NaN; None or an empty text of JSON."""


@attrs.frozen(kw_only=True)
class ColumnBinding:
    """One column's way into the row: the place of its cell, and what is done with it."""

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
    """An object of the row. `is_whole` says that it is left out where none of its columns has anything."""

    bindings: list[ColumnBinding] = attrs.field(factory=list[ColumnBinding])
    children: dict[str, ObjectTemplate] = attrs.field(factory=dict[str, "ObjectTemplate"])
    constants: dict[str, Any] = attrs.field(factory=dict[str, Any])
    is_list: bool = False
    omit_if_empty: bool = False

    def build(self, cells: Cells) -> dict[str, Any]:
        """Build the object cell by cell: what the written function does, in words."""
        found: dict[str, Any] = {}
        for leaf in self.bindings:
            value = leaf.value_of(cells[leaf.position])
            if value is not OMITTED:
                found[leaf.name] = value
        for name, child in self.children.items():
            if inner := child.build(cells):
                found[name] = [inner] if child.is_list else inner
        if found or not self.omit_if_empty:
            found.update(self.constants)
        return found


class RowBuilder:
    """Where each cell goes. `convert(cells)` makes a row, or raises BadCellError; `explain(cells)` says why it did."""

    def __init__(self, root: ObjectTemplate, columns: Sequence[str]) -> None:
        self.root = root
        self.columns = tuple(columns)
        self.bindings = tuple(_bindings(root))
        self.convert: Callable[[Cells], dict[str, Any]] = _compile_row_function(root)

    def unreadable_row(self, cells: Cells, raw: Any = None) -> UnreadableRow:
        """Find the first cell that cannot be read."""
        row = dict(zip(self.columns, cells, strict=False)) if raw is None else raw
        for leaf in self.bindings:
            try:
                leaf.value_of(cells[leaf.position])
            except BadCellError as error:
                return UnreadableRow(leaf.path, f"column {leaf.column!r} {error}", row)
        return UnreadableRow("", "cannot be read", row)


def _bindings(node: ObjectTemplate) -> list[ColumnBinding]:
    return node.bindings + [leaf for child in node.children.values() for leaf in _bindings(child)]


def _compile_row_function(root: ObjectTemplate) -> Callable[[Cells], dict[str, Any]]:
    """Write the function of a tree, and compile it: a loop over the leaves would take twice the time.

    The text holds numbers, and names as Python's own literals of strings; casts and constants are handed in.
    """
    writer = _CodeWriter()
    writer.add_object(root, "row")
    scope = writer.scope
    exec("\n".join(["def convert(cells):", *writer.lines, "    return row"]), scope)  # noqa: S102
    convert: Callable[[Cells], dict[str, Any]] = scope["convert"]
    return convert


class _CodeWriter:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}
        self._objects = 0

    def add_object(self, node: ObjectTemplate, name: str) -> None:
        self._add_line(f"{name} = {{}}")
        for leaf in node.bindings:
            self._add_binding(leaf, name)
        for key, child in node.children.items():
            self._objects += 1
            inner = f"o{self._objects}"
            self.add_object(child, inner)
            self._add_line(f"if {inner}: {name}[{key!r}] = {f'[{inner}]' if child.is_list else inner}")
        if node.constants:
            guard = f"if {name}: " if node.omit_if_empty else ""
            self._add_line(f"{guard}{name}.update({self._constant_name(node.constants)})")

    def _add_binding(self, leaf: ColumnBinding, name: str) -> None:
        at, put = f"c = cells[{leaf.position}]", f"{name}[{leaf.name!r}]"
        self._add_line(at)
        if leaf.trim:
            self._add_line("if c.__class__ is str: c = c.strip()")
        value = "c" if leaf.converter is None else f"{self._constant_name(leaf.converter)}(c)"
        if leaf.empty_form == "text" and leaf.empty == "omit":
            self._add_line(f"if c: {put} = {value}")
            return
        self._add_line(f"if {_PRESENT_CONDITIONS[leaf.empty_form]}: {put} = {value}")
        if leaf.empty == "null":
            self._add_line(f"else: {put} = None")
        elif leaf.empty == "keep":
            self._add_line(f"elif c == '': {put} = ''")

    def _constant_name(self, value: Any) -> str:
        name = f"v{len(self.scope)}"
        self.scope[name] = value
        return name

    def _add_line(self, line: str) -> None:
        self.lines.append(f"    {line}")


_PRESENT_CONDITIONS: Final = {
    "text": "c",
    "value": "c is not None",
    "float": "c is not None and c == c",
    "json": "c is not None and c != ''",
}
