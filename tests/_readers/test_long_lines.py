"""Lines and elements beyond the limit, and files that are damaged from the beginning: told, and the file is closed."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles._readers.block_reader import MAX_LINE_CHARS
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import RowMapping, read_csv, read_json, read_jsonl

MAPPING = RowMapping.for_profiles({"id": "customId"})
LONG = "x" * (2 * MAX_LINE_CHARS)


def test_a_header_that_is_too_long_is_no_header() -> None:
    """A line before it that is skipped may be as long as it is."""
    with pytest.raises(InvalidRequestError, match="the header cannot be read as CSV"):
        list(read_csv(io.StringIO(f"{LONG},id\nc-1\n"), MAPPING))
    assert list(read_csv(io.StringIO(f"{LONG}\nid\nc-1\n"), MAPPING, skip_lines=1)) == [{"customId": "c-1"}]


def test_a_line_that_is_too_long_is_one_bad_row() -> None:
    """Those around it are read."""
    lines = f'{{"id": "a"}}\n{{"id": "{LONG}"}}\n{{"id": "b"}}\n'
    rows = list(read_jsonl(io.StringIO(lines), MAPPING))
    assert [row if isinstance(row, dict) else "bad" for row in rows] == [{"customId": "a"}, "bad", {"customId": "b"}]


@pytest.mark.parametrize("number", ["1e400", "123456789012345678901234567890"])
def test_an_element_with_a_number_that_would_be_changed_is_one_bad_row(number: str) -> None:
    """With the reason, and those around it are read."""
    rows = list(read_json(io.StringIO(f'[{{"id": "a"}}, {{"id": "b", "n": {number}}}, {{"id": "c"}}]'), MAPPING))
    assert [isinstance(row, UnreadableRow) for row in rows] == [False, True, False]


@pytest.mark.parametrize("read", [read_csv, read_jsonl, read_json])
@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\x00 no gzip", gzip.compress(b"id\n" * 1000)[:40], b"\xff\xfe"])
def test_a_damaged_file_is_closed(tmp_path: Path, read: Callable[..., Any], content: bytes) -> None:
    """Whoever reads it: a file that stays open is a warning, which fails this test."""
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError):
        list(read(path, MAPPING))
    path.unlink()
