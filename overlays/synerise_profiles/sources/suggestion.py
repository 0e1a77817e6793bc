"""A first mapping file for a CSV file, from its header and a sample of its rows, with a comment at each guess.

It is a draft for a person to read: names that are near to documented fields or to words that shops use for them, and
what the cells look like. Nothing of the cells themselves gets into it but the words that mean nothing.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._core.wording import counted
from synerise_profiles._readers.csv_pass import CsvHeaderError
from synerise_profiles._readers.csv_reader import BadRecord, CsvFormat, CsvReader, delimiter_hint
from synerise_profiles._validation.schema import Schema, body_schema
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import checks_names, near_name

from .fields import DATE_TYPES, UnknownFieldError, find_field, parse_path
from .suggestion_checks import check_sample, doubts
from .toml_writer import toml_key, toml_line, toml_value
from .value_guesses import NULL_WORDS, Guess, guess_values, is_unique

__all__ = ["SuggestedFor", "suggest_mapping"]

SuggestedFor: TypeAlias = Literal["profiles", "events", "transactions"]
_SAMPLE_ROWS: Final = 500
_OPERATIONS: Final = {
    "profiles": operations.profiles,
    "events": operations.events,
    "transactions": operations.transactions,
}
_OWN_FIELDS: Final[Mapping[str, str]] = {"profiles": "attributes", "events": "params", "transactions": "metadata"}
"""Where fields go that are the caller's own."""
_PRODUCT_NAME: Final = "products[].name"
_PERSON: Final = "customerid clientid userid customer client user nrklienta idklienta klient kundennummer"
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "profiles": {
        "customId": _PERSON,
        "email": "mail emailaddress adresemail",
        "phone": "telephone tel mobile phonenumber telefon nrtelefonu komorka",
        "displayName": "name fullname",
        "firstName": "forename givenname imie",
        "lastName": "surname familyname nazwisko",
        "birthDate": "born birthday dob dateofbirth dataurodzenia",
        "sex": "gender plec",
        "city": "town miasto",
        "zipCode": "zip postcode postalcode kodpocztowy",
        "address": "street adres ulica",
        "company": "firma companyname",
        "countryCode": "kodkraju",
    },
    "events": {"client.customId": _PERSON, "client.email": "email mail", "time": "date datetime timestamp when data"},
    "transactions": {
        "client.customId": _PERSON,
        "client.email": "email mail",
        "orderId": "order orderno ordernumber invoice invoiceno zamowienie nrzamowienia idzamowienia",
        "recordedAt": "date datetime time timestamp when orderdate invoicedate data datazamowienia",
        "products[].sku": "sku stockcode productid item itemid productcode indeks kodtowaru",
        "products[].name": "product productname description title towar nazwa nazwatowaru opis",
        "products[].quantity": "quantity qty count amount ilosc sztuk",
        "products[].finalUnitPrice.amount": "price unitprice cena cenajednostkowa",
        "products[].finalUnitPrice.currency": "currency waluta",
    },
}
"""Words that files have for fields, as letters alone."""
_CONSTANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "profiles": {},
    "events": {"label": "Visit", "action": "shop.visit"},
    "transactions": {
        "products[].finalUnitPrice.currency": "EUR",
        "paymentInfo.method": "CARD",
        "source": "WEB_DESKTOP",
    },
}
"""What is required and mostly in no column; the values are examples."""


@attrs.define
class _Draft:
    """One column: its field, how its cells seem to be read, and why."""

    column: str
    path: str
    guess: Guess
    reason: str = ""

    def line(self, schema: Schema) -> str:
        """Write the line of the column."""
        options = _options_for(self.path, self.guess, schema)
        value: Any = {"field": self.path, **options} if options else self.path
        comments = [self.reason] + ([self.guess.comment] if options or not self.reason else [])
        text = "; ".join(filter(None, comments))
        return f"{toml_key(self.column)} = {toml_value(value)}" + (f"  # {text}" if text else "") + "\n"


