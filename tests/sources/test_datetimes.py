"""Datetimes in columns: what is kept from cell to cell never changes what a cell is read as."""

from __future__ import annotations

import datetime
import io
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import MappingError, RowMapping, datetimes, field, read_arrow, read_csv, read_jsonl
from synerise_profiles.sources.datetimes import datetime_converter
from synerise_profiles.sources.errors import BadCellError

WARSAW = zoneinfo.ZoneInfo("Europe/Warsaw")
ZONES = ["Europe/Warsaw", "UTC", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca", "Australia/Lord_Howe"]
FORMATS = [
    "%Y-%m-%d %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m.%d.%Y-%H:%M:%S",
    "%Y%m%d %H:%M",
    "%H:%M %d.%m.%Y",
    "%d %b %Y %H:%M",
]
# Clocks are changed in these, so that days with two offsets come often.
MOMENTS = st.datetimes(
    datetime.datetime.fromisoformat("2010-03-27"), datetime.datetime.fromisoformat("2010-04-02")
) | st.datetimes(datetime.datetime.fromisoformat("2010-10-30"), datetime.datetime.fromisoformat("2010-11-08"))


def plainly(text, format_, zone):
    """What a text is, without anything that is kept."""
    moment = datetime.datetime.strptime(text, format_).replace(tzinfo=zone)
    if moment.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None):
        return None
    return moment.isoformat()


def read(convert, cell):
    try:
        return convert(cell)
    except BadCellError:
        return None


