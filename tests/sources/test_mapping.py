"""What a mapping refuses, all at once and before a row is read; and what rows it makes."""

from __future__ import annotations

import io
import pickle

import pyarrow as pa
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import MappingError, RowMapping, field, read_arrow, read_csv, read_jsonl


def rows(text, mapping, **options):
    return list(read_csv(io.StringIO(text), mapping, **options))


def issues_of(make):
    with pytest.raises(MappingError) as caught:
        make()
    return {(found.column, found.field): found.problem for found in caught.value.issues}


def profile(columns, **options):
    return RowMapping.for_profiles({"id": "customId", **columns}, **options)


# --- issues


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("customID", "did you mean 'customId'?"),
        ("FirstName", "did you mean 'firstName'"),
        ("agreements.mail", "did you mean 'agreements.email'"),
        ("country", "is no field"),
        ("shoeSize", "below attributes"),
        ("email.domain", "leads into email, which is no object"),
        ("attributes.", "empty name"),
        ("attributes.clientId", "reserved name"),
        ("attributes.a\nb", "characters that are refused"),
        ("tags[]", "ends in []"),
        ("attributes[].x", "no list of objects"),
        (field("birthDate", "integer"), "takes a date, and integer makes an integer"),
        (field("birthDate", "datetime"), "the type is 'date'"),
        (field("clientId", "text"), "takes an integer, and text makes a text"),
        (field("firstName", "list", separator=";"), "takes a text, and list makes a list"),
        (field("tags", "text"), "text makes a text"),
        (field("attributes.at", "datetime", format="%d.%m.%Y"), "has no zone; add zone="),
        (field("attributes.at", format="%d.%m.%Y"), "add type='date' or type='datetime'"),
        (field("sex", values={"M": "MAN"}), "value 1 of values="),
    ],
)
def test_a_wrong_field_or_type_is_an_issue_of_the_mapping(target, problem):
    """A field that does not exist, or a type that it does not take, is an issue when the mapping is made."""
    found = issues_of(lambda: profile({"x": target}))
    ((key, text),) = found.items()
    assert key[0] == "x"
    assert problem in text


def test_all_issues_are_found_at_once():
    """Whoever mends a mapping sees everything that is wrong with it, with the column, the field and what to do."""
    with pytest.raises(MappingError) as caught:
        profile({"a": "customID", "b": field("birthDate", "integer"), "c": "attributes.x", "d": "attributes.x"})
    text = str(caught.value)
    assert text.startswith("profiles.upsert_batch: the rows cannot be read like this\n")
    assert len(caught.value.issues) == 3
    assert "column 'a', field customID: is no field of this operation; did you mean 'customId'?" in text
    assert "column 'd', field attributes.x: is given twice; the other time by column 'c'" in text
    assert isinstance(caught.value, InvalidRequestError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.issues) == (text, caught.value.issues)


@pytest.mark.parametrize(
    ("columns", "options", "problem"),
    [
        (
            {"a": field("attributes", "json"), "b": "attributes.x"},
            {},
            "is part of attributes, which is given by column 'a'",
        ),
        ({"b": "attributes.x", "a": field("attributes", "json")}, {}, "is given whole, and a part of it by column 'b'"),
        ({"a": "city"}, {"constants": {"city": "Gdynia"}}, "is given twice; the other time by column 'a'"),
        ({}, {"constants": {"birthDate": "1.1.2000"}}, "the constant is not as documented"),
        ({}, {"constants": {"town": "Gdynia"}}, "is no field"),
        ({}, {"empty": "nothing"}, "is none of omit, null, keep"),
    ],
)
def test_fields_and_constants_must_not_contradict(columns, options, problem):
    """A field has one origin, and a constant is what its field takes."""
    (text,) = issues_of(lambda: profile(columns, **options)).values()
    assert problem in text


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: RowMapping.for_profiles({"a": "city"}),
            "no row would name a profile; map a column to one of clientId",
        ),
        (lambda: RowMapping.for_events({"a": "params.x"}, constants={"label": "l"}), "client.customId"),
        (
            lambda: RowMapping.for_identifiers({}),
            "no row would name a profile; map a column to one of clientId, customId",
        ),
    ],
)
def test_rows_that_never_name_a_profile_are_an_issue(make, problem):
    """All rows would be refused; the mapping alone shows it."""
    assert any(problem in text for text in issues_of(make).values())


