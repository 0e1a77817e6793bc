"""Changes on the wire: each kind of edit of the sample specification is told, with what it does to callers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator.changes.change import Change, Impact, worst
from generator.changes.wire import wire_changes
from tests.generator.sample import DATA, Spec

B, A, T = Impact.BREAKING, Impact.ADDITIVE, Impact.TEXT
BOOK, SHARED, ROOT = "components/book.yaml", "components/shared.yaml", "openapi.yaml"
BOOKS, CLOCK = "paths/book-keeping.yaml", "paths/clock.yaml"
ADD, BATCH, GET, PUT = "POST /books", "POST /books/batch", "GET /books/{bookId}", "PUT /old/books/{bookId}"

EDITS = [
    # operations
    (BOOKS, "  /books/batch:\n    post:", "  /books/many:\n    post:", B, BATCH, "operation is gone"),
    (
        BOOKS,
        "  /books/batch:\n    post:",
        "  /books/many:\n    post:",
        A,
        "POST /books/many",
        "was added: books.add_batch",
    ),
    (
        BOOKS,
        "method: add}",
        "method: insert}",
        B,
        ADD,
        "x-sdk: resource books, method add became resource books, method insert",
    ),
    (BOOKS, "operationId: addBook\n", "operationId: insertBook\n", B, ADD, "operationId: addBook became insertBook"),
    (BOOKS, "summary: Add a book", "summary: Add one book", T, ADD, "summary was changed"),
    (BOOKS, "description: Adds a book to a shelf.", "description: Adds it.", T, ADD, "description was changed"),
    (BOOKS, "consumers: [user, workspace]", "consumers: [user]", B, ADD, "x-synerise-consumers"),
    (BOOKS, "consumers: [profile]", "consumers: [profile, user]", A, GET, "profile became profile, user"),
    (BOOKS, "LENDING_BOOK_CREATE", "LENDING_BOOK_WRITE", B, ADD, "LENDING_BOOK_CREATE became LENDING_BOOK_WRITE"),
    (BOOKS, "      x-synerise-permission: LENDING_BOOK_CREATE\n", "", A, ADD, "became nothing"),
    (BOOKS, "max-items: 1000", "max-items: 500", B, BATCH, "max-items 1000"),
    (BOOKS, "max-items: 1000", "max-items: 2000", A, BATCH, "max-items 2000"),
    (
        BOOKS,
        "max-bytes: 1000000,",
        "max-bytes: 1000000, uniform-identifier: true,",
        B,
        BATCH,
        "uniform-identifier True",
    ),
    (BOOKS, "x-retry: keyed", "x-retry: never", A, ADD, "keyed became never"),
    (BOOKS, "x-sunset: '2026-08-03'", "x-sunset: '2026-09-03'", A, PUT, "x-sunset"),
    (BOOKS, "      deprecated: true\n", "", A, PUT, "deprecated: True became nothing"),
    (BOOKS, "- bearer: []", "- workspaceBasic: []", B, GET, "security"),
    # arguments and bodies
    (
        BOOKS,
        "        - $ref: '#/components/parameters/BookId'\n        - name: time[from]",
        "        - name: time[from]",
        B,
        GET,
        "path parameter bookId is gone",
    ),
    (BOOKS, "name: time[from]", "name: since", B, GET, "query parameter time[from] is gone"),
    (BOOKS, "name: time[from]", "name: since", A, GET, "optional query parameter since was added"),
    (
        BOOKS,
        "in: query\n",
        "in: query\n          required: true\n",
        B,
        f"{GET} · query parameter time[from]",
        "is required",
    ),
    (
        BOOKS,
        "format: date-time}\n          example",
        "format: date}\n          example",
        B,
        f"{GET} · query parameter time[from]",
        "format: date-time became date",
    ),
    (
        BOOKS,
        "in: query\n          description: Start of the range.",
        "in: query\n          description: Start.",
        T,
        f"{GET} · query parameter time[from]",
        "description was changed",
    ),
    (BOOKS, "      requestBody: {$ref: '#/components/requestBodies/Book'}\n", "", B, ADD, "body is gone"),
    (SHARED, "schema: {type: integer}", "schema: {type: string}", B, "parameters/BookId", "type integer is gone"),
    (
        SHARED,
        "description: Version.",
        "description: The version.",
        T,
        "parameters/ApiVersion",
        "description was changed",
    ),
    (BOOK, "    Book:\n      required: true\n", "    Book:\n", A, "requestBodies/Book", "is optional"),
    # answers
    (
        BOOKS,
        "        '202': {$ref: '#/components/responses/Accepted'}\n        '400'",
        "        '400'",
        B,
        ADD,
        "answer 202 is gone",
    ),
    (BOOKS, "        '404': {$ref: '#/components/responses/Missing'}\n", "", A, GET, "answer 404 is gone"),
    (
        BOOKS,
        "      responses:\n        '200': {description: Replaced.,",
        "      responses:\n        '201': {description: Made.}\n        '200': {description: Replaced.,",
        A,
        PUT,
        "answer 201 was added",
    ),
    (BOOKS, "text/plain", "text/csv", B, f"{PUT} · 404", "text/plain is gone"),
    (BOOKS, "{description: Replaced.,", "{description: Put.,", T, f"{PUT} · 200", "description was changed"),
    (
        SHARED,
        "Missing: {description: Missing.,",
        "Missing: {description: Not there.,",
        T,
        "responses/Missing",
        "description",
    ),
    # schemas
    (BOOK, "        isbn: {type: [string, 'null'], description: Number.}\n", "", B, "BookBase.isbn", "field is gone"),
    (BOOK, "required: [title]", "required: [title, isbn]", B, "BookBase.isbn", "field is required"),
    (BOOK, "      required: [title]\n", "", A, "BookBase.title", "field is optional"),
    (BOOK, "isbn: {type: [string, 'null']", "isbn: {type: string", B, "BookBase.isbn", "type null is gone"),
    (
        BOOK,
        "title: {type: string, description: Title.}\n        isbn",
        "title: {type: [string, integer], description: Title.}\n        isbn",
        A,
        "BookBase.title",
        "type integer was added",
    ),
    (
        BOOK,
        "title: {type: [string, 'null'], description: Title.}",
        "title: {type: [string, integer, 'null'], description: Title.}",
        B,
        "Book.title",
        "type integer was added",
    ),
    (
        BOOK,
        "title: {type: [string, 'null'], description: Title.}",
        "title: {type: string, description: Title.}",
        A,
        "Book.title",
        "type null is gone",
    ),
    (BOOK, "        extra: {description: Any JSON.}\n", "", B, "Book.extra", "field is gone"),
    (
        BOOK,
        "extra: {description: Any JSON.}",
        "extra: {description: Any JSON.}\n        size: {type: integer, description: Size.}",
        A,
        "Book.size",
        "optional field was added",
    ),
    (
        BOOK,
        "name: {type: string, description: Name.}",
        "name: {type: string, description: Name., maxLength: 9}",
        B,
        "NewAuthor.name",
        "maxLength: nothing became 9",
    ),
    (BOOK, "enum: [SOFT, HARD]", "enum: [SOFT]", B, "Cover", "value HARD is gone"),
    (BOOK, "enum: [SOFT, HARD]", "enum: [SOFT, HARD, NONE]", A, "Cover", "value NONE was added"),
    (BOOK, "x-known-values: [NOVEL, POEM, ESSAY]", "x-known-values: [NOVEL, POEM]", A, "Genre", "x-known-values"),
    (BOOK, "items: {type: string}}", "items: {type: integer}}", B, "NewBook (allOf 2).tags[]", "type string is gone"),
    (
        BOOK,
        "$ref: '#/components/schemas/NewAuthor'}}",
        "$ref: '#/components/schemas/OldBook'}}",
        B,
        "NewBook (allOf 2).authors[]",
        "is schemas/OldBook, was schemas/NewAuthor",
    ),
    (
        BOOK,
        "description: Free attributes.\n      additionalProperties: true",
        "description: Free attributes.\n      additionalProperties: false",
        B,
        "Attributes (additionalProperties)",
        "True became False",
    ),
    (BOOK, "default: 1", "default: 2", A, "NewBook (allOf 2).pages", "default: 1 became 2"),
    (BOOK, "description: Name.", "description: Whole name.", T, "NewAuthor.name", "description was changed"),
    (BOOK, "shelf facts, read", "shelf facts, inferred", T, "Book", "x-source was changed"),
    # the document
    (ROOT, "https://lending.example", "https://lent.example", B, "servers", "https://lending.example is gone"),
    (ROOT, "scheme: basic", "scheme: digest", B, "security workspaceBasic", "was changed"),
    (ROOT, "version: '1.0'", "version: '1.1'", T, "info", "was changed"),
]


def compared(folder: Path, file: str, old: str, new: str) -> list[Change]:
    before, after = (shutil.copytree(DATA / "spec", folder / name) for name in ("before", "after"))
    Spec(after).edit(file, old, new)
    return list(wire_changes(Spec(before).bundle(), Spec(after).bundle()))


@pytest.mark.parametrize(("file", "old", "new", "impact", "place", "text"), EDITS)
def test_an_edit_is_told(tmp_path: Path, file: str, old: str, new: str, impact: Impact, place: str, text: str) -> None:
    """The change stands at its place, in words, with what it does to callers."""
    found = compared(tmp_path, file, old, new)

    assert [change for change in found if (change.place, change.impact) == (place, impact) and text in change.text]
    assert len(found) <= 2


def test_the_same_document_has_no_changes(spec: Spec) -> None:
    """Nothing is told of what did not change."""
    assert list(wire_changes(spec.bundle(), spec.bundle())) == []


def test_a_shared_response_is_told_once(tmp_path: Path) -> None:
    """A component that many operations use is one change, not one an operation."""
    found = compared(tmp_path, SHARED, "Accepted: {description: Accepted.,", "Accepted: {description: Taken.,")

    assert [change.place for change in found] == ["responses/Accepted"]


def test_a_schema_that_travels_both_ways_is_judged_by_the_worse(tmp_path: Path) -> None:
    """A set of values that is sent and read breaks when it grows as when it shrinks."""
    before, after = (shutil.copytree(DATA / "spec", tmp_path / name) for name in ("before", "after"))
    for folder in (before, after):
        cover = "extra: {$ref: '#/components/schemas/Cover'}"
        Spec(folder).edit(BOOK, "extra: {description: Any JSON.}", cover)
    Spec(after).edit(BOOK, "enum: [SOFT, HARD]", "enum: [SOFT, HARD, NONE]")

    assert worst(wire_changes(Spec(before).bundle(), Spec(after).bundle())) is Impact.BREAKING
