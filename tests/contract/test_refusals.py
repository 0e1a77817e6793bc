"""What a refusal means for an operation is the same in the document, the facts, the docstrings and the pages."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from synerise_profiles_api import operations as api
from tests.contract.document import Documented, operations, resolve

PAGES = Path(__file__).parents[2] / "generated" / "reference"
OPERATIONS = operations()


def meanings(documented: Documented) -> list[tuple[int, str]]:
    found = [(status, resolve(node)) for status, node in documented.node["responses"].items()]
    return [(int(status), node["description"]) for status, node in found if node.get("x-specific")]


WITH_MEANING = [documented for documented in OPERATIONS if meanings(documented)]


def test_the_document_knows_refusals_of_their_own() -> None:
    """Passwords, tokens, tags, merges, profiles and card pools have refusals that mean more than their status."""
    statuses = sorted({status for documented in WITH_MEANING for status, _ in meanings(documented)})
    assert statuses == [400, 403, 404, 424]
    assert len(WITH_MEANING) > 20
    assert sum("x-synerise-pii" in documented.node for documented in OPERATIONS) == 56


@pytest.mark.parametrize("documented", OPERATIONS, ids=lambda item: item.name)
def test_facts_are_those_of_the_document(documented: Documented) -> None:
    """Each status that means something of its own, and whether PII permissions are needed."""
    facts = api.load(documented.resource, documented.method).OPERATION
    assert list(facts.refusals) == meanings(documented)
    assert facts.pii is documented.node.get("x-synerise-pii", False)


@pytest.mark.parametrize("documented", WITH_MEANING, ids=lambda item: item.name)
def test_people_read_them(documented: Documented) -> None:
    """In the docstrings of both clients and of the request, and on the reference page."""
    module = import_module(f"synerise_profiles_api.resources.{documented.resource}")
    name = "".join(part.capitalize() for part in documented.resource.split("_"))
    texts = [getattr(getattr(module, prefix + name), documented.method).__doc__ for prefix in ("", "Async")]
    texts.append(api.load(documented.resource, documented.method).request.__doc__)
    page = (PAGES / f"{documented.resource}.md").read_text(encoding="utf-8")
    entry = page.partition(f"\n## {documented.method}\n")[2].partition("\n## ")[0]

    for status, meaning in meanings(documented):
        for text in texts:
            block = " ".join(text.partition("Refused with:")[2].partition("Operation:")[0].split())
            assert f"{status}: {meaning}" in block
        assert f"| refused with {status} | {meaning} |" in entry