def test_required_fields_must_have_an_origin():
    """An event has a label and a client, a transaction much more."""
    found = issues_of(lambda: RowMapping.for_events({"id": "client.customId"}))
    assert found == {("", "label"): "is required, and no column or constant gives it"}
    found = issues_of(lambda: RowMapping.for_transactions({"id": "client.customId"}))
    assert {field for _, field in found} == {"orderId", "paymentInfo", "products", "revenue", "value", "source"}


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: field("city", "string"), "there is no type 'string'"),
        (lambda: field("city", zone="Europe/Warszawa"), "there is no zone"),
        (lambda: field("tags", "list"), "needs its separator"),
        (lambda: field("attributes.x", "integer", empty="keep"), "empty text, which is no integer"),
        (lambda: field("attributes.x", "integer", format="%d.%m.%Y"), "format is for dates"),
        (lambda: field("attributes.x", "text", separator=";"), "separator is for lists"),
        (lambda: field("attributes.x", "boolean", values={"TAK": True}), "leave the type out"),
        (lambda: field("attributes.x", "number", decimal=",", thousands=","), "one mark"),
        (lambda: field("attributes.x", empty="drop"), "is none of"),
    ],
)
def test_options_that_do_not_go_together_are_refused(make, problem):
    """An option of another type would be ignored without a word."""
    (text,) = issues_of(make).values()
    assert problem in text


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("Identifier,ctry", "is not there; did you mean 'Identifier'?"),
        ("identifier ,ctry", "did you mean 'identifier '?"),
        ("identifierr;ctry", "';' may be the delimiter"),
        ("12,x", "nor is any other of the mapping, among 2 columns; is the header missing?"),
        ("identifier,ctry,identifier", "is there twice"),
    ],
)
def test_columns_are_looked_for_when_a_file_is_opened(header, problem):
    """An unknown column is an issue, with what it may have meant, before anything is read."""
    mapping = RowMapping.for_profiles({"identifier": "customId", "ctry": field("attributes.country", optional=True)})
    found = issues_of(lambda: read_csv(io.StringIO(header + "\n1,PL\n"), mapping))
    assert problem in found["identifier", ""]


def test_what_is_no_mapping_is_refused():
    """A list of columns, or a number for a field."""
    assert "expected a mapping from columns" in str(issues_of(lambda: RowMapping.for_profiles(["id"])))
    assert "expected a path or what field() makes, got int" in str(issues_of(lambda: profile({"x": 5})))
    assert "expected a path or what field() makes, got list" in str(issues_of(lambda: profile({"x": ["city", 5]})))


def test_a_near_miss_never_shows_somebodys_data():
    """Where the header is missing, the first row must not end up in an error's text."""
    mapping = RowMapping.for_profiles({"email": "email", "phone": "phone"})
    with pytest.raises(MappingError) as caught:
        read_csv(io.StringIO("email@example.com,phone600700800\n"), mapping)
    assert "example" not in str(caught.value)
    assert "600700" not in str(caught.value)
    with pytest.raises(MappingError) as caught:
        read_csv(
            io.StringIO("email,jan@example.com,jan@example.com\n"),
            RowMapping.for_profiles({"email": "email", "*": "attributes.*"}),
        )
    assert "is there twice" in str(caught.value)
    assert "jan" not in str(caught.value)


def test_an_issue_of_a_pattern_is_found_with_the_columns():
    """Which names a star stands for is known when the file is: a reserved one is refused then."""
    mapping = profile({"*": "attributes.*"})
    found = issues_of(lambda: read_csv(io.StringIO("id,City,city,a\x00b\n"), mapping))
    assert found["city", "attributes.city"] == "is a reserved name, which the server ignores; give it another name"
    assert "characters that are refused" in found["a\x00b", "attributes.a\x00b"]
    assert len(found) == 2


# --- rows


def test_words_for_nothing_follow_the_rule_of_empty_cells():
    """Those of the mapping, and those of a column instead of them; exactly, or trimmed where texts are."""
    words = ["NULL", "\\N", "0000-00-00"]
    columns = {
        "id": "customId",
        "mail": field("email", empty="null"),
        "town": field("city", empty="keep"),
        "seen": field("attributes.seen", "date"),
        "n": field("attributes.n", "integer", null_values=["-"]),
        "*": "attributes.*",
    }
    mapping = RowMapping.for_profiles(columns, null_values=words)
    header = "id,mail,town,seen,n,x\n"
    text = f"{header}a,NULL,\\N,0000-00-00,-,NULL\nb,null,NULLs,2024-01-02,1, NULL\nNULL,,x,,NULL,\n"
    found = list(read_csv(io.StringIO(text), mapping))
    assert found[0] == {"customId": "a", "email": None, "city": ""}
    assert found[1] == {
        "customId": "b",
        "email": "null",
        "city": "NULLs",
        "attributes": {"seen": "2024-01-02", "n": 1, "x": " NULL"},
    }
    assert found[2].reason == "column 'n' is not a whole number"
    trimming = RowMapping.for_profiles({"id": "customId", "x": "city"}, null_values=words, trim=True)
    assert list(read_csv(io.StringIO("id,x\na, NULL \n"), trimming)) == [{"customId": "a"}]


