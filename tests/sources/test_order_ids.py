"""Ids of orders: two orders with one salt would be one in the API, so such mappings and orders are refused."""

from __future__ import annotations

import gc
import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.bulk import UnreadableRow, read_dead_letter
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import MappingError, RowMapping, SourceChain, field, line_store, read_csv
from tests.sources.test_orders import CONSTANTS

COLUMNS = {
    "Sku": ["products[].sku", "products[].name"],
    "Qty": "products[].quantity",
    "Price": "products[].finalUnitPrice.amount",
    "When": "recordedAt",
    "Who": "client.customId",
}
HEADER = "Shop,No,Sku,Qty,Price,When,Who\n"
REST = "tea,1,2.50,2026-01-01T08:00:00Z,anna"
BOTH = "{Shop}-{No}"


def mapping(columns, group_by=("Shop", "No"), **options):
    options = {"constants": CONSTANTS, **options}
    return RowMapping.for_transactions({**COLUMNS, **columns}, group_by=group_by, **options)


def rows(lines, purchases, **options):
    return list(read_csv(io.StringIO(HEADER + "".join(f"{line}\n" for line in lines)), purchases, **options))


@pytest.mark.parametrize(
    ("columns", "constants", "lacking", "id_field"),
    [
        ({"No": ["orderId", "eventSalt"]}, {}, ["Shop"], "eventSalt"),
        ({"No": "orderId"}, {}, ["Shop"], "orderId"),
        ({"No": ["orderId", field("eventSalt", template="order-{No}")]}, {}, ["Shop"], "eventSalt"),
        ({"No": "orderId"}, {"eventSalt": "x"}, ["Shop", "No"], "eventSalt"),
    ],
)
def test_a_mapping_whose_id_lacks_a_column_of_the_key_is_refused(columns, constants, lacking, id_field):
    """By its name, with a template that has them all."""
    with pytest.raises(MappingError) as caught:
        mapping(columns, constants={**CONSTANTS, **constants})
    assert [issue.column for issue in caught.value.issues] == lacking
    problem = caught.value.issues[0].problem
    assert f"{id_field} is made without it" in problem
    assert "template='{Shop}-{No}'" in problem
    assert f"leave {lacking[0]!r} out of group_by" in problem


def test_the_same_number_may_stand_in_two_shops():
    """The salt has both, and the number of the order stays as it is."""
    purchases = mapping({"No": ["orderId", field("eventSalt", template=BOTH)]})
    found = rows([f"a,1,{REST}", f"b,1,{REST}"], purchases)
    assert [(row["orderId"], row["eventSalt"]) for row in found] == [("1", "a-1"), ("1", "b-1")]


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("id_columns", [["orderId", "eventSalt"], ["orderId"]])
def test_an_order_whose_template_gives_the_id_of_another_one_is_refused(sort, id_columns, monkeypatch):
    """It says where that one begins; its letter is not sent by itself. Ids are known on disk, too."""
    monkeypatch.setattr(line_store, "_MAX_KEYS_IN_MEMORY", 2)
    purchases = mapping({"No": [field(name, template="{Shop}{No}") for name in id_columns]})
    lines = [f"1,11,{REST}", f"2,22,{REST}", f"3,3,{REST}", f"11,1,{REST}", f"11,1,{REST}"]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        source = read_csv(io.StringIO(HEADER + "\n".join(lines)), purchases, sort=sort)
        report = client.bulk.create_transactions(source)
        assert (report.read, report.accepted) == (4, 3)
        (refused,) = report.rejected
    assert (refused.field, refused.reference) == (id_columns[-1], 5)
    assert refused.reason.startswith("is that of another order, at line 2; make eventSalt of all columns")
    (letter,) = [row for row in rows(lines, purchases, sort=sort) if isinstance(row, UnreadableRow)]
    assert letter.id_taken.startswith(f"{id_columns[-1]} ")
    assert [cells["Shop"] for cells in letter.row] == ["11", "11"]


