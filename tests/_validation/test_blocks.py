"""Rows that are checked and written together are treated like rows that come one by one."""

from __future__ import annotations

import copy
import datetime
import decimal
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synerise_profiles._batching import operations
from synerise_profiles._batching.batch import find_row_ends
from synerise_profiles._batching.row_encoder import Checks, row_rule
from synerise_profiles._validation.schema import schema_of
from synerise_profiles._validation.strict_rules import rule_of
from synerise_profiles.bulk.chunker import Chunker, ChunkerOptions
from synerise_profiles.models import BatchEvent, ProfileBatchItem
from synerise_profiles_api.types import UNSET

NAIVE = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - one of the things that are refused
ODD: list[Any] = [
    None, UNSET, "", "x", "Łódź", "a\nb", "\ud800", "null", 0, 1, -1, True, 2**70, 1.5, float("nan"), float("-inf"),
    decimal.Decimal("1.10"), decimal.Decimal("NaN"), [], ["vip"], ["a", None], [float("nan")], ("t",), {}, {"a": None},
    {"a": {"b": [1, {"c": None}]}}, {"email": "x"}, {"a\nb": 1}, {1: 2}, datetime.date(2026, 1, 1), NAIVE, object(),
    b"b",
]  # fmt: skip
MONEY = {"amount": 1, "currency": "PLN"}
PROFILE = {
    "customId": "customer-1",
    "email": "jan.kowalski@example.com",
    "firstName": "Łucja",
    "birthDate": "1987-10-24",
    "sex": "FEMALE",
    "agreements": {"email": True, "sms": 0},
    "tags": ["vip", "newsletter"],
    "attributes": {"visits": 3, "shop": "Kraków", "share": 0.5},
}
EVENT = {"label": "Visit", "action": "shop.visit", "client": {"customId": "c"}, "params": {"n": 1}, "eventSalt": "s"}
PURCHASE = {
    "client": {"email": "jan.kowalski@example.com"},
    "orderId": "order-1",
    "paymentInfo": {"method": "CARD"},
    "products": [{"sku": "s", "name": "n", "finalUnitPrice": MONEY, "quantity": 1}],
    "source": "POS",
    "revenue": MONEY,
    "value": MONEY,
    "eventSalt": "s",
    "recordedAt": "2026-01-01T00:00:00Z",
}
FIXED = ("sex", "source", "currency", "agreements", "quantity")
GOOD = {"profiles": PROFILE, "events": EVENT, "transactions": PURCHASE}
ODD_KEYS = st.sampled_from(["customId", "clientId", "phone", "fristName", "attributes", "tags", "client", "a\nb", "x"])


@st.composite
def blocks(draw: st.DrawFn, name: str) -> list[Any]:
    """Rows of which most are good, some have an odd value somewhere, and some are no rows at all."""
    rows: list[Any] = []
    for _ in range(draw(st.integers(0, 30))):
        row = copy.deepcopy(GOOD[name])
        change = draw(st.integers(0, 9))
        if change == 0:
            rows.append(draw(st.sampled_from(ODD)))
            continue
        if change < 4:
            spot: Any = row
            while True:
                keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
                key = draw(st.sampled_from(keys)) if keys else "x"
                if isinstance(spot, dict) and draw(st.integers(0, 5)) == 0:
                    key = draw(ODD_KEYS)
                inner = spot[key] if key in keys else None
                if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                    spot = inner
                    continue
                if isinstance(spot, dict) and draw(st.integers(0, 4)) == 0:
                    spot.pop(key, None)
                else:
                    spot[key] = draw(st.sampled_from(ODD))
                break
        if change == 4:
            row["eventSalt" if name != "profiles" else "email"] = draw(st.text(max_size=4))
        rows.append(row)
    return rows


