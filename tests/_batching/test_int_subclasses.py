"""Whole numbers of a class of their own, such as IntEnum, in what is refused: they are read at once."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from synerise_profiles._batching import operations
from synerise_profiles._batching.letters import letter_row
from synerise_profiles._reports.plain_json import plain_value
from tests.bulk.support import Run, Server

# A search that walks through 64 bits hears no signal: it is killed with the whole process, not by a test's deadline.


class _Level(enum.IntEnum):
    GOLD = 1


class _Number(int):
    pass


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (_Level.GOLD, b"1"),
        (_Number(-(2**63)), b"-9223372036854775808"),
        (_Number(2**64 - 1), b"18446744073709551615"),
        (_Number(2**64), b'"18446744073709551616"'),
        (_Number(-(2**63) - 1), b'"-9223372036854775809"'),
    ],
)
@pytest.mark.parametrize("beside", [None, float("nan"), "\ud83d"])
def test_a_refused_row_keeps_them(value: int, written: bytes, beside: object) -> None:
    """A number of a subclass stands in a letter as its value, beyond 64 bits as text."""
    assert b'"n":' + written in letter_row({"bad": beside, "n": value}).json


@pytest.mark.parametrize(
    ("operation", "row"),
    [
        (operations.profiles(), {"customId": "a", "attributes": {"n": None, "level": _Level.GOLD}}),
        (operations.profiles(), {"customId": "a", "attributes": {"n": float("nan"), "level": _Level.GOLD}}),
        (operations.profiles(), {"customId": "a", "city": "\ud83d", "attributes": {"level": _Level.GOLD}}),
        (operations.profiles(), {"customId": "a", "attributes": {"n": _Number(2**70)}}),
        (
            operations.events(),
            {"label": "l", "action": "a.b", "client": {"id": 1}, "params": {"n": None, "l": _Level.GOLD}},
        ),
    ],
)
def test_a_run_ends_that_refuses_them(operation: operations.BatchOperation, row: dict[str, Any]) -> None:
    """A row that is refused costs itself, whatever numbers it holds."""
    report = Run(operation, [row], Server()).finish()
    assert len(list(report.rejected)) == 1


def test_a_reference_of_such_a_class_is_reported() -> None:
    """A reference stands in a report as JSON has it: a number of 64 bits as its value, another one as text."""
    assert plain_value(_Level.GOLD) == 1
    assert plain_value(_Number(2**63)) == str(2**63)


def test_a_reference_that_cannot_be_written_is_named_by_its_type() -> None:
    """A report is there whatever the references are: one that fails as text stands as the name of its type."""
    assert plain_value(10**5000) == "int"
