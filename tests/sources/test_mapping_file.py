"""Mapping files: TOML in the words of Python, read, written and checked, with the line of what is wrong."""

from __future__ import annotations

import datetime
import inspect
import io
import pickle
import re
import tomllib
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError
from synerise_profiles.sources import MappingError, RowMapping, field, mapping_schema, read_csv
from synerise_profiles.sources.mapping_options import OPTIONS_OF_KIND

PROFILES = """\
# The customers of the shop.
for = "profiles"
trim = true
null_values = ["NULL", "brak"]

[columns]
CustomerID = "customId"
"Data ur." = { field = "birthDate", type = "date", format = ["%d.%m.%Y", "iso"] }
Sex = { field = "sex", values = { M = "MALE", K = "FEMALE" } }
Seen = { field = "attributes.seen", type = "datetime", format = "%Y-%m-%d %H:%M", zone = "Europe/Warsaw" }
Town = ["city", "attributes.town"]
Secret = false
"*" = "attributes.*"

[constants]
"attributes.origin" = "shop"
"""
IN_PYTHON = RowMapping.for_profiles(
    {
        "CustomerID": "customId",
        "Data ur.": field("birthDate", "date", format=["%d.%m.%Y", "iso"]),
        "Sex": field("sex", values={"M": "MALE", "K": "FEMALE"}),
        "Seen": field("attributes.seen", "datetime", format="%Y-%m-%d %H:%M", zone="Europe/Warsaw"),
        "Town": ["city", "attributes.town"],
        "Secret": None,
        "*": "attributes.*",
    },
    constants={"attributes.origin": "shop"},
    trim=True,
    null_values=["brak", "NULL"],
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.toml"


def load(path, text):
    path.write_text(text, encoding="utf-8")
    return RowMapping.load(path)


def problems(path, text):
    with pytest.raises(MappingError) as caught:
        load(path, text)
    assert str(path) in str(caught.value)
    return caught.value


def test_a_file_says_what_python_says(path):
    """The same words give an equal mapping, which reads the same rows."""
    mapping = load(path, PROFILES)
    assert mapping.digest == IN_PYTHON.digest
    assert mapping.kind == "profiles"
    text = "CustomerID,Data ur.,Sex,Seen,Town,Secret,Extra\n1, 24.10.1987,K,2026-01-01 12:00,brak,x,y\n"
    (row,) = read_csv(io.StringIO(text), mapping)
    assert [row] == list(read_csv(io.StringIO(text), IN_PYTHON))
    assert row == {
        "customId": "1",
        "birthDate": "1987-10-24",
        "sex": "FEMALE",
        "attributes": {"Extra": "y", "seen": "2026-01-01T12:00:00+01:00", "origin": "shop"},
    }
    assert pickle.loads(pickle.dumps(mapping)).digest == mapping.digest


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(path):
    """Editors of Windows write both."""
    path.write_bytes(b"\xef\xbb\xbf" + PROFILES.replace("\n", "\r\n").encode())
    assert RowMapping.load(path).digest == IN_PYTHON.digest


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('for = "profiles"\n[columns]\nid = "customID"\n', 3, "did you mean 'customId'?"),
        ('for = "profile"\n[columns]\nid = "customId"\n', 1, "did you mean 'profiles'?"),
        ('for = "x"\n[columns]\nid = "customId"\n', 1, "none of profiles, events, transactions, identifiers"),
        ('for = "profiles"\ntrimm = true\n[columns]\nid = "customId"\n', 2, "did you mean 'trim'?"),
        ('for = "profiles"\ntrim = 1\n[columns]\nid = "customId"\n', 2, "trim is a whole number; give true or false"),
        ('for = "profiles"\nempty = "nul"\n[columns]\nid = "customId"\n', 2, "did you mean 'null'?"),
        ('for = "profiles"\n[columns]\nid = 7\n', 3, "is a whole number; give a text or a table or a list"),
        ('for = "profiles"\n[columns]\nid = { field = "customId", formt = "x" }\n', 3, "did you mean 'format'?"),
        ('for = "profiles"\n[columns]\nid = { type = "text" }\n', 3, "needs field ="),
        ('for = "profiles"\n[columns]\nA.b = "customId"\n', 3, "a column whose name has dots stands in quotes"),
        ('for = "profiles"\n[columns]\nid = { field = "customId", type = "txt" }\n', 3, "did you mean 'text'?"),
        ('for = "profiles"\n[columns]\nid = { field = "customId", format = 3 }\n', 3, "format is a whole number"),
        ('for = "profiles"\n[columns]\nid = [\n "customId",\n "emial",\n]\n', 5, "did you mean 'email'?"),
        ('for = "profiles"\n[columns]\nid = [\n "customId",\n { field="tags", type="list" },\n]\n', 5, "separator"),
        ('for = "profiles"\n[columns]\nid = [\n "customId",\n { field="city", trim="no" },\n]\n', 5, "trim is a text"),
        ('for = "profiles"\n[columns]\nid = "customId"\n[constants]\nsex = "MAN"\n', 5, "the constant"),
        ('for = "identifiers"\nempty = "null"\n[columns]\nid = "clientId"\n', 2, "no option of a mapping for ident"),
        ('for = "profiles"\n[columns]\nid = "customId\n', 3, "is not TOML: Illegal character"),
        ('for = "profiles"\n[columns]\nCustomer ID = "customId"\n', 3, "a name with blanks, or with letters beyond"),
        ('for = "profiles"\n[columns]\nid = "customId"\nid = "email"\n', 4, "is not TOML: Cannot overwrite a value"),
        ('for = "profiles"\n[columns]\nid = { field = "sex", values = [["M"]] }\n', 3, "no pair of word and value"),
        ('for = "profiles"\n[where]\nid = { matches = "(" }\n[columns]\nid = "customId"\n', 3, "no regular expression"),
        ('for = "profiles"\n[columns]\nid = "customId"\n[where]\nid = { matches = "(" }\n', 5, "no regular expression"),
        (
            'for = "profiles"\n[columns]\nid = "customId"\n[where]\nkind = []\n',
            5,
            "where= is a value, a list of values",
        ),
        ('for = "profiles"\n[columns]\nid = "customID"\n[where]\nid = "a"\n', 3, "did you mean 'customId'?"),
        ('# " [ =\n\nfor = "profiles"\n[columns]\nx = """a\nb"""\n"" = "cty"\n', 7, "did you mean 'city'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(path, text, line, problem):
    """A misspelt word, a wrong type, a field that does not exist and bad TOML: the line and the near miss."""
    issue = next(issue for issue in problems(path, text).issues if problem in issue.problem)
    assert issue.line == line
    assert str(issue).startswith(f"line {line}")


@pytest.mark.parametrize(
    "option",
    ["trim = false", "trim = true", 'group_by = "Order"', 'null_values = ["NULL"]', 'where = { Kind = "sale" }'],
)
def test_an_option_among_the_columns_is_told(path, option):
    """With its line, and where options stand: `trim = false` would be a column that is left out."""
    path.write_text(f'for = "profiles"\n[columns]\nid = "customId"\n{option}\n', encoding="utf-8")
    with pytest.raises(MappingError, match=r"line 4.*if the option is meant, it stands above \[columns\]") as caught:
        RowMapping.load(path)
    assert all(issue.problem.count("above [columns]") == 1 for issue in caught.value.issues)


@pytest.mark.parametrize(
    "target",
    [
        field("attributes.a", values={"1": 2}),
        field("attributes.a", values={1: "2"}),
        field("attributes.a", null_values={"NULL", "nil"}, fallback=("b", "c")),
        field("attributes.a", "date", format=("%d.%m.%Y", "iso")),
    ],
)
def test_a_mapping_that_is_written_is_read_back_as_an_equal_one(path, target):
    """Types of words survive, and collections are the same whatever type they are of."""
    mapping = RowMapping.for_profiles({"id": "customId", "a": target}, where={"id": ["1", "2"]})
    mapping.write_toml(path)
    again = RowMapping.load(path)
    assert (again, hash(again)) == (mapping, hash(mapping))


def test_mappings_that_read_otherwise_are_not_equal():
    """By types of words, options, and functions, of which two may have the same name."""
    different = [
        RowMapping.for_profiles({"id": "customId", "a": target}, **options)
        for target, options in (
            (field("attributes.a", values={"1": 2}), {}),
            (field("attributes.a", values={1: 2}), {}),
            ("attributes.a", {}),
            ("attributes.a", {"trim": True}),
            ("attributes.a", {"prepare": lambda cells: cells}),
            ("attributes.a", {"prepare": lambda cells: None}),
            ("attributes.a", {"where": {"a": lambda cell: True}}),
            ("attributes.a", {"where": {"a": lambda cell: False}}),
        )
    ]
    assert len(set(different)) == len(different)
    assert different[0] != "attributes.a"


def test_a_column_with_the_name_of_an_option_is_left_out(path):
    """It is written as an empty list, so that it is no slip."""
    mapping = RowMapping.for_profiles({"id": "customId", "trim": None, "other": None, "*": "attributes.*"})
    mapping.write_toml(path)
    assert "trim = []\nother = false\n" in path.read_text("utf-8")
    assert RowMapping.load(path).targets == mapping.targets


def test_all_issues_of_a_file_are_told_at_once(path):
    """One error names the file and each line; it survives pickling."""
    error = problems(
        path, 'for = "profiles"\n[columns]\na = "customID"\nb = { field = "birthDate", type = "integer" }\n'
    )
    assert [issue.line for issue in error.issues] == [3, 4]
    assert "line 4, column 'b', field birthDate: takes a date" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.file) == (str(error), error.file)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('for = "profiles"\n[columns]\nid = "customID"\nd = { field = "birthDate", typ = "date" }\n', [4, 3]),
        (
            'for = "profiles"\ntrimm = true\n[columns]\nid = "customID"\nx = { field = "city", type = "lst" }\n',
            [2, 5, 4],
        ),
        ('for = "identifiers"\nempty = "null"\n[columns]\nid = "clientID"\n', [2, 4]),
        ('for = "profiles"\n[columns]\nid = 7\n[constants]\n"attributes.x" = nan\nsx = "MALE"\n', [3, 6, 5]),
        ('for = "profiles"\n[columns]\nid = { field = "customId", zone = "Mars" }\nb = "birthDat"\n', [3, 4]),
        ('for = "profiles"\n[columns]\nid = { field = "customId", typ = "text" }\n', [3]),
        ('for = "profiles"\n[columns]\nid = "customId\nx = = 2\ny = "cty"\n"*" = "foo.*"\n', [3, 4, 5, 6]),
        ('for = "profil"\ntrimm = 1\n[column]\nx = "cty"\nid = 7\n', [2, 3, 1, 2, 5, 4]),
        ('trim = 1\n[columns]\nx = "cty"\nfor = "profiles"\n', [4, 1, 3]),
        ('for = profiles\n[columns]\nx = "cty"\nCustomer ID = "customId"\n', [1, 4, 3]),
        ('for = "profiles"\n[columns]\nx = "cty"\na = \n[columns]\nb = "emial"\n', [4, 5]),
    ],
)
def test_a_misspelt_word_hides_nothing_else(path, text, lines):
    """Words, values of options, fields and constants are told together; what was left out is not said to be missing."""
    assert [issue.line for issue in problems(path, text).issues] == lines


