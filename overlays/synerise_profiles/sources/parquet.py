"""The Parquet source: `read_parquet`, rows of Parquet files on a disk or in an object store, one after the other.

The schemas of all files are read first, so that a column that one of them lacks, or has by another type, is known
before a row is sent. Then rows come in the order of the names of the files, as pyarrow's datasets read them: each file
by its own types, since a cast to those of another would round numbers, or end the run amid its rows.
"""

from __future__ import annotations

import bisect
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from itertools import accumulate, filterfalse, groupby, takewhile
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import attrs

from synerise_profiles._core.files import FileId, file_id
from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles._readers.file_form import check_parquet
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import checks_names

from .arrow import ArrowSource, cell_kind
from .errors import MappingError, MappingIssue
from .mapping import RowMapping
from .table_folders import check_table_folders
from .tables import Table, open_dataset

__all__ = ["ParquetPaths", "ParquetSource", "read_parquet"]

ParquetPaths: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
_WILDCARDS: Final = frozenset("*?[")


@checks_names
def read_parquet(
    paths: ParquetPaths, mapping: RowMapping, *, filesystem: Any = None, sort: bool = False
) -> ParquetSource:
    """Read the rows of Parquet files: a path, a folder, a pattern such as `day=*/*.parquet`, an address, or several.

    An address begins with `s3://`, `gs://`, `abfs://` or `hdfs://`, which pyarrow opens itself by the settings of its
    environment; `filesystem` is one of pyarrow or fsspec, to which all paths belong. Folders such as `day=2024-06-01`
    are columns. Files are read in the order of their names, and of each only the columns that are mapped, a part at a
    time. Numbers keep their digits where one file has integers and another one doubles or decimals.

    The schemas of all files are read at once. Raises MappingError for columns that are not there, do not fit, or are of
    other kinds in two files; InvalidRequestError for paths that lead to no file, for files of another form, and for
    folders and patterns within a table of Delta or Iceberg, which `read_arrow` reads; OSError for what does not open;
    and ModuleNotFoundError where pyarrow is not installed, which comes with `pip install 'synerise-profiles[arrow]'`.
    `locate` returns the number of a row in its file, counted from 0, with the file's name in front where there are
    several: "day=1/a.parquet, row 17". `sort` brings the lines of each order together, on disk, for a mapping with
    `group_by`.
    """
    arrow = import_pyarrow()
    return ParquetSource(arrow, _find_files(arrow, paths, filesystem), mapping, sort=sort)


