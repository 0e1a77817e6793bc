"""What the client sends, held against the bundle by a program of others: each of the operations, sync and async."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.config import AttemptResult
from synerise_profiles.errors import APIStatusError
from tests.contract.document import Documented, operations, python_name

pytestmark = pytest.mark.peer

OPERATIONS = operations()
TOKEN = "header.payload.signature"


def _each(items: tuple[Documented, ...] | list[Documented] = OPERATIONS) -> Any:
    return pytest.mark.parametrize("documented", items, ids=lambda item: item.name)


class Witness:
    """What Prism said of each request: a refusal by its status, a remark by a header."""

    def __init__(self) -> None:
        self.seen: list[AttemptResult] = []

    def __call__(self, result: AttemptResult) -> None:
        self.seen.append(result)

    def hold(self, documented: Documented) -> None:
        """One request was sent, and answered by a documented success without a remark."""
        (result,) = self.seen
        self.seen.clear()
        assert result.status_code in {answer.status for answer in documented.answers(success=True)}
        assert "sl-violations" not in (result.headers or {})


@pytest.fixture(scope="module")
def witness() -> Witness:
    return Witness()


@pytest.fixture(scope="module")
def client(prism: str, witness: Witness) -> Iterator[Synerise]:
    with Synerise(token=TOKEN, base_url=prism, max_retries=0, deprecations="ignore", on_response=witness) as made:
        yield made


def _call(client: Synerise | AsyncSynerise, documented: Documented, *arguments: Any, **named: Any) -> Any:
    return getattr(getattr(client, documented.resource), documented.method)(*arguments, **named)


def _sent(client: Synerise, witness: Witness, documented: Documented, *arguments: Any, **named: Any) -> None:
    """Send it and look at what Prism said, not at what the client makes of that."""
    witness.seen.clear()
    with contextlib.suppress(APIStatusError):
        _call(client, documented, *arguments, **named)
    witness.hold(documented)


def _arguments(documented: Documented) -> list[Any]:
    # Prism ends with a TypeError on a list of two in the path: what it reads as a list already, it splits again.
    in_path = [value[:1] if isinstance(value, list) else value for value in documented.path_values.values()]
    return [*in_path, *([] if documented.body is None else [documented.example])]


@_each()
def test_every_request_is_valid(client: Synerise, witness: Witness, documented: Documented) -> None:
    """With all its arguments and the documented body: no violation, and a documented success that can be read."""
    named = {python_name(name): value for name, value in documented.query_values.items()}
    _sent(client, witness, documented, *_arguments(documented), **named)


@_each([item for item in OPERATIONS if item.query_values])
def test_a_request_without_options_is_valid(client: Synerise, witness: Witness, documented: Documented) -> None:
    """With the required arguments alone."""
    _sent(client, witness, documented, *_arguments(documented), **documented.required_query)


@_each([item for item in OPERATIONS if item.body and not item.node["requestBody"].get("required", True)])
def test_a_request_without_its_body_is_valid(client: Synerise, witness: Witness, documented: Documented) -> None:
    """Where the document lets the body out."""
    _sent(client, witness, documented, *documented.path_values.values())


def test_the_async_client_sends_the_same(prism: str, witness: Witness) -> None:
    """Every request of the other client is valid too."""

    async def send() -> None:
        made = AsyncSynerise(token=TOKEN, base_url=prism, max_retries=0, deprecations="ignore", on_response=witness)
        async with made as client:
            for documented in OPERATIONS:
                witness.seen.clear()
                with contextlib.suppress(APIStatusError):
                    await _call(client, documented, *_arguments(documented), **documented.required_query)
                witness.hold(documented)

    asyncio.run(send())


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, {"customId": "c-1"}, 400),
        ({"Api-Version": "4.4"}, {"customId": "c-1"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Api-Version": "4.4"}, {"customId": 1}, 400),
        ({"Authorization": f"Bearer {TOKEN}", "Api-Version": "4.4"}, {"customId": "c-1"}, 202),
    ],
    ids=["no version", "no token", "a number as customId", "nothing wrong"],
)
def test_prism_does_refuse(prism: str, headers: dict[str, str], body: dict[str, Any], status: int) -> None:
    """It is no rubber stamp: headers, credentials and bodies are held against the bundle."""
    response = httpx.post(f"{prism}/v4/clients", headers=headers, json=body, trust_env=False)
    assert response.status_code == status