@pytest.mark.parametrize(
    ("column", "target", "problem"),
    [
        ("*", '"foo.*"', "field foo.*: is no field of this operation"),
        ("a_*", '"city.*"', "leads into city, which is no object"),
        ("a_*", '["attributes.*", "produts.*"]', "field produts.*: is no field"),
        ("a_*", '{ field = "attributes.*", type = "datetime", format = "%d.%m.%Y" }', "has no zone; add zone="),
        ("a_*", '"zz*"', "field zz*: is no field"),
    ],
)
def test_a_pattern_that_no_column_could_take_is_told_when_it_is_loaded(path, column, target, problem):
    """Its field does not exist, or has another type, whatever the columns of the file are."""
    (issue,) = problems(path, f'for = "profiles"\n[columns]\nid = "customId"\n"{column}" = {target}\n').issues
    assert (issue.line, issue.column) == (4, column)
    assert problem in str(issue)
    load(path, 'for = "profiles"\n[columns]\nid = "customId"\n"a_*" = "cit*"\n"b_*" = "agreements.*"\n')


def test_what_is_misspelt_hides_nothing_that_is_missing(path):
    """Required fields that nothing gives are told beside a misspelt field, but for the one that it is meant to be."""
    text = 'for = "transactions"\n[columns]\nid = "client.customID"\nNo = "orderID"\n[constants]\nsource = "POS"\n'
    found = {issue.field for issue in problems(path, text).issues}
    assert found == {"client.customID", "orderID", "paymentInfo", "products", "revenue", "value"}


