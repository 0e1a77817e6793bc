"""The published bundle: facts in words, an example of every response body, and nothing that is for the audit alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from generator.output.publishing import published
from generator.rules import examples
from generator.spec.bundle import Bundle
from generator.spec.fragments import load_fragments
from generator.spec.walk import mappings
from tests.generator.sample import Spec

PROJECT = Path(__file__).parents[3]


def operation_of(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    return document["paths"][path][method]


def bodies(bundle: Bundle) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (f"{method} {path}", status, media)
        for path, method, operation in bundle.operations()
        for status, node in operation["responses"].items()
        for media in bundle.resolve(node).get("content", {}).values()
    ]


def test_every_response_body_has_a_valid_example() -> None:
    """Of the project's own bundle; an example that breaks its schema would be found."""
    bundle = load_fragments(PROJECT / "spec")
    made = Bundle(published(bundle), bundle.lines)

    assert len(bodies(made)) > 300
    assert all(media["examples"]["default"]["value"] is not None for _, _, media in bodies(made))
    assert list(examples.are_valid(made)) == []

    spoilt = next(media for _, status, media in bodies(made) if status == "400")
    spoilt["examples"]["default"]["value"]["status"] = "four hundred"
    assert len(list(examples.are_valid(made))) == 1


def test_errors_speak_of_their_own_status() -> None:
    """The example of an error body has the status and the meaning of the response that it stands for."""
    bundle = load_fragments(PROJECT / "spec")
    made = Bundle(published(bundle), bundle.lines)
    refusal = made.resolve(operation_of(made.document, "/v4/tags/{tagID}", "put")["responses"]["404"])

    example = refusal["content"]["application/json"]["examples"]["default"]["value"]
    assert (example["status"], example["error"], example["message"]) == (404, "Not Found", refusal["description"])


def test_an_example_of_the_spec_is_kept(spec: Spec) -> None:
    """One is made only where the spec shows none."""
    given = "{$ref: '#/components/schemas/Clock'}\n              example: {hour: 3}"
    made = published(spec.edit("paths/clock.yaml", "{$ref: '#/components/schemas/Clock'}", given).bundle())

    answer = operation_of(made, "/clock", "get")["responses"]["200"]["content"]["application/json"]
    assert answer["example"] == {"hour": 3}
    assert "examples" not in answer


def test_descriptions_say_what_the_keys_say(spec: Spec) -> None:
    """Callers, permissions, limits, end and replacement are read by tools that know no x- keys."""
    spec.edit("paths/book-keeping.yaml", "      x-batch:", "      x-synerise-pii: true\n      x-batch:")
    made = published(spec.bundle())

    assert operation_of(made, "/books", "post")["description"] == (
        "Adds a book to a shelf.\n\nCallers: user, workspace. Permission of the API key: LENDING_BOOK_CREATE. "
        "Permission of the user: books: create."
    )
    assert operation_of(made, "/books/batch", "post")["description"].endswith(
        "Callers: workspace. PII permissions in addition, where PII protection is on. "
        "At most 1,000 items and 1,000,000 bytes a request."
    )
    assert operation_of(made, "/old/books/{bookId}", "put")["description"].endswith(
        "It cannot be undone. Due to be switched off on 2026-08-03. Use instead: addBook or /new/books."
    )
    assert operation_of(made, "/clock", "get")["description"].endswith("No authentication is needed.")


def test_words_of_the_audit_are_left_out_and_the_bundle_stays_as_it_is(spec: Spec) -> None:
    """What ties the spec to the reference is no matter of those who read the bundle."""
    bundle = spec.bundle()
    before = repr(bundle.document)
    made = published(bundle)

    assert any("x-printed" in mapping for _, mapping in mappings(bundle.document))
    assert not any("x-printed" in mapping for _, mapping in mappings(made))
    assert repr(bundle.document) == before


@pytest.mark.parametrize(
    ("clients", "valid"),
    [
        ([{"id": 1}, {"id": 2, "customId": "a"}], True),
        ([{"customId": "a", "uuid": ""}, {"customId": "b", "email": "a@b.c"}], True),
        ([{"customId": "a"}, {"id": 2, "customId": "a"}], False),
        ([{"email": "a@b.c"}, {"customId": "b"}], False),
    ],
    ids=["ids", "an empty text is none", "an id counts before all", "two kinds"],
)
def test_items_of_a_batch_name_their_profiles_alike(clients: list[dict[str, Any]], valid: bool) -> None:  # noqa: FBT001
    """Where the spec says so, the list has a condition for tools that know no x- keys."""
    made = published(load_fragments(PROJECT / "spec"))
    content = operation_of(made, "/v4/events/batch", "post")["requestBody"]["content"]["application/json"]
    condition = jsonschema.Draft202012Validator({"not": content["schema"]["not"]})

    assert condition.is_valid([{"client": client} for client in clients]) is valid
