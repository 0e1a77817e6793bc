"""What the checks refuse, what they let pass, and what is sent of a row."""

from __future__ import annotations

import datetime
import decimal
import enum
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._batching import operations
from synerise_profiles.models import ProfileBatchItem
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import UNSET
from tests.bulk.support import Run, Server

PROFILES, EVENTS, TRANSACTIONS = operations.profiles(), operations.events(), operations.transactions()


MEND = "mend the name, or allow this one by allow_unknown"


def refusal(
    row: Any, batch_operation: operations.BatchOperation = PROFILES, **settings: Any
) -> tuple[str | None, str] | None:
    run = Run(batch_operation, [row], Server(), **settings)
    found = list(run.finish().rejected)
    return (found[0].field, found[0].reason) if found else None


def event(**more: Any) -> dict[str, Any]:
    return {"label": "x", "action": "a.b", "client": {"customId": "c"}, **more}


def purchase(**more: Any) -> dict[str, Any]:
    money = {"amount": 1, "currency": "PLN"}
    product = {"sku": "s", "name": "n", "finalUnitPrice": money, "quantity": 1}
    more_fields = {"orderId": "o", "paymentInfo": {"method": "CARD"}, "products": [product], "source": "POS"}
    return {"client": {"customId": "c"}, "revenue": money, "value": money, **more_fields, **more}


BOTH = ["basic", "strict"]
NAIVE = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - that is the point
JAN = {"customId": "Łódź 17", "email": "jan.kowalski@example.com", "phone": "+48 111 222 333", "sex": "MALE"}
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
FREE = {"amount": 0, "currency": "PLN"}
ALWAYS: list[tuple[Any, operations.BatchOperation, str | None, str]] = [
    ({"firstName": "Jan"}, PROFILES, None, "names no profile"),
    ({"customId": ""}, PROFILES, None, "names no profile"),
    ({"customId": "a\nb"}, PROFILES, "customId", "holds the control character U+000A; remove it"),
    ({"customId": "ł\x00"}, PROFILES, "customId", "holds the control character U+0000; remove it"),
    ({"email": "a\x1fb@example.com"}, PROFILES, "email", "holds the control character U+001F; remove it"),
    (event(client={"uuid": "u\x7f"}), EVENTS, "client.uuid", "holds the control character U+007F; remove it"),
    ({"customId": 17}, PROFILES, "customId", "is not a text: int"),
    ({"clientId": True}, PROFILES, "clientId", "is not an integer"),
    ({"customId": "c", "city": None}, PROFILES, "city", "is null, which deletes"),
    ({"customId": "c", "attributes": {"a": {"b": [1, None]}}}, PROFILES, "attributes.a.b[1]", "is null"),
    ({"customId": "c", "attributes": {"a": float("nan")}}, PROFILES, "attributes.a", "is NaN"),
    ({"customId": "c", "attributes": {"a": float("inf")}}, PROFILES, "attributes.a", "is NaN"),
    ({"customId": "c", "attributes": {"a": NAIVE}}, PROFILES, "attributes.a", "without a zone"),
    ({"customId": "c", "attributes": {"a": "\ud800"}}, PROFILES, "attributes.a", "half of an emoji"),
    ({"customId": "c", "attributes": {"a": object()}}, PROFILES, "attributes.a", "is an object"),
    ({"customId": "c", "attributes": {1: 2}}, PROFILES, "attributes", "has a key of type int"),
    ({"customId": "c", "attributes": {"a": 2**70}}, PROFILES, "attributes.a", "beyond 64 bits"),
    ({"customId": "c", "attributes": {"a": {1, "b"}}}, PROFILES, "attributes.a", "no order of their own"),
    ("text", PROFILES, None, "is neither a model nor a mapping"),
    (None, PROFILES, None, "is neither a model nor a mapping"),
    ({"action": "a.b", "client": {"customId": "c"}}, EVENTS, "label", "is required"),
    (event(client={}), EVENTS, "client", "one of id, uuid"),
    (event(client="c"), EVENTS, "client", "is neither a model nor a mapping"),
    (event(eventSalt=""), EVENTS, "eventSalt", "is empty"),
    ({"client": {"customId": "c"}}, TRANSACTIONS, "orderId", "is required"),
]


