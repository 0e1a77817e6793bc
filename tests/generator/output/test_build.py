"""The project's own spec from end to end: built, compared, and what a compare finds when something was touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.cli import main
from generator.errors import GeneratorFailure
from generator.output.build import build, compare

PROJECT = Path(__file__).parents[3]
PACKAGE = "generated/synerise_profiles_api"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "spec", root / "spec")
    shutil.copytree(PROJECT / "overlays" / "templates", root / "overlays" / "templates")
    build(root)
    return root


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "project"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_build_changes_nothing(project: Path) -> None:
    """Building twice gives the same bytes, and the compare finds nothing."""
    before = contents(project / "generated")
    build(project)
    assert before == contents(project / "generated")
    assert compare(project) == []


def flip(root: Path) -> None:
    path = root / PACKAGE / "types.py"
    path.write_bytes(path.read_bytes()[:-1] + b" ")


def add(root: Path) -> None:
    (root / PACKAGE / "models" / "stale.py").write_text("")


def remove(root: Path) -> None:
    (root / PACKAGE / "models" / "tag.py").unlink()


def edit_fragment(root: Path) -> None:
    path = root / "spec" / "components" / "tag.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Name of the tag.", "How the tag is called."), "utf-8")


def edit_template(root: Path) -> None:
    path = root / "overlays" / "templates" / "model.py.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("keys that it does not know", "unknown keys"), "utf-8")


@pytest.mark.parametrize(
    ("touch", "named"),
    [
        (flip, "types.py"),
        (add, "stale.py"),
        (remove, "tag.py"),
        (edit_fragment, "tag"),
        (edit_template, "models/custom_event.py"),
    ],
)
def test_what_was_touched_is_found(
    project: Path, touch: Callable[[Path], None], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed byte, a file too many or too few, an edited fragment or template fails the check, which names it."""
    touch(project)
    assert main(["--root", str(project), "check"]) == 1
    assert named in capsys.readouterr().out


def test_a_failing_build_leaves_the_old_tree(project: Path) -> None:
    """A spec that breaks a rule stops the build before anything is written."""
    before = contents(project / "generated")
    path = project / "spec" / "paths" / "tags.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("x-retry: idempotent", "x-retry: always", 1), "utf-8")
    with pytest.raises(GeneratorFailure, match=r"spec/paths/tags.yaml:\d+: \[x-retry\]"):
        build(project)
    assert before == contents(project / "generated")


def test_the_committed_tree_is_up_to_date() -> None:
    """What is in the checkout is what its spec and templates make."""
    assert compare(PROJECT) == []
