"""The maintainer's loop: a new edition is audited, the spec follows, and the diff says what it means for callers."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.audit.comparison import audit
from generator.audit.documents import Edition, edition_of
from generator.audit.edition_report import MISSING, PRESENT, EditionReport, compare_editions
from generator.audit.lock import make_lock, sentence_findings
from generator.changes.base import folder_state
from generator.changes.report import ChangeReport, report_changes
from generator.errors import GeneratorFailure
from generator.output.build import build
from generator.spec.bundle import Bundle
from generator.spec.fragments import load_fragments
from generator.surface.listing import FILE as SURFACE_FILE
from generator.surface.listing import make_surface
from tests.generator.edition import print_edition
from tests.generator.sample import DATA

pytestmark = pytest.mark.long
PROJECT = Path(__file__).parents[2]
EVENTS, PROFILE, EVENT = "spec/paths/events.yaml", "spec/components/profile.yaml", "spec/components/event.yaml"
COMPANY, CLOCK = "        company: {oneOf", "        serverTime:"
BUNDLE = ("generated/openapi.yaml", "generated/synerise_profiles_api/openapi.json")
EDITS: list[dict[str, Any]] = yaml.safe_load((DATA / "edits.yaml").read_text(encoding="utf-8"))
LIMIT = "POST /v4/events/batch: x-batch.max-items"


class Project:
    """A copy of what an edit of the spec changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("spec", "overlays", "generated"):
            shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
        for name in (SURFACE_FILE, "pyproject.toml"):
            shutil.copy(PROJECT / name, folder / name)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def bundle(self) -> Bundle:
        return load_fragments(self.folder / "spec")

    def make(self) -> None:
        build(self.folder)
        (self.folder / SURFACE_FILE).write_bytes(make_surface(self.folder))

    def contents(self) -> dict[str, bytes]:
        files = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


def follow_the_edition(project: Project) -> None:
    """The edits with which the spec follows the new edition."""
    events = (project.folder / EVENTS).read_text(encoding="utf-8")
    [shared] = re.findall(r"  /v4/events/shared:\n(?:    .*\n)+", events)
    words = (("/shared:", "/reviewed:"), ("ClientShared", "ClientReviewed"), ("method: shared", "method: reviewed"))
    reviewed = shared
    for old, new in (
        *words,
        ("content was shared", "a product was reviewed"),
        ("API_SHARED", "API_REVIEWED"),
        ("client.shared", "client.reviewed"),
        ("x-event-type: shared", "x-event-type: reviewed"),
    ):
        assert old in reviewed
        reviewed = reviewed.replace(old, new)
    project.edit(EVENTS, shared, shared + reviewed)
    project.edit(EVENT, "hit-timer, searched,", "hit-timer, reviewed, searched,")
    project.edit(PROFILE, COMPANY, f"        nickname: {{type: string, description: Nickname.}}\n{COMPANY}")
    project.edit(EVENT, CLOCK, f"        zone: {{type: [string, 'null'], description: Zone of the server.}}\n{CLOCK}")
    project.edit(EVENT, "name: time[from]\n", "name: time[from]\n      required: true\n")
    timer = "x-event-type: hit-timer\n"
    ended = "      deprecated: true\n      x-sunset: '2027-03-31'\n      x-replaced-by: [CustomEvent]\n"
    project.edit(EVENTS, timer, timer + ended)
    for limit in (
        "max-items: 1000, max-bytes: 1000000, uniform",
        "maxItems: 1000\n              items: {$ref: '#/components/schemas/BatchEvent'}",
    ):
        project.edit(EVENTS, limit, limit.replace("1000", "500", 1))


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Edition, Edition]:
    """A project that follows the new edition, with the old one and the new one."""
    project = Project(tmp_path_factory.mktemp("project"))
    old = edition_of(print_edition(project.bundle()), "old.txt")
    follow_the_edition(project)
    new = edition_of(print_edition(project.bundle()), "new.txt")
    project.make()
    return project, old, new


