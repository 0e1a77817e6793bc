"""The rows that a delta sync hands to a bulk run: those that changed, and those of profiles that are gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import chain, islice
from typing import Any, Final

from anyio.lowlevel import checkpoint

from synerise_profiles._batching.attribution import Stage
from synerise_profiles._batching.row_source import MAX_BLOCK_ROWS, BlockReader, RowSource, rows_are_fixed
from synerise_profiles._core.files import FileId
from synerise_profiles_api.types import Operation

from .comparison import Comparison
from .settings import DeltaSettings
from .state import DeltaState
from .unchanged_rows import copied_row
from .waiting_rows import Digested

__all__ = ["AsyncChangedRows", "ChangedRows", "GoneRows"]

_BLOCK_ROWS: Final = 2000
_EMPTY_NOTE: Final = "rows count as new, since the state was an empty file, as one that was cut"


class _ComparedSource:
    """What a bulk run asks of its input, answered by the source that is compared."""

    def __init__(self, source: Any, comparison: Comparison) -> None:
        self._source = source
        self._comparison = comparison

    def check(self, operation: Operation) -> None:
        """Let the source check the operation."""
        if isinstance(self._source, RowSource):
            self._source.check(operation)

    def locate(self, index: int) -> Any:
        """Return where a row stands in the source, or its index there."""
        place = self._comparison.place_of(index)
        return self._source.locate(place) if isinstance(self._source, RowSource) else place

    @property
    def unit(self) -> str:
        """What `locate` counts."""
        return getattr(self._source, "unit", "row")

    def explain(self, field: str, reason: str) -> str:
        """Return why the checks refused a row, in the words of the source."""
        explain = getattr(self._source, "explain", None)
        return reason if explain is None else explain(field, reason)

    @property
    def input_id(self) -> FileId | None:
        """What tells the file apart that is read."""
        return getattr(self._source, "input_id", None)

    @property
    def mapping_digest(self) -> str | None:
        """The digest of the source's mapping."""
        return getattr(self._source, "mapping_digest", None)

    @property
    def notes(self) -> Mapping[str, int]:
        """The notes of the source, and one of a state that was an empty file."""
        notes: Mapping[str, int] = getattr(self._source, "notes", {})
        return {**notes, _EMPTY_NOTE: self._comparison.counts.read} if self._comparison.state_was_empty else notes

    def settle(self, indexes: Sequence[int], refused: Mapping[int, Stage]) -> None:
        """Let the state learn the fate of rows."""
        self._comparison.settle(indexes, refused)


class ChangedRows(_ComparedSource):
    """The rows of an iterable that changed; what was read of a block that breaks off is left to the next run."""

    def __iter__(self) -> Iterator[Any]:
        """Read and compare the source by blocks."""
        comparison = self._comparison
        for block in _blocks(self._source, comparison):
            yield from comparison.changed(block)
        for rest in comparison.rest():
            yield from rest


class AsyncChangedRows(_ComparedSource):
    """The rows of an iterable or an async iterable that changed; between blocks others run."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Read and compare the source by blocks."""
        async with aclosing(_async_blocks(self._source, self._comparison)) as blocks:
            async for block in blocks:
                for changed in self._comparison.changed(block):
                    yield changed
                await checkpoint()
        for rest in self._comparison.rest():
            for changed in rest:
                yield changed
            await checkpoint()


def _blocks(source: Iterable[Any], comparison: Comparison) -> Iterator[list[Digested]]:
    # A chain, since it costs nothing for each row once the source is trusted.
    rows, counts, read = chain.from_iterable(_as_yielded(source)), comparison.counts, -1
    are_fixed = rows_are_fixed(source)
    while counts.read != read:
        read = counts.read
        yield comparison.read(islice(rows, _BLOCK_ROWS), are_fixed=are_fixed)


def _as_yielded(source: Iterable[Any]) -> Iterator[Iterable[Any]]:
    """Yield rows as they were yielded: by blocks of copies, as long as objects that are filled in turn may come."""
    rows, reader = iter(source), BlockReader(is_fixed=rows_are_fixed(source))
    while reader.may_come_again:
        block = reader.read(rows, MAX_BLOCK_ROWS)
        if not block:
            return
        yield list(map(copied_row, block))
    yield rows


async def _async_blocks(
    source: Iterable[Any] | AsyncIterable[Any], comparison: Comparison
) -> AsyncGenerator[list[Digested]]:
    if not isinstance(source, AsyncIterable):
        for block in _blocks(source, comparison):
            yield block
        return
    found: list[Digested] = []
    async for row in source:
        found += comparison.read((row,), are_fixed=False)
        if comparison.counts.read % _BLOCK_ROWS == 0:
            yield found
            found = []
    yield found


class GoneRows:
    """The rows to send for profiles that are gone. Those that the server takes are known no longer.

    Of those that are not deleted it stays known which fields were sent, a field that marks them among these.
    """

    def __init__(self, state: DeltaState, settings: DeltaSettings, numbers: Iterable[int]) -> None:
        self._state = state
        self._settings = settings
        self._numbers = numbers
        self._handed_over: list[int] = []
        self._is_sampled = bool(settings.verify_sample) and settings.gone == "delete"

    def check(self, operation: Operation) -> None:
        """They fit every operation that the settings allow."""

    def locate(self, index: int) -> Any:  # noqa: ARG002 - they stand in no input
        """They stand nowhere."""
        return None

    def settle(self, indexes: Sequence[int], refused: Mapping[int, Stage]) -> None:
        """Forget the profiles for which the server took a row."""
        taken = [self._handed_over[index] for position, index in enumerate(indexes) if position not in refused]
        if taken and self._is_sampled:
            self._state.note_removed(taken)
        if taken:
            self._state.write((), removed=taken, is_past=self._settings.gone != "delete")

    def put_back(self, indexes: Sequence[int]) -> int:
        """Let the state know these profiles again, in doubt, so that the next run takes them for gone; count them."""
        return self._state.put_back([self._handed_over[index] for index in indexes])

    def __iter__(self) -> Iterator[Any]:
        """Yield a row for each profile whose key is kept; before that, it is written that the profile is in doubt.

        So a row of it that comes again is sent, also as it was, whatever is known of the answer.
        """
        numbers, state, settings = iter(self._numbers), self._state, self._settings
        field = settings.gone_field
        sent = 0 if field is None else state.field_bit(field)
        while block := [*islice(numbers, _BLOCK_ROWS)]:
            rows = [settings.gone_row(state.key_of(number)) for number in block]
            state.distrust(block, sent)
            for number, row in zip(block, rows, strict=True):
                self._handed_over.append(number)
                yield row
