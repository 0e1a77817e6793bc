"""The golden cases, and the generator's own way from a case's spec to its files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from generator.output.build import make_files

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
TEMPLATES = PROJECT / "overlays" / "templates"
CASES = tuple(sorted(path.name for path in (HERE / "cases").iterdir() if path.is_dir()))


@cache
def make_case(case: str) -> dict[str, bytes]:
    """Every file that the generator makes of a case, by its path below generated/."""
    return make_files(HERE / "cases" / case / "spec", TEMPLATES)


def shown_files(case: str) -> dict[str, Path]:
    """The files that a case is about: those that stand in its expected/."""
    folder = HERE / "cases" / case / "expected"
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
