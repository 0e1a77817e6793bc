"""Starting, stopping, keeping state; nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import synerise_profiles.sandbox as package
from synerise_profiles.sandbox import DroppedWrite, LoggedRequest, Outcome, Sandbox, SandboxOptions, create_app
from synerise_profiles.sandbox.admin.request_log import RequestLog, interned
from synerise_profiles.sandbox.storage.dropped_writes import DroppedWrites
from tests.sandbox.raw import connect, request


def ask(sandbox: Sandbox) -> int:
    return httpx.get(f"{sandbox.url}/v4/server/time", headers={"Api-Version": "4.4"}, trust_env=False).status_code


def test_it_starts_and_leaves_nothing() -> None:
    """After the block the threads are as before and the port is free again."""
    before = threading.enumerate()
    with Sandbox() as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert ask(sandbox) == 200
        port = int(sandbox.url.rpartition(":")[2])
    assert set(threading.enumerate()) <= set(before)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with Sandbox(port=port) as again:
        assert ask(again) == 200


def test_it_stops_with_open_connections() -> None:
    """A client that keeps its connection does not hold the server."""
    before = threading.enumerate()
    with httpx.Client(trust_env=False, verify=False) as client:
        with Sandbox() as sandbox:
            assert client.get(f"{sandbox.url}/v4/nothing").status_code == 404
        assert set(threading.enumerate()) <= set(before)


def test_two_at_once() -> None:
    """Each has its own port, key and state."""
    with Sandbox() as one, Sandbox() as two:
        assert (ask(one), ask(two)) == (200, 200)
        assert one.url != two.url
        assert one.api_key != two.api_key
        assert (len(one.log), len(two.log)) == (1, 1)


def test_the_log(sandbox: Sandbox, api: httpx.Client) -> None:
    """Each request is noted with its operation, its sizes and what it changed; the oldest go first."""
    api.post(
        "/v4/clients/batch",
        content=b'[{"customId":"a"},{"customId":"b"}]',
        headers={"Content-Type": "application/json"},
    )
    api.get("/v4/nothing")
    first, second = sandbox.log
    assert (first.method, first.path, first.operation) == ("POST", "/v4/clients/batch", "profiles.upsert_batch")
    assert (first.status, first.bytes_received, first.bytes_sent, first.applied) == (202, 35, 0, 2)
    assert (second.path, second.operation, second.status, second.applied) == ("/v4/nothing", "", 404, 0)
    sandbox.log.clear()
    assert list(sandbox.log) == []


def test_the_log_is_bounded() -> None:
    """It never holds more than it was made for."""
    with Sandbox(log_size=2) as sandbox:
        assert [ask(sandbox) for _ in range(3)] == [200] * 3
        assert len(sandbox.log) == 2


def test_kept_bodies_are_bounded() -> None:
    """Of the bodies only the last are kept, by their sizes; the entries themselves stay."""
    log = RequestLog(max_requests=4, max_body_bytes=10)
    requests = [LoggedRequest("POST", "/", "", 202, 4, 0, body=b"1234") for _ in range(6)]
    for logged in requests:
        log.add(logged)
    assert list(log) == requests[2:]
    assert [logged.body for logged in log] == [None, None, b"1234", b"1234"]
    log.add(LoggedRequest("POST", "/", "", 202, 20, 0, body=b"x" * 20))
    assert [logged.body for logged in log] == [None] * 4


def test_small_bodies_go_with_their_requests() -> None:
    """What the log forgets, its account of bodies forgets too."""
    log = RequestLog(max_requests=2, max_body_bytes=100)
    for _ in range(1000):
        log.add(LoggedRequest("POST", "/", "", 202, 4, 0, body=b"1234"))
    assert [logged.body for logged in log] == [b"1234"] * 2
    log.add(LoggedRequest("GET", "/", "", 200, 0, 9))
    assert [logged.body for logged in log] == [b"1234", None]
    assert log.total == 1001


def test_entries_have_numbers() -> None:
    """The newest come first, each with its number, and so do those before a number."""
    log = RequestLog(max_requests=3)
    requests = [LoggedRequest("GET", str(index), "", 200, 0, 0) for index in range(5)]
    for logged in requests:
        log.add(logged)
    assert [(number, item.path) for number, item in log.newest(2)] == [(4, "4"), (3, "3")]
    assert [number for number, _ in log.newest(10, 3)] == [2]
    assert log.newest(10, 2) == []
    log.clear()
    assert (log.newest(10), log.total) == ([], 0)


def test_outcomes_of_many_batches_share_their_memory() -> None:
    """A log full of batches does not hold a tuple of a thousand for each."""
    one, two = interned([Outcome.APPLIED] * 1000), interned([Outcome.APPLIED] * 1000)
    assert one is two
    assert interned([Outcome.APPLIED, Outcome.DROPPED]) == (Outcome.APPLIED, Outcome.DROPPED)
    assert interned([]) == ()


def test_the_dropped_writes_are_bounded() -> None:
    """By the number of items and by their size; at least the newest is kept."""
    dropped = DroppedWrites(max_items=3, max_bytes=100)
    for index in range(5):
        dropped.add(DroppedWrite("", "profiles.upsert", index, "", {}))
    assert [entry.index for entry in dropped] == [2, 3, 4]
    dropped.add(DroppedWrite("", "profiles.upsert", 5, "", {"a": "x" * 80}))
    dropped.add(DroppedWrite("", "profiles.upsert", 6, "", {"a": "x" * 200}))
    assert [entry.index for entry in dropped] == [6]
    assert (dropped.total, [number for number, _ in dropped.newest(5)]) == (7, [6])


def test_date_follows_the_clock(sandbox: Sandbox) -> None:
    """The one Date header of an answer is the sandbox's own, so that a client counts a token's life from it."""
    sandbox.clock.set(datetime(2031, 5, 1, 12, 30, 15, tzinfo=UTC))
    sandbox.clock.stop()
    answer = httpx.get(f"{sandbox.url}/v4/nothing", trust_env=False)
    assert answer.headers.get_list("date") == ["Thu, 01 May 2031 12:30:15 GMT"]
    sandbox.clock.advance(60)
    answer = httpx.get(f"{sandbox.url}/v4/nothing", trust_env=False)
    assert answer.headers.get_list("date") == ["Thu, 01 May 2031 12:31:15 GMT"]


def test_stopping_does_what_was_accepted(tmp_path: Path) -> None:
    """Writes that still wait are done before the state is closed."""
    file = str(tmp_path / "sandbox.db")
    with Sandbox(state=file, options=SandboxOptions(delay=3600)) as first:
        headers = {"Api-Version": "4.4", "Authorization": f"Bearer {first.token()}"}
        httpx.post(f"{first.url}/v4/clients", headers=headers, json={"customId": "a"}, trust_env=False)
        assert (len(first.store.profiles), first.log[0].waiting) == (0, True)
    assert (first.log[0].applied, first.log[0].waiting) == (1, False)
    with Sandbox(state=file) as second:
        assert len(second.store.profiles) == 1


def test_what_is_due_is_done_when_it_is_looked_for(sandbox: Sandbox, api: httpx.Client) -> None:
    """After the clock was moved, state, log and dropped are as they would be for the next request."""
    sandbox.options.delay = 10
    api.post("/v4/clients", json={"customId": "a"})
    sandbox.clock.advance(9)
    assert len(sandbox.store.profiles) == 0
    sandbox.clock.advance(2)
    assert len(sandbox.store.profiles) == 1
    api.post("/v4/clients", json={"customId": "b"})
    sandbox.clock.advance(11)
    assert sandbox.log[-1].applied == 1


def test_reset(sandbox: Sandbox, api: httpx.Client) -> None:
    """All is as at the start but the address, the credentials and the options; tokens stay good."""
    sandbox.options.delay = 5
    sandbox.clock.advance(600)
    sandbox.clock.stop()
    sandbox.faults.status(500, times=1)
    assert [api.post("/v4/clients", json={"customId": "a"}).status_code for _ in range(3)] == [500, 202, 202]
    sandbox.drain()
    api.post("/v4/clients", json={"customId": "c"})
    sandbox.faults.status(500)
    url, key = sandbox.url, sandbox.api_key
    sandbox.reset()
    assert (sandbox.url, sandbox.api_key, sandbox.options.delay) == (url, key, 5)
    assert (len(sandbox.log), len(sandbox.dropped_writes), len(sandbox.faults), sandbox.drain()) == (0, 0, 0, 0)
    assert (len(sandbox.store.profiles), sandbox.clock.offset, sandbox.clock.stopped) == (0, 0, False)
    assert api.post("/v4/clients", json={"customId": "a"}).status_code == 202
    sandbox.drain()
    assert len(sandbox.store.profiles) == 1


def test_a_request_that_breaks_off_is_not_carried_out(sandbox: Sandbox) -> None:
    """Half a body is no request: it is neither processed nor noted."""
    with connect(sandbox) as connection:
        connection.sendall(request(sandbox, "POST", "/v4/clients", {"customId": "a"})[:-5])
    assert ask(sandbox) == 200
    assert [logged.operation for logged in sandbox.log] == ["events.server_time"]


def test_a_connection_that_comes_as_it_stops_is_closed() -> None:
    """What was accepted last, and not yet served, is closed too; nothing is left for the garbage collector to find."""
    for _ in range(20):
        with Sandbox() as sandbox:
            connections = [connect(sandbox) for _ in range(3)]
        for connection in connections:
            connection.close()
    gc.collect()  # an open socket makes a warning, and so an error, of this test


def test_it_starts_and_stops_fast() -> None:
    """A sandbox for each test is affordable: far below a second (it takes a few milliseconds)."""
    spent: list[float] = []
    for _ in range(5):
        begin = time.perf_counter()
        with Sandbox() as sandbox:
            assert ask(sandbox) == 200
        spent.append(time.perf_counter() - begin)
    assert min(spent) < 0.5  # a busy machine may hold up some


def test_state_and_credentials_outlive_the_server(tmp_path: Path) -> None:
    """With a file, a later sandbox knows the profiles, the key and the tokens."""
    file = str(tmp_path / "sandbox.db")
    with Sandbox(state=file) as first:
        token = first.token()
        headers = {"Api-Version": "4.4", "Authorization": f"Bearer {token}"}
        httpx.post(f"{first.url}/v4/clients", headers=headers, json={"customId": "a"}, trust_env=False)
    with Sandbox(state=file) as second:
        assert (second.api_key, second.workspace_guid) == (first.api_key, first.workspace_guid)
        url = f"{second.url}/v4/clients/by-custom-id/a"
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200


def test_a_port_in_use_is_an_error() -> None:
    """The error comes from start, and nothing is left open."""
    with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()


def test_it_can_be_used_once() -> None:
    """A stopped sandbox says that it cannot be started again, and has no address."""
    sandbox = Sandbox()
    with sandbox:
        pass
    with pytest.raises(RuntimeError, match="once"):
        sandbox.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    sandbox.stop()


async def _asgi_status() -> int:
    app = create_app()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://sandbox", trust_env=False, verify=False
    ) as client:
        response = await client.get("/v4/server/time", headers={"Api-Version": "4.4"})
    app.store.close()
    return response.status_code


def test_it_is_an_asgi_application() -> None:
    """Without a server it answers in the caller's own loop."""
    assert asyncio.run(_asgi_status()) == 200


