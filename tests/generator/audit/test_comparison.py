"""The audit names every difference between the reference text and the bundle, and every declaration without one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from generator.audit.comparison import AuditReport, audit
from generator.audit.deviations import Difference, load_deviations
from generator.audit.reference_text import parse_reference
from generator.audit.statuses import needs_pii, status_items
from generator.cli import main
from generator.errors import GeneratorFailure
from generator.spec.fragments import load_fragments
from generator.spec.yaml_reader import load_yaml
from tests.generator.sample import DATA, Spec

PROJECT = Path(__file__).parents[3]
REAL = PROJECT / ".." / "shared" / "reference" / "profile-management-reference.txt"
BOOKS = "paths/book-keeping.yaml"
CLOCK = "paths/clock.yaml"
BOOK = "components/book.yaml"
SHARED = "components/shared.yaml"
ADD = "POST /books"
GET = "GET /books/{bookId}"
OLD = "PUT /old/books/{bookId}"
TIME = "GET /clock"


def run(spec: Spec, document: str) -> AuditReport:
    declared = load_deviations(spec.folder / "deviations.yaml", "spec/deviations.yaml")
    return audit(parse_reference(document), spec.bundle(), declared)


def declare(spec: Spec, text: str) -> Spec:
    path = spec.folder / "deviations.yaml"
    return spec.add("deviations.yaml", path.read_text(encoding="utf-8") + text)


def test_sample_agrees_with_its_document(spec: Spec, document: str) -> None:
    """Enums in another order, shared parameters, composed schemas and null alternatives make no difference."""
    report = run(spec, document)

    assert (report.undeclared, report.stale, report.findings) == ((), (), ())
    assert report.ok
    assert report.to_text() == (
        "operations 5, parameters 6, body fields 11, responses 9, status descriptions 9, PII permissions 0, "
        "deprecated 1, request examples 3\n"
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "difference"),
    [
        (CLOCK, "  /clock:", "  /watch:", Difference(TIME, "operation", "present", "absent")),
        (CLOCK, "  /clock:", "  /watch:", Difference("GET /watch", "operation", "absent", "present")),
        (CLOCK, "tags: [Clock]", "tags: [Watch]", Difference(TIME, "tag", "Clock", "Watch")),
        (CLOCK, "Id: getClock", "Id: clock", Difference(TIME, "operationId", "getClock", "clock")),
        (BOOKS, "deprecated: true", "deprecated: false", Difference(OLD, "deprecated", "true", "false")),
        (BOOKS, "'2026-08-03'", "'2026-08-04'", Difference(OLD, "sunset", "2026-08-03", "2026-08-04")),
        (CLOCK, "      security: []\n", "", Difference(TIME, "authentication", "not required", "required")),
        (
            CLOCK,
            "[workspace, anonymous]",
            "[workspace, ai-key]",
            Difference(TIME, "consumers", "anonymous, workspace", "ai-key, workspace"),
        ),
        (
            BOOKS,
            "      x-synerise-permission: LENDING_BOOK_CREATE\n",
            "",
            Difference(ADD, "permission", "LENDING_BOOK_CREATE", "none"),
        ),
        (BOOKS, "role: 'books: create'", "role: books", Difference(ADD, "role", "books: create", "books")),
        (
            SHARED,
            "{type: integer}",
            "{type: [integer, string]}",
            Difference(GET, "parameter bookId", "path integer required", "path integer | string required"),
        ),
        (
            SHARED,
            "enum: ['4.4']",
            "enum: ['4.5']",
            Difference(ADD, "parameter Api-Version", 'header enum<"4.4"> required', 'header enum<"4.5"> required'),
        ),
        (
            BOOKS,
            "in: query",
            "in: query\n          required: true",
            Difference(GET, "parameter time[from]", "query string optional", "query string required"),
        ),
        (BOOKS, "name: time[from]", "name: from", Difference(GET, "parameter from", "none", "query string optional")),
        (
            BOOKS,
            "name: time[from]",
            "name: from",
            Difference(GET, "parameter time[from]", "query string optional", "none"),
        ),
        (
            BOOK,
            "    Book:\n      required: true",
            "    Book:\n      required: false",
            Difference(ADD, "body required", "required", "optional"),
        ),
        (
            BOOKS,
            (
                "              type: array\n              maxItems: 1000\n"
                "              items: {$ref: '#/components/schemas/NewBook'}"
            ),
            "              $ref: '#/components/schemas/NewBook'",
            Difference("POST /books/batch", "body type", "application/json array<object>", "application/json object"),
        ),
        (
            BOOK,
            "required: [title]",
            "required: []",
            Difference(ADD, "field title", "string required", "string optional"),
        ),
        (
            BOOK,
            "pages: {type: integer",
            "pages: {type: number",
            Difference(ADD, "field pages", "integer optional", "number optional"),
        ),
        (
            BOOK,
            "            pages:",
            "            leaves:",
            Difference(ADD, "field leaves", "none", "integer optional"),
        ),
        (BOOK, "            pages:", "            leaves:", Difference(ADD, "field pages", "integer optional", "none")),
        (
            BOOK,
            "tags: {type: array, description: Tags., items: {type: string}}",
            "tags: {type: array, description: Tags., items: {type: integer}}",
            Difference(ADD, "field tags", "array<string> optional", "array<integer> optional"),
        ),
        (
            BOOK,
            "enum: [SOFT, HARD]",
            "enum: [SOFT, HARD, NONE]",
            Difference(ADD, "field cover", 'enum<"HARD", "SOFT"> optional', 'enum<"SOFT", "HARD", "NONE"> optional'),
        ),
        (
            BOOK,
            "enum: [SOFT, HARD]",
            "x-known-values: [SOFT, HARD]",
            Difference(ADD, "field cover", 'enum<"HARD", "SOFT"> optional', 'enum<"SOFT", "HARD", …> optional'),
        ),
        (
            BOOK,
            "x-known-values: [NOVEL, POEM, ESSAY]",
            "x-known-values: [NOVEL, ESSAY]",
            Difference(ADD, "field genre", 'enum<"NOVEL", "POEM", …> optional', 'enum<"NOVEL", "ESSAY", …> optional'),
        ),
        (
            BOOK,
            "      description: A book of old.\n      additionalProperties: true\n",
            "      description: A book of old.\n",
            Difference(OLD, "field additionalProperties", "any optional", "none"),
        ),
        (SHARED, "x-printed: [Accepted]", "x-printed: [Done]", Difference(ADD, "status 202", "Accepted", "Done")),
        (SHARED, "printed: [Not Found]", "printed: [Gone]", Difference(GET, "status 404", "Not Found", "Gone")),
        (BOOKS, "          x-printed: [No such book]\n", "", Difference(OLD, "status 404", "No such book", "none")),
        (
            BOOKS,
            "      x-batch:",
            "      x-synerise-pii: true\n      x-batch:",
            Difference("POST /books/batch", "PII permissions", "not needed", "needed in addition"),
        ),
        (BOOKS, "text/plain", "text/html", Difference(OLD, "response 404", "text/plain", "text/html")),
        (BOOKS, "'202':", "'201':", Difference(ADD, "response 202", "no body", "none")),
        (BOOKS, "'202':", "'201':", Difference(ADD, "response 201", "none", "no body")),
        (BOOK, "                pages: 3\n", "", Difference(ADD, "example pages", "present", "absent")),
        (
            BOOK,
            "                  - name: Someone",
            "                  - nick: Someone",
            Difference(ADD, "example authors[].nick", "absent", "present"),
        ),
        (
            BOOKS,
            "                      - name: Someone",
            "                      - nick: Someone",
            Difference("POST /books/batch", "example [].authors[].name", "present", "absent"),
        ),
    ],
)
def test_difference_is_found(spec: Spec, document: str, file: str, old: str, new: str, difference: Difference) -> None:
    """One item changed in the specification is one undeclared difference, with both values."""
    report = run(spec.edit(file, old, new), document)

    assert difference in report.undeclared
    assert not report.ok


def test_declared_difference_passes(spec: Spec, document: str) -> None:
    """A deviation with the same operation, item and values covers a difference; `true` needs no quotes."""
    spec.edit(BOOKS, "deprecated: true", "deprecated: false")
    declare(
        spec,
        f"- {{operation: '{OLD}', item: deprecated, document: true, spec: false, reason: It lives.}}\n",
    )

    assert run(spec, document).ok


@pytest.mark.parametrize(
    "entry",
    [
        f"- {{operation: '{ADD}', item: deprecated, document: 'true', spec: 'false', reason: It lives.}}\n",
        f"- {{operation: '{OLD}', item: tag, document: 'true', spec: 'false', reason: It lives.}}\n",
        f"- {{operation: '{OLD}', item: deprecated, document: 'false', spec: 'false', reason: It lives.}}\n",
        f"- {{operation: '{OLD}', item: deprecated, document: 'true', spec: 'true', reason: It lives.}}\n",
    ],
)
def test_deviation_hides_no_other_difference(spec: Spec, document: str, entry: str) -> None:
    """A deviation that differs in any of the four parts covers nothing and is stale itself."""
    report = run(declare(spec.edit(BOOKS, "deprecated: true", "deprecated: false"), entry), document)

    assert report.undeclared == (Difference(OLD, "deprecated", "true", "false"),)
    assert [deviation.line for deviation in report.stale] == [11]


def test_deviation_for_all_is_stale_when_nothing_matches(spec: Spec, document: str) -> None:
    """An entry with `*` has to cover at least one operation."""
    report = run(spec, document.replace('Acceptheaderenum<"application/json">required\n', ""))

    assert [(deviation.operation, deviation.item) for deviation in report.stale] == [("*", "parameter Accept")]
    assert "spec/deviations.yaml:1: [stale] * / parameter Accept" in report.to_text()


def test_free_keys_need_their_deviation(spec: Spec, document: str) -> None:
    """Without it the page's invented names and the example's own ones are differences like any other."""
    report = audit(parse_reference(document), spec.bundle(), load_deviations(spec.folder / "deviations.yaml", "d")[:1])

    assert {difference.item for difference in report.undeclared} == {
        "example attributes.property1",
        "example attributes.property2",
        "example attributes.colour",
    }


def test_other_names_in_free_form_objects_are_compared(spec: Spec, document: str) -> None:
    """A key of the document that the deviation does not name has to be in the example."""
    report = run(spec, document.replace('"property1":null', '"size":{"unit":1}'))

    assert [difference.item for difference in report.undeclared] == [
        "example attributes.size",
        "example attributes.size.unit",
    ]


def test_declared_keys_of_a_free_form_object_are_compared(spec: Spec, document: str) -> None:
    """Only keys beyond the declared ones are free."""
    free = "      description: Free attributes.\n"
    spec.edit(BOOK, free, f"{free}      properties: {{colour: {{type: string, description: Colour.}}}}\n")

    assert run(spec, document).undeclared == (Difference(ADD, "example attributes.colour", "absent", "present"),)


def test_missing_example_is_found(spec: Spec, document: str) -> None:
    """A body without an example lacks every key."""
    spec.edit(BOOKS, "            examples:\n              default:\n                value: {title: A book}\n", "")

    assert run(spec, document).undeclared == (Difference(OLD, "example title", "present", "absent"),)


def test_broken_reference_is_a_finding(spec: Spec, document: str) -> None:
    """An operation whose schemas are not there yet is named; the others are compared all the same."""
    spec.edit(BOOKS, "requestBodies/Book'", "requestBodies/Bok'").edit(CLOCK, "tags: [Clock]", "tags: [Watch]")

    report = run(spec, document)

    assert [(finding.file, finding.line, finding.rule) for finding in report.findings] == [
        ("spec/paths/book-keeping.yaml", 3, "ref")
    ]
    assert report.undeclared == (Difference(TIME, "tag", "Clock", "Watch"),)


def test_damaged_document_is_no_success(spec: Spec, document: str) -> None:
    """A row that could not be read fails the audit."""
    report = run(spec, document.replace("titlestringoptional", "titletextoptional"))

    assert not report.ok
    assert "[reference] no field row" in report.to_text()


def test_undeclared_differences_are_ready_to_paste(spec: Spec, document: str) -> None:
    """The printed entries are YAML of the deviations' own form, with the reason left to write."""
    spec.edit(BOOKS, "deprecated: true", "deprecated: false")
    printed = run(spec, document).to_text().split("# Undeclared differences: 1\n")[1]

    assert load_yaml(printed, "printed").value == [
        {"operation": OLD, "item": "deprecated", "document": "true", "spec": "false", "reason": "TODO"}
    ]


