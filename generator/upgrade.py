"""Rehearse another version of openapi-python-client: on a copy of the project, in an environment of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from generator.errors import Finding, GeneratorFailure
from generator.upstream_version import NAME, PIN

_COPIED = ("generator", "spec", "overlays", "generated")
_PINNED = ("pyproject.toml", "constraints.txt")
_LOCK = "generated/generated.lock"
_MAX_SAID_LINES = 8

MakeEnvironment = Callable[[Path, Path], Path]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a version would change: the models and operations that its parser sees otherwise, and the files."""

    version: str
    seen: tuple[str, ...]
    diff: tuple[str, ...]
    files: int

    def to_text(self) -> str:
        if not self.seen and not self.files:
            return f"{NAME} {self.version}: the same files, the same view of the spec\n"
        lines = [f"{NAME} {self.version}: {self.files} files of generated/ would change"]
        lines += [f"  seen otherwise: {name}" for name in self.seen]
        return "\n".join([*lines, *self.diff]) + "\n"


def rehearse(root: Path, version: str, make_environment: MakeEnvironment | None = None) -> Rehearsal:
    """Build a copy of the project with that version; GeneratorFailure where it cannot be had or does not fit."""
    if not re.fullmatch(r"\d[\w.]*", version):
        raise GeneratorFailure([Finding("pyproject.toml", 1, "upgrade", f"{version!r} is no version")])
    with tempfile.TemporaryDirectory(prefix="generator-upgrade-") as folder:
        copy, environment = Path(folder) / "project", Path(folder) / "environment"
        _copy(root, copy, version)
        python = (make_environment or _environment)(copy, environment)
        _run([str(python), "-m", "generator", "build"], copy, f"{NAME} {version} does not build this project")
        return _compared(root, copy, version)


def _copy(root: Path, copy: Path, version: str) -> None:
    for name in _COPIED:
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _PINNED:
        text = (root / name).read_text(encoding="utf-8")
        (copy / name).write_text(re.sub(rf"{NAME}==[^\s\"]+", f"{NAME}=={version}", text), encoding="utf-8")
    if not PIN.search((copy / "pyproject.toml").read_text(encoding="utf-8")):
        raise GeneratorFailure([Finding("pyproject.toml", 1, "upgrade", f"{NAME} is not pinned")])


def _environment(copy: Path, environment: Path) -> Path:
    """A fresh one with the group that pins what decides the output; all else is as that version wants it."""
    _run([sys.executable, "-m", "venv", str(environment)], copy, "no environment can be made")
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--constraint", "constraints.txt", "--upgrade", "pip"], copy, "pip cannot be had")
    _run([*install, "--group", "generator"], copy, "that version cannot be had beside what else is pinned")
    return python


def _run(command: list[str], folder: Path, otherwise: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603  # programs of ours, and a version that is one
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("WARNING: ")]
        said = [line for line in lines if line.strip()][-_MAX_SAID_LINES:]
        raise GeneratorFailure([Finding("pyproject.toml", 1, "upgrade", "\n  ".join([otherwise, *said]))])


def _compared(root: Path, copy: Path, version: str) -> Rehearsal:
    names = sorted({path.relative_to(side).as_posix() for side in (root, copy) for path in _files(side / "generated")})
    before, after = (_views(side / _LOCK) for side in (root, copy))
    seen = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    diff: list[str] = []
    changed = 0
    for name in names:
        old, new = (_lines(side / name) for side in (root, copy))
        if old != new and name != _LOCK:
            changed += 1
            diff += unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm="", n=1)
    return Rehearsal(version, tuple(seen), tuple(diff), changed)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _views(lock: Path) -> dict[str, str]:
    """Digests of the models and operations that the lock of a tree names."""
    parts = (line.rpartition(" ") for line in _lines(lock) if line.startswith(("model ", "operation ")))
    return {name: digest for name, _, digest in parts}
