"""The Parquet source: `read_parquet`, rows of Parquet files on a disk or in an object store, one after the other.

The schemas of all files are read first, so that a column that one of them lacks, or has by another type, is known
before a row is sent. Then rows come in the order of the names of the files, as pyarrow's datasets read them: each file
by its own types, since a cast to those of another would round numbers, or end the run amid its rows.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from importlib import import_module
from itertools import accumulate, filterfalse, groupby, islice
from typing import Any, Final

import attrs

from synerise_profiles._core.files import FileId, FileStamp, file_id
from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles._readers.file_form import check_parquet
from synerise_profiles._readers.packed import DamagedFileError
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import raise_if_of_a_signal
from synerise_profiles_api.names import checks_names

from .arrow import ArrowSource
from .arrow_types import cell_kind
from .converters import convert_text
from .errors import BadCellError, MappingError, MappingIssue
from .mapping import RowMapping
from .parquet_files import ParquetFiles, ParquetPaths, find_files
from .tables import Table, open_dataset, parquet_options

__all__ = ["ParquetPaths", "ParquetSource", "read_parquet"]


@checks_names
def read_parquet(
    paths: ParquetPaths, mapping: RowMapping, *, filesystem: Any = None, sort: bool = False
) -> ParquetSource:
    """Read the rows of Parquet files: a path, a folder, a pattern such as `day=*/*.parquet`, an address, or several.

    An address begins with `s3://`, `gs://`, `abfs://` or `hdfs://`, which pyarrow opens itself by the settings of its
    environment; `filesystem` is one of pyarrow or fsspec, to which all paths belong. Folders such as `day=2024-06-01`
    are columns of texts. Files are read in the order of their names, and of each only the columns that are mapped, a
    part at a time. Numbers keep their digits where one file has integers and another one doubles or decimals.

    The schemas of all files are read at once. Raises MappingError for columns that are not there, do not fit, or are of
    other kinds in two files; InvalidRequestError for paths that lead to no file, for files of another form, and for
    folders and patterns within a table of Delta or Iceberg, which `read_arrow` reads; OSError for what does not open;
    and ModuleNotFoundError where pyarrow is not installed, which comes with `pip install 'synerise-profiles[arrow]'`.
    `locate` returns the number of a row in its file, counted from 0, with the file's name in front where there are
    several: "day=1/a.parquet, row 17". `sort` brings the lines of each order together, on disk, for a mapping with
    `group_by`.
    """
    arrow = import_pyarrow()
    return ParquetSource(arrow, find_files(arrow, paths, filesystem), mapping, sort=sort)


@attrs.frozen
class _Content:
    """What is known of files before their rows are read.

    `schema` has the columns of all, and `open` makes a dataset of some of them by a schema. `schemas` and `counts` are
    those of each file; `problems` says of a column what is wrong with it, which matters if it is mapped.
    """

    schema: Any
    open: Callable[[Sequence[str], Any], Any]
    schemas: Sequence[Any]
    counts: Sequence[int]
    problems: Mapping[str, str]


class ParquetSource(ArrowSource):
    """The rows of Parquet files; made by `read_parquet`."""

    def __init__(self, arrow: Any, files: ParquetFiles, mapping: RowMapping, *, sort: bool = False) -> None:
        content = _open_files(arrow, files)
        self._ends = list(accumulate(content.counts))
        self._files = files
        super().__init__(arrow, Table(content.schema, partial(self._batches, content)), mapping, sort=sort)
        issues = [MappingIssue(name, "", content.problems[name]) for name in self._names if name in content.problems]
        issues += self._key_issues(content)
        if issues:
            raise MappingError(issues, operation=mapping.operations[0].name)
        for path in files.passed_over:
            self._column_notes[f"{files.name_of(path)} is no Parquet file, and is not read"] = 1
        known = [frozenset(schema.names) for schema in content.schemas]
        for name in files.folder_columns.intersection(self._names):
            if hidden := sum(name in names for names in known):
                self._column_notes[f"column {name!r} is in files too; the name of the folder is read"] = hidden
        for name in filterfalse(files.folder_columns.__contains__, self._names):
            if missing := sum(name not in names for names in known):
                self._column_notes[f"column {name!r} is not in all files; its cells are empty there"] = missing
        self.file_names = tuple(map(files.name_of, files.paths))
        """The names of the files, in the order in which they are read."""

    def _key_issues(self, content: _Content) -> Iterator[MappingIssue]:
        """Yield an issue for each column of a key whose numbers two files write in two ways: 100 and 100.00."""
        plan = self._plan
        if plan is None or plan.prepare is not None:
            return
        for name, read in zip(plan.key_columns, plan.key_readers, strict=True):
            known: dict[str, str] = {}
            for path, schema in zip(self._files.paths, content.schemas, strict=True):
                one = _one_of(self._arrow, schema.field(name).type) if name in schema.names else None
                if one is not None and name not in self._files.folder_columns:
                    known.setdefault(read(one), f"{schema.field(name).type} in {self._files.name_of(path)}")
            if len(known) > 1:
                (first, text), (second, other) = islice(known.items(), 2)
                problem = f"is {text}, and {other}, so that one order would be {first} here and {second} there"
                yield MappingIssue(name, "", f"{problem}; write them with one type")

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others, where it is one on a disk."""
        return file_id(self._files.paths[0]) if self._is_local and len(self._files.paths) == 1 else None

    @property
    def _is_local(self) -> bool:
        return bool(self._files.system.type_name == "local")

    def _batches(self, content: _Content, names: Sequence[str]) -> Iterator[Any]:
        """Yield the batches.

        Raises InvalidRequestError, with its name, for a file with a page that cannot be read, and for one to which
        somebody writes meanwhile.
        """
        count, stamps = 0, [FileStamp.of(path) for path in self._files.paths if self._is_local]
        last = len(self._ends) - 1
        try:
            for dataset in self._datasets(content, names):
                for batch in open_dataset(dataset).batches(names):
                    place = min(bisect.bisect_right(self._ends, count), last)
                    self._refuse_changed(stamps[place : place + 1])
                    yield batch
                    count += batch.num_rows
            self._refuse_changed(stamps)
        except (self._arrow.ArrowException, OSError) as error:
            raise_if_of_a_signal(error)
            place = min(bisect.bisect_right(self._ends, count), last)
            self._refuse_changed(stamps[place : place + 1])
            where = self._files.name_of(self._files.paths[place])
            where += "" if place == last else ", or a file after it,"
            problem = f"{where} cannot be read to its end: {type(error).__name__}; is it damaged?"
            raise DamagedFileError(problem, field="paths") from None

    def _refuse_changed(self, stamps: Sequence[FileStamp]) -> None:
        changed = next((stamp.path for stamp in stamps if stamp.is_changed), None)
        if changed is not None:
            problem = f"{self._files.name_of(changed)} was cut or changed by somebody else while it was read"
            raise DamagedFileError(f"{problem}; give it again once nobody writes to it", field="paths")

    def _datasets(self, content: _Content, names: Sequence[str]) -> Iterator[Any]:
        """Yield a dataset of each run of files that have these columns by the same types."""
        known = {name: content.schema.field(name).type for name in {*names} - self._files.folder_columns}

        def other_types(place: int) -> dict[str, Any]:
            schema = content.schemas[place]
            return {field.name: field.type for field in schema if known.get(field.name, field.type) != field.type}

        for types, places in groupby(range(len(self._files.paths)), other_types):
            fields = [field.with_type(types.get(field.name, field.type)) for field in content.schema]
            yield content.open([self._files.paths[place] for place in places], self._arrow.schema(fields))

    def locate_record(self, index: int) -> Any:
        """Return the number of a row in its file, counted from 0, after the file's name where there are several."""
        if len(self._ends) == 1:
            return index
        number = bisect.bisect_right(self._ends, index)
        if number == len(self._ends):
            return index
        return f"{self.file_names[number]}, row {index - (self._ends[number - 1] if number else 0)}"


