"""One server and one client for all contract tests; each call has a connection that is there already."""

from __future__ import annotations

import asyncio

import pytest

from synerise_profiles import AsyncSynerise, Synerise
from tests.contract.server import Recorder

TOKEN = "header.payload.signature"


@pytest.fixture(scope="session")
def server():
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def client(server):
    with Synerise(token=TOKEN, base_url=server.url, max_retries=0, deprecations="ignore") as built:
        yield built


@pytest.fixture(scope="session")
def runner():
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="session")
def async_client(server, runner):
    built = AsyncSynerise(token=TOKEN, base_url=server.url, max_retries=0, deprecations="ignore")
    yield built
    runner.run(built.aclose())


@pytest.fixture(params=["sync", "async"])
def call(request, client, async_client, runner):
    """Call a method of a resource by name, sync and async, deprecated or not."""

    def call_method(documented, *arguments, **named):
        chosen = client if request.param == "sync" else async_client
        result = getattr(getattr(chosen, documented.resource), documented.method)(*arguments, **named)
        return result if request.param == "sync" else runner.run(_awaited(result))

    return call_method


async def _awaited(result):
    return await result
