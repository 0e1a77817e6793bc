"""How reading a CSV file goes on below a record that cannot be read: at the next line that fits."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

__all__ = ["StandardReader", "csv_problem", "next_fitting"]


class StandardReader(Protocol):
    """What is used of a reader of the standard library, whose type has no public name here."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class _Quotes(Protocol):
    """What is asked about the quotes of a line."""

    def has_odd_cell(self, record: str) -> bool: ...

    def goes_on(self, record: str) -> bool: ...


def next_fitting(
    lines: list[str], width: int, new_reader: Callable[[Iterable[str]], StandardReader], quotes: _Quotes
) -> int:
    """Return the number of the first of the lines that were swallowed with which a record begins.

    Where the last of them is broken by itself, it is its quote that is wrong, and those above may be one cell; one
    whose last cell goes on below it is not.
    """
    if lines and (not quotes.has_odd_cell(lines[-1]) or quotes.goes_on(lines[-1])):
        for number in range(len(lines)):
            if _fits(lines[number:], width, new_reader, quotes):
                return number
    return len(lines)


def _fits(lines: list[str], width: int, new_reader: Callable[[Iterable[str]], StandardReader], quotes: _Quotes) -> bool:
    """Whether a record begins with the first of these lines; one that goes on below the last of them may."""
    reader = new_reader(lines)
    try:
        cells = next(reader)
    except csv.Error as error:
        return "end of data" in str(error)
    return (len(cells) == width or not any(cells)) and not quotes.has_odd_cell("".join(lines[: reader.line_num]))


def csv_problem(error: csv.Error, begin: int, end: int) -> str:
    """Say what is wrong with a record, in words of our own; `begin` and `end` are its lines, counted from 1."""
    text = str(error)
    if "limit" in text:
        problem = f"has a cell of more than {csv.field_size_limit():,} characters; is a quote not closed?"
    elif "end of data" in text:
        problem = "has a quote that is not closed"
    else:
        problem = "has a quote in the wrong place"
    count = end - begin
    if count <= 0:
        return problem
    return f"{problem} (lines {begin:,} to {end:,}: {count:,} below it {'is' if count == 1 else 'are'} lost with it)"
