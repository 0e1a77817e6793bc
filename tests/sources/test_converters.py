"""Cells to values, type by type: what is read, and what is refused with a reason."""

from __future__ import annotations

import datetime
import zoneinfo
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles.sources.columns import converter_of
from synerise_profiles.sources.errors import BadCellError
from synerise_profiles.sources.targets import field

WARSAW = zoneinfo.ZoneInfo("Europe/Warsaw")
MOMENT = datetime.datetime(2010, 12, 1, 8, 26, tzinfo=datetime.UTC)


def read(cell, type_name, **options):
    target = field("attributes.x", type_name, **options)
    convert = converter_of(target.type, target, lambda _: None)
    assert convert is not None
    return convert(cell)


@pytest.mark.parametrize(
    ("type_name", "cell", "value", "options"),
    [
        ("text", "x ", "x ", {}),
        ("text", 17850, "17850", {}),
        ("text", 17850.0, "17850", {}),
        ("text", 2.55, "2.55", {}),
        ("text", Decimal("2.50"), "2.50", {}),
        ("text", True, "true", {}),
        ("text", datetime.date(2010, 12, 1), "2010-12-01", {}),
        ("integer", " +17 ", 17, {}),
        ("integer", "-6.00", -6, {}),
        ("integer", "18446744073709551615", 2**64 - 1, {}),
        ("integer", "1 234", 1234, {"thousands": " "}),
        ("integer", "1.234", 1234, {"thousands": ".", "decimal": ","}),
        ("integer", 6.0, 6, {}),
        ("integer", Decimal(6), 6, {}),
        ("number", "2.55", 2.55, {}),
        ("number", ".5", 0.5, {}),
        ("number", "-9007199254740993", -(2**53) - 1, {}),
        ("number", " +9007199254740993 ", 2**53 + 1, {}),
        ("number", "18.446.744.073.709.551.615", 2**64 - 1, {"decimal": ",", "thousands": "."}),
        ("number", "-1e3", -1000.0, {}),
        ("number", "6", 6, {}),
        ("number", "1 234,50", 1234.5, {"decimal": ",", "thousands": "\u00a0 "}),
        ("number", 2.5, 2.5, {}),
        ("number", Decimal("2.55"), 2.55, {}),
        ("decimal", "2.55", 2.55, {}),
        ("decimal", "2.00", 2, {}),
        ("boolean", " Yes", True, {}),
        ("boolean", "0", False, {}),
        ("boolean", 1, True, {}),
        ("json", '{"a":[1]}', {"a": [1]}, {}),
        ("list", "a; b;;", ["a", "b"], {"separator": ";"}),
        ("auto", " M", "MALE", {"values": {"M": "MALE"}}),
        ("date", "2010-12-01", "2010-12-01", {}),
        ("date", "1.12.2010", "2010-12-01", {"format": "%d.%m.%Y"}),
        ("date", MOMENT, "2010-12-01", {}),
        ("date", datetime.datetime(2010, 12, 1, 23, 30, tzinfo=datetime.UTC), "2010-12-02", {"zone": "Europe/Warsaw"}),
        ("date", datetime.date(2010, 12, 1), "2010-12-01", {}),
        ("date", "1291191960", "2010-12-01", {"format": "unix"}),
        ("datetime", "2010-12-01T08:26:00Z", "2010-12-01T08:26:00+00:00", {}),
        ("datetime", "2010-12-01 08:26", "2010-12-01T08:26:00+01:00", {"zone": "Europe/Warsaw"}),
        ("datetime", "01/07/2010 08:26", "2010-07-01T08:26:00+02:00", {"zone": WARSAW, "format": "%d/%m/%Y %H:%M"}),
        ("datetime", "1291191960", "2010-12-01T08:26:00+00:00", {"format": "unix"}),
        ("datetime", "1291191960.5", "2010-12-01T08:26:00.500000+00:00", {"format": "unix"}),
        ("datetime", 1291191960123, "2010-12-01T08:26:00.123000+00:00", {"format": "unix_ms"}),
        ("datetime", MOMENT, "2010-12-01T08:26:00+00:00", {}),
        ("datetime", datetime.datetime(2010, 12, 1, 8), "2010-12-01T08:00:00+01:00", {"zone": "Europe/Warsaw"}),  # noqa: DTZ001
        ("datetime", "2024-06-01 12:00:00 UTC", "2024-06-01T12:00:00+00:00", {}),
        ("datetime", "2024-06-01 12:00:00.5 UTC", "2024-06-01T12:00:00.500000+00:00", {}),
        ("datetime", "2024-06-01 12:00:00.123456789 gmt", "2024-06-01T12:00:00.123456+00:00", {}),
        ("datetime", "2024-06-01t12:00:00z", "2024-06-01T12:00:00+00:00", {}),
        ("datetime", "2024-06-01 12:00:00.1 +0000 UTC", "2024-06-01T12:00:00.100000+00:00", {}),
        ("datetime", "2024-06-01 12:00:00 +0200 CEST", "2024-06-01T12:00:00+02:00", {}),
        ("datetime", "2024-06-01 12:00:00 +02:00", "2024-06-01T12:00:00+02:00", {}),
        ("datetime", "2024-06-01 12:00:00-05", "2024-06-01T12:00:00-05:00", {}),
        ("datetime", "2024-06-01T12:00:00+02:00[Europe/Warsaw]", "2024-06-01T12:00:00+02:00", {}),
        ("datetime", "2024-06-01T12:00Z[UTC]", "2024-06-01T12:00:00+00:00", {"zone": "Europe/Warsaw"}),
        ("date", "2024-06-01 23:30:00 UTC", "2024-06-02", {"zone": "Europe/Warsaw"}),
        ("date", "24.10.1987", "1987-10-24", {"format": ["%Y-%m-%d", "%d.%m.%Y"]}),
        ("date", "1987-10-24", "1987-10-24", {"format": ["iso", "%d.%m.%Y", "excel"]}),
        ("date", "45000", "2023-03-15", {"format": ["iso", "%d.%m.%Y", "excel"]}),
        ("date", "05/05/2024", "2024-05-05", {"format": ["%d/%m/%Y", "%m/%d/%Y"]}),
        ("date", "1", "1900-01-01", {"format": "excel"}),
        ("date", 59, "1900-02-28", {"format": "excel"}),
        ("date", 61.0, "1900-03-01", {"format": "excel"}),
        ("datetime", "45000.5208333333", "2023-03-15T12:30:00+00:00", {"format": "excel", "zone": "UTC"}),
        (
            "datetime",
            "45000,25",
            "2023-03-15T06:00:00+01:00",
            {"format": "excel", "zone": "Europe/Warsaw", "decimal": ","},
        ),
        ("date", "24/10/87", "1987-10-24", {"format": "%d/%m/%y"}),
        ("date", "24/10/65", "2065-10-24", {"format": "%d/%m/%y"}),
        ("date", "24/10/65", "1965-10-24", {"format": "%d/%m/%y", "pivot_year": 2026}),
        ("date", "24/10/27", "1927-10-24", {"format": "%d/%m/%y", "pivot_year": 2026}),
        ("date", "24/10/26", "2026-10-24", {"format": "%d/%m/%y", "pivot_year": 2026}),
        ("datetime", "2010-10-31 02:30", "2010-10-31T02:30:00+01:00", {"zone": "Europe/Warsaw", "ambiguous": "latest"}),
        # The hour that comes twice is the first one, unless the mapping says otherwise.
        ("datetime", "2010-10-31 02:30", "2010-10-31T02:30:00+02:00", {"zone": "Europe/Warsaw"}),
    ],
)
def test_a_good_cell_is_read(type_name, cell, value, options):
    """Each type reads texts and the typed cells of tables."""
    found = read(cell, type_name, **options)
    assert found == value
    assert type(found) is type(value)
    orjson.dumps(found)


