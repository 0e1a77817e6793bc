"""From the cells of a row to the row that is sent: a tree of objects, written out as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from synerise_profiles._batching.row_source import UnreadableRow

from .converters import Cast
from .errors import BadCellError
from .targets import Empty

__all__ = ["Cells", "Layout", "Leaf", "Missing", "Node"]

Cells: TypeAlias = Sequence[Any]
Missing: TypeAlias = Literal["text", "value", "float", "json"]
"""How an empty cell looks: an empty text or None; None alone; None or NaN; None or an empty text of JSON."""


@attrs.frozen(kw_only=True)
class Leaf:
    """One column's way into the row: the place of its cell, and what is done with it."""

    name: str
    path: str
    column: str
    position: int
    missing: Missing = "text"
    cast: Cast | None = None
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
        return cell if self.cast is None else self.cast(cell)


OMITTED: Final = object()


@attrs.define(kw_only=True)
class Node:
    """An object of the row. `is_whole` says that it is left out where none of its columns has anything."""

    leaves: list[Leaf] = attrs.field(factory=list[Leaf])
    children: dict[str, Node] = attrs.field(factory=dict[str, "Node"])
    constants: dict[str, Any] = attrs.field(factory=dict[str, Any])
    is_list: bool = False
    is_whole: bool = False

    def build(self, cells: Cells) -> dict[str, Any]:
        """Build the object cell by cell: what the written function does, in words."""
        found: dict[str, Any] = {}
        for leaf in self.leaves:
            value = leaf.value_of(cells[leaf.position])
            if value is not OMITTED:
                found[leaf.name] = value
        for name, child in self.children.items():
            if inner := child.build(cells):
                found[name] = [inner] if child.is_list else inner
        if found or not self.is_whole:
            found.update(self.constants)
        return found


class Layout:
    """Where each cell goes. `convert(cells)` makes a row, or raises BadCellError; `explain(cells)` says why it did."""

    def __init__(self, root: Node, columns: Sequence[str]) -> None:
        self.root = root
        self.columns = tuple(columns)
        self.leaves = tuple(_leaves(root))
        self.convert: Callable[[Cells], dict[str, Any]] = _written(root)

    def explain(self, cells: Cells, raw: Any = None) -> UnreadableRow:
        """Find the first cell that cannot be read."""
        row = dict(zip(self.columns, cells, strict=False)) if raw is None else raw
        for leaf in self.leaves:
            try:
                leaf.value_of(cells[leaf.position])
            except BadCellError as error:
                return UnreadableRow(leaf.path, f"column {leaf.column!r} {error}", row)
        return UnreadableRow("", "cannot be read", row)


def _leaves(node: Node) -> list[Leaf]:
    return node.leaves + [leaf for child in node.children.values() for leaf in _leaves(child)]


def _written(root: Node) -> Callable[[Cells], dict[str, Any]]:
    """Write the function of a tree, and compile it: a loop over the leaves would take twice the time.

    The text holds numbers, and names as Python's own literals of strings; casts and constants are handed in.
    """
    writer = _Writer()
    writer.node(root, "row")
    scope = writer.scope
    exec("\n".join(["def convert(cells):", *writer.lines, "    return row"]), scope)  # noqa: S102
    convert: Callable[[Cells], dict[str, Any]] = scope["convert"]
    return convert


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}
        self._objects = 0

    def node(self, node: Node, name: str) -> None:
        self._add(f"{name} = {{}}")
        for leaf in node.leaves:
            self._leaf(leaf, name)
        for key, child in node.children.items():
            self._objects += 1
            inner = f"o{self._objects}"
            self.node(child, inner)
            self._add(f"if {inner}: {name}[{key!r}] = {f'[{inner}]' if child.is_list else inner}")
        if node.constants:
            guard = f"if {name}: " if node.is_whole else ""
            self._add(f"{guard}{name}.update({self._bound(node.constants)})")

    def _leaf(self, leaf: Leaf, name: str) -> None:
        at, put = f"c = cells[{leaf.position}]", f"{name}[{leaf.name!r}]"
        self._add(at)
        if leaf.trim:
            self._add("if c.__class__ is str: c = c.strip()")
        value = "c" if leaf.cast is None else f"{self._bound(leaf.cast)}(c)"
        if leaf.missing == "text" and leaf.empty == "omit":
            self._add(f"if c: {put} = {value}")
            return
        self._add(f"if {_PRESENT[leaf.missing]}: {put} = {value}")
        if leaf.empty == "null":
            self._add(f"else: {put} = None")
        elif leaf.empty == "keep":
            self._add(f"elif c == '': {put} = ''")

    def _bound(self, value: Any) -> str:
        name = f"v{len(self.scope)}"
        self.scope[name] = value
        return name

    def _add(self, line: str) -> None:
        self.lines.append(f"    {line}")


_PRESENT: Final = {
    "text": "c",
    "value": "c is not None",
    "float": "c is not None and c == c",
    "json": "c is not None and c != ''",
}
