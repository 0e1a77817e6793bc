"""Changes of one schema, judged by which way it travels: sent, read or both."""

from __future__ import annotations

from typing import Any

import pytest

from generator.changes.change import Impact
from generator.changes.schemas import Travel, schema_changes

SENT, READ = Travel(sent=True, read=False), Travel(sent=False, read=True)
B, A = Impact.BREAKING, Impact.ADDITIVE
REFERENCE = {"$ref": "#/components/schemas/Cover"}

# Before, after, what is told, and what it means where the schema is sent and where it is read.
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str, Impact, Impact]] = [
    ({}, {"type": "string"}, "types: any became string", B, A),
    ({"type": ["string", "null"]}, {}, "types: string, null became any", A, B),
    ({}, {"enum": ["A", "B"]}, "values: any became A, B", B, A),
    ({}, {"additionalProperties": False}, "additionalProperties: nothing became False", B, A),
    ({"additionalProperties": False}, {}, "additionalProperties: False became nothing", A, B),
    ({"items": {"type": "string"}}, {}, "items: {'type': 'string'} became nothing", A, B),
    ({}, {"not": {"type": "null"}}, "not: nothing became {'type': 'null'}", B, A),
    ({"oneOf": [{"type": "null"}]}, {"oneOf": [{"type": "null"}, REFERENCE]}, "schemas/Cover of oneOf is added", A, B),
    ({"anyOf": [{"type": "null"}, REFERENCE]}, {"anyOf": [REFERENCE]}, "{'type': 'null'} of anyOf is gone", B, A),
    ({}, {"oneOf": [REFERENCE]}, "schemas/Cover of oneOf is added", B, A),
    ({"oneOf": [REFERENCE]}, {}, "schemas/Cover of oneOf is gone", A, B),
    ({"allOf": [REFERENCE]}, {"allOf": []}, "schemas/Cover of allOf is gone", A, B),
    ({"allOf": []}, {"allOf": [REFERENCE]}, "schemas/Cover of allOf is added", B, A),
    ({"maxLength": 9}, {"maxLength": 8}, "maxLength: 9 became 8", B, A),
    ({"maxLength": 9}, {"maxLength": 10}, "maxLength: 9 became 10", A, A),
    ({"minimum": 0}, {"minimum": 1}, "minimum: 0 became 1", B, A),
    ({"minimum": 1}, {"minimum": 0}, "minimum: 1 became 0", A, A),
    ({"pattern": "a"}, {"pattern": "b"}, "pattern: a became b", B, A),
    ({"const": 1}, {"const": 2}, "const: 1 became 2", B, B),
    ({"pattern": "a"}, {}, "pattern: a became nothing", A, A),
    ({}, {"x-max-bytes": 10}, "x-max-bytes: nothing became 10", B, A),
    ({"x-max-bytes": 10}, {}, "x-max-bytes: 10 became nothing", A, A),
    ({"x-max-bytes": 10}, {"x-max-bytes": 20}, "x-max-bytes: 10 became 20", B, A),
    ({"x-reserved": ["a", "b"]}, {"x-reserved": ["b"]}, "x-reserved: ['a', 'b'] became ['b']", A, A),
    ({"x-reserved": ["a"]}, {"x-reserved": ["b"]}, "x-reserved: ['a'] became ['b']", B, A),
]


@pytest.mark.parametrize(("old", "new", "text", "sent", "read"), CHANGES)
def test_a_change_is_judged_by_the_way_of_the_schema(
    old: dict[str, Any], new: dict[str, Any], text: str, sent: Impact, read: Impact
) -> None:
    """What is sent may not get narrower, what is read not wider; a fact binds who sends."""
    for travel, impact in ((SENT, sent), (READ, read)):
        assert [(change.text, change.impact) for change in schema_changes(old, new, "Book", travel)] == [(text, impact)]


def test_a_schema_that_becomes_true_or_false_is_another_one() -> None:
    """Whichever way it goes."""
    nothing: Any = False
    for travel in (SENT, READ):
        (change,) = schema_changes({"type": "string"}, nothing, "Book", travel)
        assert (change.text, change.impact) == ("{'type': 'string'} became False", B)