def test_a_file_of_something_else_is_told_soon(path):
    """Each line of a CSV file is wrong: the first ones are told."""
    error = problems(path, "a;b;c\n" * 5000)
    assert len(error.issues) == 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[columns]\nid = "customId"\nfor = "profiles"\n',
            "line 3, column 'for': stands below [columns], and is part of",
        ),
        (
            '[constants]\naction = "a.b"\nfor = "events"\n[columns]\nid = "client.customId"\n',
            "line 3: for stands below [constants]",
        ),
        ('[columns]\nid = "customId"\n', 'needs for = above all tables, such as for = "profiles"'),
        (
            'for = "profiles"\n[[columns]]\nid = "customId"\n',
            "line 2: columns is a list; give a table: [columns], in single",
        ),
        ('for = "profiles"\ncolumns = []\n', "line 2: columns is a list; give a table: [columns], in single brackets"),
        (
            'for = "profiles"\n[[where]]\na = "b"\n[columns]\nid = "customId"\n',
            "line 2: where is a list; give a table: [where]",
        ),
    ],
)
def test_what_stands_in_the_wrong_place_is_told_with_its_line(path, text, expected):
    """TOML takes `for` below a header for a part of that table, and double brackets for a list of tables."""
    (issue,) = problems(path, text).issues
    assert str(issue).startswith(expected)


