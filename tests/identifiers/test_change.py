"""Which rows the change of July 2026 touches, and how."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.identifiers import ChangeCheck, check_identifier_change
from synerise_profiles.models import ClientIdentifier, ProfileInput


def found(*rows: Any) -> list[tuple[int, str, str, int | None]]:
    return [(item.row, item.field, item.kind, item.other) for item in check_identifier_change(rows)]


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("plain", []),
        ("inner space", []),
        ("josé", ["accents"]),
        ("jose\u0301", ["accents"]),
        ("Łukasz", ["accents"]),
        ("søren", ["accents"]),
        ("Йод", ["accents"]),
        ("straße", []),
        ("日本", []),
        ("Иван", []),
        (" plain", ["whitespace"]),
        ("plain\u00a0", ["whitespace"]),
        (" josé", ["whitespace", "accents"]),
        (" ", ["blank"]),
        ("a\u200bb", ["invisible"]),
        ("\ufeffa", ["invisible"]),
        ("a\u00a0b", ["invisible"]),
        ("", []),
        (None, []),
    ],
)
def test_one_identifier(value: str | None, kinds: list[str]) -> None:
    """Marks and strokes are accents, other scripts are not; white space counts at the ends alone."""
    assert [(0, "customId", kind, None) for kind in kinds] == found({"customId": value})


def test_invisible_characters_are_named() -> None:
    """By code point and name: nobody sees them, and the identifier is another one than without them."""
    (change,) = check_identifier_change([{"customId": "a\u200bb\u00a0c\u200bd"}])
    assert change.characters == ("U+200B (zero width space)", "U+00A0 (no-break space)")
    assert change.effect() == (
        "it has U+200B (zero width space) and U+00A0 (no-break space), which nobody sees:"
        " it is not the same as without it"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("\u00a0plain", [("whitespace", ["U+00A0"])]),
        (" plain\u3000 ", [("whitespace", ["U+3000"])]),
        (" plain ", [("whitespace", [])]),
        ("\u00a0 ", [("blank", ["U+00A0"])]),
        ("a\u200bb\u00a0", [("whitespace", ["U+00A0"]), ("invisible", ["U+200B"])]),
    ],
)
def test_invisible_characters_at_the_ends_are_named_where_they_are_trimmed(
    value: str, expected: list[tuple[str, list[str]]]
) -> None:
    """What is trimmed is named by code point too: a blank may be one that looks like any other."""
    changes = list(check_identifier_change([{"customId": value}]))
    assert [(change.kind, [name[:6] for name in change.characters]) for change in changes] == expected
    for change, (kind, names) in zip(changes, expected, strict=True):
        assert all(name in change.effect() for name in names), kind


def test_every_identifier_of_a_row_and_nothing_else() -> None:
    """Names and cities may have accents; an id that is a number has none."""
    row = {"clientId": " 7", "uuid": "ü", "customId": " c", "email": "é@example.com", "phone": "1 ", "city": "Łódź"}
    assert found(row) == [
        (0, "uuid", "accents", None),
        (0, "customId", "whitespace", None),
        (0, "email", "accents", None),
        (0, "phone", "whitespace", None),
    ]


def test_a_uuid_of_two_profiles() -> None:
    """The later row is reported, with the earlier one; white space at the ends hides none."""
    rows = [{"uuid": "u", "customId": "a"}, {"uuid": "v", "customId": "b"}, {"uuid": "u", "customId": "b"}]
    assert found(*rows) == [(2, "uuid", "duplicate-uuid", 0)]
    assert found(rows[0], {"uuid": "u ", "customId": "b"}) == [
        (1, "uuid", "whitespace", None),
        (1, "uuid", "duplicate-uuid", 0),
    ]
    assert found({"uuid": "u"}, {"uuid": "u", "email": "a@example.com"}) == [(1, "uuid", "duplicate-uuid", 0)]


def test_a_uuid_of_one_profile() -> None:
    """Rows that agree otherwise are the same profile again; the phone number beside a uuid names none."""
    row = {"uuid": "u", "customId": "a", "phone": "111222333"}
    assert found(row, row, {**row, "phone": "444555666"}, {**row, "customId": " a"}) == [
        (3, "customId", "whitespace", None)
    ]
    assert found({"uuid": "u"}, {"uuid": "u"}, {"uuid": ""}, {"uuid": None}) == []


def test_models_and_events() -> None:
    """A row is a mapping or a model; an event names its profile in `client`."""
    event = {"label": "Visit", "action": "shop.visit"}
    assert found(ProfileInput(email="é@example.com"), ProfileInput(custom_id=None)) == [(0, "email", "accents", None)]
    assert found(
        {**event, "client": {"uuid": "u", "id": 1}},
        {**event, "client": ClientIdentifier(uuid="u", id=2)},
        {**event, "client": {"email": " a@example.com"}},
    ) == [(1, "uuid", "duplicate-uuid", 0), (2, "email", "whitespace", None)]


@pytest.mark.parametrize("row", [7, "text", None])
def test_what_is_no_row(row: Any) -> None:
    """It is named by its number."""
    with pytest.raises(InvalidRequestError, match=r"rows\[1\]: is neither a model nor a mapping"):
        list(check_identifier_change([{}, row]))


def test_nothing_personal_is_shown() -> None:
    """Neither a representation nor the words hold an identifier."""
    rows = [{"customId": " jan.kowalski.17 ", "uuid": "secret-uuid"}, {"customId": "b", "uuid": "secret-uuid"}]
    changes = list(check_identifier_change(rows))
    texts = " ".join(f"{change!r} {change.effect()}" for change in changes)
    assert [change.identifier for change in changes] == ["j…7", "s…d"]
    assert "kowalski" not in texts
    assert "secret-uuid" not in texts
    assert "row 0" in changes[1].effect()


def test_rows_are_read_as_they_are_needed() -> None:
    """It is lazy, and ends without a trace when it is not read to its end."""
    taken: list[int] = []

    def rows() -> Any:
        for number in range(100):
            taken.append(number)
            yield {"customId": " x", "uuid": f"u{number}"}

    changes = check_identifier_change(rows())
    assert next(changes).row == 0
    assert taken == [0]
    changes.close()  # type: ignore[attr-defined]


def test_memory_does_not_grow_with_the_rows() -> None:
    """Uuids are kept in a file: what Python holds is the same after ten times as many."""

    def peak(count: int) -> int:
        check = ChangeCheck()
        tracemalloc.start()
        for number in range(count):
            assert not list(check.changes({"uuid": f"uuid-{number}", "customId": f"c{number}"}, number))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        check.close()
        return most

    assert peak(20_000) < peak(2_000) + 50_000