def taken(name: str, sources: Iterable[Iterable[Any]], checks: Checks, limits: tuple[int, int], **options: Any) -> Any:
    """What a chunker makes of rows: its chunks with their indexes, what it refuses, and what it notes."""
    batch_operation = attrs.evolve(getattr(operations, name)(), max_items=limits[0], max_bytes=limits[1])
    refused: list[tuple[int, Any, str, str]] = []
    notes: list[str] = []

    def refuse(index: int, reference: Any, _: bytes, field: str, reason: str) -> bool:
        refused.append((index, reference, field, reason))
        return True

    chunker = Chunker(
        batch_operation, ChunkerOptions(checks=checks, rows_are_fixed=True, **options), refuse, notes.append
    )
    chunks = []
    for source in sources:
        rows = iter(source)
        while (chunk := chunker.next_chunk(rows)) is not None:
            chunks.append(chunk)
    chunks += chunker.remaining_chunks()
    notes += [str(chunker.preparer.notes(has_journal=False)), *(str(chunk.after) for chunk in chunks)]
    found = [(chunk.request(None).content, chunk.indexes, chunk.size, chunk.references) for chunk in chunks]
    for content, indexes, size, _ in found:
        assert len(content or b"") + chunk_time(chunks, indexes) == size
        assert size <= limits[1]
        assert 0 < len(indexes) <= limits[0]
    return found, refused, sorted(notes), chunker.rows_read


def chunk_time(chunks: list[Any], indexes: list[int]) -> int:
    """The bytes that are kept free for times in the chunk of these rows."""
    chunk = next(chunk for chunk in chunks if chunk.indexes is indexes)
    return len(chunk.untimed_positions) * len(f',"{chunk.batch_operation.time_field}":"2026-01-01T00:00:00.000Z"')


@pytest.mark.parametrize("checks", ["off", "basic", "strict"])
@pytest.mark.parametrize("name", list(GOOD))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_block_is_treated_like_its_rows(name: str, checks: Checks, data: st.DataObject) -> None:
    """Chunks, refusals with their words, and notes are the same, however many rows are read at a time."""
    rows = data.draw(blocks(name))
    limits = data.draw(st.integers(1, 40)), data.draw(st.integers(900, 6000))
    options: dict[str, Any] = {"reference": repr} if data.draw(st.booleans()) else {}
    if data.draw(st.booleans()):
        options["allow_null"] = {"attributes.a", "phone"}
    if name != "profiles":
        options["salt"] = data.draw(st.sampled_from([None, "night", ["client.customId"], str]))
        options["keep_duplicates"] = options["salt"] is None and data.draw(st.booleans())
        options["default_time"] = data.draw(st.sampled_from([None, "2026-11-01T00:00:00Z"]))
    together = taken(name, [rows], checks, limits, **options)
    one_by_one = taken(name, [[row] for row in rows], checks, limits, **options)
    assert together == one_by_one
    cut = data.draw(st.integers(0, len(rows)))
    assert taken(name, [rows[:cut], rows[cut:]], checks, limits, **options) == together


@st.composite
def salted_events(draw: st.DrawFn) -> list[Any]:
    """Events with times, of a few profiles, of which most have a salt of their own, or none has one."""
    has_salts, chance = draw(st.booleans()), draw(st.randoms(use_true_random=False))
    rows: list[Any] = []
    for n in range(draw(st.integers(8, 60))):
        event = {**EVENT, "client": {"customId": f"c{n % 3}"}, "params": {"n": chance.randrange(40)}}
        event |= {"time": f"2026-11-01T00:00:0{n % 3}Z", "eventSalt": f"s{n if chance.random() < 0.98 else 0}"}
        if not has_salts and chance.random() < 0.99:
            del event["eventSalt"]
        if chance.random() < 0.02:
            event["client"] = {"email": "jan@example.com"}
        if chance.random() < 0.02:
            del event["time"]
        rows.append(ProfileBatchItem() if chance.random() < 0.01 else event)
    return rows


@settings(max_examples=150, deadline=None)
@given(salted_events(), st.tuples(st.integers(1, 70), st.integers(900, 9000)), st.booleans())
def test_events_get_their_salts_together(rows: list[Any], limits: tuple[int, int], keeps: bool) -> None:  # noqa: FBT001
    """Salts, chunks, what waits for what and what is one event are the same, however many rows are read at a time."""
    options: dict[str, Any] = {"keep_duplicates": keeps, "reference": repr}
    together = taken("events", [rows], "basic", limits, **options)
    assert together == taken("events", [[row] for row in rows], "basic", limits, **options)


