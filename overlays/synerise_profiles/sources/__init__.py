"""Rows for bulk runs from CSV files, JSON Lines, and Arrow tables or DataFrames, through one mapping of columns."""

from __future__ import annotations

from .arrow import ArrowSource, read_arrow
from .csv import CsvSource, read_csv
from .errors import MappingError, MappingIssue
from .jsonl import JsonLinesSource, read_jsonl
from .mapping import FieldTarget, RowMapping, Source
from .targets import Target, field

__all__ = [
    "ArrowSource",
    "CsvSource",
    "FieldTarget",
    "JsonLinesSource",
    "MappingError",
    "MappingIssue",
    "RowMapping",
    "Source",
    "Target",
    "field",
    "read_arrow",
    "read_csv",
    "read_jsonl",
]