@pytest.mark.parametrize("checks", BOTH)
@pytest.mark.parametrize(("row", "batch_operation", "field", "reason"), ALWAYS, ids=lambda value: None)
def test_refused_by_every_check(
    row: Any, batch_operation: operations.BatchOperation, field: str | None, reason: str, checks: str
) -> None:
    """Basic checks find what names no profile or the wrong one, what deletes, and what JSON cannot carry."""
    found = refusal(row, batch_operation, checks=checks)
    assert found is not None
    assert field == found[0]
    assert reason in found[1]


@pytest.mark.parametrize(
    ("row", "batch_operation", "field", "reason"),
    [
        ({"customId": "a\U0001f600"}, PROFILES, "customId", "is not as documented"),
        ({"email": "nobody"}, PROFILES, "email", "is not as documented: An e-mail address"),
        ({"phone": "call me"}, PROFILES, "phone", "is not as documented: A phone number"),
        (event(client={"email": "x"}), EVENTS, "client.email", "is not as documented"),
        ({"customId": "c", "birthDate": "24.10.1987"}, PROFILES, "birthDate", "yyyy-mm-dd"),
        ({"customId": "c", "birthDate": "1987-13-24"}, PROFILES, "birthDate", "yyyy-mm-dd"),
        ({"customId": "c", "firstName": "\ufe0f"}, PROFILES, "firstName", "is not as documented"),
        ({"customId": "c", "tags": "vip"}, PROFILES, "tags", "is not a list"),
        ({"customId": "c", "tags": ["a", 1]}, PROFILES, "tags.1", "is not a text"),
        ({"customId": "c", "attributes": {"a\nb": 1}}, PROFILES, "attributes", "characters that are refused"),
        (
            {"customId": "c", "agreements": {"sms": 1.5}},
            PROFILES,
            "agreements.sms",
            "is not boolean or integer",
        ),
        (event(action="!"), EVENTS, "action", "is not as documented"),
        (event(label=""), EVENTS, "label", "is shorter than 1"),
        (event(time="2026-01-01T00:00:00"), EVENTS, "time", "with its offset"),
        (purchase(revenue={"amount": -1, "currency": "PLN"}), TRANSACTIONS, "revenue.amount", "is below 0"),
        (
            purchase(discountAmount=FREE),
            TRANSACTIONS,
            "discountAmount.amount",
            "not above 0",
        ),
        (purchase(revenue={"amount": 1, "currency": "zloty"}), TRANSACTIONS, "revenue.currency", "is longer than 3"),
        (purchase(products=[{"sku": "s"}]), TRANSACTIONS, "products.0.name", "is required"),
    ],
    ids=lambda value: None,
)
def test_refused_by_strict_checks(
    row: Any, batch_operation: operations.BatchOperation, field: str, reason: str
) -> None:
    """Strict checks keep every documented rule; the others leave these to the server."""
    found = refusal(row, batch_operation, checks="strict")
    assert found is not None
    assert field == found[0]
    assert reason in found[1]
    assert refusal(row, batch_operation, checks="basic") is None


@pytest.mark.parametrize("checks", BOTH)
@pytest.mark.parametrize("sex", ["M", "male", "MALE"])
def test_a_value_of_no_closed_set_is_refused_by_both_checks(checks: Any, sex: str) -> None:
    """With the allowed ones, and the one that is meant."""
    problem = "is none of FEMALE, MALE, NOT_SPECIFIED, OTHER"
    wrong = {"M": ("sex", problem), "male": ("sex", f"{problem}; did you mean 'MALE'?")}
    assert refusal({"customId": "c", "sex": sex}, PROFILES, checks=checks) == wrong.get(sex)


