"""CONTRIBUTING's map against the tree: words of the field lead to rooms and modules that are there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import attrs
import pytest

from tests.house.sources import PROJECT, ROOTS, files_of

PACKAGE = ROOTS["synerise_profiles"]
PAGE = PROJECT / "CONTRIBUTING.md"
ARCHITECTURE = PROJECT / "overlays" / "README.md"
SPAN = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"[\w./-]+/[\w./-]*|[\w.-]+\.(?:py|md|toml|yaml|txt|jinja)|Makefile")
CLASS = re.compile(r"(?:[A-Z]+[a-z0-9]+)+[A-Z]?")
TEST = re.compile(r"(tests/[\w/.]+)(?:::(\w+))?")
REQUESTS = {
    "idempotency header": "_core/transport.py",
    "new event": "spec/paths/events.yaml",
    "new region": "spec/openapi.yaml",
    "read Parquet": "sources/",
    "retry another status": "_core/retry.py",
    "tag rule in the sandbox": "sandbox/handlers/tags.py",
    "default window": "bulk/settings.py",
    "rename a field of a model": "spec/components/",
    "PATCH": "_core/transport.py",
    "log request ids": "_core/logging.py",
    "drop Python 3.11": "pyproject.toml",
    "another HTTP library": "_core/transport.py",
}
"""What a maintainer is asked for, and a place that has to be changed for it."""


@attrs.frozen
class Row:
    """A row of the map: words, paths and other names of the second column, paths of the third."""

    words: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    tests: tuple[str, ...]


@cache
def rows() -> tuple[Row, ...]:
    """The rows of the tables below the heading of the map."""
    _, _, text = PAGE.read_text(encoding="utf-8").partition("\n## The map\n")
    found: list[Row] = []
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| change |", "| word |")):
            cells = line.strip("| ").split(" | ")
            assert len(cells) == 3, f"the map needs three cells: {line}"
            spans = SPAN.findall(cells[1])
            paths = tuple(span for span in spans if PATH.fullmatch(span))
            names = tuple(span for span in spans if span not in paths)
            found.append(Row(cells[0], paths, names, tuple(SPAN.findall(cells[2]))))
    return tuple(found)


def place_of(path: str) -> Path:
    """A path of the second column: below the handwritten package, else below the root of the project."""
    inner = PACKAGE / path
    return inner if inner.exists() else PROJECT / path


def named() -> set[Path]:
    """Files and folders of the handwritten package that the map names."""
    return {place for row in rows() for path in row.paths if (place := place_of(path)).is_relative_to(PACKAGE)}


def sources(place: Path) -> str:
    """The text of a file, or of all files of a folder."""
    files = files_of(place) if place.is_dir() else [place]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def shown(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix() + ("/" if path.is_dir() else "")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.words.partition(",")[0])
def test_a_row_leads_somewhere(row: Row) -> None:
    """Each path of a row exists, and each name beside it stands in one of the row's files."""
    gone = [path for path in row.paths if not place_of(path).exists()]
    gone += [f"tests/{path}" for path in row.tests if not (PROJECT / "tests" / path).exists()]
    assert gone == [], (
        f"CONTRIBUTING.md, the map, row {row.words!r}: these are not there any more; name what is: {gone}"
    )
    assert row.paths, f"CONTRIBUTING.md, the map, row {row.words!r} leads nowhere"
    assert row.tests, f"CONTRIBUTING.md, the map, row {row.words!r} names no test"
    text = "\n".join(sources(place_of(path)) for path in row.paths)
    unknown = [name for name in row.names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
    assert unknown == [], f"CONTRIBUTING.md, the map, row {row.words!r}: in none of its files: {unknown}"


@pytest.mark.parametrize(("request_text", "place"), REQUESTS.items(), ids=REQUESTS)
def test_a_usual_request_is_a_row(request_text: str, place: str) -> None:
    """Whoever is asked for this finds it by the words of the request, and a place that has to change."""
    found = [row for row in rows() if request_text.lower() in row.words.lower()]
    assert len(found) == 1, f"CONTRIBUTING.md, the map: one row has to hold the words {request_text!r}"
    assert any(path.startswith(place) for path in found[0].paths), f"{request_text!r} does not lead to {place}"


def test_every_room_is_on_the_map() -> None:
    """Each package of the handwritten one is named, or something in it is."""
    rooms = [path.parent for path in files_of(PACKAGE) if path.name == "__init__.py"]
    lost = [shown(room) for room in rooms if not any(place.is_relative_to(room) for place in named())]
    assert lost == [], f"CONTRIBUTING.md, the map: no row leads into these rooms: {lost}"


def test_every_module_is_on_the_map() -> None:
    """A module of a public room is found by its own name or its room's; a shared one, and one of the top, by its own.

    The shared rooms are where a newcomer does not think of looking.
    """
    lost: list[str] = []
    for module in files_of(PACKAGE):
        room = module.relative_to(PACKAGE).parts[0]
        if module.suffix != ".py" or (module.name == "__init__.py" and module.parent != PACKAGE):
            continue
        is_shared = room.startswith("_") or module.parent == PACKAGE
        wanted = {module} if is_shared else {module, *module.parents}
        if not wanted & (named() - {PACKAGE}):
            lost.append(shown(module))
    assert lost == [], (
        f"CONTRIBUTING.md, the map: no row leads to these modules; add each to the row of its word: {lost}"
    )


@pytest.mark.parametrize("page", [PAGE, ARCHITECTURE], ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_what_the_pages_name_is_there(page: Path) -> None:
    """Paths and classes that the pages for maintainers name in code exist: a rename changes the page too."""
    text = page.read_text(encoding="utf-8")
    spans = set(SPAN.findall(FENCED.sub("", text)))
    paths = {span for span in spans if PATH.fullmatch(span)}
    tops = (PACKAGE, PROJECT, PROJECT / "tests", PACKAGE / "sandbox", PROJECT / "overlays")
    built = (".venv/", "dist/")  # not in a checkout
    gone = sorted(path for path in paths if path not in built and not any((top / path).exists() for top in tops))
    assert gone == [], f"{page.name} names paths that are not there: {gone}"
    text_of_all = "\n".join(sources(root) for root in ROOTS.values())
    defined = set(re.findall(r"^\s*(?:class )?(\w+)(?:\(|:| =)", text_of_all, re.MULTILINE))
    gone = sorted(span for span in spans if CLASS.fullmatch(span) and span not in defined | {"Makefile"})
    assert gone == [], f"{page.name} names classes that are not there: {gone}"


def test_the_tests_that_are_run_by_name_exist() -> None:
    """Each folder, file and test in the commands of the page is there, so that the commands can be run."""
    code = "\n".join(FENCED.findall(PAGE.read_text(encoding="utf-8")))
    found = TEST.findall(code)
    assert found
    for path, name in found:
        assert (PROJECT / path).exists(), path
        assert not name or f"def {name}(" in (PROJECT / path).read_text(encoding="utf-8"), f"{path}::{name}"