def test_a_column_that_gives_the_time_or_the_profile_tells_orders_apart():
    """As in the API: the same salt at another time, or of another profile, is another event."""
    purchases = mapping({"No": ["orderId", "eventSalt"]}, ["No", "When", "Who"])
    other_time, other_profile = REST.replace("08:00", "09:00"), REST.replace("anna", "jan")
    lines = [f"a,1,{REST}", f"b,1,{other_time}", f"b,1,{other_profile}"]
    assert [row["orderId"] for row in rows(lines, purchases)] == ["1", "1", "1"]
    same_moment = REST.replace("08:00:00Z", "09:00:00+01:00")
    first, again = rows([lines[0], f"b,1,{same_moment}"], purchases)
    assert (first["orderId"], again.field) == ("1", "eventSalt")


def test_an_id_of_another_column_is_looked_at_as_orders_come():
    """The mapping does not show whether two keys have one id; the file does."""
    purchases = mapping({"Shop": ["orderId", "eventSalt"]}, "No")
    first, other, again = rows([f"a,1,{REST}", f"b,2,{REST}", f"a,3,{REST}"], purchases)
    assert (first["orderId"], other["orderId"], again.field) == ("a", "b", "eventSalt")
    assert "at line 2" in again.reason


def test_what_prepare_returns_decides_by_the_orders_themselves():
    """It may put the shop into the number."""

    def numbered(cells):
        return {**cells, "No": f"{cells['Shop']}-{cells['No']}"}

    def alike(cells):
        return cells

    lines = [f"a,1,{REST}", f"b,1,{REST}"]
    purchases = mapping({"No": ["orderId", "eventSalt"]}, prepare=numbered)
    assert [row["eventSalt"] for row in rows(lines, purchases)] == ["a-1", "b-1"]
    _, refused = rows(lines, mapping({"No": ["orderId", "eventSalt"]}, prepare=alike))
    assert refused.field == "eventSalt"


def test_cancellations_have_ids_too():
    """By their own path, where no salt is given."""
    columns = {
        "No": "params.orderId",
        "Sku": ["params.products[].sku", "params.products[].name"],
        "Qty": "params.products[].quantity",
        "Price": "params.products[].finalUnitPrice.amount",
        "When": "time",
        "Who": "client.customId",
    }
    constants = {
        "params.products[].finalUnitPrice.currency": "GBP",
        "type": "cancelled-transaction",
        "label": "cancelled",
    }
    with pytest.raises(MappingError, match=r"params\.orderId is made without it"):
        RowMapping.for_events(columns, constants=constants, group_by=["Shop", "No"])
    columns["No"] = field("params.orderId", template="{Shop}{No}")
    events = RowMapping.for_events(columns, constants=constants, group_by=["Shop", "No"])
    _, refused = rows([f"1,11,{REST}", f"11,1,{REST}"], events)
    assert refused.field == "params.orderId"


def test_nuls_in_cells_are_no_marks_between_the_columns_of_a_key():
    """Two keys are two orders, wherever their cells end."""
    purchases = mapping({"No": ["orderId", field("eventSalt", template="{Shop}|{No}")]})
    found = rows([f"a\0,b,{REST}", f"a,\0b,{REST}", f"a\0,b,{REST}".replace("tea", "cup")], purchases, sort=True)
    assert sorted(len(row["products"]) for row in found) == [1, 2]


@pytest.mark.parametrize("sort", [False, True])
def test_a_source_that_another_thread_began_is_read_on_and_forgotten(sort, monkeypatch):
    """What it keeps on disk is of no thread."""
    monkeypatch.setattr(line_store, "_MAX_KEYS_IN_MEMORY", 2)
    purchases = mapping({"No": ["orderId", field("eventSalt", template=BOTH)]})
    lines = [f"a,{number},{REST}" for number in range(6)]
    source = iter(read_csv(io.StringIO(HEADER + "\n".join(lines)), purchases, sort=sort))
    with ThreadPoolExecutor(1) as pool:
        begun = [pool.submit(next, source).result() for _ in range(4)]
        rest = [next(source)]
        assert [row["eventSalt"] for row in begun + rest] == [f"a-{number}" for number in range(5)]
        pool.submit(source.close).result()
        del source
        gc.collect()