@pytest.mark.parametrize("minutes", [120, -210, 0, 0.5])
def test_an_offset_is_a_zone_that_survives_the_file(path, minutes):
    """As `datetime.timezone` writes it, whatever name it has; it reads the same times."""
    zone = datetime.timezone(datetime.timedelta(minutes=minutes), "CEST")
    mapping = RowMapping.for_profiles({"id": "customId", "at": field("attributes.at", "datetime", zone=zone)})
    mapping.write_toml(path)
    again = RowMapping.load(path)
    assert again == mapping
    text = "id,at\n1,2026-01-01T10:00:00\n"
    assert list(read_csv(io.StringIO(text), again)) == list(read_csv(io.StringIO(text), mapping))


@pytest.mark.parametrize("name", ["UTC+25:00", "UTC+02", "UTC+02:00x", "UTC-02:61", "GMT+02:00"])
def test_what_is_no_offset_is_no_zone(name):
    """An offset has hours and minutes, below a day."""
    with pytest.raises(MappingError, match="there is no zone"):
        field("attributes.at", "datetime", zone=name)


def test_a_zone_without_a_name_is_not_written(path):
    """A zone of another library may have no name by which it could be read again."""

    class Zone(datetime.tzinfo):
        def utcoffset(self, moment, /):
            return datetime.timedelta(hours=1)

    mapping = RowMapping.for_profiles({"id": "customId", "at": field("attributes.at", "datetime", zone=Zone())})
    with pytest.raises(InvalidRequestError, match=r"columns\.at: holds a Zone, and cannot be written as TOML"):
        mapping.write_toml(path)


