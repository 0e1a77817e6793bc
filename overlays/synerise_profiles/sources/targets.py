"""Targets: the field that a column goes to, and the type by which its cells are read, as `field` describes them.

Options that contradict each other are refused where they are written: one that does not belong to its type would be
ignored without a word.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast, get_args

import attrs

from synerise_profiles_api.names import checks_names

from .datetime_formats import format_problem, formats_of, has_short_year
from .datetimes import Ambiguous
from .derived_cells import fallback_columns, template_columns
from .errors import MappingError, MappingIssue
from .plain_values import endless_problem, plain_texts, plain_value

__all__ = ["Empty", "FieldTarget", "Target", "TypeName", "field", "is_zone", "null_values_problem", "zone_name"]

TypeName: TypeAlias = Literal[
    "auto", "text", "integer", "number", "decimal", "boolean", "datetime", "date", "json", "list"
]
Empty: TypeAlias = Literal["omit", "null", "keep"]


@attrs.frozen(kw_only=True)
class Target:
    """A field, and how cells become its values; made by `field`, whose arguments its attributes are."""

    field: str
    type: TypeName = "auto"
    format: str | Sequence[str] | None = None
    zone: datetime.tzinfo | None = None
    ambiguous: Ambiguous = "earliest"
    pivot_year: int | None = None
    separator: str | None = None
    decimal: str = "."
    thousands: str = ""
    values: Mapping[Any, Any] | None = None
    null_values: Collection[str] | None = None
    empty: Empty | None = None
    trim: bool | None = None
    optional: bool = False
    template: str | None = None
    fallback: str | Sequence[str] | None = None
    absolute: bool = False
    negate: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of dates and times."""
        return formats_of(self.format)

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns beside its own that its cells are derived from: of the template, then those to fall back on."""
        return (*(() if self.template is None else template_columns(self.template)), *fallback_columns(self.fallback))


FieldTarget: TypeAlias = "str | Target | Sequence[str | Target] | None"
"""Where a column goes: a path, what `field` makes, several of them, or None to leave the column out of a pattern."""


@checks_names
def field(
    field: str,
    type: TypeName = "auto",  # noqa: A002 - the word of the field
    *,
    format: str | Sequence[str] | None = None,  # noqa: A002 - as strptime and its kin call it
    zone: str | datetime.tzinfo | None = None,
    ambiguous: Ambiguous = "earliest",
    pivot_year: int | None = None,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str = "",
    values: Mapping[Any, Any] | None = None,
    null_values: Collection[str] | None = None,
    empty: Empty | None = None,
    trim: bool | None = None,
    optional: bool = False,
    template: str | None = None,
    fallback: str | Sequence[str] | None = None,
    absolute: bool = False,
    negate: bool = False,
) -> Target:
    """Describe the field that a column goes to, and how its cells are read.

    `field` is the publisher's path, such as `customId`, `attributes.country` or `products[].sku`. `type` is how cells
    are read:

    - `auto` (the default): as the field is documented; where anything goes, a text stays a text and a typed value of a
      table keeps its type.
    - `text`, `integer`, `number`, `decimal` (refuses what JSON would round), `boolean` (true, yes, y, t, 1 and their
      opposites), `json`, and `list` of texts, between `separator`.
    - `datetime` and `date`: ISO 8601, or `format`, as strptime takes it or by name: `unix` and `unix_ms` are seconds
      and milliseconds since 1970, `excel` the days of spreadsheets, `iso` ISO 8601. A list of formats reads each
      cell by the one that fits, and refuses a cell that two of them read differently. `zone`, such as
      `Europe/Warsaw` or `UTC+02:00`, is that of values without one; `ambiguous` says what a time means that comes
      twice in it, when clocks are put back: `earliest`, `latest` or `refuse`. `pivot_year` is the last year that two
      digits mean: 2026 makes 26 of this century and 27 of the last.

    `decimal` and `thousands` are the marks in numbers: `decimal=",", thousands=" "`. `values` gives the value of each
    word, and refuses other words: `values={"M": "MALE", "F": "FEMALE"}`. `null_values` are texts that mean an empty
    cell, such as `NULL`. `empty` says what an empty cell means: `omit` the field, `null`, which deletes and has to be
    allowed by the run's `allow_null`, or `keep` the empty text. `trim` takes blanks off both ends of a text. All three
    are the mapping's own choice where they are not given. An `optional` column may be missing in the file.

    A cell may be derived: `template` makes a text of the cells of columns, `template="shop-{CustomerID}"`, which is
    empty where one of them is; `fallback` names a column, or several, that are taken in turn where the cell is empty.
    `absolute` takes the sign off a number, `negate` gives it the opposite one.

    Raises MappingError for an unknown type or zone, and for options that go with another type.
    """
    flags = {"trim": trim, "optional": optional, "absolute": absolute, "negate": negate}
    texts = {"decimal": decimal, "thousands": thousands, "separator": separator, "template": template}
    given = {"format": format, "values": values, "null_values": null_values, "fallback": fallback}
    wrong = [problem for name, value in given.items() if (problem := endless_problem(name, value)) is not None]
    wrong = wrong or list(_kind_problems({**flags, **texts}, values, zone, fallback))
    if wrong:
        raise MappingError(MappingIssue("", str(field), problem) for problem in wrong)
    problems = _problems(type, format, zone, separator, values, empty)
    problems += _date_problems(type, ambiguous, pivot_year, zone, format)
    problems += _derivation_problems(type, template, fallback, has_sign=absolute or negate)
    if (problem := null_values_problem(null_values)) is not None:
        problems.append(problem)
    if len(decimal) != 1 or decimal in thousands or any(mark in "0123456789+-eE" for mark in decimal + thousands):
        problems.append("decimal is one mark and thousands are others, neither of them a digit or a sign")
    if problems:
        raise MappingError(MappingIssue("", field, problem) for problem in problems)
    return Target(
        field=plain_value(field),
        type=plain_value(type),
        format=_plain_names(format),
        zone=_zone_of(zone) if isinstance(zone, str) else zone,
        ambiguous=plain_value(ambiguous),
        pivot_year=plain_value(pivot_year),
        separator=plain_value(separator),
        decimal=plain_value(decimal),
        thousands=plain_value(thousands),
        values=plain_value(values),
        null_values=null_values if null_values is None else tuple(sorted(plain_texts(null_values))),
        empty=plain_value(empty),
        trim=trim,
        optional=optional,
        template=plain_value(template),
        fallback=_plain_names(fallback),
        absolute=absolute,
        negate=negate,
    )


def _plain_names(names: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    return (
        plain_texts(names)
        if names is not None and not isinstance(names, str)
        else cast("str | None", plain_value(names))
    )


def _kind_problems(
    flags_and_texts: Mapping[str, object], values: object, zone: object, fallback: object
) -> Iterator[str]:
    """Yield what is wrong with options that are of another kind, whatever they hold."""
    for name, value in flags_and_texts.items():
        is_flag = name in ("trim", "optional", "absolute", "negate")
        if value is not None and not isinstance(value, bool if is_flag else str):
            yield f"{name}={value!r} is {'neither True nor False' if is_flag else 'no text'}"
    if values is not None and not isinstance(values, Mapping):
        yield "values is a table of words and what each means, such as values={'M': 'MALE'}"
    if zone is not None and not isinstance(zone, str | datetime.tzinfo):
        yield "zone is a name such as 'Europe/Warsaw', or what zoneinfo makes of one"
    if fallback is not None and not isinstance(fallback, str | Sequence):
        yield "fallback is the name of a column, or a list of names"


def _problems(
    type_name: object,
    format: str | Sequence[str] | None,  # noqa: A002
    zone: str | datetime.tzinfo | None,
    separator: str | None,
    values: Mapping[Any, Any] | None,
    empty: object,
) -> list[str]:
    found: list[str] = []
    if type_name not in get_args(TypeName):
        found.append(f"there is no type {type_name!r}; give one of {', '.join(get_args(TypeName))}")
    if empty is not None and empty not in get_args(Empty):
        found.append(f"empty={empty!r} is none of {', '.join(get_args(Empty))}")
    if empty == "keep" and type_name not in ("auto", "text"):
        found.append(f"empty='keep' keeps an empty text, which is no {type_name}")
    if format is not None and type_name not in ("auto", "date", "datetime"):
        found.append(f"format is for dates; the type is {type_name}")
    found += [problem for one in formats_of(format) if (problem := format_problem(one)) is not None]
    if format is not None and not formats_of(format):
        found.append("format is an empty list; leave it out for ISO 8601")
    if separator is not None and type_name != "list":
        found.append(f"separator is for lists; the type is {type_name}")
    if type_name == "list" and not separator:
        found.append("a list needs its separator, such as separator=';'")
    if values is not None and type_name != "auto":
        found.append("values are sent as they are; leave the type out")
    if isinstance(zone, str) and not is_zone(zone):
        found.append(
            f"there is no zone {zone!r}; give one such as 'Europe/Warsaw', or pip install tzdata where there are none"
        )
    return found


def _date_problems(
    type_name: object,
    ambiguous: object,
    pivot_year: object,
    zone: str | datetime.tzinfo | None,
    format: str | Sequence[str] | None,  # noqa: A002
) -> list[str]:
    found: list[str] = []
    if ambiguous not in get_args(Ambiguous):
        found.append(f"ambiguous={ambiguous!r} is none of {', '.join(get_args(Ambiguous))}")
    elif ambiguous != "earliest" and zone is None:
        found.append("ambiguous is for local times; give their zone=")
    if pivot_year is not None and (isinstance(pivot_year, bool) or not isinstance(pivot_year, int) or pivot_year < 100):
        found.append(f"pivot_year={pivot_year!r} is no year of four digits")
    if pivot_year is not None and type_name not in ("auto", "date", "datetime"):
        found.append(f"pivot_year is for dates; the type is {type_name}")
    elif pivot_year is not None and not any(map(has_short_year, formats_of(format))):
        found.append("pivot_year is for years of two digits; give a format= that has %y")
    return found


def _derivation_problems(type_name: object, template: object, fallback: object, *, has_sign: bool) -> list[str]:
    found: list[str] = []
    if template is not None:
        try:
            template_columns(str(template))
        except ValueError as error:
            found.append(f"{error}")
    names = fallback_columns(cast("str | Sequence[str] | None", fallback)) if fallback is not None else ("",)
    if not names or not all(isinstance(name, str) for name in cast("Sequence[object]", names)):
        found.append("fallback is the name of a column, or a list of names")
    if has_sign and type_name not in ("auto", "integer", "number", "decimal"):
        found.append(f"absolute and negate are for numbers; the type is {type_name}")
    return found


def null_values_problem(null_values: object) -> str | None:
    """Say why this is no collection of texts; None if it is one."""
    if null_values is None:
        return None
    if isinstance(null_values, str) or not isinstance(null_values, Collection):
        return "null_values is a list of texts, such as null_values=['NULL']"
    texts = cast("Collection[object]", null_values)
    if (problem := endless_problem("null_values", texts)) is not None:
        return problem
    return None if all(isinstance(text, str) for text in texts) else "null_values holds what is no text"


def zone_name(zone: datetime.tzinfo | None) -> str | None:
    """Return the name by which `zone=` gives this zone, so that zones can be compared in any process."""
    if isinstance(zone, datetime.timezone):  # which may have any name
        zone = datetime.timezone(zone.utcoffset(None))
    return None if zone is None else str(zone)


def is_zone(name: str) -> bool:
    """Whether `zone=` takes this name."""
    try:
        _zone_of(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _zone_of(name: str) -> datetime.tzinfo:
    """Return the zone of a name, such as Europe/Warsaw or, as `datetime.timezone` writes offsets, UTC+02:00."""
    if re.match(r"UTC[+-][0-9]{2}:[0-5][0-9]", name):
        return cast("datetime.tzinfo", datetime.datetime.fromisoformat(f"2000-01-01T00:00:00{name[3:]}").tzinfo)
    return zoneinfo.ZoneInfo(name)