@checks_names
def suggest_mapping(
    file: str | os.PathLike[str],
    *,
    for_: SuggestedFor = "profiles",
    encoding: str = "utf-8-sig",
    delimiter: str | None = None,
    skip_lines: int = 0,
) -> str:
    """Write a first mapping file for a CSV file, as TOML with a comment at each guess, from its first 500 rows.

    `delimiter` is guessed too where it is left out; `skip_lines` is how many lines stand above the header. What it
    returns is read by `RowMapping.load` once the lines that begin with `# MISSING` are filled in. Raises
    InvalidRequestError for a file that is no CSV, is empty or has no header, and OSError.
    """
    if for_ not in get_args(SuggestedFor):
        raise InvalidRequestError(f"is none of {', '.join(get_args(SuggestedFor))}", field="for_")
    format_ = CsvFormat(encoding=encoding, delimiter=delimiter, skip_lines=skip_lines)
    try:
        reader = CsvReader(file, format_)
    except CsvHeaderError:
        delimiter = _mark_between_quotes(file, format_)
        if delimiter is None:
            raise
        reader = CsvReader(file, attrs.evolve(format_, delimiter=delimiter))
    mark = re.search(r"'(\\?.)'", delimiter_hint(reader.columns)) if delimiter is None else None
    if mark is not None:
        delimiter = "\t" if mark[1] == "\\t" else mark[1]
        reader = CsvReader(file, attrs.evolve(format_, delimiter=delimiter))
    if not any(name.strip() for name in reader.columns):
        raise InvalidRequestError("is empty: it has no header", field="file")
    places = range(len(reader.columns))
    found: list[list[str] | BadRecord] = list(islice(reader.records(list, _as_it_is, used=places), _SAMPLE_ROWS))
    records = [cells for cells in found if not isinstance(cells, BadRecord)]
    bad = [record for record in found if isinstance(record, BadRecord)]
    check_sample(reader.columns, records, bad, encoding=encoding.removesuffix("-sig"))
    return _text(for_, reader.columns, records, delimiter, [*doubts(reader.columns, records, bad)])


def _mark_between_quotes(file: str | os.PathLike[str], format_: CsvFormat) -> str | None:
    """Return the mark by which a header in quotes can be read, where the comma is not the one; or None."""
    for mark in ";\t|" if format_.delimiter is None else "":
        try:
            if len(CsvReader(file, attrs.evolve(format_, delimiter=mark)).columns) > 1:
                return mark
        except CsvHeaderError:
            continue
    return None


def _as_it_is(bad: BadRecord) -> BadRecord:
    return bad


def _text(
    for_: SuggestedFor,
    columns: Sequence[str],
    records: Sequence[Sequence[str]],
    delimiter: str | None,
    comments: Sequence[str],
) -> str:
    schema = body_schema(_OPERATIONS[for_]().operation)
    words = sorted({cell.strip() for cells in records for cell in cells if cell.strip().casefold() in NULL_WORDS})
    samples = {
        name: [text for cells in records if (text := cells[place].strip()) and text not in words]
        for place, name in enumerate(columns)
        if name.strip() and columns.count(name) == 1
    }
    drafts = _drafts(for_, samples, len(records), schema)
    lines = [f"# A draft from the header and {counted(len(records), 'row')}: each comment is a guess to look at.\n"]
    if delimiter is not None:
        lines.append(f"# The file is read with delimiter={delimiter!r}.\n")
    lines += [*comments, toml_line("for", for_)]
    lines += [f"null_values = {toml_value(words)}  # words for nothing\n"] if words else []
    lines += _group_line(for_, drafts, samples)
    lines += ["\n[columns]\n", *(draft.line(schema) for draft in drafts)]
    twice = (name for name in dict.fromkeys(columns) if name.strip() and columns.count(name) > 1)
    lines += [f"# {toml_key(name)} is there twice: rename one in the header, and map both\n" for name in twice]
    lines += _order_hints(for_, drafts, samples)
    paths = {draft.path for draft in drafts}
    constants = {path: value for path, value in _CONSTANTS[for_].items() if path not in paths}
    lines += ["\n[constants]\n"] if constants else []
    lines += [f"{toml_key(path)} = {toml_value(value)}  # an example: say which\n" for path, value in constants.items()]
    lines += _missing_lines(for_, paths | constants.keys(), schema)
    return "".join(lines)