def _one_of(arrow: Any, arrow_type: Any) -> int | float | Decimal | None:
    """Return the number one as a column of a type has it; None for what has no numbers."""
    kind = cell_kind(arrow, arrow_type)
    if kind == "decimal":
        scale = arrow_type.value_type.scale if arrow.types.is_dictionary(arrow_type) else arrow_type.scale
        return Decimal(1).scaleb(-scale) * 10**scale if scale > 0 else Decimal(1)
    return {"integer": 1, "float": 1.0}.get(kind)


def _open_files(arrow: Any, files: ParquetFiles) -> _Content:
    """Read the schemas of all files, and make a dataset of them."""
    datasets, parquet = import_module("pyarrow.dataset"), import_module("pyarrow.parquet")
    schemas: list[Any] = []
    counts: list[int] = []
    hidden: dict[str, str] = {}
    for path in files.paths:
        with files.system.open_input_file(path) as file:
            try:
                found = parquet.ParquetFile(file)
                schemas.append(found.schema_arrow)
                counts.append(found.metadata.num_rows)
                for name in _hidden_columns(found, files.folder_columns, files.folder_values(path)):
                    hidden.setdefault(name, f"in {files.name_of(path)} {_OTHER_VALUES}")
            except (arrow.ArrowException, OSError) as error:
                raise_if_of_a_signal(error)
                file.seek(0)
                raise _refused_file(files.name_of(path), file.read(4096), error) from None
    make = partial(
        datasets.dataset,
        filesystem=files.system,
        format=datasets.ParquetFileFormat(default_fragment_scan_options=parquet_options()),
        partitioning=datasets.partitioning(_folder_schema(arrow, files), flavor="hive"),
        partition_base_dir=files.base or None,
    )
    columns, problems = _schema_of_all(arrow, schemas, files)

    def open_(paths: Sequence[str], schema: Any) -> Any:
        return make(list(paths), schema=schema)

    return _Content(columns, open_, schemas, counts, problems | hidden)


