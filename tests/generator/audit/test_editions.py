"""Two editions of the reference are told apart item by item, and what is no edition is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.audit.documents import edition_of, read_edition
from generator.audit.edition_report import EditionReport, compare_editions
from generator.audit.editions import EditionChange, edition_changes
from generator.cli import main
from generator.errors import GeneratorFailure
from tests.generator.audit.test_comparison import ADD, GET, OLD, TIME, run
from tests.generator.sample import DATA, Spec

SHARED = Path(__file__).parents[4] / "shared" / "reference"
BATCH = "POST /books/batch"


def changes(old: str, new: str) -> list[EditionChange]:
    return edition_changes(edition_of(old, "old.txt"), edition_of(new, "new.txt"))


def report(spec: Spec, old: str, new: str) -> EditionReport:
    return compare_editions(edition_of(old, "old.txt"), edition_of(new, "new.txt"), run(spec, new), {})


@pytest.mark.parametrize(
    ("old", "new", "operation", "item", "values"),
    [
        ("— Add a book\n", "— Put a book on a shelf\n", ADD, "title", ("Add a book", "Put a book on a shelf")),
        ("— Get the time\n", "— Get the time (deprecated)\n", TIME, "deprecated", ("false", "true")),
        ("August 3, 2026", "September 3, 2026", OLD, "sunset", ("2026-08-03", "2026-09-03")),
        ("operation/addBook\n", "operation/newBook\n", ADD, "operationId", ("addBook", "newBook")),
        ("consumer: Profile (Client)", "consumer: Synerise User", GET, "consumers", ("profile", "user")),
        ("LENDING_BOOK_CREATE", "LENDING_BOOK_ADD", ADD, "permission", ("LENDING_BOOK_CREATE", "LENDING_BOOK_ADD")),
        ("books: create", "books: add", ADD, "role", ("books: create", "books: add")),
        ("Authentication: Not required\n\n", "", TIME, "authentication", ("not required", "required")),
        (
            "time[from]querystringoptional",
            "time[from]querystringrequired",
            GET,
            "parameter time[from]",
            ("query string optional", "query string required"),
        ),
        ("pagesintegeroptional", "pagesnumberoptional", ADD, "field pages", ("integer optional", "number optional")),
        ("pagesintegeroptionalPages\n", "", ADD, "field pages", ("integer optional", "none")),
        ("pagesinteger", "sizestringoptionalSize\npagesinteger", ADD, "field size", ("none", "string optional")),
        (
            'enum<"HARD", "SOFT">',
            'enum<"HARD", "SOFT", "NONE">',
            ADD,
            "field cover",
            ('enum<"HARD", "SOFT"> optional', 'enum<"HARD", "SOFT", "NONE"> optional'),
        ),
        ("400 application/jsonBad request\n", "", ADD, "response 400", ("application/json", "none")),
        ("Request body\n", "Request body (required)\n", OLD, "body required", ("optional", "required")),
        ("json · lending-OldBook", "json · array<lending-OldBook>", OLD, "body type", None),
        ("additionalPropertiesoptionalAny further attribute\n", "", OLD, "field additionalProperties", None),
        ("404Not Found", "404Nothing there", GET, "status 404", ("Not Found", "Nothing there")),
        ("Add a book to a shelf.", "Add one book to a shelf.", ADD, "description", None),
        ("No more than 1000 books.", "No more than 500 books.", BATCH, "body description", None),
        ("optionalIts number", "optionalIts ISBN", ADD, "field isbn description", ("Its number", "Its ISBN")),
        ("requiredId of the book\ntime", "requiredNumber of the book\ntime", GET, "parameter bookId description", None),
        ('"pages":0', '"pages":7', ADD, "example pages", ("0", "7")),
        ('"pages":0,', "", ADD, "example pages", ("0", "absent")),
        ('[{"name":"string"}],"pages"', '[{"nick":"string"}],"pages"', ADD, "example authors[].nick", None),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_told(
    document: str, old: str, new: str, operation: str, item: str, values: tuple[str, str] | None
) -> None:
    """One edit of the document is one change with its line; what a key of an example became is two."""
    assert document.count(old) >= 1
    edited = document.replace(old, new, 1)

    found = [change for change in changes(document, edited) if change.item == item]

    assert [change.operation for change in found] == [operation]
    assert values is None or (found[0].old, found[0].new) == values
    text = document if found[0].is_gone else edited
    assert 0 < found[0].line <= len(text.splitlines())
    assert len(changes(document, edited)) <= 3
    assert changes(document, document) == []


def test_lines_are_those_of_the_edition_that_has_the_item(document: str) -> None:
    """A new field has its line in the new edition, a removed one that in the old."""
    came = document.replace("pagesinteger", "sizestringoptionalSize\npagesinteger")
    [new] = changes(document, came)
    [gone] = changes(came, document)

    assert came.splitlines()[new.line - 1] == came.splitlines()[gone.line - 1] == "sizestringoptionalSize"
    assert (new.is_gone, gone.is_gone) == (False, True)


def test_operations_come_go_and_move(document: str) -> None:
    """A new path with an operationId of before is a move; otherwise an operation came or went."""
    moved = document.replace("GET /clock", "GET /v2/clock")
    other = moved.replace("operation/getClock", "operation/readClock")

    assert [(change.operation, change.item, change.old) for change in changes(document, moved)] == [
        ("GET /v2/clock", "path", TIME)
    ]
    assert [(change.operation, change.new) for change in changes(document, other)] == [
        ("GET /v2/clock", "present"),
        (TIME, "absent"),
    ]


def test_equal_changes_are_one_block(spec: Spec, document: str) -> None:
    """The same values in several operations stand together, each with its line; texts whatever their place."""
    edited = document.replace("bookIdpathinteger", "bookIdpathnumber").replace("Id of the book", "Id of that book")
    text = report(spec, document, edited).to_text()

    assert text.count("parameter bookId: ") == 1
    assert text.count("text: Id of the book -> Id of that book (for people to read)") == 1
    lines = [number for number, line in enumerate(edited.splitlines(), 1) if line.startswith("bookIdpathnumber")]
    assert [text.count(f"new.txt:{line}: ") for line in lines] == [2, 2]


def test_an_enum_says_what_came_and_went(spec: Spec, document: str) -> None:
    """Not both lists in full."""
    edited = document.replace('enum<"HARD", "SOFT">', 'enum<"HARD", "NONE">')

    assert 'field cover: adds "NONE"; drops "SOFT" (the spec lacks it)' in report(spec, document, edited).to_text()


def test_what_the_spec_makes_of_a_change(spec: Spec, document: str) -> None:
    """It has it, lacks it, differs as declared, or it is not compared at all."""
    edited = document.replace('"Api-Version', "x").replace("pagesinteger", "pagesnumber").replace("— Add a", "— Make a")
    edited = edited.replace("optionalIts number", "optionalIts ISBN")
    accept = 'Acceptheaderenum<"application/json">required\n'
    old = document.replace("titlestringrequired", "titlestringoptional").replace(accept, "")
    states = {judged.change.item: judged.state for judged in report(spec, old, edited).changes}

    assert states == {
        "field title": "present",
        "field pages": "missing",
        "parameter Accept": "declared",
        "title": "not compared",
        "field isbn description": "not compared",
    }


def test_an_index_is_compared_by_what_it_prints(document: str) -> None:
    """Cells that run together are told apart; what an index does not print is no change."""
    index = (
        "Lending — API Reference\n3 endpoints across 2 tags.\nBook keeping\n"
        "POST/books— Make a bookPOST/books/batch— Add booksPUT/old/books/{bookId}— Replace a book\nClock\n"
        "GET/clock— Get the time"
    )
    old = edition_of(index, "index.txt", allow_index=True)

    found = edition_changes(old, edition_of(document, "new.txt"))

    assert [(change.operation, change.item, change.old, change.new) for change in found] == [
        (ADD, "title", "Make a book", "Add a book"),
        (GET, "operation", "absent", "present"),
        (OLD, "deprecated", "false", "true"),
    ]
    with pytest.raises(GeneratorFailure, match="an index of 4 operations without their details"):
        edition_of(index, "index.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it ends at line 1"),
        ("\n \n", "is empty"),
        ("<!DOCTYPE html>\n<html><body>GET /a — A</body></html>\n", "is markup: .* it ends at line 2"),
        ("# A library\n\nInstall it.\n", "no line opens an operation, .* it ends at line 3: 'Install it.'"),
        ('{"openapi": "3.1.0"}\n', "no line opens an operation"),
    ],
)
def test_what_is_no_reference_text_is_refused_at_its_end(text: str, message: str) -> None:
    """In one line, with the line at which it ends."""
    with pytest.raises(GeneratorFailure, match=message) as failure:
        edition_of(text, "page.txt")

    assert len(str(failure.value).splitlines()) == 1


def test_a_text_that_was_cut_is_refused_wherever_it_ends(document: str) -> None:
    """At every character but those of the foot, the line of the end is told."""
    foot = document.index("Back to the contents")
    for size in range(1, foot, 7):
        with pytest.raises(GeneratorFailure) as failure:
            edition_of(document[:size], "page.txt")
        [finding] = failure.value.findings
        assert f"it ends at line {finding.line}: " in finding.message
    for size in range(document.index("POST /books —") + 100, foot, 7):
        with pytest.raises(GeneratorFailure, match="is cut short"):
            edition_of(document[:size], "page.txt")


def test_a_text_without_its_beginning_is_refused(document: str) -> None:
    """In one line, where what is left cannot be read by itself."""
    with pytest.raises(GeneratorFailure, match="lacks its beginning: nothing above its 5 operations") as failure:
        edition_of(document[document.index("POST /books —") - 1 :], "page.txt")

    assert len(str(failure.value).splitlines()) == 1


def test_a_mark_at_the_beginning_is_no_other_edition(
    spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Editors put a byte order mark before a text: the lock still describes it."""
    command = ["--root", str(spec.folder.parent)]
    marked = tmp_path / "marked.txt"
    marked.write_text((DATA / "reference.txt").read_text(encoding="utf-8"), encoding="utf-8-sig")

    assert main([*command, "lock", "--document", str(DATA / "reference.txt")]) == 0
    assert main([*command, "audit", "--document", str(marked)]) == 0
    assert "describes another document" not in capsys.readouterr().out