CLASHING = field("eventSalt", template="{Shop}{No}")
GOOD, OTHER = f"1,11,{REST}", f"11,1,{REST}".replace("tea", "cup")


def bad(line):
    """The line with a quantity that is no number."""
    return line.replace(",1,2.50,", ",x,2.50,")


def goods(client, sandbox):
    """What the orders that are stored are of."""
    known = client.profiles.find("by-custom-id", "anna").client_id
    return sorted(item["name"] for order in sandbox.store.transactions.of_profile(known) for item in order["products"])


def mended(letters, *pairs):
    """The letters with other texts in them."""
    text = letters.read_text()
    for old, new in (('"x"', '"1"'), *pairs):
        text = text.replace(old, new)
    letters.write_text(text)


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize(
    ("lines", "marked"),
    [
        ([GOOD, OTHER], 1),
        ([bad(GOOD), OTHER], 1),
        ([GOOD, bad(OTHER)], 1),
        ([bad(GOOD), bad(OTHER)], 1),
        ([bad(GOOD), OTHER, f"1,11,{REST}"], 1),
        ([bad(GOOD), bad(GOOD), OTHER, bad(OTHER)], 1),
        ([GOOD, bad(f"11,1,{REST}").replace("tea", "cup"), f"111,,{REST}"], 1),
        ([bad(f"1,111,{REST}"), f"11,11,{REST}".replace("tea", "cup"), bad(f"111,1,{REST}").replace("tea", "jug")], 2),
        ([f"1,11,{REST}".replace("2.50", "2\xff50"), OTHER], 1),
        ([f"1,11,{REST}", f"1,11,{REST.replace('anna', 'jan')}", OTHER], 1),
    ],
)
def test_of_orders_with_one_id_the_first_alone_is_stored_whatever_is_mended(sort, lines, marked, tmp_path):
    """Also where another cell refuses one of them: the later one says so in its letter, and is not sent."""
    purchases = mapping({"No": ["orderId", CLASHING]})
    file, letters = tmp_path / "orders.csv", tmp_path / "letters.jsonl"
    file.write_bytes((HEADER + "\n".join(lines)).encode("latin-1"))
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(file, purchases, sort=sort), dead_letter=letters)
        twins = [letter for letter in read_dead_letter(letters) if "id_taken" in letter]
        assert len(twins) == marked
        assert all("is that of another order, at line" in letter["reason"] for letter in twins)
        if report.accepted:
            assert "cup" not in goods(client, sandbox)
        accepted = report.accepted
        for _ in range(2):
            replay = client.bulk.replay(letters, mapping=purchases, dead_letter=letters)
            accepted += replay.accepted
            mended(letters, ("2\N{REPLACEMENT CHARACTER}50", "2.50"), ('"part_of_order":true,', ""), ("jan", "anna"))
        accepted += client.bulk.replay(letters, mapping=purchases, dead_letter=letters).accepted
        assert accepted
        assert {"cup", "jug"}.isdisjoint(goods(client, sandbox))
        left = [letter for letter in read_dead_letter(letters) if "id_taken" in letter]
        assert len(left) == marked
        assert all("has the id of another order" in letter["reason"] for letter in left)
        read = [letter["row"] for letter in read_dead_letter(letters, purchases) if "id_taken" in letter]
        assert all(isinstance(row, UnreadableRow) and row.id_taken for row in read)
        # With an id of its own it is sent.
        mended(letters, ('"Shop":"11', '"Shop":"8'))
        assert client.bulk.replay(letters, mapping=purchases, dead_letter=letters).accepted
        assert "cup" in goods(client, sandbox)


