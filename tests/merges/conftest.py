"""A running sandbox, a client whose waits take no time, and three people of whom two are one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import FakeSleep, put


@pytest.fixture
def fake_sleep() -> FakeSleep:
    return FakeSleep()


@pytest.fixture
def client(sandbox: Sandbox, fake_sleep: FakeSleep) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, timeout=60, _timing=fake_sleep.timing) as client:
        yield client


@pytest.fixture
def family(client: Synerise) -> None:
    """The target `jan`, and the sources `janek`, `jasiek`; attribute `b` is wanted from both."""
    put(
        client,
        {
            "customId": "jan",
            "email": "jan@example.com",
            "city": "Kraków",
            "uuid": "u-jan",
            "tags": ["vip"],
            "attributes": {"a": 1, "same": [1, {"x": 2}]},
            "agreements": {"email": True, "sms": True},
        },
        {
            "customId": "janek",
            "email": "janek@example.com",
            "city": "Łódź",
            "phone": "+48600700800",
            "uuid": "u-janek",
            "tags": ["vip", "old"],
            "attributes": {"a": 2, "b": "primo", "same": [1, {"x": 2}]},
            "agreements": {"email": False, "sms": True, "push": True},
        },
        {
            "customId": "jasiek",
            "uuid": "u-jasiek",
            "firstName": "Jan",
            "attributes": {"b": "secundo", "c": True},
        },
    )
