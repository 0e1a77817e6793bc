"""Each rule finds the breach it is there for, and names the fragment's line."""

from __future__ import annotations

import pytest

from generator.rules import ROWS, Rule, check_rules
from tests.generator.sample import Spec

BOOKS = "paths/book-keeping.yaml"
CLOCK = "paths/clock.yaml"
BOOK = "components/book.yaml"
SHARED = "components/shared.yaml"
ROOT = "openapi.yaml"

# rule, file, text, text instead, what the message holds
BREACHES = [
    ("openapi", ROOT, "openapi: 3.1.0", "openapi: 3.0.3", "must be a 3.1 version"),
    ("openapi", SHARED, "Missing: {description: Missing.,", "Missing: {descripton: Missing.,", "description"),
    ("ref", BOOK, "schemas/Cover'", "schemas/Cove'", "schemas/Cove' leads nowhere"),
    ("ref", BOOK, "'#/components/schemas/Cover'", "other.yaml", "leads nowhere"),
    (
        "openapi",
        BOOK,
        "{type: string, description: Name.}",
        "{type: strin, description: Name.}",
        "'strin' is not one of",
    ),
    ("path", CLOCK, "  /clock:", "  /clock/{:", "the braces of /clock/{ do not fit"),
    ("schema", BOOK, "extra: {description: Any JSON.}", "extra: true", "extra must be a schema"),
    (
        "circle",
        BOOK,
        "      description: Genre of a book.\n",
        "      description: Genre.\n      oneOf: [{$ref: '#/components/schemas/Genre'}]\n",
        "Genre is composed of itself",
    ),
    ("pattern", BOOK, "description: Name.}", "description: Name., pattern: '[a-'}", "no regular expression"),
    ("openapi", CLOCK, "  /clock:", "  /books/{id}:", "was not resolved"),
    ("server", ROOT, ", x-region: nowhere", "", "a server has an x-region"),
    ("success", CLOCK, "        '200':\n", "        '404':\n", "there is no 2xx response"),
    ("parameter", BOOKS, "in: query", "in: cookie", "time[from] stands in 'cookie'"),
    ("values", BOOK, "enum: [SOFT, HARD]", "enum: [SOFT, HARD, SOFT]", "'SOFT' is listed twice"),
    ("required", BOOK, "required: [title]", "required: [title, titel]", "'titel' is not among the properties"),
    ("limit", BOOK, "description: Name.}", "description: Name., minimum: 3}", "minimum limits no string"),
    ("format", BOOK, "description: Name.}", "description: Name., format: mail}", "format 'mail' is none of"),
    ("items", BOOK, "description: Tags., items: {type: string}}", "description: Tags.}", "does not say of what"),
    ("ref", BOOK, "schemas/Cover'}", "schemas/Cover', minLength: 2}", "minLength beside $ref"),
    ("unused", BOOK, "  schemas:\n", "  schemas:\n    Lost: {type: string, description: Lost.}\n", "schemas/Lost"),
    ("unused", ROOT, "  - workspaceBasic: []\n", "", "securitySchemes/workspaceBasic"),
    ("operation-id", CLOCK, "      operationId: getClock\n", "", "operationId is missing"),
    ("operation-id", CLOCK, "operationId: getClock", "operationId: getBook", "getBook is used twice"),
    ("x-sdk", CLOCK, "      x-sdk: {resource: clock, method: get}\n", "", "must hold resource and method"),
    ("x-sdk", CLOCK, "method: get}", "method: get, more: 1}", "must hold resource and method"),
    ("x-sdk", CLOCK, "method: get}", "method: getTime}", "'getTime' is no snake_case identifier"),
    ("x-sdk", CLOCK, "method: get}", "method: import}", "'import' is no snake_case identifier"),
    ("x-sdk", CLOCK, "resource: clock", "resource: books", "books.get is used twice"),
    ("summary", CLOCK, "      summary: Get the time\n", "", "summary is missing"),
    ("summary", CLOCK, "summary: Get the time", "summary: Get the time.", "full stop"),
    ("summary", CLOCK, "summary: Get the time", f"summary: {'x' * 61}", "61 characters, 60 at most"),
    ("summary", CLOCK, "summary: Get the time", 'summary: "Get\\nit"', "more than one line"),
    ("description", CLOCK, "      description: Returns the time.\n", "", "the operation has no description"),
    ("tag", CLOCK, "tags: [Clock]", "tags: [Clock, Book keeping]", "exactly one tag"),
    ("tag", CLOCK, "tags: [Clock]", "tags: [Watch]", "tag 'Watch' is not declared"),
    ("x-retry", CLOCK, "      x-retry: idempotent\n", "", "must be one of idempotent, keyed, never"),
    ("x-retry", CLOCK, "x-retry: idempotent", "x-retry: always", "must be one of idempotent, keyed, never"),
    ("x-retry", CLOCK, "x-retry: idempotent", "x-retry: keyed", "needs eventSalt and time or recordedAt"),
    ("x-batch", CLOCK, "x-retry:", "x-batch: {max-items: 1, max-bytes: 1}\n      x-retry:", "needs an array"),
    (
        "x-merge",
        CLOCK,
        "x-retry:",
        "x-merge: {default-sources: 1, max-path-bytes: 9}\n      x-retry:",
        "needs one list in its path",
    ),
    (
        "x-merge",
        CLOCK,
        "x-retry:",
        "x-merge: {default-sources: 1}\n      x-retry:",
        "default-sources and max-path-bytes",
    ),
    ("path-parameter", BOOKS, "  /books/{bookId}:", "  /books/{book}:", "path variable book has 0 parameters"),
    ("path-parameter", BOOKS, "  /books/{bookId}:", "  /books/one:", "the path has no place for bookId"),
    ("consumers", CLOCK, "consumers: [workspace, anonymous]", "consumers: []", "missing or empty"),
    ("consumers", BOOKS, "      x-synerise-consumers: [workspace]\n", "", "missing or empty"),
    ("consumers", CLOCK, "consumers: [workspace, anonymous]", "consumers: [workspace, guest]", "'guest'"),
    ("consumers", CLOCK, "consumers: [workspace, anonymous]", "consumers: [workspace, workspace]", "listed twice"),
    ("security", CLOCK, "security: []", "security: [{bearer: []}]", "the root decides"),
    ("security", BOOKS, "      security:\n        - bearer: []\n", "", "only bearer is left"),
    ("deprecation", BOOKS, "      x-replaced-by: [addBook, /new/books]\n", "", "x-replaced-by or x-deprecated-reason"),
    ("deprecation", BOOKS, "by: [addBook, /new/books]", "by: [addBok]", "'addBok' is neither"),
    ("deprecation", BOOKS, "by: [addBook, /new/books]", "by: [replaceBook]", "cannot replace itself"),
    ("deprecation", BOOKS, "by: [addBook, /new/books]", "by: addBook", "is a list"),
    (
        "deprecation",
        BOOKS,
        "      deprecated: true\n      x-sunset: '2026-08-03'\n",
        "",
        "x-replaced-by is for deprecated",
    ),
    (
        "deprecation",
        CLOCK,
        "x-retry:",
        "x-deprecated-reason: Old.\n      x-retry:",
        "x-deprecated-reason is for deprecated",
    ),
    ("deprecation", CLOCK, "x-retry:", "x-sunset: '2026-08-03'\n      x-retry:", "x-sunset is for deprecated"),
    ("deprecation", BOOKS, "'2026-08-03'", "'2026-08-32'", "is no ISO date"),
    ("deprecation", BOOKS, "'2026-08-03'", "20260803", "is no ISO date"),
    ("x-key", CLOCK, "x-retry:", "x-speed: fast\n      x-retry:", "unknown key x-speed"),
    ("x-key", BOOK, "x-source: shelf facts, read", "x-retry: never", "x-retry stands on an operation only"),
    ("x-key", CLOCK, "x-retry:", "x-region: here\n      x-retry:", "x-region stands on a server only"),
    ("x-batch", BOOKS, "max-items: 1000", "max-items: 0", "max-items and max-bytes"),
    ("x-batch", BOOKS, "source: assumed", "source: guessed", "max-items and max-bytes"),
    ("x-batch", BOOKS, "source: assumed", "speed: 1", "max-items and max-bytes"),
    ("x-batch", BOOKS, "maxItems: 1000", "maxItems: 999", "maxItems of the body is the max-items"),
    ("x-irreversible", BOOKS, "x-irreversible: true", "x-irreversible: false", "true or absent"),
    ("x-synerise-permission", BOOKS, "permission: LENDING_BOOK_CREATE", "permission: ''", "a text"),
    ("x-synerise-role", BOOKS, "role: 'books: create'", "role: {books: create}", "a text"),
    ("x-synerise-action", BOOKS, "action: book.arrived", "action: 1", "a text"),
    ("x-event-type", BOOKS, "action: book.arrived", "action: a\n      x-event-type: 1", "a text"),
    ("x-event-type", BOOKS, "action: book.arrived", "action: a\n      x-event-type: a", "has no client, label"),
    ("x-known-values", BOOK, "x-known-values: [NOVEL, POEM, ESSAY]", "x-known-values: []", "a list of texts"),
    ("x-known-values", BOOK, "enum: [SOFT, HARD]", "enum: [SOFT, HARD]\n      x-known-values: [HARD]", "no closed one"),
    ("x-reserved-names", BOOK, "description: Free attributes.", "description: F.\n      x-reserved-names: 1", "a list"),
    ("x-identifiers", BOOK, "description: An author.", "description: A.\n      x-identifiers: 1", "a list of texts"),
    (
        "x-identifiers",
        BOOK,
        "description: An author.",
        "description: A.\n      x-identifiers: [nam]",
        "nam is no property",
    ),
    ("x-identifiers", BOOK, "description: An author.", "description: A.\n      x-identifiers: [name, name]", "twice"),
    (
        "x-identifiers",
        BOOK,
        "description: A book to add.",
        "description: A.\n      x-identifiers: [tags]",
        "tags is neither",
    ),
    (
        "x-identifiers",
        BOOK,
        "description: An author.",
        "description: A.\n      x-identifiers: [name]\n      not: {not: {anyOf: [{required: [title]}]}}",
        "at least one is required",
    ),
    (
        "x-event-type",
        BOOK,
        "time: {type: string, format: date-time, description: When it arrived.}",
        "type: {$ref: '#/components/schemas/Genre'}",
        "the known types of a batch",
    ),
    ("x-past", BOOK, "description: Free attributes.", "description: F.\n      x-past: false", "true"),
    (
        "x-same-as-profile",
        BOOK,
        "description: Free attributes.",
        "description: F.\n      x-same-as-profile: 1",
        "a list",
    ),
    ("x-identifier-change", ROOT, "info: {", "info: {x-identifier-change: {effective: '2026-07-06'}, ", "ISO dates"),
    ("x-removed-names", ROOT, "info: {", "info: {x-removed-names: [{name: a.b}], ", "name, version and instead"),
    ("x-key", CLOCK, "x-retry:", "x-identifier-change: {}\n      x-retry:", "stands on the info only"),
    ("x-page", CLOCK, "x-retry:", "x-page: {size: 0}\n      x-retry:", "a positive size"),
    (
        "x-outcomes",
        BOOK,
        "x-known-values: [NOVEL, POEM, ESSAY]",
        "x-known-values: [NOVEL, POEM, ESSAY]\n      x-outcomes: {ready: [NOVEL]}",
        "two lists of texts",
    ),
    (
        "x-outcomes",
        BOOK,
        "x-known-values: [NOVEL, POEM, ESSAY]",
        "x-known-values: [NOVEL, POEM, ESSAY]\n      x-outcomes: {ready: [NOVEL], failed: [DRAMA]}",
        "not in x-known-values",
    ),
    ("x-source-schema", BOOK, "x-source-schema: lending-Book", "x-source-schema: [1]", "a text or a list of texts"),
    ("x-source", BOOK, "x-source: shelf facts, read", "x-source: shelf facts", "`, read` or `, inferred`"),
    (
        "inline",
        BOOK,
        "{type: integer, description: Pages., default: 1}",
        "{type: object, description: P.}",
        "properties",
    ),
    (
        "inline",
        BOOK,
        "items: {type: string}",
        "items: {properties: {a: {type: string, description: A.}}}",
        "under items",
    ),
    (
        "inline",
        BOOK,
        "{type: array, description: Tags., items: {type: string}}",
        "{description: T., enum: [A]}",
        "enum",
    ),
    ("inline", BOOK, "additionalProperties: true", "additionalProperties: {type: object}", "additionalProperties"),
    (
        "inline",
        BOOKS,
        "{type: string, format: date-time}",
        "{type: string, enum: ['2026-01-01T00:00:00Z']}",
        "parameter",
    ),
    ("x-printed", CLOCK, "x-printed: [OK]", "x-printed: OK", "a list of texts"),
    ("x-specific", SHARED, "x-specific: true", "x-specific: false", "true or absent"),
    ("x-synerise-pii", CLOCK, "x-retry:", "x-synerise-pii: false\n      x-retry:", "true or absent"),
    ("x-key", CLOCK, "x-retry:", "x-printed: [OK]\n      x-retry:", "x-printed stands on a response only"),
    (
        "twin",
        BOOK,
        "            - $ref: '#/components/schemas/Genre'\n            - type: 'null'\n        extra",
        "            - {type: string, x-known-values: [NOVEL]}\n            - type: 'null'\n        extra",
        "genre is also sent; x-twin names the enum that it is sent with",
    ),
    (
        "twin",
        BOOK,
        "x-known-values: [NOVEL, POEM, ESSAY]",
        "x-known-values: [NOVEL, POEM, ESSAY]\n      x-twin: Cover",
        "Genre and Cover must have the same values",
    ),
    (
        "alias",
        BOOK,
        "    NewAuthor:\n      type: object\n",
        "    NewAuthor:\n      allOf: [{$ref: '#/components/schemas/OldBook'}]\n",
        "name",
    ),
    ("keyword", BOOK, "description: Number.}", "description: Number, or none.}", "unknown keyword 'or none.'"),
    ("keyword", BOOK, "description: Number.}", "description: Number., nullable: true}", "unknown keyword 'nullable'"),
    ("direction", BOOKS, "{$ref: '#/components/schemas/Book'}", "{$ref: '#/components/schemas/OldBook'}", "OldBook"),
    ("response", SHARED, "      description: Why", "      required: [message]\n      description: Why", "requires no"),
    ("response", SHARED, "{type: [string, 'null'], description: What", "{type: string, description: What", "message"),
    (
        "response",
        SHARED,
        "{type: [string, 'null'], description: What is wrong.}",
        "{$ref: '#/components/schemas/Cover'}",
        "m",
    ),
    ("response", BOOK, "x-known-values: [NOVEL, POEM, ESSAY]", "enum: [NOVEL, POEM, ESSAY]", "x-known-values"),
    ("response", SHARED, "description: Why", "additionalProperties: false\n      description: Why", "unknown keys"),
    ("description", BOOK, "      description: Free attributes.\n", "", "schema Attributes has no description"),
    ("description", BOOK, "{type: [string, 'null'], description: Number.}", "{type: string}", "property isbn has no"),
    ("description", SHARED, "      description: Version.\n", "", "parameter Api-Version has no description"),
    (
        "example",
        BOOKS,
        "            examples:\n              default:\n                value: {title: A book}\n",
        "",
        "no example",
    ),
    ("example", BOOK, "cover: HARD", "cover: hard", "cover: 'hard' is not one of"),
    ("example", BOOK, "                title: A book\n", "", "the example: 'title' is a required property"),
    ("example", BOOK, "time: '2026-01-01T00:00:00Z'", "time: yesterday", "'yesterday' is not a 'date-time'"),
    ("example", BOOKS, "example: '2026-01-01T00:00:00Z'", "example: yesterday", "'yesterday' is not a 'date-time'"),
    ("example", BOOK, "default: 1", "default: one", "'one' is not of type 'integer'"),
    ("example", BOOK, "description: Name.}", "description: Name., examples: [1]}", "1 is not of type 'string'"),
]