@pytest.mark.parametrize(
    ("type_name", "cell", "reason", "options"),
    [
        ("text", [1], "is no text", {}),
        ("text", Decimal("1E+999999999"), "too many digits for a text", {}),
        ("text", Decimal("1E-999999999"), "too many digits for a text", {}),
        ("text", Decimal("NaN"), "not finite", {}),
        pytest.param("text", 10**5000, "larger than a JSON number", {}, id="long"),
        ("integer", Decimal("1E+999999999"), "larger than a JSON number", {}),
        ("integer", Decimal("1E-999999999"), "not a whole number", {}),
        ("number", Decimal("1E+999999999"), "more digits", {}),
        ("decimal", "1E+999999999", "more digits", {}),
        ("decimal", "1E+9999999999999999999", "not a number", {}),
        ("text", 2.0**53, "lost digits", {}),
        ("integer", "1_000", "not a whole number", {}),
        ("integer", "\uff11\uff12", "not a whole number", {}),
        ("integer", "6.5", "not a whole number", {}),
        ("integer", "", "not a whole number", {}),
        ("integer", "1,234", "not a whole number", {}),
        ("integer", "12 34", "not a whole number", {"thousands": " "}),
        ("integer", "9" * 20, "larger", {}),
        ("integer", "9" * 5000, "larger", {}),
        ("integer", 6.5, "not a whole number", {}),
        ("integer", True, "not a whole number", {}),
        ("integer", 2.0**53, "lost digits", {}),
        ("integer", float("inf"), "not finite", {}),
        ("number", "nan", "not a number", {}),
        ("number", "1e999", "larger", {}),
        ("number", "18446744073709551616", "larger", {}),
        ("number", "2,55", "not a number", {}),
        ("number", ".", "not a number", {}),
        ("number", None, "not a number", {}),
        ("decimal", "0.12345678901234567890", "more digits", {}),
        ("decimal", "9007199254740993", "more digits", {}),
        ("decimal", "-9007199254740993", "more digits", {}),
        ("decimal", "9.007199254740993e15", "more digits", {}),
        ("decimal", "900719925474099.3", "more digits", {}),
        ("boolean", "maybe", "neither true nor false", {}),
        ("boolean", 2, "neither true nor false", {}),
        ("json", "{", "not JSON", {}),
        ("list", 5, "no list", {"separator": ";"}),
        ("auto", "X", "none of the words", {"values": {"M": "MALE"}}),
        ("auto", [1], "none of the words", {"values": {"M": "MALE"}}),
        ("date", "2010-13-01", "not a date", {}),
        ("date", "yesterday", "of the form %d.%m.%Y", {"format": "%d.%m.%Y"}),
        ("date", 20101201, "say what it counts", {}),
        ("datetime", "2010-12-01 08:26", "has no zone", {}),
        ("datetime", "soon", "not a date and time", {}),
        ("datetime", "2010-03-28 02:30", "clocks were put forward", {"zone": "Europe/Warsaw"}),
        ("datetime", "9999-12-31 23:59", "out of the range", {"zone": "America/New_York"}),
        ("datetime", "9" * 30, "no time as unix counts it", {"format": "unix"}),
        ("datetime", True, "not a date and time", {}),
        ("datetime", "1_000", "no time as unix counts it", {"format": "unix"}),
        ("datetime", "2010-10-31 02:30", "comes twice in its zone", {"zone": "Europe/Warsaw", "ambiguous": "refuse"}),
        ("datetime", "2024-06-01 12:00:00 CEST", "not a date and time", {}),
        ("datetime", "2024-06-01T12:00[Europe/Warsaw]", "not a date and time", {}),
        (
            "date",
            "03/04/2024",
            "another date by each of the forms %d/%m/%Y and %m/%d/%Y",
            {"format": ["%d/%m/%Y", "%m/%d/%Y"]},
        ),
        ("date", "3.4.2024", "of any of the forms %d/%m/%Y, iso", {"format": ["%d/%m/%Y", "iso"]}),
        ("date", "60", "no day as spreadsheets number it", {"format": "excel"}),
        ("date", "0", "no day as spreadsheets number it", {"format": "excel"}),
        ("date", "-5", "no day as spreadsheets number it", {"format": "excel"}),
        ("date", "45,000", "no day as spreadsheets number it", {"format": "excel"}),
        ("date", "9999999", "no day as spreadsheets number it", {"format": "excel"}),
        ("date", "0001-01-01T00:00:00+00:00", "out of the range", {"zone": "America/New_York"}),
    ],
)
def test_a_bad_cell_is_refused_with_a_reason(type_name, cell, reason, options):
    """The reason says what was expected, and never what the cell holds."""
    with pytest.raises(BadCellError, match=reason):
        read(cell, type_name, **options)


