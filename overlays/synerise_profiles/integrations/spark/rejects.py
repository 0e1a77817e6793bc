"""The refused rows of a task as a Parquet file: why, and the row as a line of a dead-letter file.

A task writes its file under a pending name, `_NAME.pending`, which no reader of the folder takes: Spark and Arrow leave
out what begins with `_`, and others look for `*.parquet`. When a write is committed, the driver gives the files of the
tasks that count their names. So a row that was refused by an attempt that died too, by a copy, or by a micro-batch that
is replayed is in the folder once. The names hold the write, or the query and its micro-batch; the partition; and the
attempt, by a number that no other task of a session has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from synerise_profiles._batching.letter_lines import scan_letters
from synerise_profiles._core.files import rename_file, replaced_file, scratch_folder, target_of
from synerise_profiles._core.optional_deps import import_pyarrow

from .options import check_folder, refused

__all__ = ["TaskPlace", "publish_rejects", "write_rejects"]

_ROWS_PER_GROUP: Final = 5_000
_TEXTS: Final = ("stage", "field", "reason", "identifier")


@attrs.frozen(kw_only=True)
class TaskPlace:
    """Which task this is: its partition, the number of the attempt, and the query and micro-batch of a stream."""

    partition: int = 0
    attempt: int = 0
    micro_batch: tuple[str, int] | None = None

    def run_id(self, write_id: str, *, is_stream: bool) -> str:
        """Return what the names of all files of this write begin with: the same when a micro-batch is replayed.

        A batch write has an id of its own, also where a function of `foreachBatch` makes it: that may make several.
        """
        if not is_stream:
            return write_id
        if self.micro_batch is None:
            return f"{write_id}-task{self.attempt}"
        query, batch = self.micro_batch
        return f"{query}-batch{batch:06d}"

    def file_name(self, run_id: str) -> str:
        """Return the name of this task's file."""
        return f"{run_id}-part{self.partition:05d}-attempt{self.attempt}.parquet"


def _pending(folder: Path, name: str) -> Path:
    return folder / f"_{name}.pending"


@contextmanager
def write_rejects(folder: str, name: str) -> Generator[str]:
    """Give the block the name of a dead-letter file; when it ends well, the letters are put in a pending Parquet file.

    There is no Parquet file where there are no letters. Raises InvalidRequestError where there is no such folder, or
    it cannot be written.
    """
    check_folder(folder, "this worker")
    path = target_of(_pending(Path(folder), name), "rejects")
    with scratch_folder("synerise-spark-") as scratch:
        letters = scratch / "letters.jsonl"
        yield str(letters)
        if letters.exists() and letters.stat().st_size:
            _write_parquet(letters, path)


def _write_parquet(letters: Path, path: Path) -> None:
    arrow = import_pyarrow("spark")
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


def publish_rejects(folder: str, run_ids: Collection[str], names: Collection[str]) -> None:
    """Give the files of the tasks that count their names, and remove the others of the same write or micro-batch.

    The others go first: whoever reads the folder meanwhile may miss a row, and never meets one twice. Raises
    InvalidRequestError for a file that is not there, since the driver and that worker do not share the folder.
    """
    pending = {name: _pending(Path(folder), name) for name in sorted(names)}
    for path in Path(folder).glob("*.parquet*"):
        is_ours = any(path.name.removeprefix("_").startswith(f"{run_id}-part") for run_id in run_ids)
        if is_ours and path not in pending.values():
            with contextlib.suppress(OSError):
                path.unlink()
    for name, path in pending.items():
        try:
            rename_file(path, path.with_name(name))
        except OSError as error:
            problem = f"lacks {name}, which a worker wrote ({error.strerror}): driver and workers have to share it"
            raise refused("rejects", problem) from None