def _drafts(for_: SuggestedFor, samples: Mapping[str, Sequence[str]], rows: int, schema: Schema) -> list[_Draft]:
    taken: set[str] = set()
    drafts: list[_Draft] = []
    for column, values in samples.items():
        guess = guess_values(values)
        path, reason = _field_of(for_, column, guess, taken, schema)
        if path in taken or not _is_field(schema, path):
            path, reason = "", ""
        if path:
            taken.add(path)
        drafts.append(_Draft(column, path, guess, reason))
    identifier = "customId" if for_ == "profiles" else "client.customId"
    holder = identifier.removesuffix("customId")
    if not taken & {holder + name for name in ("customId", "clientId", "email", "uuid")}:
        free = [draft for draft in drafts if not draft.path and is_unique(samples[draft.column], rows)]
        for draft in free[:1]:
            draft.path, draft.reason = identifier, "looks like an identifier: each row has another one"
    named = next((draft for draft in drafts if not draft.path and _letters(draft.column) == "name"), None)
    if for_ == "transactions" and named is not None and _PRODUCT_NAME not in taken:
        named.path, named.reason = _PRODUCT_NAME, f"{named.column!r} seems to be {_PRODUCT_NAME}, and no person's"
    for draft in drafts:
        if not draft.path:
            draft.path = _own_path(for_, draft.column, taken, schema)
            if draft.path.startswith(f"{_OWN_FIELDS[for_]}.own_") and not _letters(draft.column).startswith("own"):
                draft.reason = f"no name for a field of one's own; if it names the person, map it to {identifier}"
        taken.add(draft.path)
    return drafts


def _field_of(for_: SuggestedFor, column: str, guess: Guess, taken: set[str], schema: Schema) -> tuple[str, str]:
    """Return the field that a column seems to mean, and why; nothing where it means none."""
    name = _letters(column)
    for path, words in _WORDS[for_].items():
        if name in words.split() or name == _letters(path):
            return path, f"{column!r} seems to be {path}"
    near = near_name(column, schema.properties)
    if (
        near is not None
        and near != _OWN_FIELDS[for_]
        and not schema.properties[near].properties
        and schema.properties[near].items is None
    ):
        return near, "" if near == column else f"the name is near to {near}"
    if guess.kind in ("email", "phone"):
        path = guess.kind if for_ == "profiles" else f"client.{guess.kind}"
        return (path, guess.comment) if path not in taken else ("", "")
    return "", ""


def _options_for(path: str, guess: Guess, schema: Schema) -> dict[str, Any]:
    """Return the options that a field needs for such cells."""
    try:
        known = find_field(schema, parse_path(path)).schema
    except UnknownFieldError:
        known = None
    if known is None:
        return dict(guess.options)
    if known.date_format is not None:
        is_same = guess.options.get("type") == DATE_TYPES[known.date_format]
        return {name: value for name, value in guess.options.items() if name != "type"} if is_same else {}
    is_number = bool(known.types & {"number", "integer"}) and guess.kind == "number"
    if is_number and "number" in known.types:
        return {**guess.options, "type": "decimal"}
    return {}