@pytest.mark.parametrize("sort", [False, True])
def test_lines_that_are_refused_by_themselves_say_that_their_id_is_taken(sort):
    """Also where they are all that there is of their order; they take it, too, where they come first."""
    purchases = mapping({"No": ["orderId", CLASHING]}, bad_line="refuse_line")
    for lines in ([GOOD, bad(OTHER)], [bad(GOOD), bad(OTHER)], [GOOD, OTHER, bad(OTHER)]):
        *_, twin = rows(lines, purchases, sort=sort)
        assert twin.part_of_order
        assert twin.id_taken
        assert "eventSalt is that of another order, at line 2" in twin.reason
    refused, twin = rows([bad(GOOD), OTHER], purchases, sort=sort)
    assert (refused.id_taken, twin.field, twin.part_of_order) == (None, "eventSalt", False)


@pytest.mark.parametrize("way", ["the mark is removed", "fields of another id", "fields of the same id"])
def test_a_letter_whose_id_is_taken_goes_by_another_id_or_without_its_mark(way, tmp_path):
    """A function that leaves the id as it is does not help."""
    purchases, letters = mapping({"No": ["orderId", CLASHING]}), tmp_path / "letters.jsonl"
    (other,) = rows([OTHER], purchases)
    if way == "fields of another id":
        other["eventSalt"] = "another"
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        source = read_csv(io.StringIO(HEADER + f"{GOOD}\n{bad(OTHER)}"), purchases)
        assert client.bulk.create_transactions(source, dead_letter=letters).accepted == 1
        if way == "the mark is removed":
            (letter,) = read_dead_letter(letters)
            mended(letters, (f'"id_taken":"{letter["id_taken"]}",', ""))
            client.bulk.replay(letters, mapping=purchases)
            assert goods(client, sandbox) == ["cup"]
            return
        report = client.bulk.replay(letters, transform=lambda _: other, dead_letter=letters)
        assert goods(client, sandbox) == (["cup", "tea"] if report.accepted else ["tea"])
        assert report.accepted == (way == "fields of another id")


@pytest.mark.parametrize("first_is_mended", [True, False])
def test_a_replay_does_not_send_two_letters_of_one_id(first_is_mended, tmp_path):
    """Of runs that add to one file: written otherwise, the second would replace the first; the same twice is one."""
    purchases, letters = mapping({"No": ["orderId", "eventSalt"]}, ["No"]), tmp_path / "letters.jsonl"
    lines = [bad(line) for line in (GOOD, GOOD.replace("tea", "cup"), GOOD, GOOD.replace("11", "12"))]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for line in lines:
            source = read_csv(io.StringIO(HEADER + line), purchases)
            client.bulk.create_transactions(source, dead_letter=letters, dead_letter_mode="append")
        assert "id_taken" not in letters.read_text()
        first, second, *rest = letters.read_text().replace('"x"', '"1"').splitlines(keepends=True)
        first = first if first_is_mended else first.replace('"Qty":"1"', '"Qty":"y"')
        letters.write_text("".join([first, second, *rest]))
        report = client.bulk.replay(letters, mapping=purchases, dead_letter=letters)
        assert (report.accepted, report.rejected_count()) == ((3, 1) if first_is_mended else (1, 3))
        assert "has the id of line 1, and is written otherwise" in letters.read_text()
        mended(letters, ('"y"', '"1"'))
        client.bulk.replay(letters, mapping=purchases, dead_letter=letters)
        assert set(goods(client, sandbox)) == {"tea"}
        left = [letter["row"]["cells"][0]["Sku"] for letter in read_dead_letter(letters) if "id_taken" in letter]
        assert left == ["cup"] + ["tea"] * (not first_is_mended)


def test_the_twin_of_an_order_is_refused_by_a_resumed_run_and_on_disk(monkeypatch, tmp_path):
    """A journal takes the place of no id; ids of refused orders are on disk like others."""
    monkeypatch.setattr(line_store, "_MAX_KEYS_IN_MEMORY", 2)
    purchases = mapping({"No": ["orderId", CLASHING]})
    letters, journal = tmp_path / "letters.jsonl", tmp_path / "journal"
    text = HEADER + "\n".join([bad(GOOD), *(f"7,{number},{REST}" for number in range(10)), OTHER])
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for _ in range(2):
            source = read_csv(io.StringIO(text), purchases)
            report = client.bulk.create_transactions(source, dead_letter=letters, journal=journal)
            assert (report.accepted, [row.reference for row in report.rejected]) == (10, [2, 13])
            assert [bool(letter.get("id_taken")) for letter in read_dead_letter(letters)] == [False, True]


