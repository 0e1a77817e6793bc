"""Sources: rows for bulk runs from CSV files, JSON, Parquet, Arrow tables, DataFrames and queries, by one row mapping.

A source is made by `read_csv`, `read_jsonl`, `read_json`, `read_parquet`, `read_arrow` or `read_sql`, and given to a
method of `client.bulk`. Its mapping is checked before anything is sent; a row that cannot be read is one rejected row,
and the run goes on.
"""

from __future__ import annotations

from .arrow import ArrowSource, read_arrow
from .csv import CsvSource, read_csv
from .errors import MappingError, MappingIssue
from .jsonl import JsonLinesSource, JsonSource, read_json, read_jsonl
from .mapping import FieldTarget, RowMapping
from .parquet import ParquetSource, read_parquet
from .source import Source
from .sql import SqlSource, read_sql
from .targets import Target, field

__all__ = [
    "ArrowSource",
    "CsvSource",
    "FieldTarget",
    "JsonLinesSource",
    "JsonSource",
    "MappingError",
    "MappingIssue",
    "ParquetSource",
    "RowMapping",
    "Source",
    "SqlSource",
    "Target",
    "field",
    "read_arrow",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_parquet",
    "read_sql",
]
