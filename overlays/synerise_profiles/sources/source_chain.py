"""Several sources as one: the files of one run, read one after the other.

Where lines are grouped, an order is one whatever files its lines stand in: keys and ids are known, and lines are
sorted, over all files. So the chain takes the records of its sources, and makes the orders itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.arguments import checks_init
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation

from .assembly import LineAssembler
from .line_plan import LinePlan
from .source import RecordReader, Source

__all__ = ["SourceChain"]


@checks_init
class SourceChain:
    """Several sources by their names, read one after the other as one input of a run, such as several files.

    The place of a row is the name of its source with the place in it. By one mapping with `group_by` the lines of an
    order are one order in whatever sources they stand: adjacent where one ends and the next begins, and anywhere where
    all were made with `sort=True`. Raises InvalidRequestError for what is no mapping from names to sources.
    """

    unit = "place"
    """A place is a file with the place in it."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        given = cast("object", sources)
        values = cast("Mapping[object, object]", given).values() if isinstance(given, Mapping) else ()
        if not values or not all(isinstance(source, Source) for source in values):
            problem = "expected sources by their names, such as {'a.csv': read_csv('a.csv', mapping)}"
            raise InvalidRequestError(problem, field="sources")
        self._sources = dict(sources)
        self._begins: list[tuple[int, str]] = []
        self._own_notes: dict[str, int] = {}
        self._assembler: LineAssembler | None = None
        mapping = next(iter(sources.values())).mapping
        same = all(source.mapping == mapping for source in sources.values())
        readers = [reader for source in sources.values() if (reader := source.record_reader()) is not None]
        self._readers = readers if same and len(readers) == len(sources) else []
        self._is_sorted = all(reader.is_sorted for reader in readers)
        self.mapping_digest = None if mapping is None or not same else mapping.digest
        """The digest of the mapping that all have, as dead letters have it; None where they have several."""
        is_apart = bool(self._readers) and not self._is_sorted
        self.order_digest: Callable[[int], str | None] | None = self._order_digest if is_apart else None
        """Returns what stands for the order of a row, by its index; None where no line of one can come further down."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self._sources)}>"

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if a mapping is made for another operation."""
        for source in self._sources.values():
            source.check(operation)

    def locate(self, index: int) -> str:
        """Return the file and the place in it of a row that was read; of an order where it begins."""
        if self._assembler is not None:
            return str(self._assembler.locate(index))
        source, name, number = self._find(index)
        return f"{name}:{source.locate(number)}"

    def _locate_record(self, index: int) -> str:
        source, name, number = self._find(index)
        return f"{name}:{source.locate_record(number)}"

    def _find(self, index: int) -> tuple[Source, str, int]:
        first, name = next(item for item in reversed(self._begins) if item[0] <= index)
        return self._sources[name], name, index - first

    def _order_digest(self, index: int) -> str | None:
        return None if self._assembler is None else self._assembler.order_digest(index)

    def explain(self, field: str, reason: str) -> str:
        """Return why a row was refused, with the empty columns where all files have them."""
        texts = {source.explain(field, reason) for source in self._sources.values()}
        return texts.pop() if len(texts) == 1 else reason

    @property
    def notes(self) -> Mapping[str, int]:
        """The notes of all."""
        found = dict(self._own_notes)
        for source in self._sources.values():
            for text, count in source.notes.items():
                found[text] = found.get(text, 0) + count
        return found

    def _note(self, text: str) -> None:
        self._own_notes[text] = self._own_notes.get(text, 0) + 1

    def __iter__(self) -> Iterator[Any]:
        """Read the rows of all, from the first one."""
        self._begins, self._own_notes = [], {}
        if not self._readers:
            return self._chained(list(self._sources.values()))
        marks = {reader.marks for reader in self._readers}
        self._assembler = LineAssembler(
            _plan_of_all([reader.plan for reader in self._readers]),
            self._locate_record,
            self._note,
            unit=self.unit,
            is_sorted=self._is_sorted,
            marks=marks.pop() if len(marks) == 1 else ("", ""),
        )
        return self._assembler.rows(
            self._chained([_placed(place, reader) for place, reader in enumerate(self._readers)])
        )

    def _chained(self, parts: Sequence[Iterable[Any]]) -> Iterator[Any]:
        count = 0
        for name, part in zip(self._sources, parts, strict=True):
            self._begins.append((count, name))
            for item in part:
                count += 1
                yield item


def _placed(place: int, reader: RecordReader) -> Iterator[Any]:
    """Yield the records of a source with its place, and those that cannot be read as they are."""
    for record in reader.read():
        yield record if record.__class__ is UnreadableRow else (place, record)


def _plan_of_all(plans: Sequence[LinePlan]) -> LinePlan:
    """Return the plan for records that say by their place which of these plans they are of; all are of one mapping."""
    first = plans[0]

    def by_place(functions: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
        def of_record(record: tuple[int, Any]) -> Any:
            return functions[record[0]](record[1])

        return of_record

    tests = zip(*(plan.tests for plan in plans), strict=True)
    return attrs.evolve(
        first,
        cells_of=by_place([plan.cells_of for plan in plans]),
        convert=first.convert if first.prepare is not None else by_place([plan.convert for plan in plans]),
        tests=[(by_place([cell_of for cell_of, _ in found]), found[0][1]) for found in tests],
        key_cells=[by_place(found) for found in zip(*(plan.key_cells for plan in plans), strict=True)],
    )