@pytest.mark.parametrize("more", [{}, {"eventSalt": "s"}])
def test_good_events_are_not_prepared_one_by_one(more: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With times, and with salts of their own or none, they go into a chunk in one piece."""
    monkeypatch.delattr("synerise_profiles.bulk.row_preparer.RowPreparer.prepare")
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    rows = [
        {**EVENT, "time": moment, **{name: f"{salt}{n}" for name, salt in more.items()}, "params": {"n": n}}
        for n in range(40)
    ]
    for row in rows if not more else ():
        del row["eventSalt"]
    found, refused, _, read = taken("events", [rows], "basic", (500, 10**6))
    assert [indexes for _, indexes, _, _ in found] == [list(range(40))]
    assert (refused, read) == ([], 40)


@pytest.mark.parametrize("checks", ["basic", "strict"])
def test_good_rows_of_all_shapes_are_cleared(checks: Checks) -> None:
    """Where each row leaves out other fields, only one that names no profile has to be looked at by itself."""
    rule = row_rule(operations.profiles(), checks, lambda _: None)
    optional = [name for name in PROFILE if name != "customId"]
    rows = [
        {name: value for name, value in PROFILE.items() if name not in left_out}
        for count in range(4)
        for left_out in itertools.combinations(optional, count)
    ]
    del rows[-1]["customId"], rows[-1]["email"]
    suspects = set[int]()
    assert rule is not None
    assert rule.check(PROFILE) is None  # names of attributes are learnt from the first rows
    rule.check_block(rows, range(len(rows)), suspects)
    assert suspects == {len(rows) - 1}


@pytest.mark.parametrize("checks", ["basic", "strict"])
@pytest.mark.parametrize("name", list(GOOD))
def test_good_rows_are_cleared(name: str, checks: Checks) -> None:
    """A block of good rows has no suspects: none of them costs a check of its own."""
    rule = row_rule(getattr(operations, name)(), checks, lambda _: None)
    assert rule is not None
    for _ in range(2):  # names of attributes are learnt from the first rows
        suspects = set[int]()
        for row in [GOOD[name]] * 20:
            assert rule.check(row) is None
        rule.check_block([GOOD[name]] * 20, range(20), suspects)
    assert suspects == set()


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value of a row, and to every object and list in it."""
    if way:
        yield way
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*way, key))


def varied(row: Any, n: int) -> Any:
    """The same row with texts, numbers and dates of its own, as the rows of a real input are."""
    if isinstance(row, dict):
        return {key: item if key in FIXED else varied(item, n) for key, item in row.items()}
    if isinstance(row, list):
        return [varied(item, n) for item in row]
    if isinstance(row, str):
        return row.replace("24", f"{n + 1:02}") if row[:4] == "1987" else row if row[:4] == "2026" else f"{n}{row}"
    return row + n if type(row) is int else row


@pytest.mark.parametrize("checks", ["basic", "strict"])
@pytest.mark.parametrize(("name", "way"), [(name, way) for name, row in GOOD.items() for way in leaves(row)])
def test_one_odd_value_among_good_ones(name: str, way: tuple[Any, ...], checks: Checks) -> None:
    """The check of a column misses nothing that the check of a value refuses, in any place of a row."""
    for value in [*ODD, -5, "24.10.1987", "M", "zloty"]:
        rows = [varied(copy.deepcopy(GOOD[name]), n) for n in range(20)]
        assert taken(name, [rows], checks, (1000, 10**6))[1] == []
        spot: Any = rows[11]
        for key in way[:-1]:
            spot = spot[key]
        spot[way[-1]] = value
        one_by_one = taken(name, [[row] for row in rows], checks, (1000, 10**6))
        assert taken(name, [rows], checks, (1000, 10**6)) == one_by_one


@pytest.mark.parametrize("checks", ["basic", "strict"])
@pytest.mark.parametrize("mixed", [False, True])
def test_an_event_has_an_action_or_a_known_type(checks: Checks, mixed: bool) -> None:  # noqa: FBT001
    """Without an action, an event of no documented type is refused; with one its type is the caller's word."""
    kind = {name: value for name, value in EVENT.items() if name != "action"}
    bad = [kind, *({**kind, "type": value} for value in ["cancelled-transactions", "custom", 5, ["searched"], "x"])]
    good = [{**kind, "type": "searched"}, {**EVENT, "type": "of-tomorrow"}, EVENT]
    for row in bad:
        rows = [*([EVENT] * 10 if mixed else []), *[row] * 10, *(good if mixed else [])]
        found = taken("events", [rows], checks, (1000, 10**6))
        assert found == taken("events", [[each] for each in rows], checks, (1000, 10**6))
        assert len(found[1]) == 10
        field, reason = found[1][0][2:]
        assert field == ("action" if row.get("type", "custom") == "custom" else "type")
        assert ("did you mean 'cancelled-transaction'?" in reason) is (row.get("type") == "cancelled-transactions")
    assert taken("events", [good], checks, (1000, 10**6))[1] == []