def test_command_tells_changes_and_the_audit(spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First what changed, then what the spec lacks, as text and as JSON; 1 where something is left to do."""
    new = DATA / "reference.txt"
    old = tmp_path / "old.txt"
    old.write_text(new.read_text(encoding="utf-8").replace("pagesinteger", "pagesstring"), encoding="utf-8")
    command = ["--root", str(spec.folder.parent), "audit"]

    assert main([*command, "--document", str(new), "--against", str(old)]) == 0
    assert "field pages: string optional -> integer optional (the spec has it)" in capsys.readouterr().out
    assert main([*command, "--document", str(old), "--against", str(new), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(change["item"], change["spec"]) for change in told["changes"]] == [("field pages", "missing")]
    assert [found["line"] for found in told["undeclared"]] == [told["changes"][0]["line"]]
    (tmp_path / "readme.md").write_text("# A library\n", encoding="utf-8")
    assert main([*command, "--document", str(new), "--against", str(tmp_path / "readme.md")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_older_index_is_explained() -> None:
    """The publisher's index of 87 operations lacks two, whose path stands in the reference of 89."""
    if not SHARED.exists():
        pytest.skip("the reference text is not part of the repository")
    old = read_edition(SHARED / "profile-management-index.txt", allow_index=True)
    new = read_edition(SHARED / "profile-management-reference.txt")

    found = edition_changes(old, new)

    assert [(change.item, change.old) for change in found] == [
        ("title", "Create a Profile"),
        ("deprecated", "false"),
        ("deprecated", "false"),
        ("operation", "absent"),
        ("operation", "absent"),
    ]
