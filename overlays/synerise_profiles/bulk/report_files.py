"""A report as a mapping, and as files: JSON of the counts and reasons, Parquet of the rejected rows, a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from synerise_profiles._core.files import FileId, file_id, replaced_file
from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles._reports import RunPage, page_versions, run_page
from synerise_profiles._reports.plain_json import plain_text, plain_value

if TYPE_CHECKING:
    from synerise_profiles._batching.attribution import Rejection

    from .timings import RunTimings

__all__ = ["json_of", "write_json", "write_page", "write_parquet"]

_ROWS_PER_GROUP: Final = 10_000


def json_of(document: Mapping[str, Any]) -> bytes:
    """Return the mapping of a report as JSON that people can read too."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def write_json(document: Mapping[str, Any], path: object, letters: Path | None) -> None:
    """Write the mapping of a report to a file; here and below not over `letters`, the run's dead letters."""
    with replaced_file(path, kept=_kept(letters)) as file:
        file.write(json_of(document))


def write_page(
    document: Mapping[str, Any],
    path: object,
    letters: Path | None,
    *,
    settings: Mapping[str, Any],
    timings: RunTimings,
    is_dry: bool,
) -> None:
    """Write the page of a run to a file; `document` is the mapping of its report."""
    rates = timings.rate_points
    page = RunPage(report=document, settings=settings, versions=page_versions(), rates=rates, is_dry=is_dry)
    with replaced_file(path, kept=_kept(letters)) as file:
        file.write(run_page(page).encode())


def write_parquet(rejected: Iterable[Rejection], path: object, letters: Path | None) -> None:
    """Write rejected rows to a Parquet file, some thousand at a time."""
    arrow = import_pyarrow()
    parquet = import_module("pyarrow.parquet")
    text, number = arrow.string(), arrow.int64()
    columns = [("index", number), ("stage", text), ("field", text), ("reason", text)]
    columns += [("identifier", text), ("reference", text), ("group", number)]
    schema = arrow.schema(columns)
    with replaced_file(path, kept=_kept(letters)) as file, parquet.ParquetWriter(file, schema) as writer:
        rejections = iter(rejected)
        while rows := list(islice(_parquet_rows(rejections), _ROWS_PER_GROUP)):
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def _kept(letters: Path | None) -> dict[str, FileId | None]:
    return {} if letters is None else {"the dead letters of this run": file_id(letters)}


def _parquet_rows(rejections: Iterator[Rejection]) -> Iterator[dict[str, Any]]:
    for rejection in rejections:
        row = attrs.asdict(rejection, recurse=False)
        reference = plain_value(rejection.reference)
        yield {
            **{name: plain_text(value) if isinstance(value, str) else value for name, value in row.items()},
            "reference": None if reference is None else str(reference),
        }