def test_a_column_that_a_file_of_rows_lacks_is_told_with_the_line_of_the_mapping(path):
    """What is found only when the rows are opened is told with the line too."""
    mapping = load(path, PROFILES)
    with pytest.raises(MappingError) as caught:
        read_csv(io.StringIO("CustomerId,Data ur.,Sex,Seen,Town\n"), mapping)
    assert "line 7, column 'CustomerID': is not there; did you mean 'CustomerId'?" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["[" * 5000 + "]" * 5000, "[" * 60 + "]" * 60, "{a = " * 60 + "1" + "}" * 60],
    ids=["lists without end", "lists", "tables"],
)
def test_values_that_are_nested_without_end_are_told_with_their_line(path, value):
    """Whatever Python's parser makes of them."""
    with pytest.raises(MappingError, match="line 4: is nested deeper than 50"):
        load(path, f'for = "profiles"\ncolumns = {{id = "customId"}}\n[constants]\n"attributes.t" = {value}\n')
    with pytest.raises(MappingError, match="is nested deeper than 50"):
        load(path, 'for = "profiles"\ncolumns = {id = "customId"}\n[constants]\n' + ".".join("a" * 2000) + " = 1\n")


def test_an_end_of_line_of_another_system_is_none(path):
    """TOML ends lines by a line feed, with a carriage return in front or not."""
    assert load(path, PROFILES.replace("\n", "\r\n")) == load(path, PROFILES)
    with pytest.raises(MappingError, match="line 1: is not TOML"):
        load(path, PROFILES.replace("\n", "\r"))


def test_bytes_that_are_no_text_and_files_that_are_not_there(path):
    """Another encoding is an error of the mapping, a missing file one of the system."""
    path.write_bytes('for = "profiles"\n[columns]\n"Płeć" = "sex"\n'.encode("cp1250"))
    with pytest.raises(MappingError, match="line 3: is not UTF-8"):
        RowMapping.load(path)
    with pytest.raises(FileNotFoundError):
        RowMapping.load(path.with_name("none.toml"))


def test_a_mapping_is_written_and_read_back(path):
    """`write_toml` and `load` are inverse; what is not set is not written."""
    IN_PYTHON.write_toml(path)
    assert RowMapping.load(path).digest == IN_PYTHON.digest
    again = path.with_name("again.toml")
    RowMapping.load(path).write_toml(again)
    assert again.read_text("utf-8") == path.read_text("utf-8")
    RowMapping.for_identifiers({"id": "clientId"}).write_toml(path)
    assert path.read_text("utf-8") == 'for = "identifiers"\n\n[columns]\nid = "clientId"\n'


@pytest.mark.parametrize(
    ("columns", "constants"),
    [
        ({"x": field("sex", values={1: "MALE", 2.5: "FEMALE", "x": "OTHER"})}, {}),
        ({"x": field("attributes.at", "datetime", format="%d.%m.%Y %H", zone=datetime.UTC)}, {}),
        ({"x": field("attributes.at", "datetime", zone=zoneinfo.ZoneInfo("Europe/Warsaw"))}, {}),
        ({}, {"attributes.list": ("a", 1, 2.0, True), "attributes.map": {"b c": {"d": []}, "a": {}}}),
        ({}, {"attributes.at": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)}),
        ({}, {"attributes.on": datetime.date(2026, 1, 2), "attributes.big": 2**63, "attributes.small": 1e-7}),
    ],
)
def test_values_of_every_type_survive_the_file(path, columns, constants):
    """Words that are no texts, zones, nested constants, dates and numbers come back as they were."""
    mapping = RowMapping.for_profiles({"id": "customId", **columns}, constants=constants)
    mapping.write_toml(path)
    assert RowMapping.load(path).digest == mapping.digest