def test_equal_differences_are_one_entry(spec: Spec, document: str) -> None:
    """Pasted as it is printed, with the operations in a list, it covers them all; the lines stand above it."""
    edited = document.replace("bookIdpathinteger", "bookIdpathnumber")
    lines = [number for number, line in enumerate(edited.splitlines(), 1) if line.startswith("bookIdpathnumber")]
    printed = run(spec, edited).to_text().split("# Undeclared differences: 2\n")[1]

    assert printed.startswith(f"# line {lines[0]}, {lines[1]}\n")
    assert printed.count("item: parameter bookId") == 1
    assert run(declare(spec, printed.replace("TODO", "A number will do.")), edited).ok


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("- {operation: a, item: b, document: c, spec: d}\n", "an entry has the keys"),
        ("- {operation: a, item: b, document: c, spec: d, reason: e, more: f}\n", "an entry has the keys"),
        ("- {operation: a, item: b, document: c, spec: d, reason: TODO}\n", "a / b has no reason"),
        ("- {operation: a, item: b, document: c, spec: d, reason: ''}\n", "a / b has no reason"),
        ("- {operation: '*', item: parameter Accept, document: c, spec: d, reason: e}\n", "declared twice"),
    ],
)
def test_deviations_are_checked_when_read(spec: Spec, entry: str, message: str) -> None:
    """Each entry has its five keys and a reason, and stands once."""
    path = declare(spec, entry).folder / "deviations.yaml"

    with pytest.raises(GeneratorFailure, match=rf"spec/deviations\.yaml:11: \[deviation\] .*{message}"):
        load_deviations(path, "spec/deviations.yaml")


