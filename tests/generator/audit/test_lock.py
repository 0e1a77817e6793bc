"""Each rule of the spec is tied to the sentences that it rests on, by digests, so that a changed sentence is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.audit.documents import edition_of, read_edition
from generator.audit.lock import LOCK_FILE, ReferenceLock, key_findings, load_lock, make_lock, sentence_findings
from generator.audit.ties import rules
from generator.cli import main
from generator.spec.fragments import load_fragments
from tests.generator.sample import DATA, Spec

PROJECT = Path(__file__).parents[3]
REAL = PROJECT.parent / "shared" / "reference" / "profile-management-reference.txt"
BOOK = "components/book.yaml"
BATCH = "POST /books/batch: x-batch.max-items"
SUNSET = "PUT /old/books/{bookId}: x-sunset"


@pytest.fixture
def locked(spec: Spec, document: str) -> ReferenceLock:
    return make_lock(spec.bundle(), edition_of(document, "new.txt"))


def command(spec: Spec, *words: str) -> int:
    return main(["--root", str(spec.folder.parent), *words])


def test_rules_rest_on_the_sentences_that_tell_them(document: str, locked: ReferenceLock) -> None:
    """A limit on the one with its number, a date on the one with its day; no word of the document is kept."""
    lines = {
        key: [document.splitlines()[line - 1] for tie in ties for line, *_ in tie.texts()]
        for key, ties in locked.ties.items()
    }

    assert lines[BATCH] == ["No more than 1000 books."]
    assert lines[SUNSET] == ["This method is deprecated. It will be disabled on August 3, 2026."]
    assert not any(word in locked.to_text() for word in ("No more than", "will be disabled", "Title of the book"))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("No more than 1000 books.", "No more than 500 books.", BATCH),
        ("disabled on August 3, 2026", "disabled on August 4, 2026", SUNSET),
        ("No more than 1000 books.\n\n", "", BATCH),
    ],
)
def test_a_changed_sentence_is_told_with_its_line_and_the_key(
    spec: Spec, document: str, locked: ReferenceLock, old: str, new: str, key: str
) -> None:
    """At the line of the new edition, with the rule and its place in the spec."""
    edited = document.replace(old, new)
    line = document[: document.index(old)].count("\n") + 1 if new else 1

    findings = sentence_findings(spec.bundle(), locked, edition_of(edited, "new.txt"))

    assert findings
    assert {finding.line for finding in findings} == {line}
    assert f"that {key} (spec/" in "\n".join(finding.message for finding in findings)
    assert sentence_findings(spec.bundle(), locked, edition_of(f"\n\n{document}", "new.txt")) == []


def test_lock_names_each_rule_and_no_other(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    """Checked without the document; the command brings the rules up to date without it, too."""
    assert command(spec, "lock", "--document", str(DATA / "reference.txt")) == 0
    assert command(spec, "check", "--rules-only") == 0

    spec.edit(BOOK, "pages: {type: integer", "pages: {minimum: 1, type: integer")
    spec.edit("paths/book-keeping.yaml", "x-sunset: '2026-08-03'\n", "x-deprecated-reason: It is old.\n")
    assert command(spec, "check", "--rules-only") == 1
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert "properties.pages.minimum is not in reference.lock" in told[0]
    assert told[0].startswith("spec/components/book.yaml:")
    assert f"{SUNSET} is no rule of the spec" in told[1]
    assert told[1].startswith(f"spec/{LOCK_FILE}:")

    assert command(spec, "lock") == 0
    assert command(spec, "check", "--rules-only") == 0


def test_lock_is_read_as_it_was_written(spec: Spec, locked: ReferenceLock) -> None:
    """And a broken one is told, not ignored."""
    spec.add(LOCK_FILE, locked.to_text())
    found = load_lock(spec.folder)
    assert found is not None
    assert (found.document, found.ties) == (locked.document, locked.ties)

    spec.add(LOCK_FILE, "document: {}\nrules: {a: [{line: 1}]}\n")
    assert command(spec, "check", "--rules-only") == 1


def test_only_what_agrees_with_the_spec_is_locked(
    spec: Spec, document: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A document that differs is audited first."""
    path = tmp_path / "new.txt"
    path.write_text(document.replace("pagesinteger", "pagesnumber"), encoding="utf-8")

    assert command(spec, "lock", "--document", str(path)) == 1
    assert "new.txt:1: [lock] differs from the spec in 1 ways" in capsys.readouterr().err


def test_audit_tells_a_changed_sentence(
    spec: Spec, document: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit in prose that changed fails the audit and names the rule, with an older edition and without."""
    old, new = DATA / "reference.txt", tmp_path / "new.txt"
    new.write_text(document.replace("1000 books", "500 books"), encoding="utf-8")
    assert command(spec, "lock", "--document", str(old)) == 0
    assert command(spec, "audit", "--document", str(old)) == 0
    assert capsys.readouterr().out.count("\n") == 1

    assert command(spec, "audit", "--document", str(new), "--against", str(old)) == 1
    told = capsys.readouterr().out
    assert f"  rests on it: {BATCH}\n" in told
    assert "describes another document" in told


def test_the_project_is_locked() -> None:
    """Every rule of the spec is in its lock."""
    bundle = load_fragments(PROJECT / "spec")
    lock = load_lock(PROJECT / "spec")

    assert lock is not None
    assert len(rules(bundle)) > 50
    assert key_findings(bundle, lock) == []


def test_the_lock_is_that_of_the_reference() -> None:
    """Made anew from the publisher's text it is the same; the rules without a sentence are few."""
    if not REAL.exists():
        pytest.skip("the reference text is not part of the repository")
    bundle = load_fragments(PROJECT / "spec")
    made = make_lock(bundle, read_edition(REAL))

    assert (PROJECT / "spec" / LOCK_FILE).read_text(encoding="utf-8") == made.to_text()
    assert sum(bool(ties) for ties in made.ties.values()) >= 38
