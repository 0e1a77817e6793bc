"""Writes a file as the arguments say, and is killed or runs into a limit on the way; see `test_files`."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from synerise_profiles._core.files import PartFile, replaced_file, target_of


def killed_while_writing(path: Path) -> None:
    """Write, and wait to be killed."""
    part = PartFile(target_of(path, "path"), "path")
    part.write(b"new\n" * 1000)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(60)


def replaces_again_and_again(path: Path) -> None:
    """Put one whole file after the other in place, until killed."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    number = 0
    while True:
        number += 1
        with replaced_file(path) as file:
            file.write(b"%d\n" % number * 20_000)


def full_disk(path: Path) -> None:
    """Write more than there is room for."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with replaced_file(path) as file:
            file.write(b"x" * 50_000)
    except OSError as error:
        sys.stdout.write(f"{type(error).__name__} {error.filename == str(path)}\n")
    finally:  # what coverage measured is written at the end
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


globals()[sys.argv[1]](Path(sys.argv[2]))
