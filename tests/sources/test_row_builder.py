"""The function that is generated for a mapping does what its tree of objects says, cell by cell."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources.column_types import Column
from synerise_profiles.sources.errors import BadCellError
from synerise_profiles.sources.mapping import RowMapping
from synerise_profiles.sources.row_builder import ColumnBinding, ObjectTemplate, RowBuilder
from synerise_profiles.sources.targets import field

KINDS = {
    "text": st.sampled_from(["", " ", "x", " 7 ", "no", "6.5"]),
    "json": st.sampled_from([None, "", " ", "x", 7, 6.5, math.nan, True, [1], {"a": None}]),
    "integer": st.sampled_from([None, 0, 1, 2**60]),
    "float": st.sampled_from([None, math.nan, 0.0, 6.5, math.inf]),
}
PATHS = ["attributes.a", "attributes.b.c", "attributes.b.d", 'attributes.it\'s "a" \\name', "attributes.list[].x"]
TYPES = ["auto", "text", "integer", "number", "boolean"]


@st.composite
def builders_with_cells(draw):
    """The row builder of a mapping, and cells."""
    chosen = draw(st.lists(st.sampled_from(PATHS), unique=True))
    targets, columns = {"id": "customId"}, [Column("id")]
    for number, path in enumerate(chosen):
        kind, name = draw(st.sampled_from(list(KINDS))), draw(st.sampled_from(TYPES))
        empty = draw(st.sampled_from(["omit", "null", "keep"] if name in ("auto", "text") else ["omit", "null"]))
        targets[f"c{number}"] = field(path, name, empty=empty, trim=draw(st.booleans()))
        columns.append(Column(f"c{number}", kind, kind))
        if kind == "float" and name == "boolean":
            targets[f"c{number}"] = field(path)
    constants = draw(st.sampled_from([{}, {"attributes.k": 1}, {"city": "Hel", "attributes.b.k": "x"}]))
    builder = RowMapping.for_profiles(targets, constants=constants).row_builder(columns, lambda _: None)
    return builder, draw(st.tuples(*(KINDS[column.kind] for column in columns)))


@given(builders_with_cells())
def test_the_generated_function_does_what_the_tree_says(given_):
    """The same row, or one that cannot be read where the tree raises: with the field, the column and the cells."""
    builder, cells = given_
    found = builder.convert(cells)
    try:
        expected = builder.root.build(cells)
    except BadCellError:
        assert isinstance(found, UnreadableRow)
        assert found.field.startswith("attributes.")
        assert found.reason.startswith("column 'c")
        assert list(found.row.values()) == list(cells)
    else:
        assert repr(found) == repr(expected)


@given(st.lists(st.text(max_size=6) | st.text("\"'\\\n{}%#\0"), min_size=2, max_size=4, unique=True))
def test_names_are_names_whatever_they_hold(names):
    """A file's header decides which names the generated function holds: they are literals there, and nothing else."""
    *outer, last = names
    root = node = ObjectTemplate()
    for name in outer:
        node.children[name] = ObjectTemplate()
        node = node.children[name]
    node.bindings.append(ColumnBinding(name=last, path=last, column=last, position=0))
    expected = {last: "x"}
    for name in reversed(outer):
        expected = {name: expected}
    assert RowBuilder(root, [last]).convert(["x"]) == expected