@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("choice", ["column", "salt="])
def test_without_group_by_a_refused_row_with_the_salt_of_another_one_is_told(choice, wrong):
    """As two that are accepted are: its letter would overwrite the other one."""
    columns = {**COLUMNS, "No": ["orderId", "eventSalt"] if choice == "column" else "orderId"}
    total = {
        f"{name}.{key}": value for name in ("revenue", "value") for key, value in (("amount", 2.5), ("currency", "GBP"))
    }
    purchases = RowMapping.for_transactions(columns, constants={**CONSTANTS, **total})
    lines = [GOOD, GOOD.replace("tea", "cup"), GOOD.replace("11", "12")]
    lines[wrong] = bad(lines[wrong])
    salt = {} if choice == "column" else {"salt": ["orderId"]}
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(io.StringIO(HEADER + "\n".join(lines)), purchases), **salt)
    assert report.accepted == 2
    told = {text: count for text, count in report.notes.items() if "refused" in text}
    assert list(told.values()) == [1, 1]
    assert any("has the salt, time and profile of another row" in text for text in told)
    assert any("the order and the profile of another row" in text for text in told)


def test_several_files_are_one_source(tmp_path):
    """An order is one whatever files its lines stand in; the later one of two files says where the first stands."""
    purchases = mapping({"No": ["orderId", CLASHING]})
    files = {"a.csv": [GOOD, f"2,2,{REST}"], "b.csv": [f"2,2,{REST}", f"1,11,{REST}", bad(OTHER)], "c.csv": [OTHER]}

    def chain(**options):
        sources = {}
        for name, lines in files.items():
            (tmp_path / name).write_text(HEADER + "\n".join(lines))
            sources[name] = read_csv(tmp_path / name, purchases, **options)
        return SourceChain(sources)

    source = chain()
    assert repr(source) == "<SourceChain of a.csv, b.csv, c.csv>"
    first, joined, again, taken = source
    assert [first["orderId"], len(joined["products"])] == ["11", 2]
    assert [source.locate(index) for index in range(4)] == ["a.csv:2", "a.csv:3", "b.csv:3", "b.csv:4"]
    assert "came before, at a.csv:2, and" in again.reason
    assert again.part_of_order
    assert "b.csv:4: " in taken.reason
    assert "eventSalt is that of another order, at a.csv:2" in taken.reason
    assert (len(taken.row), bool(taken.id_taken)) == (2, True)
    assert source.order_digest(0) == source.order_digest(2) != source.order_digest(1)
    whole, twin, other = chain(sort=True)
    assert [len(row["products"]) for row in (whole, other)] == [2, 2]
    assert "eventSalt is that of another order, at a.csv:2" in twin.reason


BAD_TIME = REST.replace("2026-01-01T08:00:00Z", "noon").replace("tea", "jug")


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize(
    ("lines", "marked", "left"),
    [
        ([f"1,1,{REST}", f"1,1,{BAD_TIME}"], 2, []),
        ([f"1,1,{BAD_TIME}", f"1,1,{REST}"], 2, []),
        ([f"1,1,{BAD_TIME}", f"1,1,{BAD_TIME.replace('noon', 'night')}"], 2, []),
        ([f"1,1,{BAD_TIME}", f"1,1,{BAD_TIME}", f"2,2,{REST}"], 0, ["jug", "jug", "tea"]),
        ([f"2,2,{REST}", f"1,1,{BAD_TIME}", f"3,3,{REST}"], 0, ["jug", "tea", "tea"]),
    ],
)
def test_a_line_whose_key_is_in_doubt_is_not_sent_as_the_order_that_it_may_be_of(sort, lines, marked, left, tmp_path):
    """Its time is a part of the key, and cannot be read; alone with its number, it is mended and sent."""
    purchases = mapping({"No": ["orderId", field("eventSalt", template=BOTH)]}, ["No", "When"])
    purchases = mapping({"No": ["orderId", "eventSalt"]}, ["No", "When"]) if sort else purchases
    file, letters = tmp_path / "orders.csv", tmp_path / "letters.jsonl"
    file.write_text(HEADER + "\n".join(lines))
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.create_transactions(read_csv(file, purchases, sort=sort), dead_letter=letters)
        found = list(read_dead_letter(letters))
        assert sum(bool(letter.get("part_of_order")) for letter in found) == marked
        mended(letters, ("noon", "2026-01-01T08:00:00Z"))
        client.bulk.replay(letters, mapping=purchases, dead_letter=letters)
        assert (goods(client, sandbox) if left else []) == left
        if marked:
            assert all("cannot be read in one of the two" in letter["reason"] for letter in found)