@settings(deadline=None)
@given(
    st.lists(MOMENTS, max_size=20), st.sampled_from(FORMATS), st.sampled_from(ZONES), st.booleans(), st.integers(1, 8)
)
def test_a_column_is_read_as_each_cell_alone(moments, format_, zone, pads, limit):
    """Days and times that came before, in any order, with zeros or without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datetimes, "_MAX_CACHED_ITEMS", limit)
        patch.setattr(datetimes, "_MAX_CACHED_DAYS", limit)
        zone = zoneinfo.ZoneInfo(zone)
        convert = datetime_converter((format_,), zone, lambda _: None)
        for moment in [*moments, *moments[::-1]]:
            text = moment.strftime(format_)
            if not pads:
                text = text.replace(" 0", " ").replace("/0", "/").replace(":0", ":")
            assert read(convert, text) == plainly(text, format_, zone)


@settings(deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.sampled_from(["", "Z", "+02:00", " UTC", "-0330"]), st.sampled_from("T "))))
def test_iso_texts_with_zones_and_without_are_told_apart(cells):
    """A day that was seen without a zone does not give its offset to a time that has its own."""
    convert = datetime_converter(("iso",), WARSAW, lambda _: None)
    for moment, zone, mark in [*cells, *cells[::-1]]:
        text = moment.replace(microsecond=0).isoformat(mark) + zone
        if zone:
            expected = datetime.datetime.fromisoformat(text.replace(" UTC", "+00:00")).isoformat()
        else:
            expected = plainly(moment.replace(microsecond=0).isoformat(), "%Y-%m-%dT%H:%M:%S", WARSAW)
        assert read(convert, text) == expected


@pytest.mark.parametrize(("choice", "offset"), [("earliest", "+02:00"), ("latest", "+01:00")])
def test_times_that_come_twice_are_counted(choice, offset):
    """Each of them, in every pass anew; other times of that day are not."""
    mapping = RowMapping.for_profiles(
        {"id": "customId", "at": field("attributes.at", "datetime", zone="Europe/Warsaw", ambiguous=choice)}
    )
    text = "id,at\na,2010-10-31 02:30\nb,2010-10-31 02:30\nc,2010-10-31 04:30\nd,2010-10-30 02:30\n"
    jsonl = b'{"id":"a","at":"2010-10-31 02:30"}\n{"id":"b","at":"2010-10-31T02:30"}\n'
    for source in (read_csv(io.StringIO(text), mapping), read_jsonl(io.BytesIO(jsonl), mapping)):
        rows = list(source)
        assert [row["attributes"]["at"] for row in rows[:2]] == [f"2010-10-31T02:30:00{offset}"] * 2
        assert source.notes == {f"column 'at' is a time that comes twice in its zone, read as the {choice}": 2}


def test_times_that_come_twice_in_a_table():
    """Typed cells without a zone are local times too."""
    pyarrow = pytest.importorskip("pyarrow")
    moment = datetime.datetime.fromisoformat("2010-10-31T02:30")
    table = pyarrow.table({"id": ["a"], "at": [moment]})
    columns = {"id": "customId", "at": field("attributes.at", zone="Europe/Warsaw", ambiguous="refuse")}
    (row,) = read_arrow(table, RowMapping.for_profiles(columns))
    assert isinstance(row, UnreadableRow)
    assert row.reason == ("column 'at' comes twice in its zone: clocks were put back there; say which by ambiguous=")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ambiguous": "both", "zone": "UTC"}, "ambiguous='both' is none of earliest, latest, refuse"),
        ({"ambiguous": "latest"}, "ambiguous is for local times"),
        ({"pivot_year": 26}, "pivot_year=26 is no year of four digits"),
        ({"pivot_year": 2030, "format": ["iso", "%d.%m.%Y"], "zone": "UTC"}, "give a format= that has %y"),
        ({"pivot_year": 2030, "format": "%d.%m.%%y%Y", "zone": "UTC"}, "give a format= that has %y"),
        ({"pivot_year": 2030, "zone": "UTC"}, "give a format= that has %y"),
        ({"format": []}, "format is an empty list"),
        ({"format": "excel"}, "the format excel has no zone"),
        ({"format": ["iso", "%d.%m.%Y %H:%M"]}, "the format %d.%m.%Y %H:%M has no zone"),
    ],
)
def test_options_of_dates_are_checked_where_they_are_written(options, problem):
    """Before there is any file."""
    with pytest.raises(MappingError, match=problem):
        RowMapping.for_profiles({"id": "customId", "at": field("attributes.at", "datetime", **options)})


@pytest.mark.parametrize(
    "format_",
    ["%H:%M", "%d.%m", "%m/%Y", "%Y", "%Q", "%", "", "excel1904", "%d.%m.%Y %", "%%Y-%m-%d", ["%d.%m.%Y", "%H:%M"]],
)
def test_a_format_without_a_whole_date_is_refused_when_it_is_given(format_):
    """What it lacks would be of the year 1900, silently; what is no format would refuse every row."""
    with pytest.raises(MappingError, match="the format"):
        field("birthDate", "date", format=format_)


@pytest.mark.parametrize(
    "format_", ["%Y%m%d", "%d %B %y", "%Y-%j", "%G-W%V-%u", "%Y %U %a", "%c", "%x", "%d/%b/%Y:%H:%M:%S %z", "unix"]
)
def test_a_format_of_a_whole_date_is_taken(format_):
    """By its month and day, by the day of the year, or by the week."""
    assert field("attributes.x", "date", format=format_).format == format_


@pytest.mark.parametrize("format_", ["%Y-%m-%d %H:%M:%S %Z", ["iso", "%d.%m.%Y %H:%M %Z"], "%Z %Y-%m-%dT%H:%M%z"])
def test_the_name_of_a_zone_is_no_part_of_a_format(tmp_path, format_):
    """It would be read and ignored, and the moment taken for one of `zone=`."""
    with pytest.raises(MappingError, match=r"has %Z, the name of a zone, .* read an offset by %z, .* give zone="):
        field("time", format=format_, zone="Europe/Warsaw")
    path = tmp_path / "mapping.toml"
    path.write_text(
        'for = "events"\nconstants = { label = "V", action = "shop.visit" }\n[columns]\nid = "client.customId"\n'
        f't = {{ field = "time", format = {format_!r}, zone = "Europe/Warsaw" }}\n'
    )
    with pytest.raises(MappingError, match="has %Z"):
        RowMapping.load(path)
    assert field("attributes.x", "date", format="%Y-%m-%d %%Z").format == "%Y-%m-%d %%Z"