@attrs.frozen
class _Files:
    """Files within a file system, in the order in which they are read, and the folder that they have in common."""

    system: Any
    paths: tuple[str, ...]
    base: str

    def name_of(self, path: str) -> str:
        """Return the path below the folder: what tells a file from its neighbours."""
        return path.removeprefix(self.base).lstrip("/")

    @property
    def folder_columns(self) -> frozenset[str]:
        """The columns that are names of folders."""
        steps = [step for path in self.paths for step in self.name_of(path).split("/")[:-1]]
        return frozenset(step.partition("=")[0] for step in steps if "=" in step)


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

    def __init__(self, arrow: Any, files: _Files, mapping: RowMapping, *, sort: bool = False) -> None:
        content = _open_files(arrow, files)
        self._ends = list(accumulate(content.counts))
        self._files = files
        super().__init__(arrow, Table(content.schema, partial(self._batches, content)), mapping, sort=sort)
        issues = [MappingIssue(name, "", content.problems[name]) for name in self._names if name in content.problems]
        if issues:
            raise MappingError(issues, operation=mapping.operations[0].name)
        known = [frozenset(schema.names) for schema in content.schemas]
        for name in filterfalse(files.folder_columns.__contains__, self._names):
            if missing := sum(name not in names for names in known):
                self._column_notes[f"column {name!r} is not in all files; its cells are empty there"] = missing
        self.file_names = tuple(map(files.name_of, files.paths))
        """The names of the files, in the order in which they are read."""

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others, where it is one on a disk."""
        return file_id(self._files.paths[0]) if self._is_local and len(self._files.paths) == 1 else None

    @property
    def _is_local(self) -> bool:
        return bool(self._files.system.type_name == "local")

    def _batches(self, content: _Content, names: Sequence[str]) -> Iterator[Any]:
        """Yield the batches; raises InvalidRequestError, with its name, for a file with a page that cannot be read."""
        count = 0
        try:
            for dataset in self._datasets(content, names):
                for batch in open_dataset(dataset).batches(names):
                    yield batch
                    count += batch.num_rows
        except (self._arrow.ArrowException, OSError) as error:
            place = min(bisect.bisect_right(self._ends, count), len(self._ends) - 1)
            where = self._files.name_of(self._files.paths[place])
            where += "" if place == len(self._ends) - 1 else ", or a file after it,"
            problem = f"{where} cannot be read to its end: {type(error).__name__}; is it damaged?"
            raise InvalidRequestError(problem, field="paths") from None

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


def _open_files(arrow: Any, files: _Files) -> _Content:
    """Read the schemas of all files, and make a dataset of them."""
    datasets, parquet = import_module("pyarrow.dataset"), import_module("pyarrow.parquet")
    schemas: list[Any] = []
    counts: list[int] = []
    for path in files.paths:
        with files.system.open_input_file(path) as file:
            try:
                found = parquet.ParquetFile(file)
                schemas.append(found.schema_arrow)
                counts.append(found.metadata.num_rows)
            except (arrow.ArrowException, OSError) as error:
                file.seek(0)
                raise _refused_file(files.name_of(path), file.read(4096), error) from None
    is_local = files.system.type_name == "local"
    # On a disk columns are read as they are needed; elsewhere each read costs a round trip, so parts are read at once.
    options = datasets.ParquetFragmentScanOptions(use_buffered_stream=is_local, pre_buffer=not is_local)
    make = partial(
        datasets.dataset,
        filesystem=files.system,
        format=datasets.ParquetFileFormat(default_fragment_scan_options=options),
        partitioning="hive",
        partition_base_dir=files.base or None,
    )
    # Made without a schema, it knows the columns that are names of folders.
    columns, problems = _schema_of_all(arrow, make(list(files.paths)).schema, schemas, files)

    def open_(paths: Sequence[str], schema: Any) -> Any:
        return make(list(paths), schema=schema)

    return _Content(columns, open_, schemas, counts, problems)


def _schema_of_all(
    arrow: Any, dataset_schema: Any, schemas: Sequence[Any], files: _Files
) -> tuple[Any, dict[str, str]]:
    """Return a schema with the columns of all files, and by name what is wrong with those of no one kind.

    Numbers are of one kind, whatever their types: that which holds the most.
    """
    types: dict[str, Any] = {field.name: field.type for field in dataset_schema}
    problems: dict[str, str] = {}
    owners = dict.fromkeys(types, files.paths[0])
    for path, schema in zip(files.paths, schemas, strict=True):
        for field in schema:
            known = types.setdefault(field.name, field.type)
            owner = owners.setdefault(field.name, path)
            if known != field.type and field.name not in problems:
                kinds = {cell_kind(arrow, known), cell_kind(arrow, field.type)}
                if len(kinds) == 1 and "other" not in kinds:
                    continue
                parts = [arrow.schema([(field.name, one)]) for one in (known, field.type)]
                try:
                    types[field.name] = arrow.unify_schemas(parts, promote_options="permissive").field(0).type
                except (arrow.ArrowException, TypeError):
                    problems[field.name] = (
                        f"is {known} in {files.name_of(owner)}, and {field.type} in {files.name_of(path)}; "
                        "read them by two calls, or write them with one type"
                    )
    return arrow.schema(list(types.items())), problems


def _refused_file(name: str, head: bytes, error: Exception) -> Exception:
    try:
        check_parquet(head)
    except InvalidRequestError as other:
        return InvalidRequestError(f"{name} {other.problem}", field="paths")
    return InvalidRequestError(f"{name} is damaged or cut off: {type(error).__name__}", field="paths")


def _find_files(arrow: Any, paths: ParquetPaths, filesystem: Any) -> _Files:
    """Find the files that paths mean; raises InvalidRequestError where there are none."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(_checked_paths(paths))
    located = [_locate(arrow, os.fspath(path), filesystem) for path in given]
    if not located:
        raise InvalidRequestError("is empty; give the path of a file", field="paths")
    system = located[0][0]
    if any(other != system for other, _ in located):
        raise InvalidRequestError("lie in several stores; read each by a call", field="paths")
    found = [file for _, path in located for file in sorted(_expand(system, path))]
    if not found:
        raise InvalidRequestError("lead to no file", field="paths")
    if len(set(found)) < len(found):
        raise InvalidRequestError("name a file twice, so that its rows would be sent twice", field="paths")
    common = os.path.commonpath([os.path.dirname(file) for file in found]).split("/")  # noqa: PTH120 - not of this system
    return _Files(system, tuple(found), "/".join(takewhile(lambda step: "=" not in step, common)))