def test_sample_keeps_every_rule(spec: Spec) -> None:
    """The sample itself has nothing to be found."""
    assert spec.findings() == []


@pytest.mark.parametrize(("rule", "file", "old", "new", "message"), BREACHES)
def test_breach_is_found(spec: Spec, rule: str, file: str, old: str, new: str, message: str) -> None:
    """A specification spoilt in one place gives a finding of that rule in a fragment."""
    found = [finding for finding in spec.edit(file, old, new).findings() if finding.rule == rule]

    assert any(message in finding.message for finding in found), found
    assert all(finding.file.startswith("spec/") for finding in found)


def test_a_type_of_event_is_used_once(spec: Spec) -> None:
    """Two kinds of event could not be told apart in a batch."""
    spec.edit(BOOKS, "x-retry: keyed", "x-event-type: a\n      x-retry: sometimes")
    spec.edit(BOOKS, "x-retry: keyed", "x-event-type: a\n      x-retry: keyed")

    assert "a is used twice" in {finding.message for finding in spec.findings() if finding.rule == "x-event-type"}


def finders(spec: Spec, rule: str, message: str) -> set[Rule]:
    merged = spec.bundle()
    for row in ROWS:
        found = {candidate: list(candidate(merged)) for candidate in row}
        if any(found.values()):
            break
    return {
        candidate
        for candidate, findings in found.items()
        if any(finding.rule == rule and message in finding.message for finding in findings)
    }


