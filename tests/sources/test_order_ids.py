"""Ids of orders: two orders with one salt would be one in the API, so such mappings and orders are refused."""

from __future__ import annotations

import gc
import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import MappingError, RowMapping, field, line_store, read_csv
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
    assert letter.part_of_order
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
