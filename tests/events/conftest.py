"""A running sandbox, a client of it, and a profile that exists already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synerise_profiles import Synerise
from synerise_profiles.models import ClientIdentifier
from synerise_profiles.sandbox import Sandbox, SandboxOptions

JAN = ClientIdentifier(custom_id="customer-17")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(options=SandboxOptions(keep_bodies=True)) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as client:
        client.profiles.upsert({"customId": "customer-17", "email": "jan@example.com"})
        yield client