def test_every_rule_is_needed(spec: Spec) -> None:
    """No rule could be removed without one of the breaches above going unnoticed."""
    needed: set[Rule] = set()
    for rule, file, old, new, message in BREACHES:
        original = (spec.folder / file).read_text(encoding="utf-8")
        found = finders(spec.edit(file, old, new), rule, message)
        if len(found) == 1:
            needed |= found
        spec.add(file, original)

    assert needed == {rule for row in ROWS for rule in row}


def test_finding_has_the_line_of_the_key(spec: Spec) -> None:
    """The line is the key's own in its fragment."""
    findings = spec.edit(CLOCK, "tags: [Clock]", "tags: [Watch]").findings()

    assert [str(finding) for finding in findings] == [
        "spec/paths/clock.yaml:6: [tag] tag 'Watch' is not declared in the root"
    ]


def test_nobody_has_to_be_named_where_nobody_signs_in(spec: Spec) -> None:
    """Without authentication the consumers may be left out."""
    assert spec.edit(CLOCK, "      x-synerise-consumers: [workspace, anonymous]\n", "").findings() == []


def test_reason_may_stand_for_a_replacement(spec: Spec) -> None:
    """A deprecated operation without a replacement says why."""
    spec.edit(BOOKS, "x-replaced-by: [addBook, /new/books]", "x-deprecated-reason: Nobody replaces a book.")

    assert spec.findings() == []


def test_broken_reference_hides_no_crash(spec: Spec) -> None:
    """While a reference leads nowhere, only references are reported: the other rules would follow it."""
    spec.edit(BOOK, "schemas/Cover'", "schemas/Cove'").edit(CLOCK, "tags: [Clock]", "tags: [Watch]")

    assert {finding.rule for finding in check_rules(spec.bundle())} == {"ref"}


def test_reference_in_a_circle_is_found(spec: Spec) -> None:
    """A component that only refers to itself ends nowhere."""
    spec.add("components/zoo.yaml", "components:\n  schemas:\n    Loop: {$ref: '#/components/schemas/Loop'}\n")

    assert [finding.rule for finding in spec.findings()] == ["circle", "ref"]


def test_properties_named_like_keywords_are_names(spec: Spec) -> None:
    """A property called `enum`, `x-colour` or `examples` is no keyword."""
    names = "".join(f"        {name}: {{type: string, description: A name.}}\n" for name in ("enum", "x-a", "examples"))
    spec.edit(BOOK, "        name: {type: string, description: Name.}\n", names)

    assert [finding.rule for finding in spec.findings()] == []