@given(st.text(max_size=12) | st.floats() | st.integers() | st.decimals() | st.booleans() | st.binary(max_size=3))
def test_no_cell_breaks_a_converter(cell):
    """Whatever a cell holds, it is read or it is refused: nothing else may come out of a converter."""
    for type_name, options in [
        *(
            (type_name, {})
            for type_name in ("text", "integer", "number", "decimal", "boolean", "json", "date", "datetime")
        ),
        ("list", {"separator": ";"}),
        ("datetime", {"zone": "Europe/Warsaw"}),
        ("datetime", {"format": "unix_ms"}),
        ("datetime", {"format": "%Y-%m-%d", "zone": "UTC"}),
    ]:
        if isinstance(cell, float) and cell != cell:  # noqa: PLR0124 - NaN is an empty cell, which no converter sees
            continue
        try:
            orjson.dumps(read(cell, type_name, **options), default=str)
        except BadCellError:
            continue
        except TypeError:  # half a surrogate, or an integer that no JSON can have held: the run refuses them
            assert isinstance(cell, str) or type_name == "json"


@given(
    st.sampled_from(["%d/%m/%Y %H:%M", "%Y-%m-%d", "%d.%m.%Y  %H:%M:%S", "(%Y)%m-%d[%H]", "%Y%m%d%H", "%d %M %Y %m"]),
    st.datetimes(),
    st.text("0123456789/-. :()[]", max_size=3),
    st.integers(0, 16),
    st.booleans(),
)
def test_formats_of_numbers_are_read_as_strptime_reads_them(format_, moment, noise, position, pads):
    """Our own parser accepts and refuses what the standard library does, and is faster."""
    text = moment.strftime(format_)
    if moment.year < 1000:
        text = text.replace(str(moment.year), f"{moment.year:04}", 1)
    if not pads:
        text = text.replace("/0", "/").replace(" 0", " ")
    text = text[:position] + noise + text[position:]
    try:
        expected = datetime.datetime.strptime(text.strip(), format_).isoformat()  # noqa: DTZ007
    except ValueError:
        expected = None
    try:
        found = read(text, "datetime", format=format_, zone="UTC").removesuffix("+00:00")
    except BadCellError:
        found = None
    assert found == expected
