"""What an edit of the spec costs in review: its diff is small, and unrelated edits merge without a conflict."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.output.build import BUNDLE_FILE, TARGET, build, compare
from generator.output.publishing import published
from generator.output.rendering import render
from generator.spec.fragments import load_fragments
from generator.spec.serialization import dump_yaml
from generator.spec.walk import mappings
from generator.upstream import parse

PROJECT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Edit:
    """One word of a description changed."""

    branch: str
    file: str
    old: str
    new: str


# Two are of one tag, and of operations whose descriptions also stand in the event builders. The last is in the longest
# description of an operation, where most words are wrapped anew.
EDITS = (
    Edit("product", "spec/paths/events.yaml", "None of the known params is required.", "No known params is required."),
    Edit("tags", "spec/paths/tags.yaml", "the existing tag is the answer.", "the existing tag is the result."),
    Edit("timer", "spec/paths/events.yaml", "Two of them, one when", "Two of these, one when"),
    Edit(
        "batch", "spec/paths/profile-management.yaml", "Each profile needs at least", "Every profile requires at least"
    ),
)


MAX_FILES = 7
# Words that more than three operations or models share: each shows them where a caller reads them.
SHARED = {
    *(f"parameters/{name}" for name in ("ClientId", "NoteId", "TagId")),
    *(f"responses/{name}" for name in ("Accepted", "InvalidCredentials", "NoteStored", "Ok", "ProfileNotFound")),
    *(f"responses/{name}" for name in ("ProfileNotFoundNoBody", "ProfileNotFoundOrHidden")),
    *(f"schemas/EventBase/properties/{name}" for name in ("client", "eventSalt", "label", "time")),
}


class Repository:
    """A copy of the project's spec, templates and generated files, under git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("spec", "overlays/templates", TARGET):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("base")

    def git(self, *arguments: str) -> str:
        settings = ("user.name=test", "user.email=test@example.com", "core.autocrlf=false", "commit.gpgsign=false")
        options = [part for setting in settings for part in ("-c", setting)]
        command = ["git", "-C", str(self.folder), *options, *arguments]
        environ = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, env=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def apply(self, edit: Edit) -> None:
        """On a branch of its own, with generated/ built anew."""
        self.git("switch", "--quiet", "--create", edit.branch, "main")
        path = self.folder / edit.file
        text = path.read_text(encoding="utf-8")
        assert text.count(edit.old) == 1
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
        build(self.folder)
        self.commit(edit.branch)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("repository"))
    for edit in EDITS:
        made.apply(edit)
    return made


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.branch)
def test_one_word_is_a_small_diff(repository: Repository, edit: Edit) -> None:
    """A word of a description is at most 7 files, 30 lines and 10 kB, the fragment of the spec included."""
    counts = [line.split("\t") for line in repository.git("diff", "--numstat", "main", edit.branch).splitlines()]
    text = repository.git("diff", "main", edit.branch)

    assert 3 < len(counts) <= MAX_FILES
    assert sum(int(added) + int(removed) for added, removed, _ in counts) <= 30
    assert len(text.encode()) <= 10_000


def test_unrelated_edits_merge_without_a_conflict(repository: Repository) -> None:
    """Edits of different operations, of one tag or of several, merge to what a build of all of them makes."""
    repository.git("switch", "--quiet", "--create", "merged", "main")
    for edit in EDITS:
        repository.git("merge", "--quiet", "--no-edit", edit.branch)

    assert compare(repository.folder) == []


def test_only_words_that_many_share_are_in_more_files() -> None:
    """Every text of the spec is marked, and its mark looked for in each file: the fragment counts as one of them."""
    bundle = load_fragments(PROJECT / "spec")
    places: list[str] = []
    for pointer, mapping in list(mappings(bundle.document)):
        for key in ("summary", "description"):
            if isinstance(mapping.get(key), str):
                mapping[key] = f"Mark{len(places)}mark {mapping[key]}"
                places.append("/".join(pointer).removeprefix("components/"))
    files = render(bundle, parse(bundle), PROJECT / "overlays" / "templates")
    files[BUNDLE_FILE] = dump_yaml(published(bundle))
    found: dict[int, int] = defaultdict(int)
    for text in files.values():
        for number in set(re.findall(r"Mark(\d+)mark", text)):
            found[int(number)] += 1

    assert len(found) == len(places)
    assert {places[number] for number, count in found.items() if count + 1 > MAX_FILES} == SHARED
