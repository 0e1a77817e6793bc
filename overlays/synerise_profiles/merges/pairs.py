"""Resolution of pairs: from pairs of duplicate and survivor to merges, chains resolved and cycles refused.

The pairs are a graph in which every duplicate has one edge, to its survivor: so it is a forest, unless there is a
cycle. Merging cannot be undone, and the right merges follow from all pairs together; so all of them are read first,
everything that is wrong with them is named at once, and one wrong pair refuses the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, cast

import attrs

from synerise_profiles.identifiers import mask
from synerise_profiles_api.errors import InvalidRequestError

from .key_type import Key, KeyType

if TYPE_CHECKING:
    from synerise_profiles._readers.csv_reader import CsvReader

__all__ = ["Merge", "OnChain", "PairSource", "ResolvedPairs", "resolve_pairs"]

OnChain: TypeAlias = Literal["flatten", "order", "refuse"]
PairSource: TypeAlias = "Mapping[Any, Any] | Iterable[tuple[Any, Any]] | str | os.PathLike[str]"
_MAX_PROBLEMS = 10
_MAX_SHOWN_CYCLE_ITEMS = 10


@attrs.frozen
class Merge:
    """One merge: its sources, in the order in which they are merged, into a target."""

    target: Key = attrs.field(repr=False)
    sources: tuple[Key, ...] = attrs.field(repr=False)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The target and the sources."""
        return (self.target, *self.sources)


@attrs.frozen
class ResolvedPairs:
    """The merges in the order in which they must be made, with the numbers of links of chains and of repeated pairs."""

    merges: tuple[Merge, ...] = attrs.field(repr=False)
    chained: int
    repeated: int


@attrs.frozen(kw_only=True)
class PairColumns:
    """The two columns of a CSV file of pairs, and its format, as `CsvFormat` takes it."""

    duplicate: str
    survivor: str
    format: Mapping[str, Any]


def resolve_pairs(source: PairSource, key_type: KeyType, on_chain: OnChain, columns: PairColumns) -> ResolvedPairs:
    """Read all pairs and find out what is merged into what. Raises InvalidRequestError, naming lines or pairs."""
    if on_chain not in ("flatten", "order", "refuse"):
        raise _refused(["on_chain: expected one of flatten, order, refuse"])
    survivors: dict[Key, Key] = {}
    places: dict[Key, int] = {}
    pairs = _PairReader(source, key_type, columns)
    repeated = 0
    problems: list[str] = []
    for place, duplicate, survivor in pairs:
        before = survivors.setdefault(duplicate, survivor)
        first = places.setdefault(duplicate, place)
        if duplicate == survivor:
            problems.append(f"{pairs.place_word} {place}: the duplicate is its own survivor")
        elif before != survivor:
            problems.append(
                f"{pairs.place_word} {place}: the duplicate has another survivor in {pairs.place_word} {first}"
            )
        elif first != place:
            repeated += 1
    problems += pairs.problems
    if not problems:
        problems += _cycles(survivors, places, pairs.place_word)
    chained = [key for key, survivor in survivors.items() if survivor in survivors]
    if on_chain == "refuse" and not problems:
        problems += [_chain_problem(key, survivors, places, pairs.place_word) for key in chained]
    if not survivors and not problems:
        problems.append("there is no pair of duplicate and survivor")
    if problems:
        raise _refused(problems)
    merges = (_order_chains if on_chain == "order" else _flatten_chains)(survivors)
    for merge in merges:
        key_type.check(merge.target, merge.sources)
    return ResolvedPairs(tuple(merges), chained=len(chained), repeated=repeated)


class _PairReader:
    """Reads pairs with their places (lines of a file, or numbers of pairs), checked one by one.

    What is wrong is collected in `problems`.
    """

    def __init__(self, source: PairSource, key_type: KeyType, columns: PairColumns) -> None:
        self.problems: list[str] = []
        self.place_word = "line" if _is_path(source) else "pair"
        self._source: Any = source
        self._key_type = key_type
        self._columns = columns

    def __iter__(self) -> Iterator[tuple[int, Key, Key]]:
        for place, pair in self._raw():
            keys: list[Key] = []
            for name, value in zip(("duplicate", "survivor"), pair, strict=True):
                at = f"{self.place_word} {place}, {name}"
                if self.place_word == "line" and isinstance(value, str) and self._key_type.by == "id":
                    self.problems.append(f"{at}: is {'no number' if value.strip() else 'empty'}")
                    continue
                try:
                    keys.append(self._key_type.check_key(at, value))
                except InvalidRequestError as error:
                    self.problems.append(f"{at}: {error.problem}")
            if len(keys) == 2:
                yield place, keys[0], keys[1]

    def _raw(self) -> Iterator[tuple[int, tuple[Any, Any]]]:
        source = self._source
        if _is_path(source):
            yield from self._records(source)
            return
        pairs: Any = source.items() if _is_mapping(source) else source
        if not hasattr(pairs, "__iter__"):
            raise _refused([f"expected a mapping, pairs or the path of a CSV file, got {type(source).__name__}"])
        for place, pair in enumerate(pairs, 1):
            if isinstance(pair, tuple | list) and len(cast("Sequence[Any]", pair)) == 2:
                yield place, (pair[0], pair[1])
            else:
                self.problems.append(f"pair {place}: expected a duplicate and its survivor")

    def _records(self, path: str | os.PathLike[str]) -> Iterator[tuple[int, tuple[Key, Key]]]:
        from synerise_profiles._readers.block_reader import DamagedFileError  # noqa: PLC0415 - pairs are seldom in a file
        from synerise_profiles._readers.csv_reader import width_problem  # noqa: PLC0415 - likewise

        columns = self._columns
        reader = _open_pairs(path, columns)
        width = len(reader.columns)
        positions = [_position(reader, name) for name in (columns.duplicate, columns.survivor)]

        def pair_of(cells: list[str]) -> tuple[Key, Key] | str:
            if len(cells) > width:  # the two may be cells of other columns
                return width_problem(len(cells), width)
            duplicate, survivor = (cells[position] if position < len(cells) else "" for position in positions)
            return self._key_of_cell(duplicate), self._key_of_cell(survivor)

        records = reader.records(pair_of, lambda bad: bad.reason, used=positions, is_ragged=True)
        try:
            for index, pair in enumerate(records):
                line = reader.lines.locate(index)
                if isinstance(pair, str):
                    self.problems.append(f"line {line}: {pair}")
                else:
                    yield line, pair
        except DamagedFileError as error:
            self.problems.append(error.problem)

    def _key_of_cell(self, text: str) -> Key:
        """A clientId is a number; what is none stays text, which the check refuses."""
        digits = text.strip()
        is_number = self._key_type.by == "id" and digits.isascii() and digits.isdigit()
        return int(digits) if is_number else text


