"""Folders that are tables of Delta or Iceberg: a log, or metadata, beside their files says which of these count.

Read as plain files, such a folder gives rows that were deleted, and those that others have replaced.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Final

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["check_table_folders"]

_DELTA_LOG: Final = "_delta_log"
_METADATA: Final = "metadata"
_METADATA_END: Final = ".metadata.json"
_DATA: Final = "data"
_DELTA: Final = "a table of Delta", "read_arrow(deltalake.DeltaTable(path), mapping)"
_ICEBERG: Final = "a table of Iceberg", "read_arrow(table.scan(), mapping), with the table of pyiceberg"


def check_table_folders(system: Any, folder: str, listed: Iterable[Any], files: Iterable[str]) -> None:
    """Raise InvalidRequestError where files that were found below a folder belong to a table.

    `listed` is what the folder holds. Above it a table is looked for where the folder is a part of one by its name.
    """
    folders = {above for file in files for above in _folders_above(file, folder)}
    for info in listed:
        parent, name = posixpath.split(info.path)
        if name == _DELTA_LOG and parent in folders:
            raise _refused(*_DELTA)
        if name.endswith(_METADATA_END) and posixpath.split(parent) in {(one, _METADATA) for one in folders}:
            raise _refused(*_ICEBERG)
    if not folders:
        return
    systems = import_module("pyarrow.fs")
    for above in _outer_folders(folder):
        log = system.get_file_info(posixpath.join(above, _DELTA_LOG))
        if log.type == systems.FileType.Directory:
            raise _refused(*_DELTA)
        metadata = systems.FileSelector(posixpath.join(above, _METADATA), allow_not_found=True)
        if any(info.path.endswith(_METADATA_END) for info in system.get_file_info(metadata)):
            raise _refused(*_ICEBERG)


def _folders_above(file: str, folder: str) -> Iterator[str]:
    """Yield the folders that a file is in, up to a folder."""
    while len(file) > len(folder) and (above := posixpath.dirname(file)) != file:
        yield above
        file = above


def _outer_folders(folder: str) -> Iterator[str]:
    """Yield a folder and those around it while they are parts of a table: `day=1`, or the `data` of Iceberg."""
    yield folder
    while "=" in posixpath.basename(folder) or posixpath.basename(folder) == _DATA:
        folder = posixpath.dirname(folder)
        yield folder


def _refused(name: str, advice: str) -> InvalidRequestError:
    problem = f"lead into {name}, whose files hold deleted rows, too; read it by {advice}"
    return InvalidRequestError(problem, field="paths")
