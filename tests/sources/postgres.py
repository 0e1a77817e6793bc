"""A PostgreSQL of the tests' own: started on a socket in a folder, and stopped. Where it is not installed, None."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES = (Path("/usr/lib/postgresql"),)
"""Where Debian installs the programs of a server, below its version."""
_SETTINGS = (("listen_addresses", ""), ("fsync", "off"), ("timezone", "UTC"))


def find_server() -> Path | None:
    """The folder of the newest server's programs."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    folders = [folder for place in _PLACES for folder in place.glob("*/bin") if (folder / "initdb").exists()]
    return max(folders, key=lambda folder: int(folder.parent.name.partition(".")[0]), default=None)


@contextmanager
def serve(programs: Path) -> Iterator[Path]:
    """Start a server; yields the folder of its socket. It refuses to run as root, so root runs it as another user."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder, user = Path(name), None
        if os.geteuid() == 0:
            user = _other_user()
            shutil.chown(folder, user)
        data = folder / "data"
        run = [programs / "initdb", "--pgdata", data, "--username", "tester", "--auth", "trust", "--encoding", "UTF8"]
        _run([*run, "--no-sync"], user)
        options = " ".join(f"-c {key}='{value}'" for key, value in (*_SETTINGS, ("unix_socket_directories", folder)))
        control = [programs / "pg_ctl", "--pgdata", data, "--log", folder / "log", "--wait"]
        _run([*control, "--options", options, "start"], user)
        try:
            yield folder
        finally:
            _run([*control, "--mode", "immediate", "stop"], user)


def _other_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _run(command: list[str | Path], user: str | None) -> None:
    subprocess.run(
        command, user=user, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
