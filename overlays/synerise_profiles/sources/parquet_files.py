"""The files that `read_parquet` reads: those of a path, a folder, a pattern or an address, by the order of names."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote

import attrs

from synerise_profiles._readers.file_form import PARQUET_MAGIC
from synerise_profiles_api.errors import InvalidRequestError

from .errors import printable_name
from .table_folders import check_table_folders

__all__ = ["ParquetFiles", "ParquetPaths", "find_files"]

ParquetPaths: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "file", "memory"})
"""Schemes of addresses that hold nothing but a path within the store."""
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
"""Stands in the name of a folder for null."""
_ONE_IN_OTHER: Final = "one within the other, so that one value would be lost; rename one"
_WILDCARDS: Final = frozenset("*?[")
_PARQUET_ENDS: Final = (".parquet", ".parq", ".pq")


@attrs.frozen
class ParquetFiles:
    """Files within a file system, in the order in which they are read, and the folder that they have in common.

    `passed_over` are files of folders that are none of Parquet.
    """

    system: Any
    paths: tuple[str, ...]
    base: str
    passed_over: tuple[str, ...] = ()

    def name_of(self, path: str) -> str:
        """Return the path below the folder: what tells a file from its neighbours."""
        return path.removeprefix(self.base).lstrip("/")

    @property
    def folder_columns(self) -> frozenset[str]:
        """The columns that are names of folders."""
        return frozenset(name for path in self.paths for name in self.folder_values(path))

    def folder_values(self, path: str) -> dict[str, str | None]:
        """Return the columns that are names of folders of a file, with what they hold."""
        return dict(_folder_pairs(self.name_of(path)))


def find_files(arrow: Any, paths: ParquetPaths, filesystem: Any) -> ParquetFiles:
    """Find the files that paths mean; raises InvalidRequestError where there are none."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(_checked_paths(paths))
    located = [_locate(arrow, os.fspath(path), filesystem) for path in given]
    if not located:
        raise InvalidRequestError("is empty; give the path of a file", field="paths")
    system = located[0][0]
    if any(other != system for other, _ in located):
        raise InvalidRequestError("lie in several stores; read each by a call", field="paths")
    passed_over: list[str] = []
    found = [file for _, path in located for file in sorted(_expand(system, path, passed_over))]
    if not found:
        raise InvalidRequestError("lead to no file", field="paths")
    if len(set(found)) < len(found):
        raise InvalidRequestError("name a file twice, so that its rows would be sent twice", field="paths")
    common = os.path.commonpath([os.path.dirname(file) for file in found]).split("/")  # noqa: PTH120 - not of this system
    base = "/".join(takewhile(lambda step: "=" not in step, common))
    files = ParquetFiles(system, tuple(found), base, tuple(sorted(passed_over)))
    for path in found:
        _check_folders(files.name_of(path))
    return files


def _folder_pairs(name: str) -> Iterator[tuple[str, str | None]]:
    """Yield the columns that are names of folders, with what they hold, by the path of a file below the first one."""
    for step in name.split("/")[:-1]:
        column, mark, text = map(unquote, step.partition("="))
        if mark:
            yield column, None if text == _NO_VALUE else text


def _check_folders(name: str) -> None:
    """Raise InvalidRequestError for a file whose folders give one column two values."""
    columns = [column for column, _ in _folder_pairs(name)]
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        shown = printable_name(twice)
        raise InvalidRequestError(f"lead through two folders of the column {shown}, {_ONE_IN_OTHER}", field="paths")


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
        if mark:
            path = _path_within(scheme, path)
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


def _path_within(scheme: str, address: str) -> str:
    """Return the path of an address within its store."""
    if scheme not in _STORES:
        problem = f"begin with {scheme}://, and with filesystem= a path is one within it; leave out what is before it"
        raise InvalidRequestError(problem, field="paths")
    return address.removeprefix(f"{scheme}://")


def _expand(system: Any, path: str, passed_over: list[str]) -> Iterator[str]:
    """Yield the files that a path means: itself, those of a folder, or those that fit a pattern; hidden ones aside.

    What lies in a folder and is no Parquet file, by its name and its content, is passed over where others are.
    """
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
    others = [] if steps[len(fixed) :] else [file for file in found if not _may_be_parquet(system, file)]
    if len(others) < len(found):
        passed_over += others
        found = [file for file in found if file not in {*others}]
    yield from found


def _may_be_parquet(system: Any, file: str) -> bool:
    """Whether a file is one of Parquet by its name, even if it is damaged, or by how it begins."""
    if file.lower().endswith(_PARQUET_ENDS):
        return True
    with system.open_input_file(file) as content:
        return bool(content.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC)


def _fits(steps: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the steps of a path fit a pattern, in which two stars stand for any number of steps."""
    if not steps or not pattern:
        return not steps and not pattern
    if pattern[0] == "**":
        return any(_fits(steps[number:], pattern[1:]) for number in range(len(steps)))
    return fnmatchcase(steps[0], pattern[0]) and _fits(steps[1:], pattern[1:])
