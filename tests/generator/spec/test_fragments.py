"""Fragments become one document, in a fixed order, and every node knows its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from generator.errors import Finding, GeneratorFailure
from generator.spec.fragments import load_fragments
from generator.spec.serialization import dump_json, dump_yaml
from generator.spec.yaml_reader import load_yaml
from tests.generator.sample import Spec


def failure(text: str) -> list[Finding]:
    with pytest.raises(GeneratorFailure) as caught:
        load_yaml(text, "spec/a.yaml")
    return caught.value.findings


def test_order_is_root_then_paths_then_sections(spec: Spec) -> None:
    """Root keys come first, files follow by name, sections in their fixed order."""
    document = spec.bundle().document

    assert list(document) == ["openapi", "info", "servers", "tags", "security", "paths", "components"]
    assert list(document["paths"])[:2] == ["/books", "/books/batch"]
    assert list(document["paths"])[-1] == "/clock"
    assert list(document["components"]) == ["schemas", "responses", "parameters", "requestBodies", "securitySchemes"]
    assert list(document["components"]["schemas"])[-1] == "Refusal"


def test_lines_point_into_fragments(spec: Spec) -> None:
    """A node's place is its key's line in the fragment; an unknown node has the place of the one around it."""
    bundle = spec.bundle()

    assert bundle.where(("paths", "/clock")) == ("spec/paths/clock.yaml", 2)
    assert bundle.where(("paths", "/clock", "get", "tags", "0")) == ("spec/paths/clock.yaml", 6)
    assert bundle.where(("paths", "/clock", "put")) == ("spec/paths/clock.yaml", 2)


def test_repeated_path_names_both_places(spec: Spec) -> None:
    """A path that two fragments hold is refused with both files and lines."""
    spec.add("paths/zoo.yaml", "paths:\n\n  /clock: {}\n")

    with pytest.raises(GeneratorFailure) as caught:
        spec.bundle()

    assert str(caught.value) == (
        "spec/paths/zoo.yaml:3: [merge] paths//clock is repeated; first in spec/paths/clock.yaml:2"
    )


def test_repeated_component_is_refused(spec: Spec) -> None:
    """A component that two fragments hold is refused."""
    spec.add("components/zoo.yaml", "components:\n  schemas:\n    Clock: {}\n")

    with pytest.raises(GeneratorFailure, match=r"zoo\.yaml:3: \[merge\] components/schemas/Clock is repeated"):
        spec.bundle()


def test_same_name_in_two_sections_is_fine(spec: Spec) -> None:
    """Names are unique within a section only."""
    spec.add("components/zoo.yaml", "components:\n  responses:\n    Clock: {description: x}\n")

    assert spec.bundle().document["components"]["responses"]["Clock"] == {"description": "x"}


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("paths/zoo.yaml", "info: {}\n", 1),
        ("paths/zoo.yaml", "components:\n  schema: {}\n", 2),
        ("paths/zoo.yaml", "paths: []\n", 1),
        ("components/zoo.yaml", "components: []\n", 1),
        ("components/zoo.yaml", "- a\n", 1),
        ("openapi.yaml", "openapi: 3.1.0\nwebhooks: {}\n", 2),
    ],
)
def test_unexpected_structure_is_refused(spec: Spec, file: str, text: str, line: int) -> None:
    """A fragment holds paths and known sections of components, the root what OpenAPI has there."""
    spec.add(file, text)

    with pytest.raises(GeneratorFailure) as caught:
        spec.bundle()

    assert [(finding.file, finding.line) for finding in caught.value.findings] == [(f"spec/{file}", line)]


def test_missing_root_file_is_refused(tmp_path: Path) -> None:
    """A folder without openapi.yaml is no specification."""
    with pytest.raises(GeneratorFailure, match=r"openapi\.yaml:1: \[yaml\] cannot be read"):
        load_fragments(tmp_path)


def test_defects_of_all_files_are_reported_at_once(spec: Spec) -> None:
    """One run names every broken file."""
    spec.add("paths/a.yaml", "a: [\n").add("paths/b.yaml", "b: 1\nb: 2\n")

    with pytest.raises(GeneratorFailure) as caught:
        spec.bundle()

    assert [finding.file for finding in caught.value.findings] == ["spec/paths/a.yaml", "spec/paths/b.yaml"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-08-30", "2026-08-30"),
        ("2026-08-30T10:00:00Z", "2026-08-30T10:00:00Z"),
        ("'4.4'", "4.4"),
        ("'12'", "12"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("yes", "yes"),
        ("off", "off"),
        ("'null'", "null"),
        ("=", "="),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("", None),
    ],
)
def test_scalars_are_not_guessed(text: str, value: object) -> None:
    """Dates, octals, sexagesimals and English words stay text; plain numbers, booleans and null do not."""
    loaded = load_yaml(f"key: {text}\n", "spec/a.yaml").value["key"]

    assert (loaded, type(loaded)) == (value, type(value))


def test_keys_stay_text() -> None:
    """A status code is a name, quoted or not."""
    assert list(load_yaml("200: a\n'404': b\n", "spec/a.yaml").value) == ["200", "404"]


def test_repeated_key_is_an_error_with_its_line() -> None:
    """A key that stands twice in one mapping is refused, whichever value it has."""
    assert failure("a:\n  b: 1\n  b: 1\n") == [
        Finding("spec/a.yaml", 3, "yaml", "key 'b' is repeated; first on line 2")
    ]


@pytest.mark.parametrize(
    "text",
    ["a: !!python/name:os.system x\n", "a: &x {b: 1}\nc:\n  <<: *x\n", "a: &x [*x]\n", "[1, 2]: a\n", "a: b: c\n"],
)
def test_what_is_not_plain_yaml_is_refused(text: str) -> None:
    """Foreign tags, merge keys, aliases inside themselves, keys that are no text, syntax errors."""
    assert [(finding.file, finding.rule) for finding in failure(text)] == [("spec/a.yaml", "yaml")]


def test_alias_is_written_out() -> None:
    """Two places that share an anchor are two values, and the dump has neither anchor nor alias."""
    value = load_yaml("a: &x {b: [1]}\nc: *x\n", "spec/a.yaml").value

    assert value["a"] is not value["c"]
    assert dump_yaml(value) == "a:\n  b:\n  - 1\nc:\n  b:\n  - 1\n"


def test_shared_objects_are_dumped_in_full() -> None:
    """What is one object in memory gets no anchor."""
    shared = {"x": 1}

    assert dump_yaml([shared, shared]) == "- x: 1\n- x: 1\n"


def test_dumps_read_back_as_the_document(spec: Spec) -> None:
    """Both dumps hold the document unchanged, also for a reader that guesses dates and numbers."""
    document = {**spec.bundle().document, "x-text": ["yes", "2026-08-30", "1_000", "010", "zażółć \U0001f600"]}

    assert yaml.safe_load(dump_yaml(document)) == document
    assert json.loads(dump_json(document, "made")) == {"x-generated": "made", **document}
    assert "zażółć" in dump_yaml(document)


def test_json_is_written_in_lines() -> None:
    """The notice stands in the first line, and each key and each item in a line of its own."""
    assert dump_json({"a": {"b": [1, "ż"]}, "c": {}}, "made") == (
        '{"x-generated": "made",\n "a": {\n  "b": [\n   1,\n   "ż"\n  ]\n },\n "c": {}\n}\n'
    )


def test_bundle_is_the_same_bytes_twice(spec: Spec) -> None:
    """Bundling is deterministic."""
    assert dump_yaml(spec.bundle().document) == dump_yaml(spec.bundle().document)
