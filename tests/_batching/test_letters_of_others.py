"""Letters and audits that were mended by hand, or are something else: read as they stand, or refused by name."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles._batching.deletion_audit import audit_target
from synerise_profiles._batching.letter_lines import letter_target, load_letter
from synerise_profiles._batching.letters import cells_of
from synerise_profiles.bulk import read_dead_letter
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, field, read_arrow


def test_numbers_of_cells_are_exact_and_what_was_mended_stays() -> None:
    """A cell that was a decimal is one again, unless it was mended to something else."""
    letter = {"decimals": ["price", "fee", "n"]}
    cells = {"price": "1.10", "fee": "none", "n": 7, "city": "1.10"}
    assert cells_of(letter, {"cells": cells}) == {"price": Decimal("1.10"), "fee": "none", "n": 7, "city": "1.10"}
    assert cells_of({}, {"cells": cells}) == cells
    assert cells_of(letter, {"cells": cells, "more": 1}) is None
    assert cells_of(letter, ["cells"]) is None


def test_a_line_that_is_no_letter_is_refused_by_its_number(tmp_path: Path) -> None:
    """Also one with a number that no letter has."""
    path = tmp_path / "letters.jsonl"
    for line in ("[1, 123456789012345678901234567890]", '{"version": 123456789012345678901234567890}'):
        path.write_text(line + "\n")
        with pytest.raises(InvalidRequestError, match="line 1 is no dead letter; this release reads version 1"):
            list(read_dead_letter(path))


def test_a_letter_with_a_number_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    """It stands as text, and the letter says so beside what it said before."""
    path = tmp_path / "letters.jsonl"
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.upsert_profiles([{"city": "x"}], dead_letter=path)
        letter = json.loads(path.read_text())
        letter["row"] = {"customId": "c-1", "attributes": {"n": 10**30}}
        path.write_text(json.dumps(letter) + "\n")
        (found,) = read_dead_letter(path)
        assert found["row"]["attributes"] == {"n": str(10**30)}
        report = client.bulk.replay(path)
        (rejection,) = report.rejected
        assert "mend it first" in rejection.reason
        assert report.accepted == 0


def test_cells_of_every_kind_come_back_from_a_letter(tmp_path: Path) -> None:
    """Numbers as they were, no number as an empty cell, days as text."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    path = tmp_path / "letters.jsonl"
    table = pa.table(
        {
            "id": ["c-1", "c-2"],
            "level": ["high", "low"],
            "n": pa.array([1.5, float("nan")], pa.float64()),
            "price": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)),
            "day": [datetime.date(2026, 3, 1), None],
        }
    )
    columns = {
        "id": "customId",
        "level": field("attributes.level", "integer"),
        "n": "attributes.n",
        "price": field("attributes.p", "decimal"),
        "day": "attributes.d",
    }
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.upsert_profiles(read_arrow(table, RowMapping.for_profiles(columns)), dead_letter=path)
    cells = [letter["row"]["cells"] for letter in map(json.loads, path.read_text().splitlines())]
    assert [cell.get("n") for cell in cells] == [1.5, None]
    assert [cell.get("day") for cell in cells] == ["2026-03-01", None]
    assert [cell.get("price") for cell in cells] == ["1.10", None]


@pytest.mark.parametrize(
    ("content", "is_audit"),
    [
        (b"", True),
        (b'{"entry":"deletion","format":1', True),
        (b'{"entry":"deletion","format":1}\n', True),
        (b'{"entry":"deletion","format":9}\n', False),
        (b'{"entry":"deletion","form":1}\n', False),
        (b'{"entry":"deletion",}\n', False),
        (b"id,city\n", False),
        (b"{\n", False),
        (b'{"entry":"deletion","format":1}\n{"entry":"dele', True),
        (b'{"entry":"deletion","format":1}\n{"entry":"deletion","format":1}\n\n', True),
        (b'{"entry":"deletion","format":1}\nid,city\n', False),
        (b'{"entry":"deletion","format":1}\n{"entry":"deletion","format":9}\n', False),
    ],
)
def test_an_audit_is_only_added_to_one(tmp_path: Path, content: bytes, *, is_audit: bool) -> None:
    """Also one whose last line was cut off; nothing else is touched, such as what another program wrote behind."""
    path = tmp_path / "deleted.jsonl"
    path.write_bytes(content)
    if is_audit:
        assert audit_target(path) == path
    else:
        with pytest.raises(InvalidRequestError, match="exists and is no audit of deletions; give the name of another"):
            audit_target(path)
    assert path.read_bytes() == content


def test_letters_are_not_written_over_something_else(tmp_path: Path) -> None:
    """Whether they would replace it or be added."""
    path = tmp_path / "rows.csv"
    path.write_text("id\n1\n")
    for is_appended in (True, False):
        with pytest.raises(InvalidRequestError, match="is a file of something else than dead letters"):
            letter_target(path, "dead_letter", is_appended=is_appended)


def test_a_fraction_of_more_digits_than_a_double_keeps_stands_as_text() -> None:
    """Put into a letter by hand it is no longer rounded: each digit is there, and the letter says so."""
    found = load_letter(b'{"row": {"n": [0.5, 12345678901234567.89]}, "version": 1}')
    assert found["row"] == {"n": [0.5, "12345678901234567.89"]}
    assert len(found["problems"]) == 1
