"""Sources: rows for bulk runs from CSV files, JSON, Parquet, Arrow tables, DataFrames and queries, by one row mapping.

A source is made by `read_csv`, `read_jsonl`, `read_json`, `read_parquet`, `read_arrow` or `read_sql`, and given to a
method of `client.bulk`. Its mapping is checked before anything is sent; a row that cannot be read is one rejected row,
and the run goes on.
"""

from __future__ import annotations

from .arrow import ArrowSource, read_arrow
from .conditions import Condition, ConditionTable
from .csv import CsvSource, read_csv
from .errors import MappingError, MappingIssue
from .grouping import BadLine, Combine
from .jsonl import JsonLinesSource, JsonSource, read_json, read_jsonl
from .line_plan import Prepare
from .mapping import RowMapping
from .mapping_options import CellArguments, GroupArguments, MappingArguments
from .mapping_schema import mapping_schema
from .parquet import ParquetSource, read_parquet
from .source import Source
from .source_chain import SourceChain
from .sql import SqlSource, read_sql
from .suggestion import SuggestedFor, suggest_mapping
from .targets import FieldTarget, Target, field

__all__ = [
    "ArrowSource",
    "BadLine",
    "CellArguments",
    "Combine",
    "Condition",
    "ConditionTable",
    "CsvSource",
    "FieldTarget",
    "GroupArguments",
    "JsonLinesSource",
    "JsonSource",
    "MappingArguments",
    "MappingError",
    "MappingIssue",
    "ParquetSource",
    "Prepare",
    "RowMapping",
    "Source",
    "SourceChain",
    "SqlSource",
    "SuggestedFor",
    "Target",
    "field",
    "mapping_schema",
    "read_arrow",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_parquet",
    "read_sql",
    "suggest_mapping",
]