@pytest.mark.parametrize("checks", ["off", *BOTH])
@pytest.mark.parametrize(
    ("row", "batch_operation"),
    [
        (
            JAN,
            PROFILES,
        ),
        ({"clientId": 1, "attributes": {"text": "this is null", "flag": "UNSET"}}, PROFILES),
        ({"uuid": "u", "tags": ("a", "b"), "agreements": {"sms": "true", "push": 0, "email": False}}, PROFILES),
        ({"uuid": "u", "birthDate": datetime.date(1987, 10, 24)}, PROFILES),
        (
            event(time=NOON, params={"price": decimal.Decimal("1.5")}),
            EVENTS,
        ),
        (purchase(), TRANSACTIONS),
    ],
    ids=lambda value: None,
)
def test_good_rows(row: Any, batch_operation: operations.BatchOperation, checks: str) -> None:
    """Nothing that is documented is refused."""
    assert refusal(row, batch_operation, checks=checks) is None


def test_a_null_is_allowed_by_name() -> None:
    """Nulls delete, so each field that may be null is named."""
    row = {"customId": "c", "city": None, "attributes": {"score": None}}
    assert refusal(row, allow_null={"city", "attributes.score"}) is None
    assert refusal(row, allow_null={"city"}) == (
        "attributes.score",
        "is null, which deletes the stored value; leave the field out, or allow it by allow_null",
    )


def test_unset_is_left_out() -> None:
    """UNSET in a mapping is not sent, neither as text nor as null."""
    server = Server()
    rows = [{"customId": "c", "city": UNSET}, ProfileBatchItem(custom_id="d", attributes={"a": UNSET})]
    assert Run(PROFILES, rows, server).finish().accepted == 2
    assert server.stored == [{"customId": "c"}, {"customId": "d", "attributes": {}}]


@pytest.mark.parametrize("checks", BOTH)
def test_unknown_names_are_noted(checks: str) -> None:
    """Unknown names are sent, since the server may know them, and noted; so are reserved ones by the strict checks."""
    rows = [{"customId": "c", "pesel": "1", "phone2": "2", "attributes": {"email": "x", "custom_id": 1}}] * 20
    report = Run(PROFILES, rows, Server(), checks=checks).finish()
    assert report.accepted == 20
    reserved = {} if checks == "basic" else {"attributes.email: a reserved name, the server ignores it": 20}
    noted = {f"{name}: not in the documentation": 20 for name in ("pesel", "phone2")}
    assert report.notes == {**noted, **reserved}


@pytest.mark.parametrize("checks", BOTH)
def test_slips_are_refused(checks: str) -> None:
    """A near miss of a documented name would be ignored by the server in silence: it is refused, with what is meant."""
    row = {"customId": "c", "fristName": "Jan"}
    problem = "is not documented, and 'firstName' is; mend the name, or allow this one by allow_unknown"
    assert refusal(row, checks=checks) == ("fristName", problem)
    assert refusal(row, checks=checks, allow_unknown={"fristName"}) is None
    assert refusal(row, checks="off") is None
    inner = {"customId": "c", "agreements": {"webpush": True}}
    assert refusal(inner, checks=checks) == ("agreements.webpush", problem.replace("firstName", "webPush"))
    assert refusal(inner, checks=checks, allow_unknown={"agreements.webpush"}) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("emial", "email"),
        ("phnoe", "phone"),
        ("ctiy", "city"),
        ("tasg", "tags"),
        ("adress", "address"),
        ("phone2", None),
        ("emil", None),
        ("mail", None),
        ("tag", None),
        ("sxe", None),
    ],
)
def test_short_names_are_slips_where_letters_are_swapped(name: str, meant: str | None) -> None:
    """In names of four and five letters a swap counts; a letter more, less or another one only in those of six."""
    found = refusal({"customId": "c", name: "x"})
    assert found == (None if meant is None else (name, f"is not documented, and {meant!r} is; {MEND}"))
    assert refusal({"action": "a.b", "label": "v", "client": {"customId": "c"}, "parms": {}}, EVENTS) == (
        "parms",
        f"is not documented, and 'params' is; {MEND}",
    )
    lacking = {"action": "a.b", "lbl": "v", "client": {"customId": "c"}}
    assert refusal(lacking, EVENTS) == ("label", "is required; is 'lbl' meant for it?")


