"""A tree is written as a whole or not at all, and compared file by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.output.tree import compare_tree, restore, write_tree

FILES = {"a.txt": b"a\n", "package/b.py": b"b = 1\n"}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_tree_holds_exactly_the_files(tmp_path: Path) -> None:
    """Files of an earlier run are gone, and nothing is left beside the tree."""
    target = tmp_path / "generated"
    write_tree({"old/c.txt": b"c"}, target)

    write_tree(FILES, target)

    assert names(target) == ["a.txt", "package", "package/b.py"]
    assert (target / "package/b.py").read_bytes() == b"b = 1\n"
    assert names(tmp_path) == ["generated", "generated/a.txt", "generated/package", "generated/package/b.py"]


def test_failure_while_rendering_leaves_the_old_tree(tmp_path: Path) -> None:
    """A file that cannot be written changes nothing."""
    target = tmp_path / "generated"
    write_tree(FILES, target)

    with pytest.raises((FileExistsError, NotADirectoryError)):
        write_tree({"a": b"", "a/b": b""}, target)

    assert compare_tree(FILES, target) == []
    assert [path.name for path in tmp_path.iterdir()] == ["generated"]


def test_failure_while_swapping_brings_the_old_tree_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the second rename fails, the first one is undone."""
    target = tmp_path / "generated"
    write_tree(FILES, target)
    rename = Path.rename

    def refuse_fresh(path: Path, other: Path) -> Path:
        if other == target and path.name != ".generated-backup":
            raise PermissionError("refused")
        return rename(path, other)

    monkeypatch.setattr(Path, "rename", refuse_fresh)
    with pytest.raises(PermissionError, match="refused"):
        write_tree({"new.txt": b""}, target)

    assert compare_tree(FILES, target) == []


def test_interrupted_swap_is_undone_by_the_next_run(tmp_path: Path) -> None:
    """Killed between the renames, the old tree waits beside; the next run restores it before it does anything."""
    target = tmp_path / "generated"
    write_tree(FILES, target)
    target.rename(tmp_path / ".generated-backup")

    restore(target)

    assert compare_tree(FILES, target) == []


def test_backup_beside_a_finished_tree_is_dropped(tmp_path: Path) -> None:
    """Killed after the renames, the new tree is complete and the old one goes."""
    target = tmp_path / "generated"
    write_tree({"old.txt": b""}, tmp_path / ".generated-backup")

    write_tree(FILES, target)
    write_tree({"old.txt": b""}, tmp_path / ".generated-backup")
    restore(target)

    assert compare_tree(FILES, target) == []
    assert [path.name for path in tmp_path.iterdir()] == ["generated"]


@pytest.mark.parametrize("name", ["/a.txt", "../a.txt", "a/../../b", "", "a\\b", "./a", "a//b"])
def test_names_stay_inside_the_tree(tmp_path: Path, name: str) -> None:
    """A name that leads elsewhere, or could be written in two ways, is refused before anything is written."""
    with pytest.raises(ValueError, match="no name inside the tree"):
        write_tree({name: b""}, tmp_path / "generated")

    assert list(tmp_path.iterdir()) == []


def test_comparison_names_each_kind_of_difference(tmp_path: Path) -> None:
    """Differing, missing and unlisted files are told apart; Python's caches do not count."""
    target = tmp_path / "generated"
    write_tree({**FILES, "extra.txt": b"", "package/__pycache__/b.pyc": b""}, target)
    (target / "a.txt").write_bytes(b"a\r\n")

    assert compare_tree({**FILES, "z.txt": b""}, target) == ["differs: a.txt", "unlisted: extra.txt", "missing: z.txt"]


def test_missing_tree_lacks_every_file(tmp_path: Path) -> None:
    """A tree that was never written is compared without an error."""
    assert compare_tree({"a": b""}, tmp_path / "generated") == ["missing: a"]