def test_words_for_nothing_in_json_and_tables():
    """In texts alone: a list, a number or an object is none."""
    mapping = RowMapping.for_profiles({"id": "customId", "*": "attributes.*"}, null_values=["NULL"])
    rows = b'{"id":"a","x":"NULL","y":["NULL"],"z":{"NULL":1},"n":0}\n'
    expected = [{"customId": "a", "attributes": {"y": ["NULL"], "z": {"NULL": 1}, "n": 0}}]
    assert list(read_jsonl(io.BytesIO(rows), mapping)) == expected
    table = pa.table({"id": ["a"], "x": pa.array(["NULL"]).dictionary_encode(), "n": [0]})
    assert list(read_arrow(table, mapping)) == [{"customId": "a", "attributes": {"n": 0}}]


@pytest.mark.parametrize("words", ["NULL", [None], 7])
def test_words_for_nothing_are_a_list_of_texts(words):
    """A text would be taken for its letters."""
    with pytest.raises(MappingError, match="null_values"):
        RowMapping.for_profiles({"id": "customId"}, null_values=words)
    with pytest.raises(MappingError, match="null_values"):
        field("city", null_values=words)


def test_paths_make_nested_objects():
    """One mapping makes the objects, constants and the one product of a transaction."""
    mapping = RowMapping.for_transactions(
        {
            "id": "client.customId",
            "no": ["orderId", "eventSalt"],
            "sku": "products[].sku",
            "name": "products[].name",
            "price": ["products[].finalUnitPrice.amount", "revenue.amount", "value.amount"],
            "n": "products[].quantity",
            "off": "discountAmount.amount",
            "when": field("recordedAt", format="%d/%m/%Y %H:%M", zone="Europe/London"),
            "ref": "metadata.source.page",
        },
        constants={
            "paymentInfo.method": "CARD",
            "source": "WEB_DESKTOP",
            "products[].finalUnitPrice.currency": "GBP",
            "revenue.currency": "GBP",
            "value.currency": "GBP",
            "discountAmount.currency": "GBP",
            "metadata.list": "B",
        },
    )
    (row,) = rows("id,no,sku,name,price,n,off,when,ref\n17,A1,S,Łyżka,2.55,6,,01/07/2010 08:26,\n", mapping)
    money = {"amount": 2.55, "currency": "GBP"}
    assert row == {
        "client": {"customId": "17"},
        "orderId": "A1",
        "eventSalt": "A1",
        "products": [{"sku": "S", "name": "Łyżka", "quantity": 6, "finalUnitPrice": money}],
        "revenue": money,
        "value": money,
        "paymentInfo": {"method": "CARD"},
        "source": "WEB_DESKTOP",
        "recordedAt": "2010-07-01T08:26:00+01:00",
        "metadata": {"list": "B"},  # but no discount: a currency alone is none
    }


def test_a_star_takes_what_is_not_named():
    """A pattern takes columns by their beginning, the longest pattern first; names keep their dots; None leaves out."""
    mapping = profile({"agr_*": field("agreements.*", "boolean"), "*": "attributes.*", "note": None})
    (row,) = rows("id,agr_sms,a.b,note,Country\n1,yes,x,secret,PL\n", mapping)
    assert row == {"customId": "1", "agreements": {"sms": True}, "attributes": {"a.b": "x", "Country": "PL"}}


def test_columns_may_be_the_fields_themselves():
    """A file whose header has the publisher's names needs one line."""
    mapping = RowMapping.for_profiles({"*": "*"})
    assert rows("customId,city\n1,Łódź\n", mapping) == [{"customId": "1", "city": "Łódź"}]
    assert "no row would name a profile" in str(issues_of(lambda: rows("city\nŁódź\n", mapping)))


def test_empty_cells():
    """They are left out, or null, or kept, as the mapping or one column of it says."""
    text = "id,city,company,note\n1,,,\n2, ,x,y\n"
    mapping = profile(
        {"city": "city", "company": field("company", empty="null"), "note": field("attributes.n", empty="keep")}
    )
    first, second = rows(text, mapping)
    assert first == {"customId": "1", "company": None, "attributes": {"n": ""}}
    assert second == {"customId": "2", "city": " ", "company": "x", "attributes": {"n": "y"}}
    assert rows(text, profile({"city": "city"}, empty="null", trim=True))[1] == {"customId": "2", "city": None}


