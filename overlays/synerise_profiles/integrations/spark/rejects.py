"""The refused rows of a task as a Parquet file: why, and the row as a line of a dead-letter file."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from synerise_profiles._batching.letters import scan_letters
from synerise_profiles._core.files import replaced_file, scratch_folder, target_of
from synerise_profiles._core.optional_deps import import_pyarrow

from .options import refused

__all__ = ["rejects_path", "remove_others", "write_rejects"]

_ROWS_PER_GROUP: Final = 5_000
_TEXTS: Final = ("stage", "field", "reason", "identifier")


def rejects_path(folder: str, write_id: str, partition: int, attempt: int) -> Path:
    """Return the file of a task; an attempt never touches that of another one.

    Raises InvalidRequestError where there is no such folder, or it cannot be written.
    """
    if not Path(folder).is_dir():
        raise refused(
            "rejects", "is no folder on this worker; give one that all workers share, such as a mounted store"
        )
    return target_of(Path(folder) / f"{write_id}-{partition:05d}-{attempt}.parquet", "rejects")


@contextmanager
def write_rejects(path: Path) -> Generator[str]:
    """Give the block the name of a dead-letter file; when it ends well, the letters are put in the Parquet file.

    There is no Parquet file where there are no letters.
    """
    with scratch_folder("synerise-spark-") as folder:
        letters = folder / "letters.jsonl"
        yield str(letters)
        if letters.exists() and letters.stat().st_size:
            _write_parquet(letters, path)


def _write_parquet(letters: Path, path: Path) -> None:
    arrow = import_pyarrow()
    parquet = import_module("pyarrow.parquet")
    text = arrow.string()
    columns = [("index", arrow.int64()), *((name, text) for name in _TEXTS), ("letter", text)]
    schema = arrow.schema(columns)
    with (
        replaced_file(path, "rejects") as file,
        letters.open("rb") as lines,
        parquet.ParquetWriter(file, schema) as writer,
    ):
        rows = (_parquet_row(found.letter) for found in scan_letters(lines) if found.letter is not None)
        while group := list(islice(rows, _ROWS_PER_GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _parquet_row(letter: dict[str, Any]) -> dict[str, Any]:
    texts = {name: letter.get(name) for name in _TEXTS}
    return {"index": letter["index"], **texts, "letter": orjson.dumps(letter).decode()}


def remove_others(folder: str, write_id: str, kept: set[str]) -> None:
    """Remove the files of attempts that do not count: a copy that Spark ran beside the task that it took."""
    for path in Path(folder).glob(f"{write_id}-*.parquet"):
        if path.name not in kept:
            with contextlib.suppress(OSError):
                path.unlink()