def test_an_order_further_down_that_one_in_doubt_may_replace_is_told():
    """It is complete, and sent; whoever mends the other one knows."""
    purchases = mapping({"No": ["orderId", "eventSalt"]}, ["No", "When"])
    source = read_csv(io.StringIO(HEADER + "\n".join([f"1,1,{BAD_TIME}", f"2,2,{REST}", f"1,1,{REST}"])), purchases)
    in_doubt, *good = source
    assert (in_doubt.part_of_order, [row["orderId"] for row in good]) == (False, ["2", "1"])
    assert [text for text in source.notes if "of which a column of the key cannot be read" in text]


@pytest.mark.parametrize("sort", [False, True])
def test_the_id_of_an_order_that_prepare_refuses_is_that_of_its_cells(sort, tmp_path):
    """As they stand in the file."""

    def prepare(cells):
        return UnreadableRow("", "no") if cells["Qty"] == "x" else cells

    purchases, letters = mapping({"No": ["orderId", CLASHING]}, prepare=prepare), tmp_path / "letters.jsonl"
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        source = read_csv(io.StringIO(HEADER + f"{GOOD}\n{bad(OTHER)}"), purchases, sort=sort)
        assert client.bulk.create_transactions(source, dead_letter=letters).accepted == 1
        mended(letters)
        assert client.bulk.replay(letters, mapping=purchases, dead_letter=letters).accepted == 0
        assert goods(client, sandbox) == ["tea"]


@pytest.mark.parametrize("lines", [("A", "B", "A"), ("B", "A", "A")])
def test_the_id_of_a_refused_order_is_that_of_its_last_line_where_combine_says_so(lines, tmp_path):
    """Whichever line is the bad one."""
    purchases = mapping({"Shop": "eventSalt", "No": "orderId"}, "No", combine={"eventSalt": "last"})
    first, second, third = lines
    text = [f"{first},1,{REST}", bad(f"{second},2,{REST}"), f"{third},2,{REST}"]
    if first == "B":
        text = [bad(f"B,1,{REST}"), f"A,1,{REST}", f"A,2,{REST}"]
    refused = [row for row in rows(text, purchases) if isinstance(row, UnreadableRow)]
    assert "is that of another order" in refused[-1].reason


def told(report):
    """How many rows were refused and may overwrite another one, by the notes."""
    return sum(count for text, count in report.notes.items() if text.startswith("was refused"))


TOTALS = {
    f"{name}.{key}": value for name in ("revenue", "value") for key, value in (("amount", 2), ("currency", "GBP"))
}


@pytest.mark.parametrize("salt", [["metadata.shop"], lambda row: row["metadata"]["shop"], "one"])
@pytest.mark.parametrize("wrong", [0, 1])
def test_a_refused_order_with_the_salt_of_the_call_is_told(salt, wrong):
    """As two that are accepted are."""
    purchases = mapping({"No": "orderId", "Shop": "metadata.shop"}, "No")
    lines = [f"a,1,{REST}", f"a,2,{REST}"]
    lines[wrong] = bad(lines[wrong])
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        source = read_csv(io.StringIO(HEADER + "\n".join(lines)), purchases)
        report = client.bulk.create_transactions(source, salt=salt)
        assert (report.accepted, told(report)) == (1, 1)