@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda name: "*" not in name), unique=True),
    value=st.recursive(
        st.text(st.characters(exclude_categories=["Cs"]))
        | st.integers(-(2**63), 2**63 - 1)
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    ),
)
@settings(max_examples=150, deadline=None)
def test_any_text_survives_the_file(tmp_path_factory, names, value):
    """Names of columns and constants may hold quotes, control characters, line ends and every script."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    columns = {name: field(f"attributes.a{number}", null_values=[name]) for number, name in enumerate(names)}
    mapping = RowMapping.for_profiles({**columns, "the id": "customId"}, constants={"attributes.c": value})
    mapping.write_toml(path)
    again = RowMapping.load(path)
    assert again.digest == mapping.digest
    assert tomllib.loads(path.read_text("utf-8")).get("constants", {}) == {"attributes.c": value}


@pytest.mark.parametrize(
    ("constants", "problem"),
    [
        ({"attributes.x": None}, "holds null, which TOML does not have"),
        ({"attributes.x": {"a": [1, None]}}, "holds null"),
        ({"attributes.x": "\ud800"}, "half a character"),
    ],
)
def test_what_toml_cannot_carry_is_refused(path, constants, problem):
    """Nothing is changed in silence, and the file that was there stays."""
    path.write_text("old")
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        RowMapping.for_profiles({"id": "customId"}, constants=constants).write_toml(path)
    assert caught.value.field == "constants.attributes.x"
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object, "is a type, which JSON cannot carry"),
        ({1: "a"}, "has a key of type int"),
        (10**30, "is a whole number beyond 64 bits"),
        (float("inf"), "is NaN or infinite"),
    ],
)
def test_what_json_cannot_carry_is_no_constant(value, problem):
    """It is told when the mapping is made: every row would be refused for it."""
    with pytest.raises(MappingError, match=f"field attributes.x: the constant {problem}"):
        RowMapping.for_profiles({"id": "customId"}, constants={"attributes.x": value})


def test_the_schema_has_the_options_of_python():
    """The schema for editors and the signatures of Python name the same options, and both accept the same files."""
    schema = mapping_schema()
    assert list(schema["$defs"]["field"]["properties"]) == list(inspect.signature(field).parameters)
    options = set(schema["properties"]) - {"for", "columns"}
    assert options == set().union(*OPTIONS_OF_KIND.values()) - {"prepare"}  # a function has no place in a file
    assert all(
        option.get("description") or "$ref" in option for option in schema["$defs"]["field"]["properties"].values()
    )
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(PROFILES), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads('for = "profiles"\n[columns]\nid = { formt = "x" }\n'), schema)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("inf", "is NaN or infinite"),
        ("nan", "is NaN or infinite"),
        ("123456789012345678901234567890", "is a whole number beyond 64 bits"),
        ("10:20:30", "is a time, which JSON cannot carry"),
        ("2026-01-01T10:00:00", "is a datetime without a zone"),
        ("[1, -inf]", "[1] is NaN or infinite"),
        ("{ a = 07:00:00 }", "a is a time, which JSON cannot carry"),
    ],
)
def test_a_constant_that_json_cannot_carry_is_told_with_its_line(tmp_path, value, problem):
    """When the mapping is loaded, and not by every row that is read with it."""
    path = tmp_path / "map.toml"
    path.write_text(f'for = "profiles"\n[columns]\nid = "customId"\n[constants]\n"attributes.x" = {value}\n')
    with pytest.raises(MappingError, match=re.escape(f"line 5, field attributes.x: the constant {problem}")):
        RowMapping.load(path)
