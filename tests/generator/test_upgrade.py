"""Another version of openapi-python-client is refused; its rehearsal tells what changes and leaves the tree alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator import upstream_version
from generator.cli import main
from generator.errors import GeneratorFailure
from generator.output.build import build
from generator.upgrade import MakeEnvironment, rehearse
from generator.upstream import VERSION

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small one: the spec of a golden case with the project's templates and generator."""
    root = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "generator", root / "generator", ignore=ignored)
    shutil.copytree(PROJECT / "tests" / "golden" / "cases" / "nullable_fields" / "spec", root / "spec")
    shutil.copytree(PROJECT / "overlays" / "templates", root / "overlays" / "templates", ignore=ignored)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, root / name)
    build(root)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def this_one(_copy: Path, _environment: Path) -> Path:
    return Path(sys.executable)


def with_another_parser(copy: Path, _environment: Path) -> Path:
    """As if the version read integers otherwise."""
    path = copy / "generator" / "upstream.py"
    text = path.read_text(encoding="utf-8")
    assert "(IntProperty, Kind.INTEGER)" in text
    path.write_text(text.replace("(IntProperty, Kind.INTEGER)", "(IntProperty, Kind.FLOAT)"), encoding="utf-8")
    return Path(sys.executable)


def broken(copy: Path, _environment: Path) -> Path:
    path = copy / "generator" / "upstream.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("openapi_python_client.config", "openapi_python_client.moved"), encoding="utf-8")
    return Path(sys.executable)


@pytest.mark.long
def test_the_same_version_changes_nothing(project: Path) -> None:
    """The copy is built anew and compared."""
    before = contents(project)

    assert rehearse(project, VERSION, this_one).to_text() == (
        f"openapi-python-client {VERSION}: the same files, the same view of the spec\n"
    )
    assert contents(project) == before


def test_what_is_seen_otherwise_is_shown(project: Path) -> None:
    """Models by name, the files as a diff; the tree stays as it is."""
    before = contents(project)
    found = rehearse(project, VERSION, with_another_parser)

    assert any(name.startswith("model ") for name in found.seen)
    assert any(line.startswith("+++ b/generated/synerise_profiles_api/models/") for line in found.diff)
    assert f"{found.files} files of generated/ would change" in found.to_text()
    assert contents(project) == before


@pytest.mark.parametrize(
    ("version", "environment", "message"),
    [
        (VERSION, broken, "does not build this project"),
        ("9.9.9", this_one, r"9\.9\.9 is pinned and .* is installed"),
        ("latest; rm", this_one, "is no version"),
    ],
)
def test_a_version_that_does_not_fit_is_told(
    project: Path, version: str, environment: MakeEnvironment, message: str
) -> None:
    """With what its build said, and nothing is changed."""
    before = contents(project)
    with pytest.raises(GeneratorFailure, match=message):
        rehearse(project, version, environment)

    assert contents(project) == before


def test_the_version_is_checked_before_anything_is_imported(tmp_path: Path) -> None:
    """The finding names the line of the pin, and no import of the parser's insides fails first."""
    package = tmp_path / "openapi_python_client"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('imported too early')\n", encoding="utf-8")
    metadata = tmp_path / "openapi_python_client-9.9.9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: openapi-python-client\nVersion: 9.9.9\n", encoding="utf-8")
    command = [sys.executable, "-m", "generator", "check"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, PROJECT)))}

    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    line = (
        (PROJECT / "pyproject.toml").read_text(encoding="utf-8").partition(f"{upstream_version.NAME}==")[0].count("\n")
    )
    assert done.stderr.startswith(f"pyproject.toml:{line + 1}: [parser] openapi-python-client {VERSION} is pinned")
    assert "9.9.9 is installed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.long
def test_another_version_is_rehearsed_in_an_environment_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The pinned version, fetched anew, builds the project as it is."""
    assert main(["upgrade", VERSION]) == 0
    assert capsys.readouterr().out.endswith("the same files, the same view of the spec\n")