@pytest.mark.parametrize("checks", BOTH)
def test_additional_properties_of_a_model_are_the_callers_own(checks: str) -> None:
    """What is among the additional properties of a model was put there on purpose: it is neither refused nor noted."""
    model = ProfileBatchItem(custom_id="c", additional_properties={"fristName": "Jan"})
    for count in (1, 20):
        report = Run(PROFILES, [model] * count, Server(), checks=checks).finish()
        assert (report.accepted, report.notes) == (count, {})


@pytest.mark.parametrize("checks", BOTH)
@pytest.mark.parametrize("many", [1, 20])
def test_words_for_nothing_are_noted(checks: str, many: int) -> None:
    """An identifier that is a word for nothing joins strangers: any checks say how often it is there."""
    rows = [{"customId": text, "email": "a@example.com"} for text in ("NULL", "nan", "None", "nancy", "17")] * many
    report = Run(PROFILES, rows, Server(), checks=checks).finish()
    text = "customId: blank, or a word for nothing such as NULL; rows that share it are one profile"
    assert (report.accepted, report.notes) == (5 * many, {text: 3 * many})


@pytest.mark.parametrize("checks", BOTH)
@pytest.mark.parametrize("others", ["c", "ł"])
def test_control_characters_among_many_identifiers_are_refused(checks: str, others: str) -> None:
    """A control character is refused in a block of rows too, whatever else the identifiers hold."""
    rows: list[dict[str, Any]] = [{"customId": f"{others}-{n}"} for n in range(20)]
    rows.insert(10, {"customId": "c\t10"})
    report = Run(PROFILES, rows, Server(), checks=checks).finish()
    (found,) = report.rejected
    assert (10, "customId", "holds the control character U+0009; remove it") == (found.index, found.field, found.reason)
    assert 20 == report.accepted


