"""What drives openapi-python-client: names that read well, and no warning of its parser that goes unheard."""

from __future__ import annotations

import pytest

from generator.errors import GeneratorFailure
from generator.upstream import class_name, module_name, parse, python_name
from tests.generator.sample import Spec

CLOCK = "paths/clock.yaml"


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("clientId", "client_id"),
        ("time[from]", "time_from"),
        ("sourceCustomIDs", "source_custom_ids"),
        ("targetCustomID", "target_custom_id"),
        ("ItemUrlAddress", "item_url_address"),
        ("custom_identify", "custom_identify"),
        ("type", "type_"),
        ("class", "class_"),
        ("id", "id"),
    ],
)
def test_names_in_python(wire: str, name: str) -> None:
    """A name on the wire becomes the snake_case name that a person would choose."""
    assert name == python_name(wire)


def test_names_of_classes_and_modules() -> None:
    """A schema's class keeps its name, its module is the same in snake_case."""
    assert class_name("ProfileInput") == "ProfileInput"
    assert module_name("ProfileInput") == "profile_input"


def test_the_sample_parses_without_a_warning(spec: Spec) -> None:
    """The sample's schemas come out as models."""
    assert "Clock" in parse(spec.bundle()).models


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("application/json:", "application/xml:", "Unsupported content_type application/xml"),
        ("'200':", "'2000x':", "Invalid response status code pattern"),
        (
            "security: []",
            "parameters: [{name: t, in: path, required: true, schema: {type: string}}]",
            "path templating",
        ),
    ],
)
def test_a_warning_of_the_parser_stops_the_run(spec: Spec, old: str, new: str, message: str) -> None:
    """What the parser would drop with a warning is an error that names the operation's line in its fragment."""
    spec.edit(CLOCK, old, new)
    with pytest.raises(GeneratorFailure, match=message) as failure:
        parse(spec.bundle())
    assert [(finding.file, finding.line, finding.rule) for finding in failure.value.findings] == [
        ("spec/paths/clock.yaml", 3, "parser")
    ]
