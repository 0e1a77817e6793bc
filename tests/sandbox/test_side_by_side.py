"""Several sandboxes at once, each with a state of its own; a long run does not grow."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox


def client_of(sandbox: Sandbox, token: str) -> httpx.Client:
    headers = {"Api-Version": "4.4", "Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, verify=False)


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Sandbox]]:
    with Sandbox() as one, Sandbox() as two:
        yield one, two


def test_each_has_a_state_of_its_own(pair: tuple[Sandbox, Sandbox]) -> None:
    """Profiles, tags, events and delayed writes stay with the sandbox that received them; the same ids may recur."""
    one, two = pair
    with client_of(one, one.token()) as first, client_of(two, two.token()) as second:
        assert first.post("/v4/clients", json={"customId": "a", "tags": ["only here"]}).status_code == 202
        found = first.get("/v4/clients/by-custom-id/a").json()
        sent = {"label": "Cart", "action": "cart.status", "client": {"customId": "a"}}
        assert first.post("/v4/events/custom", json=sent).status_code == 202

        assert second.get("/v4/clients/by-custom-id/a").status_code == 404
        assert second.get(f"/v4/clients/{found['clientId']}").status_code == 404
        assert second.get("/v4/clients/tags").json() == []
        assert (len(one.store.profiles), len(two.store.profiles)) == (1, 0)
        assert (len(one.store.events), len(two.store.events)) == (1, 0)
        assert {logged.operation for logged in two.log} == {"profiles.find", "profiles.get", "tags.list"}


def test_a_token_of_one_is_nothing_to_the_other(pair: tuple[Sandbox, Sandbox]) -> None:
    """Keys, tokens and GUIDs are of one workspace."""
    one, two = pair
    assert (one.api_key, one.workspace_guid) != (two.api_key, two.workspace_guid)
    with client_of(two, one.token()) as stranger:
        assert stranger.get("/v4/clients/tags").status_code == 401


def test_clocks_and_options_are_of_one(pair: tuple[Sandbox, Sandbox]) -> None:
    """A delay and a moved clock of one do not hold up the other."""
    one, two = pair
    one.options.delay = 60
    with client_of(one, one.token()) as first, client_of(two, two.token()) as second:
        for client in (first, second):
            assert client.post("/v4/clients", json={"customId": "a"}).status_code == 202
        assert (len(one.store.profiles), len(two.store.profiles)) == (0, 1)
        one.clock.advance(61)
        assert first.get("/v4/clients/by-custom-id/a").status_code == 200


def test_several_are_written_to_at_once() -> None:
    """Four sandboxes, a writer each at the same time: each holds exactly what its own writer sent."""
    failures: list[int] = []

    def write(sandbox: Sandbox, name: str) -> None:
        with client_of(sandbox, sandbox.token()) as client:
            statuses = [client.post("/v4/clients", json={"customId": f"{name}-{n}"}).status_code for n in range(50)]
        failures.extend(status for status in statuses if status != 202)

    with ExitStack() as stack:
        sandboxes = {name: stack.enter_context(Sandbox()) for name in "abcd"}
        writers = [threading.Thread(target=write, args=(sandbox, name)) for name, sandbox in sandboxes.items()]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert failures == []
        for name, sandbox in sandboxes.items():
            held = {profile.custom_id for profile in sandbox.store.profiles}
            assert held == {f"{name}-{number}" for number in range(50)}


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_is_bounded() -> None:
    """200,000 upserts of the same 1,000 profiles, singly and in batches: after the first tenth nothing grows."""
    with Sandbox(log_size=1_000) as sandbox, client_of(sandbox, sandbox.token()) as client:
        rounds = 20
        held: list[float] = []
        for index in range(rounds):
            for number in range(100):
                sent = {"customId": f"c-{number}", "attributes": {"round": index, "note": "x" * 200}}
                assert client.post("/v4/clients", json=sent).status_code == 202
            for _ in range(10):
                items = [
                    {"customId": f"c-{number}", "email": f"c-{number}@example.com", "attributes": {"round": index}}
                    for number in range(1_000)
                ]
                body = json.dumps(items).encode()
                headers = {"Content-Type": "application/json"}
                assert client.post("/v4/clients/batch", content=body, headers=headers).status_code == 202
            held.append(_megabytes())
        assert len(sandbox.store.profiles) == 1_000
    assert held[-1] - held[1] < 5
