"""The reference text is read row by row; what cannot be placed is a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.audit.comparison import totals
from generator.audit.reference_text import PrintedOperation, parse_reference

REAL = Path(__file__).parents[3] / ".." / "shared" / "reference" / "profile-management-reference.txt"


def operation(document: str, key: str) -> PrintedOperation:
    found = {operation.key: operation for operation in parse_reference(document).operations}
    return found[key]


def test_sample_reads_without_findings(document: str) -> None:
    """Every row of the sample finds its place."""
    reference = parse_reference(document)

    assert reference.findings == []
    assert totals(reference) == {
        "operations": 5,
        "parameters": 6,
        "body fields": 11,
        "responses": 9,
        "status descriptions": 9,
        "PII permissions": 0,
        "deprecated": 1,
        "request examples": 3,
    }


def test_head_of_an_operation(document: str) -> None:
    """Section, operationId, consumers in our names and order, permission and role are read."""
    found = operation(document, "POST /books")

    assert (found.tag, found.operation_id, found.title) == ("Book keeping", "addBook", "Add a book")
    assert found.consumers == ("user", "workspace")
    assert (found.permission, found.role) == ("LENDING_BOOK_CREATE", "books: create")
    assert (found.deprecated, found.sunset, found.authenticated) == (False, None, True)
    assert [prose.text for prose in found.prose] == ["Add a book to a shelf."]


def test_deprecated_operation_has_its_sunset(document: str) -> None:
    """The title marks a deprecated operation, the sentence gives the date."""
    found = operation(document, "PUT /old/books/{bookId}")

    assert (found.deprecated, found.sunset) == (True, "2026-08-03")


def test_authentication_may_be_not_required(document: str) -> None:
    """The line about authentication is read; the section changes before a heading."""
    found = operation(document, "GET /clock")

    assert (found.tag, found.authenticated, found.body) == ("Clock", False, None)


def test_rows_are_taken_apart(document: str) -> None:
    """Cells that run together are told apart, also when a description repeats the words of other columns."""
    found = operation(document, "POST /books")
    assert found.body is not None

    rows = {row.name: (row.type, row.required) for row in found.body.fields}
    assert rows["title"] == ("string", True)
    assert rows["genre"] == ('enum<"NOVEL", "POEM", …>', False)
    assert rows["authors"] == ("array<lending-Author>", False)
    assert found.body.fields[0].description == "Title of the book, a string, required or not"
    parameters = [(row.name, row.location, row.type) for row in operation(document, "GET /books/{bookId}").parameters]
    assert parameters[1] == ("time[from]", "query", "string")
    assert [(row.status, row.content) for row in found.responses] == [
        ("202", None),
        ("400", "application/json"),
        ("4xx", "application/json"),
    ]


def test_bodies_with_and_without_a_table(document: str) -> None:
    """A body may be required or not, an array without a table, or free-form by a row of its own."""
    first, batch, old = (
        operation(document, key).body for key in ("POST /books", "POST /books/batch", "PUT /old/books/{bookId}")
    )

    assert first is not None
    assert (first.required, first.media, first.schema) == (True, "application/json", "lending-Book")
    assert batch is not None
    assert (batch.schema, batch.has_table, batch.fields) == ("array<lending-Book>", False, [])
    assert old is not None
    assert (old.required, old.free_form, [row.name for row in old.fields]) == (False, True, ["title"])


def test_example_is_read_as_a_shell_reads_it(document: str) -> None:
    """Quotes inside the quoted JSON come out right."""
    assert operation(document, "POST /books").example["title"] == "It's a book"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bookIdpathinteger", "bookIdpathUUID", "no parameter row"),
        ("titlestringoptionalTitle", "titletextoptionalTitle", "no field row"),
        ("400 application/jsonBad", "400 image/pngBad", "no response row"),
        ("application/json · lending-OldBook", "lending-OldBook", "no media type"),
        ("Synerise User, Workspace", "Somebody, Workspace", "unknown API consumers: Somebody"),
        ("Authentication: Not required", "Authentication: Maybe", "unknown authentication"),
        ("5 endpoints across 2 tags.", "6 endpoints across 2 tags.", "6 endpoints and 2 tags announced, 5 and 2 found"),
        ("#tag/Clock/", "#tag/Watch/", "the link names the section"),
        ("isbnstringoptional", "titlestringoptional", "field title is printed twice"),
        ("time[from]querystring", "bookIdpathstring", "parameter bookId is printed twice"),
        ("202Accepted\n400 ", "400Accepted\n400 ", "response 400 is printed twice"),
        ("GET /clock — Get", "POST /books — Get", "POST /books is printed twice"),
        ("""[{"title":""", """[{title:""", "the example request cannot be read"),
    ],
)
def test_what_cannot_be_placed_is_a_finding(document: str, old: str, new: str, message: str) -> None:
    """A damaged line is named with its number and never skipped."""
    assert old in document
    damaged = document.replace(old, new, 1)
    line = damaged[: damaged.index(new)].count("\n") + 1

    findings = parse_reference(damaged, "page.txt").findings

    assert [finding.file for finding in findings] == ["page.txt"]
    assert message in findings[0].message
    assert line <= findings[0].line <= line + 1


def test_operation_outside_a_section_is_a_finding() -> None:
    """A heading without a section above it cannot have a tag."""
    findings = parse_reference("\nGET /a — A\n").findings

    assert [finding.message for finding in findings] == ["GET /a stands in no section"]


def test_real_reference_reads_completely() -> None:
    """The publisher's page gives the known totals and not one finding."""
    if not REAL.exists():
        pytest.skip("the reference text is not part of the repository")
    reference = parse_reference(REAL.read_text(encoding="utf-8"))

    assert reference.findings == []
    assert totals(reference) == {
        "operations": 89,
        "parameters": 122,
        "body fields": 403,
        "responses": 403,
        "status descriptions": 403,
        "PII permissions": 56,
        "deprecated": 11,
        "request examples": 67,
    }