_OTHER_VALUES: Final = (
    "holds other values than the name of its folder, which would be lost; rename one of them, or read what stands in "
    "the files by read_arrow(pyarrow.dataset.dataset(path), mapping)"
)


def _hidden_columns(file: Any, names: Collection[str], values: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the columns of a file that hold something else than the names of folders that are read in their place."""
    for name in file.schema_arrow.names:
        if name not in names:
            continue
        try:
            cells = (
                cell for batch in file.iter_batches(columns=[name]) for cell in batch.column(0).unique().to_pylist()
            )
            if not all(cell is None or _is_written_as(cell, values.get(name)) for cell in cells):
                yield name
        except NotImplementedError:  # of what is nested
            yield name


def _is_written_as(cell: Any, text: str | None) -> bool:
    """Whether the name of a folder writes a value."""
    try:
        written = convert_text(cell)
        if isinstance(cell, datetime.datetime):
            return text is not None and written == text.replace(" ", "T")
        if isinstance(cell, bool):
            return text is not None and written == text.lower()
        return text == written or (
            isinstance(cell, int | float | Decimal) and Decimal(text or "NaN") == Decimal(written)
        )
    except (BadCellError, ArithmeticError):
        return False


def _folder_schema(arrow: Any, files: ParquetFiles) -> Any:
    """Return the columns that are names of folders: texts, since 007 is no number."""
    return arrow.schema([(name, arrow.string()) for name in sorted(files.folder_columns)])


def _schema_of_all(arrow: Any, schemas: Sequence[Any], files: ParquetFiles) -> tuple[Any, dict[str, str]]:
    """Return a schema with the columns of all files, and by name what is wrong with those of no one kind.

    Numbers are of one kind, whatever their types: that which holds the most. A column that is the name of a folder
    stands for one in the files.
    """
    hidden = files.folder_columns
    first = [field for field in schemas[0] if field.name not in hidden]
    types: dict[str, Any] = {field.name: field.type for field in (*first, *_folder_schema(arrow, files))}
    problems: dict[str, str] = {}
    owners = {name: (files.paths[0], first_type) for name, first_type in types.items()}
    for path, schema in zip(files.paths, schemas, strict=True):
        for field in schema:
            if field.name in hidden:
                continue
            known = types.setdefault(field.name, field.type)
            owner, first_type = owners.setdefault(field.name, (path, field.type))
            if known != field.type and field.name not in problems:
                kinds = {cell_kind(arrow, known), cell_kind(arrow, field.type)}
                if len(kinds) == 1 and "other" not in kinds:
                    continue
                parts = [arrow.schema([(field.name, one)]) for one in (known, field.type)]
                try:
                    types[field.name] = arrow.unify_schemas(parts, promote_options="permissive").field(0).type
                except (arrow.ArrowException, TypeError):
                    problems[field.name] = (
                        f"is {first_type} in {files.name_of(owner)}, and {field.type} in {files.name_of(path)}; "
                        "read them by two calls, or write them with one type"
                    )
    return arrow.schema(list(types.items())), problems


def _refused_file(name: str, head: bytes, error: Exception) -> Exception:
    try:
        check_parquet(head)
    except InvalidRequestError as other:
        return InvalidRequestError(f"{name} {other.problem}", field="paths")
    return InvalidRequestError(f"{name} is damaged or cut off: {type(error).__name__}", field="paths")