def test_empty_texts_are_kept_where_texts_go_alone():
    """Kept by the whole mapping, they do not become dates or numbers; kept by such a column, they are an issue."""
    text = "id,born,n,note\n1,,,\n"
    columns = {"born": "birthDate", "n": field("attributes.n", "integer"), "note": "attributes.note"}
    assert rows(text, profile(columns, empty="keep")) == [{"customId": "1", "attributes": {"note": ""}}]
    (problem,) = issues_of(lambda: rows(text, profile({"born": field("birthDate", empty="keep")}))).values()
    assert problem == "empty='keep' keeps an empty text, which is no date"


def test_an_optional_column_may_be_missing():
    """It is taken where it is there, and no issue where it is not."""
    mapping = profile({"city": field("city", optional=True)})
    assert rows("id\n1\n", mapping) == [{"customId": "1"}]
    assert rows("id,city\n1,Hel\n", mapping) == [{"customId": "1", "city": "Hel"}]


def test_the_order_of_a_mapping_changes_nothing():
    """An event's salt is made of its row: two spellings of a mapping must not make two events of one."""
    text = "id,b,a\n1,x,y\n"
    one, two = {"a": "attributes.a", "b": "attributes.b"}, {"b": "attributes.b", "a": "attributes.a"}
    assert repr(rows(text, profile(one))) == repr(rows(text, profile(two)))
    assert repr(rows(text, profile(one))) == repr(rows("b,a,id\nx,y,1\n", profile(two)))


def test_a_bad_cell_names_column_and_field_and_not_the_cell():
    """Its reason is for a report that anybody may read; the row itself is for the dead-letter file."""
    mapping = profile({"n": field("attributes.visits", "integer")})
    (row,) = rows("id,n\n1,many\n", mapping)
    assert isinstance(row, UnreadableRow)
    assert (row.field, row.reason) == ("attributes.visits", "column 'n' is not a whole number")
    assert row.row == {"id": "1", "n": "many"}
    assert "many" not in repr(row)


def test_a_birth_date_in_the_future_is_no_birth_date():
    """Two digits of a year that make a birthday to come, or one before 1900, cost their row, and name the column."""
    mapping = profile({"id": "customId", "born": field("birthDate", "date", format="%d/%m/%y")})
    found = rows("id,born\na,24/10/65\nb,24/10/87\n", mapping)
    assert (found[0].field, found[1]) == ("birthDate", {"birthDate": "1987-10-24", "customId": "b"})
    assert found[0].reason == "column 'born' lies in the future; was its century taken for another one?"
    (old,) = rows("id,born\na,31.12.1899\n", profile({"id": "customId", "born": field("birthDate", format="%d.%m.%Y")}))
    assert "later than 1900-01-01" in old.reason


@pytest.mark.parametrize("option", ["group_by", "constants", "where", "combine"])
def test_options_of_a_wrong_type_are_issues(option):
    """They are told by their name, with what was given."""
    with pytest.raises(MappingError, match=rf"{option} is .*, not int"):
        RowMapping.for_events({"id": "client.customId"}, **{option: 3})


@pytest.mark.parametrize(
    ("columns", "constants", "missing"),
    [
        ({"s": "products[].sku", "q": "products[].quantity"}, {}, ["products[].finalUnitPrice", "products[].name"]),
        (
            {"s": "products[].sku", "d": "discountAmount.amount"},
            {},
            ["discountAmount.currency", "products[].finalUnitPrice"],
        ),
        ({"all": field("products", "json")}, {}, []),
    ],
)
@pytest.mark.parametrize("group_by", [None, "o"])
def test_what_every_order_would_lack_is_told_at_once(columns, constants, missing, group_by):
    """A required field of an object of which other fields are given; what grouping computes is not asked for."""
    given_ = {"o": ["orderId", "eventSalt"], "at": "recordedAt", "who": "client.customId", **columns}
    fixed = {"paymentInfo.method": "CARD", "source": "POS", **constants}
    totals = {"revenue.currency": "PLN", "value.currency": "PLN"}
    if group_by is None:
        given_ |= {"r": ["revenue.amount", "value.amount"]}
    found = set()
    try:
        RowMapping.for_transactions(given_, constants={**fixed, **totals}, group_by=group_by)
    except MappingError as error:
        found = {issue.field for issue in error.issues}
    assert found >= set(missing)
    assert bool(found) == bool(missing)
    assert not any(name.startswith(("revenue", "value")) for name in found)
