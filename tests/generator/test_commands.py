"""The commands of the generator, and what each says of an input that is not what it should be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from generator.audit.deviations import load_deviations
from generator.changes.base import BUNDLE_FILE
from generator.cli import main
from generator.errors import GeneratorFailure
from generator.output.build import build
from generator.rules.schemas import is_nullable
from generator.site.checking import site_problems
from generator.spec.bundle import Bundle
from generator.spec.composition import type_text
from generator.spec.yaml_reader import load_yaml
from generator.upgrade import Rehearsal
from generator.upstream import parse
from tests.generator.changes.test_report import GONE, KEPT, OPERATION, report, write
from tests.generator.sample import Spec

PROJECT = Path(__file__).parents[2]
BOOK = "components/book.yaml"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_build_writes_what_the_check_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same files as the function that it calls, in silence."""
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        shutil.copytree(PROJECT / "tests" / "golden" / "cases" / "nullable_fields" / "spec", root / "spec")
        shutil.copytree(PROJECT / "overlays" / "templates", root / "overlays" / "templates")
    build(first)
    assert main(["--root", str(second), "build"]) == 0
    assert contents(second) == contents(first)
    assert capsys.readouterr() == ("", "")


def test_the_site_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link that leads nowhere is a line of its own, and status 1."""
    assert main(["site", str(tmp_path)]) == 0
    assert (tmp_path / "docs" / "index.md").is_file()
    html = tmp_path / "html"
    (html / "guide").mkdir(parents=True)
    (html / "guide" / "index.html").write_text("<a href='../index.html'>up</a>")
    (html / "index.html").write_text("<a href='guide/'>a folder has a page</a>")
    assert main(["site", str(tmp_path), "--check"]) == 0
    (html / "index.html").write_text("<a href='gone/'>gone</a>")
    assert main(["site", str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().out == "index.html: gone/ leads nowhere\n"
    assert site_problems(html) == ["index.html: gone/ leads nowhere"]


def test_a_version_that_is_none_is_not_rehearsed(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told before anything is copied; a version that changes nothing is told in a line."""
    assert main(["upgrade", "latest"]) == 1
    assert capsys.readouterr().err == "pyproject.toml:1: [upgrade] 'latest' is no version\n"
    same = Rehearsal("1.2.3", (), (), 0).to_text()
    assert same == "openapi-python-client 1.2.3: the same files, the same view of the spec\n"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("'(?P<n>a)'", "has what not every language knows: named groups"),
        ("'a++'", "has what not every language knows: named groups"),
        (r"'\Aa'", "has what not every language knows: named groups"),
    ],
)
def test_a_pattern_that_not_every_language_reads_is_told(spec: Spec, pattern: str, told: str) -> None:
    """At its field."""
    found = spec.edit(BOOK, "description: Name.}", f"description: Name., pattern: {pattern}}}").findings()
    assert [finding for finding in found if told in finding.message]


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"const": "A"}, 'enum<"A">'),
        ({"properties": {"a": {"type": "string"}}}, "object"),
        ({"type": "array", "items": {}}, "array<object>"),
        ({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}, {"type": "null"}]}, "string"),
    ],
)
def test_types_are_written_as_the_reference_writes_them(spec: Spec, schema: dict[str, Any], text: str) -> None:
    """Alternatives of one type are one."""
    assert type_text(spec.bundle(), schema) == text


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}, False),
        ({"type": ["string", "null"]}, True),
        ({"enum": ["A"]}, False),
        ({}, True),
    ],
)
def test_null_has_to_be_valid_in_all_parts(spec: Spec, schema: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - of the table
    """And in one of the alternatives."""
    assert is_nullable(spec.bundle(), schema) is expected


def test_what_is_no_yaml_is_told_with_its_file(tmp_path: Path) -> None:
    """Also where the reader knows no line; an empty file holds nothing."""
    with pytest.raises(GeneratorFailure) as caught:
        load_yaml("a: \x00", "a.yaml")
    assert str(caught.value.findings[0]).startswith("a.yaml:1: [yaml] ")
    assert load_yaml("", "a.yaml").value is None
    with pytest.raises(GeneratorFailure) as caught:
        load_deviations(tmp_path, "spec/deviations.yaml")
    assert str(caught.value.findings[0]) == "spec/deviations.yaml:1: [deviation] cannot be read: IsADirectoryError"


def test_what_the_parser_refuses_as_a_whole_is_told() -> None:
    """In a line, whatever it says."""
    with pytest.raises(GeneratorFailure) as caught:
        parse(Bundle({"openapi": "3.1.0", "paths": {}}, {}))
    assert str(caught.value.findings[0]).startswith("spec/openapi.yaml:1: [parser] ")


def test_operations_that_came_or_have_another_name_are_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a handler and its tests, and of guides and examples."""
    surface = f"{KEPT}\n{GONE}\n"
    base = write(tmp_path / "base", OPERATION, surface, "0.3.1", [])
    empty = write(tmp_path / "empty", None, surface, "0.3.1", [])
    renamed = {**OPERATION, "x-sdk": {"resource": "books", "method": "read"}}
    other = write(tmp_path / "other", renamed, surface, "0.3.1", [])
    _, text = report(base, empty, capsys)
    assert "- `GET /books`: a handler in overlays/synerise_profiles/sandbox/handlers/ and its tests" in text
    _, text = report(other, base, capsys)
    assert "- `GET /books`: its uses in guides, examples and the sandbox have another name." in text


def test_a_bundle_that_is_broken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the folder that holds it."""
    base = write(tmp_path / "base", OPERATION, f"{KEPT}\n{GONE}\n", "0.3.1", [])
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    (broken / BUNDLE_FILE).write_text(json.dumps({})[:-1])
    status, text = report(base, broken, capsys)
    assert status == 1
    assert text.startswith(f"{broken}:1: [changes] cannot be read: ")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("default: 1", "default: one", "spec/components/book.yaml:10: [parser] "),
        ("enum: [SOFT, HARD]", "enum: [SOFT, 2]", "spec/components/book.yaml:44: [parser] "),
    ],
)
def test_what_the_parser_refuses_of_a_schema_is_told_at_it(spec: Spec, old: str, new: str, place: str) -> None:
    """By its file and its line, and in one line."""
    with pytest.raises(GeneratorFailure) as caught:
        parse(spec.edit(BOOK, old, new).bundle())
    finding = str(caught.value.findings[0])
    assert finding.startswith(place)
    assert "\n" not in finding
