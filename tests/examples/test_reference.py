"""The examples of the reference pages are run as they are printed, by the caller that each names, on the sandbox."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import APIStatusError, Synerise
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.spec import load_spec
from synerise_profiles_api import operations as api
from tests.contract.document import Documented, operations

PAGES = Path(__file__).parents[2] / "generated" / "reference"
OPERATIONS = operations()
SPEC = load_spec()
EXPORT = next(item for item in SPEC.operations if item.name == "exports.create")
CALLERS = ("workspace", "profile", "user", "anonymous", "web-sdk", "ai-key", "profile-conditional")
# What is refused, since it needs a code or a password that an example cannot know, or what another service made.
REFUSED = {
    "account.request_phone_change": 400,
    "account.confirm_phone_change": 400,
    "account.request_password_reset": 404,
    "account.change_password": 400,
    "account.request_email_change": 400,
    "account.confirm_email_change": 403,
    "account.delete_v1": 403,
    "account.request_email_change_v1": 400,
    "registration.confirm_with_pin": 400,
    "registration.activate": 400,
}


def example(documented: Documented) -> str:
    text = (PAGES / f"{documented.resource}.md").read_text(encoding="utf-8")
    entry = text.partition(f"\n## {documented.method}\n")[2].partition("\n## ")[0]
    *_, last = re.findall(r"```python\n(.*?)```", entry, re.DOTALL)
    return str(last)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


class Place:
    """A profile, another one, a tag, a note and an export, under the names that the examples use."""

    def __init__(self, sandbox: Sandbox, number: int) -> None:
        self.sandbox = sandbox
        client: Any  # answers of which nothing is optional here
        with self.client("workspace") as client:
            one, two = (self._profile(client, f"example-{number}-{part}") for part in (1, 2))
            tag = client.tags.create({"name": f"example {number}"}).id
            client.tags.assign(one.client_id, tag)
            task = client.exports.create(SPEC.example(EXPORT)).task_id
            for _ in range(3):  # asked so often, it is ready
                client.exports.get_status(task)
        with self.client("user") as client:
            note = client.notes.create(one.client_id, {"subject": "One"}).id
        self.uuid = one.uuid
        self.values: dict[str, Any] = {
            "client_id": one.client_id,
            "custom_id": one.custom_id,
            "client_email": one.email,
            "phone_number": one.phone,
            "identifier_type": "by-uuid",
            "identifier_value": one.uuid,
            "source_custom_ids": [two.custom_id],
            "target_custom_id": one.custom_id,
            "from_client_ids": [two.client_id],
            "to_client_id": one.client_id,
            "tag_id": tag,
            "note_id": note,
            "task_id": task,
        }

    def client(self, consumer: str) -> Synerise:
        owned = consumer.startswith("profile")
        owner = {"client_id": self.values["client_id"], "uuid": self.uuid} if owned else {}
        token = self.sandbox.token(consumer, **owner)
        return Synerise(token=token, base_url=self.sandbox.url, deprecations="ignore")

    @staticmethod
    def _profile(client: Synerise, name: str) -> Any:
        digits = "".join(filter(str.isdigit, name)).zfill(9)
        client.profiles.upsert({"customId": name, "email": f"{name}@example.com", "phone": f"+48{digits}"})
        return client.profiles.find("by-custom-id", name)


def outcome(sandbox: Sandbox, documented: Documented, number: int) -> int:
    """The status that an example is refused with, 200 where it is answered."""
    operation = api.load(documented.resource, documented.method).OPERATION
    caller = next((name for name in CALLERS if name in operation.consumers), "workspace")
    place = Place(sandbox, number)
    if documented.name == "profiles.log_out":
        place.values["client_id"] = str(place.values["client_id"])  # this one path takes a text
    with place.client(caller) as client:
        try:
            exec(compile(example(documented), documented.name, "exec"), {"client": client, **place.values})
        except APIStatusError as error:
            return error.status_code
        except Exception as error:
            raise AssertionError(f"the example of {documented.name} fails") from error
    return 200


@pytest.mark.parametrize("documented", OPERATIONS, ids=lambda item: item.name)
def test_an_example_calls_its_method(documented: Documented) -> None:
    """One call a section, of the method that the section is about."""
    [call] = ast.parse(example(documented)).body

    assert ast.unparse(call).startswith(f"client.{documented.name}(")


def test_examples_run(sandbox: Sandbox) -> None:
    """Each is answered, but for those that need what came by mail or from elsewhere, which say so by their status."""
    outcomes = {item.name: outcome(sandbox, item, number) for number, item in enumerate(OPERATIONS)}

    assert {name: status for name, status in outcomes.items() if status != 200} == REFUSED