@pytest.mark.parametrize(
    ("second", "count"),
    [
        ("A,1," + REST.replace("anna", ""), 1),
        ("A,1," + REST.replace("2026-01-01T08:00:00Z", "noon"), 1),
        ("b,1," + REST, 1),
        ("B,1," + REST.replace("anna", ""), 0),
        ("B,1," + REST.replace("2026-01-01T08:00:00Z", "noon"), 0),
        (bad("A,1," + REST), 1),
        (bad("B,1," + REST), 0),
    ],
)
def test_without_group_by_a_refused_row_whose_key_is_not_known_is_told(second, count):
    """Where another row has its salt, or where that is what cannot be read; not where its salt is its own."""
    columns = {**COLUMNS, "Shop": field("eventSalt", values={"A": "A", "B": "B"}), "No": "orderId"}
    purchases = RowMapping.for_transactions(columns, constants={**CONSTANTS, **TOTALS, "revenue.amount": 2.5})
    lines = [f"A,2,{REST}", second]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for text in (lines, lines[::-1]):
            report = client.bulk.create_transactions(read_csv(io.StringIO(HEADER + "\n".join(text)), purchases))
            assert (report.accepted, told(report)) == (1, count)


def test_an_order_whose_key_cannot_be_read_at_all_is_told():
    """It stands for itself, and may be any other one once it is mended."""
    purchases = mapping({"No": [field("orderId", values={"1": "1"}), "eventSalt"]}, "No")
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(io.StringIO(HEADER + f"a,1,{REST}\na,l,{REST}"), purchases))
        assert (report.accepted, told(report)) == (1, 1)


@pytest.mark.parametrize("option", ["prepare", "where"])
@pytest.mark.parametrize("sort", [False, True])
def test_a_chain_of_mappings_with_functions_of_one_name(tmp_path, option, sort):
    """Each source is read by its own, though the mappings have one digest: functions count there by their names."""

    def source(shop):
        def named(cells):
            return {**cells, "Shop": shop}

        def chosen(number):
            return (number == "1") == (shop == "a")

        options = {"prepare": named} if option == "prepare" else {"where": {"No": chosen}}
        purchases = mapping({"No": ["orderId", field("eventSalt", template=BOTH)], "Shop": "metadata.shop"}, **options)
        (tmp_path / shop).write_text(HEADER + f"x,1,{REST}\nx,2,{REST}\n")
        return read_csv(tmp_path / shop, purchases, sort=sort)

    found = [(row["metadata"]["shop"], row["orderId"]) for row in SourceChain({"a": source("a"), "b": source("b")})]
    named = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]
    assert found == (named if option == "prepare" else [("x", "1"), ("x", "2")])


def test_a_chain_with_a_source_without_rows(tmp_path):
    """A row is of the source in which it stands."""
    for name, lines in {"a": f"1,1,{REST}\n", "none": "", "b": bad(f"1,2,{REST}\n")}.items():
        (tmp_path / name).write_text(HEADER + lines)
    purchases = mapping({"No": "orderId"}, "No")
    source = SourceChain({name: read_csv(tmp_path / name, purchases) for name in ("a", "none", "b")})
    assert isinstance(list(source)[1], UnreadableRow)
    assert source.locate(1) == "b:2"


@pytest.mark.parametrize("sources", [{}, [], {"a": []}, None])
def test_a_chain_is_of_sources(sources):
    """By their names."""
    with pytest.raises(InvalidRequestError, match="expected sources by their names"):
        SourceChain(sources)


@pytest.mark.parametrize("second", [f"1,11,{REST}", bad(f"1,11,{REST}")])
def test_sources_that_are_joined_by_the_caller_are_told(second):
    """They do not know of each other: the run sees that two orders are one event."""
    purchases = mapping({"No": ["orderId", CLASHING]})
    sources = [read_csv(io.StringIO(HEADER + line), purchases) for line in (GOOD, second.replace("tea", "cup"))]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(itertools.chain(*sources))
        assert sum(count for text, count in report.notes.items() if "overwrites that one" in text) == 1