def _group_line(for_: SuggestedFor, drafts: Sequence[_Draft], samples: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the option for order lines, where an order comes more than once."""
    order = next((draft.column for draft in drafts if draft.path == "orderId" and for_ == "transactions"), None)
    if order is not None and len(set(samples[order])) < len(samples[order]):
        yield f"group_by = {toml_value(order)}  # an order has several lines; where they are apart: sort=True, --sort\n"


def _order_hints(for_: SuggestedFor, drafts: Sequence[_Draft], samples: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield lines to uncomment: the salt of an order, and the condition that leaves cancellations out."""
    columns = {draft.path: draft.column for draft in drafts}
    order, quantity = columns.get("orderId"), columns.get("products[].quantity")
    if for_ != "transactions" or order is None:
        return
    if not {*"{}"}.isdisjoint(order):
        yield f"# An order needs one salt: a template cannot name {toml_key(order)}, so rename it, without braces\n"
        return
    salt = {"field": "eventSalt", "template": f"order-{{{order}}}"}
    yield "# One salt for an order: sent again with other lines, it replaces itself. In place of the line above:\n"
    yield f"# {toml_key(order)} = {toml_value(['orderId', salt])}\n"
    negative = 0 if quantity is None else sum(value.startswith("-") for value in samples[quantity])
    marked = [value[0] for value in samples[order] if value[0].isalpha()]
    is_exception = marked and len(marked) < len(samples[order]) / 2 and len(set(marked)) == 1 and marked[0].isascii()
    if not negative and not is_exception:
        return
    seen = [f"with a negative {quantity}: {negative:,}"] if negative else []
    seen += [f"with {marked[0]} before the number in {order}: {len(marked):,}"] if is_exception else []
    column, pattern = (order, f"(?!{marked[0]}).*") if is_exception else (str(quantity), "[^-].*")
    yield f"# In the sample, lines {'; '.join(seen)}: cancellations? To leave them out:\n"
    yield f"# [where]\n# {toml_key(column)} = {toml_value({'matches': pattern})}\n"


def _missing_lines(for_: SuggestedFor, paths: set[str], schema: Schema) -> Iterator[str]:
    """Yield a line for each required field that no column seems to give."""
    computed = {"revenue", "value"} if for_ == "transactions" else set[str]()
    for name in schema.required:
        if name not in computed and not any(path.split(".")[0].removesuffix("[]") == name for path in paths):
            yield f"# MISSING: {name} is required; name its column above, or a constant\n"
    items = schema.properties["products"].items if for_ == "transactions" else None
    for name in () if items is None else _required_names(items):
        if not any(path.startswith(f"products[].{name}") for path in paths):
            yield f"# MISSING: products[].{name} is required; name its column above, or a constant\n"
    identifiers = {"customId", "clientId", "email", "uuid", "phone"}
    if for_ == "profiles" and not paths & identifiers:
        yield "# MISSING: no column seems to name a profile; map one to customId or email\n"


def _required_names(schema: Schema) -> Iterator[str]:
    """Yield the required fields of an object, and of those that are objects with required fields these."""
    for name in schema.required:
        inner = schema.properties[name].required
        yield from (f"{name}.{other}" for other in inner) if inner else (name,)


def _own_path(for_: SuggestedFor, column: str, taken: set[str], schema: Schema) -> str:
    """Return a place for a column that is the caller's own: no name that is taken, or that the server ignores."""
    name = re.sub(r"\W+", "_", _ascii(column)).strip("_") or "column"
    path = f"{_OWN_FIELDS[for_]}.{name}"
    if not _is_field(schema, path):
        path = f"{_OWN_FIELDS[for_]}.own_{name}"
    first, number = path, 2
    while path in taken:
        path, number = f"{first}_{number}", number + 1
    return path


def _is_field(schema: Schema, path: str) -> bool:
    try:
        find_field(schema, parse_path(path))
    except UnknownFieldError:
        return False
    return True


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", _ascii(name).casefold())


def _ascii(text: str) -> str:
    """Write a name without marks over or through its letters."""
    plain = unicodedata.normalize("NFKD", text.translate(str.maketrans("łŁßøØ", "lLsoO")))
    return plain.encode("ascii", "ignore").decode()
