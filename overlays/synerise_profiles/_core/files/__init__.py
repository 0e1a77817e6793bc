"""Files: the one room that opens a file for writing, databases included, so that no file is harmed.

How files are written. `target_of` refuses by the argument's name what cannot be written, and touches nothing. What is
written whole is a `PartFile`: `.NAME.PID.part` beside the target, which takes its place by a rename. What grows is an
`AppendFile`: an addition is written whole or not at all. A database is a file of ours by the number in its header, and
of nobody else. A new file is for its owner alone (mode 0600); one that is there keeps its mode and its group, and a
link is followed. A part is locked while it is written, so one that is not locked was left by a process that was killed.
No file takes the place of one that a run appends to; how such files are shared is drawn in `appending`.
"""

from __future__ import annotations

from .appending import AppendFile, MayHold, append_once
from .databases import (
    DatabaseFile,
    DatabaseFileError,
    FaultKind,
    database_error,
    foreign_database,
    memory_database,
    scratch_database,
)
from .lines import last_line, lines_between
from .locks import settled_size
from .scratch import (
    named_scratch_file,
    scratch_file,
    scratch_folder,
    spooled_file,
    telling_full_disk,
    unnamed_scratch_file,
)
from .shared import SharedRecord, refuse_foreign, rename_file, temporary_folder
from .targets import FileId, file_id, refuse_same_files, refused, target_of
from .watching import FileStamp
from .writing import CHANGED_TEXT, KeptFile, PartFile, WrittenFile, replaced_file

__all__ = [
    "CHANGED_TEXT",
    "AppendFile",
    "DatabaseFile",
    "DatabaseFileError",
    "FaultKind",
    "FileId",
    "FileStamp",
    "KeptFile",
    "MayHold",
    "PartFile",
    "SharedRecord",
    "WrittenFile",
    "append_once",
    "database_error",
    "file_id",
    "foreign_database",
    "last_line",
    "lines_between",
    "memory_database",
    "named_scratch_file",
    "refuse_foreign",
    "refuse_same_files",
    "refused",
    "rename_file",
    "replaced_file",
    "scratch_database",
    "scratch_file",
    "scratch_folder",
    "settled_size",
    "spooled_file",
    "target_of",
    "telling_full_disk",
    "temporary_folder",
    "unnamed_scratch_file",
]
