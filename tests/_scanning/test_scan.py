"""The scanner of programs: whatever is watched for is found with the fact about it."""

from __future__ import annotations

from pathlib import Path

from synerise_profiles._scanning.scan import Finding, WatchedNames, scan_paths, scan_source

WATCHED = WatchedNames({("tags", "list"): 7}, {"synerise_profiles.Old": 8})


def test_the_fact_comes_with_the_place() -> None:
    """A method by its resource, a name by its module."""
    source = b"import synerise_profiles\nclient.tags.list()\nsynerise_profiles.Old\n"
    found = [item for item in scan_source(source, "x", WATCHED) if isinstance(item, Finding)]
    assert [(item.line, item.subject) for item in found] == [(2, 7), (3, 8)]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    """By its folder and by itself."""
    path = tmp_path / "x.py"
    path.write_text("client.tags.list()\n", encoding="utf-8")
    found, unread, files = scan_paths([tmp_path, path], WATCHED)
    assert (len(found), unread, files) == (1, [], 1)