def test_command_prints_json_and_exits_by_result(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    """0 when nothing is to be done, 1 otherwise; deviations default to the project's own."""
    command = ["--root", str(spec.folder.parent), "audit", "--document", str(DATA / "reference.txt"), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["body fields"] == 11

    (spec.folder / "deviations.yaml").unlink()
    assert main(command) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["stale"], len(report["undeclared"])) == (False, [], 5)


def test_command_takes_several_files_of_deviations(spec: Spec, tmp_path: Path) -> None:
    """Named files replace the project's own."""
    text = (spec.folder / "deviations.yaml").read_text(encoding="utf-8")
    first, second = text.split("- operation: '*'\n")[1:]
    arguments = ["--root", str(spec.folder.parent), "audit", "--document", str(DATA / "reference.txt")]
    for name, part in (("a.yaml", first), ("b.yaml", second)):
        (tmp_path / name).write_text(f"- operation: '*'\n{part}", encoding="utf-8")
        arguments += ["--deviations", str(tmp_path / name)]

    assert main(arguments) == 0


def test_command_reports_what_it_cannot_read(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing document is a finding, not a traceback."""
    assert main(["--root", str(spec.folder.parent), "audit", "--document", "nowhere.txt"]) == 1
    assert capsys.readouterr().err.startswith("nowhere.txt:1: [reference] cannot be read")


def test_check_prints_the_rules_findings(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    """`check --rules-only` exits 1 with one line a finding, 0 when there is none."""
    command = ["--root", str(spec.folder.parent), "check", "--rules-only"]
    assert main(command) == 0

    spec.edit(CLOCK, "tags: [Clock]", "tags: [Watch]")
    assert main(command) == 1
    assert capsys.readouterr().out == "spec/paths/clock.yaml:6: [tag] tag 'Watch' is not declared in the root\n"


def test_longest_words_decide_what_a_status_means(spec: Spec, document: str) -> None:
    """Where one meaning's words are within another's, the longer ones count: the general text cannot pass for it."""
    special = document.replace("404Not Found", "404Not Found on any shelf")
    spec.add(CLOCK, (spec.folder / CLOCK).read_text(encoding="utf-8").replace("[OK]", "[OK, Not Found on any shelf]"))

    assert run(spec, special).undeclared == (Difference(GET, "status 404", "Not Found on any shelf", "Not Found"),)


def test_each_status_of_the_real_reference_is_held() -> None:
    """Were any description of a status another one in the reference, or a PII sentence gone, the audit would tell."""
    if not REAL.exists():
        pytest.skip("the reference text is not part of the repository")
    bundle = load_fragments(PROJECT / "spec")
    nodes = {f"{method.upper()} {path}": node for path, method, node in bundle.operations()}
    broken = Counter[str]()
    for operation in parse_reference(REAL.read_text(encoding="utf-8")).operations:
        node = nodes[operation.key]
        assert not unequal(status_items(bundle, operation, node))
        was_pii = needs_pii(operation)
        for place, response in enumerate(operation.responses):
            operation.responses[place] = replace(response, description="Something else entirely")
            found = unequal(status_items(bundle, operation, node))
            assert f"status {response.status.upper()}" in found
            broken.update(name.split()[0] for name in found)
            operation.responses[place] = response
        assert was_pii == needs_pii(operation)

    assert broken == {"status": 403, "PII": 56}


def unequal(items: tuple[dict[str, str], dict[str, str]]) -> list[str]:
    document, spec = items
    return [name for name in document if document[name] != spec[name]]


def test_project_agrees_with_the_real_reference(capsys: pytest.CaptureFixture[str]) -> None:
    """The project's specification differs from the publisher's page in declared places only."""
    if not REAL.exists():
        pytest.skip("the reference text is not part of the repository")
    if not (PROJECT / "spec" / "deviations.yaml").exists():
        pytest.skip("the specification has no deviations.yaml yet")

    assert main(["audit", "--document", str(REAL)]) == 0, capsys.readouterr().out