def states(report: EditionReport) -> dict[tuple[str, str], str]:
    return {(judged.change.operation, judged.change.item): judged.state for judged in report.changes}


def test_the_audit_tells_what_is_new_and_what_the_spec_lacks(followed: tuple[Project, Edition, Edition]) -> None:
    """Before the spec follows, everything that can be compared is missing; afterwards it is there."""
    project, old, new = followed
    before = load_fragments(PROJECT / "spec")
    ties = make_lock(before, old).by_sentence()
    told = compare_editions(old, new, audit(new.reference, before, []), ties)

    expected = {
        ("POST /v4/events/reviewed", "operation"),
        ("POST /v4/events/hit-timer", "deprecated"),
        ("POST /v4/events/hit-timer", "sunset"),
        ("GET /v4/events", "parameter time[from]"),
        ("GET /v4/events/by-client/{clientId}", "parameter time[from]"),
    }
    found = states(told)
    assert expected <= found.keys()
    assert all(found[key] == MISSING for key in expected)
    fields = {key[0] for key in found if key[1] == "field nickname"}
    assert "POST /v4/clients" in fields
    assert [judged.keys for judged in told.changes if LIMIT in judged.keys]
    assert len(told.changes) <= 20
    followed_by = compare_editions(old, new, audit(new.reference, project.bundle(), []), ties)
    assert {state for key, state in states(followed_by).items() if key in expected} == {PRESENT}
    assert audit(new.reference, project.bundle(), []).ok


def test_the_changed_limit_is_told_with_its_line(followed: tuple[Project, Edition, Edition]) -> None:
    """The lock of the old edition knows the sentence that the limit rests on; that of the new one is content."""
    project, old, new = followed
    before = load_fragments(PROJECT / "spec")
    told = sentence_findings(before, make_lock(before, old), new)

    assert any(LIMIT in finding.message for finding in told)
    assert {new.text.splitlines()[finding.line - 1] for finding in told if LIMIT in finding.message} == {
        "A request cannot have more than 500 items or exceed 1 MB in size."
    }
    assert sentence_findings(project.bundle(), make_lock(project.bundle(), new), new) == []


def test_the_diff_says_what_it_means_for_callers(followed: tuple[Project, Edition, Edition]) -> None:
    """Breaking are the parameter and the limit; the event and the fields are additive; the version is asked for."""
    project, _, _ = followed
    report: ChangeReport = report_changes("main", folder_state(PROJECT), folder_state(project.folder))
    text = report.to_markdown()
    breaking, _, rest = text.partition("## Additive")

    assert "`parameters/TimeFrom`: is required" in breaking
    assert "500" in breaking
    assert "events.reviewed" in rest
    assert "nickname" in rest
    assert "`ServerTime.zone`: optional field was added" in rest
    assert "2027-03-31" in text
    assert report.needed_version == "0.2.0"
    assert not report.is_covered


@pytest.mark.parametrize("edit", EDITS, ids=[edit["name"] for edit in EDITS])
def test_an_edit_changes_what_it_concerns(tmp_path: Path, edit: dict[str, Any]) -> None:
    """A build changes the files of the table and the bundle, in at most so many lines; or the edit is refused."""
    project = Project(tmp_path / "project")
    before = project.contents()
    for change in edit["edits"]:
        project.edit(change["file"], change["old"], change["new"])
    if "told" in edit:
        with pytest.raises(GeneratorFailure, match=edit["told"]):
            project.make()
        return
    project.make()
    after = project.contents()

    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {*edit["files"], *BUNDLE, *(change["file"] for change in edit["edits"])}
    assert sum(differing_lines(before.get(name, b""), after.get(name, b"")) for name in changed) <= edit["lines"]


def differing_lines(before: bytes, after: bytes) -> int:
    """How many lines were added and removed, wherever they stand."""
    old, new = Counter(before.splitlines()), Counter(after.splitlines())
    return (old - new).total() + (new - old).total()
