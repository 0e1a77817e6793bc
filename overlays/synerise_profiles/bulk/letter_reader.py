"""Reading dead letters: `read_dead_letter`, and the mapping by which the cells in them become rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

import attrs

from synerise_profiles._batching.letter_lines import load_letter, scan_letters
from synerise_profiles._batching.letters import cells_of, problem_of
from synerise_profiles._batching.order_ids import ID_TAKEN_MARK, OrderIds, id_problem
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import scratch_file
from synerise_profiles._core.logging import LOGGER
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object
from synerise_profiles_api.names import checks_names

from .order_parts import OrderParts

if TYPE_CHECKING:
    from synerise_profiles._readers.block_reader import FileWatch

__all__ = ["CellMapping", "read_dead_letter"]

_DIGEST_MARK: Final = b'"order_digest"'
"""Is in each letter that may be one of several of its order."""


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

    def order_ids(self) -> OrderIds | None:
        """Return what keeps the ids of the orders that it makes; None where it makes none, or they have no ids."""
        ...


@checks_names
def read_dead_letter(path: str | os.PathLike[str], mapping: CellMapping | None = None) -> Iterator[dict[str, Any]]:
    """Yield the lines of a dead-letter file, or of a queue's spill, as mappings with the fields of a `Rejection`.

    `line["row"]` is the row as it was given; `client.bulk.replay` mends rows and sends each by the method of its
    `line["operation"]`. `line["row_holds"]` says whether these are the `fields` of the API or the cells of the source,
    of whose mapping `line["mapping"]` is the digest: the row is `{"cells": ...}` then, which no method sends. With a
    `mapping`, the one of the source or a better one, cells are read by it: `line["row"]` is what would have been sent,
    or an `UnreadableRow` where no row can be made of them, and `line["row_holds"]` is `cells` still.

    Raises OSError where there is no such file, InvalidRequestError for a line that is no dead letter, for cells of an
    operation that the mapping is not made for, and if somebody cuts or changes the file while it is read.
    """
    read = None if mapping is None else mapping.cell_reader()
    for letter in _read_letters(path):
        if mapping is None or read is None or letter["row_holds"] != "cells":
            yield letter
            continue
        if letter["operation"] not in mapping.operation_names:
            made = " or ".join(sorted(mapping.operation_names))
            text = f"the mapping is made for {made}, and a letter holds cells for {letter['operation']}"
            raise InvalidRequestError(text, field="mapping")
        cells, problem = cells_of(letter, letter["row"]), problem_of(letter)
        row = read(cells) if problem is None else None
        problem = problem or id_problem(letter, row)
        if problem is not None and not isinstance(row, UnreadableRow):
            row = UnreadableRow("", problem, cells, mapping=letter.get("mapping"))
        if isinstance(row, UnreadableRow):  # its next letter says what this one does
            is_part, digest = bool(letter.get("part_of_order")), letter.get("order_digest")
            columns = letter.get("columns") or ()
            mark = letter.get(ID_TAKEN_MARK) or None
            row = attrs.evolve(row, part_of_order=is_part, order_digest=digest, columns=columns, id_taken=mark)
        yield {**letter, "row": row, "row_holds": "cells" if isinstance(row, UnreadableRow) else "fields"}


def _read_letters(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the letters of a file, those of orders whose lines came apart as parts.

    A line that a crash cut off, or that is damaged, is left out, with a word in the log.
    """
    from synerise_profiles._readers.block_reader import FileWatch  # noqa: PLC0415 - most programs read none

    with Path(path).open("rb") as opened, scratch_file() as copy:
        file: BinaryIO = opened
        if not opened.seekable():
            file = cast("BinaryIO", copy)
            shutil.copyfileobj(opened, file)
        watch = FileWatch(file)
        parts = _order_parts(file)
        for line in scan_letters(file):
            if line.letter is None or watch.has_moved:
                _check_unchanged(watch)
            if line.letter is None:
                cause = " by a crash, or is damaged" if line.is_damaged else " by a crash"
                LOGGER.warning("line %d of the dead letters was cut off%s; it is left out", line.number, cause)
            else:
                yield parts.mark(line.letter)
        _check_unchanged(watch)


def _check_unchanged(watch: FileWatch) -> None:
    if watch.is_changed:
        problem = "was cut or changed by somebody else while it was read; read it again"
        raise InvalidRequestError(problem, field="path")


def _order_parts(file: BinaryIO) -> OrderParts:
    """Look at all letters of a file, which is read from its beginning then."""
    parts = OrderParts()
    file.seek(0)
    for content in file:
        if _DIGEST_MARK in content:
            with suppress(ValueError):  # told when it is read
                letter: object = load_letter(content)
                if is_object(letter) and "operation" in letter:
                    parts.add(letter)
    file.seek(0)
    return parts