@pytest.mark.parametrize("many", [1, 20])
@pytest.mark.parametrize("text", [" ", "\t ", "\u00a0", "\u200b", "\ufeff ", "\u2800", "\u3164", "\u200b\u00ad"])
def test_blank_identifiers_are_noted_or_refused(many: int, text: str) -> None:
    """An identifier of which nothing is seen joins strangers: basic checks count it, and strict ones refuse it."""
    rows: list[dict[str, Any]] = [{"customId": f"c-{n}", "email": "a@example.com"} for n in range(many)]
    rows.insert(many // 2, {"customId": text, "email": "a@example.com"})
    note = "customId: blank, or a word for nothing such as NULL; rows that share it are one profile"

    basic = Run(PROFILES, rows, Server(), checks="basic").finish()
    assert (basic.accepted, basic.notes) == (many + 1, {note: 1})

    strict = Run(PROFILES, rows, Server(), checks="strict").finish()
    (found,) = strict.rejected
    assert (found.index, found.stage, found.field, found.reason[:8]) == (many // 2, "check", "customId", "is blank")
    assert strict.accepted == many


@pytest.mark.parametrize("checks", BOTH)
@pytest.mark.parametrize("many", [1, 20])
def test_invisible_characters_of_identifiers_are_counted(checks: str, many: int) -> None:
    """An identifier with a character that nobody sees is another one: it is sent, and each such character is noted."""
    rows = [{"customId": text} for text in ("a\u200bb", "\ufeffa", "a\u00a0b", "Łódź", "a\u3164") for _ in range(many)]
    report = Run(PROFILES, rows, Server(), checks=checks).finish()
    found = {text.partition("has ")[2].partition(" ")[0]: count for text, count in report.notes.items()}
    assert report.accepted == 5 * many
    assert found == dict.fromkeys(("U+200B", "U+FEFF", "U+00A0", "U+3164"), many)


@pytest.mark.parametrize("many", [1, 20])
def test_totals(many: int) -> None:
    """Totals that are not the sum of their items are refused by the strict checks, and noted by the basic ones."""
    wrong = purchase(revenue={"amount": 7, "currency": "PLN"})
    for row, field in ((wrong, "revenue"), (purchase(value={"amount": 1, "currency": "EUR"}), "value.currency")):
        found = list(Run(TRANSACTIONS, [row] * many, Server(), checks="strict").finish().rejected)
        assert len(found) == many
        assert str(found[0].field).startswith(field.partition(".")[0])
        report = Run(TRANSACTIONS, [row] * many, Server()).finish()
        assert report.accepted == many
        assert [count for text, count in report.notes.items() if "totals" in text] == [many]


def test_totals_that_the_builder_takes_are_taken() -> None:
    """Rounded totals, totals before taxes, and updates whose cancelled items are marked add up."""

    def money(amount: float) -> dict[str, Any]:
        return {"amount": amount, "currency": "PLN"}

    def item(price: float, quantity: float, **more: Any) -> dict[str, Any]:
        return {"sku": "s", "name": "n", "finalUnitPrice": money(price), "quantity": quantity, **more}

    rows = [
        purchase(products=[item(0.1, 3)], revenue=money(0.3), value=money(0.3)),
        purchase(products=[item(1.99, 0.333)], revenue=money(0.66), value=money(0.66)),
        purchase(products=[item(1.23, 2, netUnitPrice=money(1))], revenue=money(2.46), value=money(2)),
        purchase(products=[item(5, 1), item(3, 1, cancelled=True)], revenue=money(5), value=money(5)),
    ]
    for checks in BOTH:
        report = Run(TRANSACTIONS, rows * 5, Server(), checks=checks).finish()
        assert report.accepted == 20
        assert not any("totals" in text for text in report.notes)


class Level(enum.StrEnum):
    GOLD = "gold"


class Odd(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __iter__(self) -> Any:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


VALUES = st.recursive(
    st.one_of(
        st.text(),
        st.integers(-(2**53), 2**53),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.dates(),
        st.datetimes(timezones=st.just(datetime.UTC)),
        st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000),
        st.just(Level.GOLD),
        st.uuids(),
        st.sets(st.text(max_size=2), max_size=3),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_is_sent_is_what_single_calls_send(attributes: dict[str, Any]) -> None:
    """A row is written as the client writes it in a single request, whatever it holds."""
    row = Odd({"customId": "c", "attributes": Odd(attributes)})
    server = Server()
    report = Run(PROFILES, [row], server).finish()
    try:
        expected = orjson.loads(orjson.dumps(to_wire(row)))
    except (InvalidRequestError, TypeError):
        assert report.by_stage["check"] == 1
    else:
        assert server.stored == [expected]


def test_salt_and_time() -> None:
    """What has no key gets one: a salt from the content, and the server's time; what has one keeps it."""
    server = Server()
    given = event(eventSalt="mine", time="2026-01-01T00:00:00Z")
    report = Run(EVENTS, [event(), event(), event(params={"n": 1}), given], server).finish()
    assert report.accepted == 4
    first, second, third, fourth = server.stored
    assert first == second
    assert first["eventSalt"] != third["eventSalt"]
    assert len(first["eventSalt"]) == 32
    assert first["time"].endswith("Z")
    # The server's clock stands far behind the one of this machine, and a time in the future would spoil the salt: of a
    # time in whole seconds the second may not be over yet.
    assert first["time"] == "2023-11-14T21:59:59.000Z"
    assert fourth == given


def test_equal_events_stay_two_when_asked() -> None:
    """Two equal events are one, unless the caller says that they are two, or gives keys."""
    server = Server()
    Run(EVENTS, [event(), event()], server, keep_duplicates=True).finish()
    assert server.stored[0]["eventSalt"] != server.stored[1]["eventSalt"]
    server = Server()
    Run(TRANSACTIONS, [purchase()], server, salt=lambda row: row["orderId"]).finish()
    assert server.stored[0]["eventSalt"] == "o"
    assert server.stored[0]["recordedAt"] == "2023-11-14T21:59:59.000Z"