@pytest.mark.parametrize(("model", "name"), [(ProfileBatchItem, "profiles"), (BatchEvent, "events")])
def test_models_are_written_like_mappings(model: Any, name: str) -> None:
    """A block of models has the fates of the same rows as mappings."""
    rows = [
        {**GOOD[name], **more} for more in [{}, {"customId": "c"}, {"label": "y"}, {"time": "2026-01-01T00:00:00Z"}]
    ]
    models = [model.from_dict(row) for row in rows] * 5
    for checks in ("basic", "strict"):
        found = taken(name, [models], checks, (7, 10**5))
        assert found == taken(name, [[each] for each in models], checks, (7, 10**5))
        written = [row for content, *_ in found[0] for row in orjson.loads(content)]
        assert [model.from_dict({**row, "eventSalt": "s"}) for row in written] == [
            model.from_dict({**row, "eventSalt": "s"}) for row in rows * 5
        ]


@pytest.mark.parametrize("name", list(GOOD))
def test_no_row_is_read_beyond_a_full_chunk(name: str) -> None:
    """Where the number of rows is what fills a chunk, the row after it is left in the source, whatever the groups."""
    taken_rows = 0

    def endless() -> Iterator[Any]:
        nonlocal taken_rows
        for n in itertools.count():
            taken_rows += 1
            row = varied(GOOD[name], n)
            yield row if name == "profiles" or n % 3 else {**row, "client": {"id": n}}

    chunker = Chunker(
        attrs.evolve(getattr(operations, name)(), max_items=90), ChunkerOptions(), lambda *_: True, lambda _: None
    )
    rows = endless()
    for _ in range(12):
        chunk = chunker.next_chunk(rows)
        assert chunk is not None
        assert (len(chunk), taken_rows) == (90, chunker.rows_read)


def test_a_source_that_fails_loses_nothing_that_it_gave() -> None:
    """Rows that a source gave before it raised are in an open chunk, or at least counted."""

    def failing() -> Iterator[Any]:
        yield from [PROFILE] * 21
        raise OSError("disk")

    chunker = Chunker(operations.profiles(), ChunkerOptions(), lambda *_: True, lambda _: None)
    with pytest.raises(OSError, match="disk"):
        chunker.next_chunk(failing())
    assert [len(chunk) for chunk in chunker.remaining_chunks()] == [21]
    assert chunker.rows_read == 21


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=10,
)


@given(st.lists(JSON, min_size=1, max_size=6))
@example([",", '"', "\\", '\\"],[', {"a,b": ["],"]}])
def test_rows_are_found_in_a_body(rows: list[Any]) -> None:
    """The bytes of each row can be cut out of a body that was written in one go."""
    body = orjson.dumps(rows)
    for text in (body, b"[" + b",".join(b"[1.0000000000000000000001,%b]" % orjson.dumps(row) for row in rows) + b"]"):
        ends = find_row_ends(text)
        cut = [text[start + 1 : end] for start, end in itertools.pairwise(ends)]
        assert orjson.loads(text) == [orjson.loads(part) for part in cut]
        assert b"[" + b",".join(cut) + b"]" == text


@given(st.lists(st.integers(-200, 200) | st.floats(-200, 200) | st.decimals(-200, 200, places=1), min_size=1))
def test_bounds_of_numbers_hold_in_a_column(values: list[Any]) -> None:
    """A number above its maximum or below its minimum is never cleared with the others."""
    rule = rule_of(schema_of("LocationParams").properties["lat"], lambda _: None)
    assert rule is not None
    suspects: set[int] = set()
    rule.check_block(values, range(len(values)), suspects)
    assert {place for place, value in enumerate(values) if not -90 <= value <= 90} <= suspects
    assert all((rule.check(value) is None) is (-90 <= value <= 90) for value in values)
