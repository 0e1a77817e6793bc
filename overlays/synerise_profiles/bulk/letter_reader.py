"""Dead letters read by a program: line by line, and the cells among them by a mapping."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from synerise_profiles._batching.letters import cells_of, problem_of, read_letters
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import checks_names

__all__ = ["CellMapping", "read_dead_letter"]


class CellMapping(Protocol):
    """A mapping that reads rows of cells by the names of their columns, as `sources.RowMapping` does."""

    @property
    def operation_names(self) -> frozenset[str]:
        """The operations that its rows are made for."""
        ...

    @property
    def digest(self) -> str:
        """What tells mappings apart."""
        ...

    def cell_reader(self) -> Callable[[object], dict[str, Any] | UnreadableRow]:
        """Make a function of the cells that returns the row, or what stands for one that cannot be read."""
        ...


@checks_names
def read_dead_letter(path: str | os.PathLike[str], mapping: CellMapping | None = None) -> Iterator[dict[str, Any]]:
    """Yield the lines of a dead-letter file, or of a queue's spill, as mappings with the fields of a `Rejection`.

    `line["row"]` is the row as it was given; `client.bulk.replay` mends rows and sends each by the method of its
    `line["operation"]`. `line["row_holds"]` says whether these are the `fields` of the API or the cells of the source,
    of whose mapping `line["mapping"]` is the digest: the row is `{"cells": ...}` then, which no method sends. With a
    `mapping`, the one of the source or a better one, cells are read by it: `line["row"]` is what would have been sent,
    or an `UnreadableRow` where no row can be made of them, and `line["row_holds"]` is `cells` still.

    Raises OSError where there is no such file, InvalidRequestError for a line that is no dead letter, and for cells of
    an operation that the mapping is not made for.
    """
    read = None if mapping is None else mapping.cell_reader()
    for letter in read_letters(path):
        if mapping is None or read is None or letter["row_holds"] != "cells":
            yield letter
            continue
        if letter["operation"] not in mapping.operation_names:
            made = " or ".join(sorted(mapping.operation_names))
            text = f"the mapping is made for {made}, and a letter holds cells for {letter['operation']}"
            raise InvalidRequestError(text, field="mapping")
        cells, problem = cells_of(letter, letter["row"]), problem_of(letter)
        if problem is None:
            row = read(cells)
        else:
            is_part = bool(letter.get("part_of_order"))
            row = UnreadableRow("", problem, cells, mapping=letter.get("mapping"), part_of_order=is_part)
        yield {**letter, "row": row, "row_holds": "cells" if isinstance(row, UnreadableRow) else "fields"}