def test_the_command(tmp_path: Path) -> None:
    """It says where it serves and with which key, and ends on SIGTERM."""
    command = [sys.executable, "-m", "synerise_profiles.sandbox", "--port", "0", "--state", str(tmp_path / "s.db")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        _, url, key = (process.stdout.readline().strip().partition("=")[2] for _ in range(3))
        assert (
            httpx.post(f"{url}/uauth/v2/auth/login/profile", json={"apiKey": key}, trust_env=False).status_code == 200
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_missing_extra_says_what_to_install() -> None:
    """Without uvicorn or jsonschema-rs the error names the extra."""
    code = "import sys; sys.modules['uvicorn'] = None\nimport synerise_profiles.sandbox as s\ns.Sandbox"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "pip install 'synerise-profiles[sandbox]'" in result.stderr


def test_public_names() -> None:
    """Everything announced can be loaded; anything else is an attribute error."""
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = package.nothing_here


def test_a_sandbox_on_all_addresses_tells_one_that_can_be_opened() -> None:
    """0.0.0.0 is no address to connect to: its URL is that of this machine."""
    with Sandbox(host="0.0.0.0") as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert httpx.get(sandbox.url).status_code == 200


def test_repr_of_each_part_says_what_it_is() -> None:
    """In a notebook or a debugger: where it runs and how much it holds, and no key or value."""
    with Sandbox() as sandbox:
        sandbox.faults.status(503, times=2)
        sandbox.clock.stop()
        with httpx.Client(base_url=sandbox.url) as plain:
            plain.get("/v4/tags")
        assert repr(sandbox) == f"<Sandbox at {sandbox.url}>"
        assert repr(sandbox.faults) == "<Faults: 1 active>"
        assert repr(sandbox.log) == "<RequestLog: 1 entries>"
        assert repr(sandbox.mailbox) == "<Mailbox: 0 messages>"
        assert repr(sandbox.dropped_writes) == "<DroppedWrites: 0 items>"
        assert re.fullmatch(r"<MovableClock: [+-]\d+ s, stopped>", repr(sandbox.clock))
        assert repr(sandbox.store) == "<StateStore in memory>"
        assert re.fullmatch(r"<Authenticator: \d API keys of its own>", repr(sandbox.auth))
    assert repr(sandbox) == "<Sandbox>"
    assert repr(sandbox.store) == "<StateStore in memory>"