def _open_pairs(path: str | os.PathLike[str], columns: PairColumns) -> CsvReader:
    from synerise_profiles._readers.csv_pass import CsvHeaderError  # noqa: PLC0415 - likewise
    from synerise_profiles._readers.csv_reader import CsvFormat, CsvReader  # noqa: PLC0415 - likewise

    try:
        return CsvReader(path, CsvFormat(**columns.format))
    except CsvHeaderError as error:
        raise _refused([f"line 1: {error.problem}"]) from None
    except InvalidRequestError as error:
        raise _refused([error.problem]) from None


def _position(reader: CsvReader, name: str) -> int:
    """Find a column; one that is there twice could be either."""
    from synerise_profiles._readers.csv_reader import delimiter_hint  # noqa: PLC0415 - likewise

    count = reader.columns.count(name)
    if count == 1:
        return reader.columns.index(name)
    hint = delimiter_hint(reader.columns) or "name it by duplicate_column, survivor_column"
    raise _refused([f"line 1: there {f'are {count} columns' if count else 'is no column'} {name!r}; {hint}"])


def _is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(value, str | os.PathLike)


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _cycles(survivors: Mapping[Key, Key], places: Mapping[Key, int], word: str) -> Iterator[str]:
    """Name each cycle once. Every duplicate has one survivor, so following them either ends or comes back."""
    visited: set[Key] = set()
    for start in survivors:
        path: dict[Key, None] = {}
        key = start
        while key in survivors and key not in visited and key not in path:
            path[key] = None
            key = survivors[key]
        if key in path:
            keys = list(path)
            cycle = keys[keys.index(key) :]
            shown = [mask(item) for item in cycle[:_MAX_SHOWN_CYCLE_ITEMS]] + (
                ["…"] if len(cycle) > _MAX_SHOWN_CYCLE_ITEMS else []
            )
            at = ", ".join(str(places[item]) for item in cycle[:_MAX_SHOWN_CYCLE_ITEMS])
            yield f"a cycle of {len(cycle)}: {' into '.join([*shown, mask(key)])} ({word}s {at}); decide who survives"
        visited.update(path)


def _chain_problem(key: Key, survivors: Mapping[Key, Key], places: Mapping[Key, int], word: str) -> str:
    return f"{word} {places[key]}: the survivor is a duplicate itself in {word} {places[survivors[key]]}"


def _children(survivors: Mapping[Key, Key]) -> dict[Key, list[Key]]:
    children: dict[Key, list[Key]] = {}
    for duplicate, survivor in survivors.items():
        children.setdefault(survivor, []).append(duplicate)
    return children


def _flatten_chains(survivors: Mapping[Key, Key]) -> list[Merge]:
    """All of a tree into its root, each profile before those that are merged into it: so the same values win."""
    children = _children(survivors)
    merges: list[Merge] = []
    for root in children:
        if root in survivors:
            continue
        sources: list[Key] = []
        stack = children[root][::-1]
        while stack:
            key = stack.pop()
            sources.append(key)
            stack += children.get(key, [])[::-1]
        merges.append(Merge(root, tuple(sources)))
    return merges


def _order_chains(survivors: Mapping[Key, Key]) -> list[Merge]:
    """One merge a survivor; those into a survivor before the one that merges it on."""
    children = _children(survivors)
    merges: list[Merge] = []
    for root in children:
        if root in survivors:
            continue
        stack = [root]
        found: list[Merge] = []
        while stack:
            key = stack.pop()
            found.append(Merge(key, tuple(children[key])))
            stack += [child for child in children[key] if child in children]
        merges += found[::-1]
    return merges


def _refused(problems: Sequence[str]) -> InvalidRequestError:
    shown = "; ".join(problems[:_MAX_PROBLEMS])
    more = len(problems) - _MAX_PROBLEMS
    problem = f"{shown}; and {more:,} more" if more > 0 else shown
    return InvalidRequestError(problem, operation="merges.plan_many", field="pairs")
