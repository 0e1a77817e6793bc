"""The texts that stand in a letter for what JSON cannot carry: each is looked at by itself before a row is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import orjson

from synerise_profiles._batching.letters import letter_row
from synerise_profiles._batching.readable_row import KEY_PROBLEMS, ROW_NAME
from synerise_profiles._validation.object_rules import CELLS_NAME
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.json_values import is_list, is_object, raised_problem

__all__ = ["left_problems"]

_Steps: TypeAlias = tuple[str | int, ...]
_NOTHING = object()


def left_problems(letter: Mapping[str, Any], row: object) -> Sequence[str]:
    """Return those of a letter's problems that are problems of this row too, which was made of its own one.

    One is left where the value at its path is the text that stands there, or where its key is there; also where that
    text stands elsewhere now, as in a field of another name. Those whose path leads to nothing in the letter's row, as
    it was changed in the file, are left while the row is as it stands there.
    """
    problems, given = letter.get("problems"), letter["row"]
    listed = [str(problem) for problem in problems] if is_list(problems) else [str(problems)] if problems else []
    if not listed or row == given:
        return listed
    places = list(_places(given))
    ways = {problem: _ways(problem, places) for problem in listed}
    left = {problem for problem in listed if _is_left(problem, ways[problem], given, row)}
    texts = {problem: _text_of(problem, ways[problem], given) for problem in listed}
    # How often each text stands beside the places of these problems, in the letter and now; None is no text.
    before, now = Counter(_texts_in(given)), Counter(_texts_in(row))
    before.subtract(texts.values())
    now.subtract(texts[problem] for problem in left)
    before[None] = now[None]
    return [problem for problem in listed if problem in left or now[texts[problem]] > before[texts[problem]]]


def _text_of(problem: str, ways: Sequence[_Steps], given: object) -> str | None:
    """Return the text that stands for a value; None for that of a key, or where it is no text."""
    value = None if problem.endswith(KEY_PROBLEMS) or not ways else _value_at(given, ways[0])
    return value if isinstance(value, str) else None


def _ways(problem: str, places: Sequence[tuple[str, _Steps]]) -> list[_Steps]:
    """Return the steps that may lead to the value that a problem is about."""
    names = [name for name, _ in places if problem.startswith(f"{name}: ")]
    longest = max(names, key=len, default=None)
    return [steps for name, steps in places if name == longest]


def _is_left(problem: str, ways: Sequence[_Steps], given: object, row: object) -> bool:
    is_of_key = problem.endswith(KEY_PROBLEMS)
    return any(_is_same(_value_at(given, steps), _value_at(row, steps), is_of_key=is_of_key) for steps in ways)


def _texts_in(row: object) -> Iterator[str | None]:
    """Yield each text of a row, as JSON has it."""
    waiting: list[object] = [orjson.loads(letter_row(row).json)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif is_object(value):
            waiting.extend(value.values())
        elif is_list(value):
            waiting.extend(value)


def _is_same(given: object, found: object, *, is_of_key: bool) -> bool:
    """Whether a value is written as the one that stands in the letter; for a key, whether it is there."""
    if found is _NOTHING or is_of_key:
        return found is not _NOTHING
    return letter_row(found).json == orjson.dumps(given)


def _value_at(row: object, steps: _Steps) -> object:
    try:
        for step in steps:
            if isinstance(step, str):
                row = (fields_of(row) or {}).get(step, _NOTHING)
            else:
                items = cast("Sequence[object]", row) if isinstance(row, list | tuple) else ()
                row = items[step] if step < len(items) else _NOTHING
    except Exception as error:  # noqa: BLE001 - a row of the caller's may fail in any way, and is refused by the run
        raised_problem(error)
        return _NOTHING
    return row


def _places(row: object) -> Iterator[tuple[str, _Steps]]:
    """Yield the path of each value of a letter's row, as problems name it, and the steps that lead to it.

    Those of cells are named from the row, and from the cells.
    """
    yield ROW_NAME, ()
    yield from _places_below(row, "", ())
    if is_object(row) and row.keys() == {CELLS_NAME}:
        yield ROW_NAME, (CELLS_NAME,)
        yield from _places_below(row[CELLS_NAME], "", (CELLS_NAME,))


def _places_below(value: object, path: str, steps: _Steps) -> Iterator[tuple[str, _Steps]]:
    if is_object(value):
        for name, item in value.items():
            at = f"{path}.{name}" if path else name
            yield at, (*steps, name)
            yield from _places_below(item, at, (*steps, name))
    elif is_list(value):
        for place, item in enumerate(value):
            at = f"{path}[{place}]"
            yield at, (*steps, place)
            yield from _places_below(item, at, (*steps, place))
