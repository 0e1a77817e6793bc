"""Errors of sources: a mapping that does not fit, which stops all; and a bad cell, which is one rejected row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import InvalidOperation

import attrs

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import TOO_DEEP, raised_problem

__all__ = ["HIDDEN_NAME", "BadCellError", "MappingError", "MappingIssue", "cell_problem", "printable_name"]


@attrs.frozen
class MappingIssue:
    """One thing that is wrong with a mapping: in which column or field, and what to do about it."""

    column: str
    field: str
    problem: str
    line: int = 0
    """Where it stands in a mapping file, counted from 1; 0 where that is not known."""

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        where += [f"column {printable_name(self.column)}"] if self.column else []
        where += [f"field {self.field}"] if self.field and printable_name(self.field) != HIDDEN_NAME else []
        return f"{', '.join(where)}: {self.problem}" if where else self.problem


HIDDEN_NAME = "(a name that is not shown)"


def printable_name(name: str) -> str:
    """Quote a column's name, unless it looks like somebody's data: where a header is missing, a row stands for it."""
    return repr(name) if re.fullmatch(r"(?!.*[0-9]{5})[^@]{1,80}", name, re.DOTALL) else HIDDEN_NAME


class MappingError(InvalidRequestError):
    """A mapping does not fit the operation or the file. Nothing was sent; `issues` are all that were found.

    `file` is the name of the mapping file, where the mapping comes from one.
    """

    def __init__(self, issues: Iterable[MappingIssue], *, operation: str = "", file: str = "") -> None:
        self.issues = tuple(issues)
        self.file = file
        lines = [str(issue) for issue in self.issues]
        text = f"the rows cannot be read by {file}" if file else "the rows cannot be read like this"
        super().__init__("\n  ".join([text, *lines]), operation=operation)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.issues, self.operation, self.file)


def _rebuild(issues: tuple[MappingIssue, ...], operation: str, file: str) -> MappingError:
    return MappingError(issues, operation=operation, file=file)


class BadCellError(ValueError):
    """A cell is not what its column is mapped as. The text is the reason; it never holds the cell."""


def cell_problem(error: Exception) -> str:
    """Say why a cell could not be read, without the cell; what is not the cell's is raised again."""
    if isinstance(error, BadCellError):
        return str(error)
    if isinstance(error, RecursionError):
        return TOO_DEEP
    # Of numbers, a signalling NaN alone cannot be compared.
    return "is not finite" if isinstance(error, InvalidOperation) else raised_problem(error).problem