def _checked_paths(paths: object) -> Iterator[str | os.PathLike[str]]:
    kind = type(paths).__name__
    found: object
    for found in cast("Sequence[object]", paths) if isinstance(paths, list | tuple) else [None]:
        if not isinstance(found, str | os.PathLike):
            raise InvalidRequestError(f"expected a path or a list of paths, got {kind}", field="paths")
        yield cast("str | os.PathLike[str]", found)


def _locate(arrow: Any, path: str, filesystem: Any) -> tuple[Any, str]:
    """Return the file system of a path, and the path within it. An address may hold a password: no error shows it."""
    systems = import_module("pyarrow.fs")
    scheme, mark, _ = path.partition("://")
    if not path:
        raise InvalidRequestError("is empty; give the path of a file", field="paths")
    if filesystem is not None:
        if not isinstance(filesystem, systems.FileSystem) and not hasattr(filesystem, "protocol"):
            kind = type(filesystem).__name__
            raise InvalidRequestError(f"expected a file system of pyarrow or fsspec, got {kind}", field="filesystem")
        is_arrow = isinstance(filesystem, systems.FileSystem)
        return filesystem if is_arrow else systems.PyFileSystem(systems.FSSpecHandler(filesystem)), path
    if not mark:
        return systems.LocalFileSystem(), Path(path).absolute().as_posix()
    address, question, options = path.partition("?")
    steps = address.split("/")
    fixed = list(takewhile(_WILDCARDS.isdisjoint, steps))  # a pattern is no address
    try:
        system, base = systems.FileSystem.from_uri("/".join(fixed) + question + options)
    except (arrow.ArrowException, ValueError, OSError, NotImplementedError) as error:
        problem = f"is an address {scheme}:// that pyarrow cannot open ({type(error).__name__}); give filesystem="
        raise InvalidRequestError(problem, field="paths") from None
    return system, "/".join([base, *steps[len(fixed) :]])


def _expand(system: Any, path: str) -> Iterator[str]:
    """Yield the files that a path means: itself, those of a folder, or those that fit a pattern; hidden ones aside."""
    systems = import_module("pyarrow.fs")
    kind = system.get_file_info(path).type
    if kind == systems.FileType.File:
        yield path
        return
    steps = path.split("/")
    fixed = list(takewhile(_WILDCARDS.isdisjoint, steps)) if kind == systems.FileType.NotFound else steps
    pattern = steps[len(fixed) :] or ["**", "*"]
    if kind == systems.FileType.NotFound and len(fixed) == len(steps):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    folder = systems.FileSelector("/".join(fixed), allow_not_found=True, recursive=len(pattern) > 1)
    listed, found = system.get_file_info(folder), list[str]()
    for info in listed:
        below = info.path.split("/")[len(fixed) :]
        is_hidden = any(step.startswith(("_", ".")) and "=" not in step for step in below)
        if info.type == systems.FileType.File and not is_hidden and _fits(below, pattern):
            found.append(info.path)
    check_table_folders(system, "/".join(fixed).rstrip("/"), listed, found)
    yield from found


def _fits(steps: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the steps of a path fit a pattern, in which two stars stand for any number of steps."""
    if not steps or not pattern:
        return not steps and not pattern
    if pattern[0] == "**":
        return any(_fits(steps[number:], pattern[1:]) for number in range(len(steps)))
    return fnmatchcase(steps[0], pattern[0]) and _fits(steps[1:], pattern[1:])
