"""Cells of classes of the caller's, by `prepare=` or a driver: read as what is written of them, wherever they stand."""

from __future__ import annotations

import datetime
import enum
import io
import uuid
from collections import UserString
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import MappingError, RowMapping, field, read_csv, read_sql
from synerise_profiles.sources.targets import Target

np = pytest.importorskip("numpy", reason="numpy is not installed")


class Percent(float):
    """A float whose texts are its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "a share"

    __str__ = __repr__


class NoMoment(datetime.datetime):
    """A datetime that is none, as NaT of pandas is."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.datetime.__hash__

    def isoformat(self, *_: Any) -> str:
        return "NaT"


class Cents(Decimal):
    """A decimal whose texts are its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return "an amount"

    def __format__(self, *_: Any) -> str:
        return "an amount"


class Colour(enum.Enum):
    RED = "red"


class Loaded:
    """A value whose loading fails, whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("the session is closed")


class Cursor:
    """A cursor of the DB-API over rows of Python's objects."""

    description = tuple((name, None, None, None, None, None, None) for name in ("id", "x"))

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def execute(self, *_: Any) -> None:
        """Do nothing: the rows are there."""

    def fetchmany(self, size: int) -> list[Any]:
        found, self._rows = self._rows[:size], self._rows[size:]
        return found

    def close(self) -> None:
        """Do nothing."""


class Connection:
    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def cursor(self) -> Cursor:
        return Cursor(list(self._rows))


def read_prepared(cell: Any, target: Target | str) -> Any:
    mapping = RowMapping.for_profiles({"id": "customId", "x": target}, prepare=lambda cells: {**cells, "x": cell})
    (row,) = read_csv(io.BytesIO(b"id,x\na,1\n"), mapping)
    return row


def read_fetched(cell: Any, target: Target | str) -> Any:
    mapping = RowMapping.for_profiles({"id": "customId", "x": target})
    (row,) = read_sql("select 1", Connection([("a", cell)]), mapping)
    return row


ROADS: dict[str, Callable[[Any, Target | str], Any]] = {"prepare": read_prepared, "sql": read_fetched}
TYPED: list[tuple[Any, str, Any]] = [
    (np.float64(30.5), "text", "30.5"),
    (np.float64(2.0), "text", "2"),
    (np.float32(0.1), "text", "0.1"),
    (np.float32(123456792), "text", "123456792"),
    (np.float16(65504), "text", "65504"),
    (Percent(1.5), "text", "1.5"),
    (Cents("1.50"), "text", "1.50"),
    (np.int64(30), "text", "30"),
    (np.bool_(1), "text", "true"),
    (Colour.RED, "text", "red"),
    (UserString("a"), "text", "a"),
    (uuid.UUID(int=1), "text", "00000000-0000-0000-0000-000000000001"),
    (np.int64(30), "integer", 30),
    (np.uint8(3), "decimal", 3),
    (np.float32(0.1), "number", 0.1),
    (Percent(1.5), "number", 1.5),
    (np.bool_(0), "boolean", False),
    (np.str_("yes"), "boolean", True),
    (UserString("7"), "integer", 7),
    (UserString("[1]"), "json", [1]),
    (np.str_("a;b"), "list", ["a", "b"]),
    (UserString("2026-01-02"), "date", "2026-01-02"),
    (UserString("2026-01-02T03:04Z"), "datetime", "2026-01-02T03:04:00+00:00"),
]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(("cell", "type_name", "expected"), TYPED, ids=[f"{type(c).__name__}-{t}" for c, t, _ in TYPED])
def test_a_cell_is_the_value_that_is_written_of_it(road: str, cell: Any, type_name: Any, expected: Any) -> None:
    """By the one list of what is written as JSON, and in no spelling of the cell's own class."""
    separator = ";" if type_name == "list" else None
    row = ROADS[road](cell, field("attributes.x", type_name, separator=separator))
    found = row["attributes"]["x"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("place", [0, 1, 2500])
@pytest.mark.parametrize(
    ("cell", "is_taken"),
    [(np.int64(5), True), (np.float32(0.5), True), (np.bool_(1), True), (Colour.RED, True), (b"x", False)],
)
def test_the_verdict_on_a_cell_does_not_depend_on_its_place(
    client: Any, cell: Any, place: int, *, is_taken: bool
) -> None:
    """Whether it is among the first rows, by which the types of columns are known, or comes later."""
    rows: list[Any] = [(f"c-{n}", "text") for n in range(2600)]
    rows[place] = (rows[place][0], cell)
    mapping = RowMapping.for_profiles({"id": "customId", "x": "attributes.x"})
    report = client.bulk.upsert_profiles(read_sql("select 1", Connection(rows), mapping))
    assert report.accepted == 2600 - (not is_taken)
    assert [item.reference for item in report.rejected] == ([] if is_taken else [place])


def test_a_column_of_nothing_that_json_has_is_a_fault_of_the_mapping() -> None:
    """It is told before any row is read."""
    with pytest.raises(MappingError, match="holds bytes, which JSON cannot carry"):
        read_fetched(b"x", "attributes.x")


def cyclic() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize("place", [0, 2500])
@pytest.mark.parametrize("target", ["attributes.x", "firstName", *("text", "integer", "boolean", "json", "date")])
@pytest.mark.parametrize(
    "make",
    [lambda: Decimal("sNaN"), Loaded, cyclic, lambda: NoMoment(2026, 1, 1)],
    ids=["sNaN", "raises", "cyclic", "NaT"],
)
def test_a_cell_that_cannot_be_read_costs_its_row_alone(
    client: Any, make: Callable[[], Any], target: str, place: int
) -> None:
    """Whatever it raises, and wherever it stands."""
    rows: list[Any] = [(f"c-{n}", None) for n in range(2600)]
    rows[place] = (rows[place][0], make())
    rows[place + 1] = (rows[place + 1][0], {"date": "2026-01-02"}.get(target, "1"))
    way: Any = target if "." in target or target == "firstName" else field("attributes.x", target)  # type: ignore[arg-type]
    report = client.bulk.upsert_profiles(
        read_sql("select 1", Connection(rows), RowMapping.for_profiles({"id": "customId", "x": way}))
    )
    assert report.accepted == 2599
    assert [item.reference for item in report.rejected] == [place]


def test_a_lack_of_memory_is_no_fault_of_a_cell() -> None:
    """It ends the run, as it is no more readable later."""

    class Huge(list[Any]):
        def __iter__(self) -> Any:
            raise MemoryError

    mapping = RowMapping.for_profiles({"id": "customId", "x": field("attributes.x", "json")})
    with pytest.raises(MemoryError):
        list(read_sql("select 1", Connection([("a", Huge([1]))]), mapping))


def test_a_key_that_cannot_be_read_ends_no_run() -> None:
    """Its line may be of the orders beside it, and is refused with these."""
    mapping = RowMapping.for_transactions(
        {
            "id": ["client.customId", "products[].sku", "products[].name"],
            "x": [field("orderId", "text"), field("eventSalt", "text")],
        },
        group_by="x",
        constants={
            "paymentInfo.method": "CARD",
            "source": "POS",
            "products[].quantity": 1,
            "products[].finalUnitPrice": {"amount": 1, "currency": "PLN"},
        },
    )
    rows = [("z", 0), ("a", 1), ("b", Decimal("sNaN")), ("c", 3), ("d", Decimal(4))]
    found = list(read_sql("select 1", Connection(rows), mapping))
    assert [row["orderId"] for row in found if isinstance(row, dict)] == ["0", "4"]
    assert sum(isinstance(row, UnreadableRow) for row in found) == 3
