"""Starting, stopping, keeping state; nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

import synerise_profiles.sandbox as package
from synerise_profiles.sandbox import Sandbox, create_app


def ask(sandbox: Sandbox) -> int:
    return httpx.get(f"{sandbox.url}/v4/server/time", headers={"Api-Version": "4.4"}, trust_env=False).status_code


def test_it_starts_and_leaves_nothing() -> None:
    """After the block the threads are as before and the port is free again."""
    before = threading.enumerate()
    with Sandbox() as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert ask(sandbox) == 200
        port = int(sandbox.url.rpartition(":")[2])
    assert threading.enumerate() == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with Sandbox(port=port) as again:
        assert ask(again) == 200


def test_it_stops_with_open_connections() -> None:
    """A client that keeps its connection does not hold the server."""
    with httpx.Client(trust_env=False, verify=False) as client:
        with Sandbox() as sandbox:
            assert client.get(f"{sandbox.url}/v4/nothing").status_code == 404
        assert "synerise-sandbox" not in {thread.name for thread in threading.enumerate()}


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
        url, _, key = (process.stdout.readline().split(": ")[1].strip() for _ in range(3))
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
    assert "pip install synerise-profiles[sandbox]" in result.stderr


def test_public_names() -> None:
    """Everything announced can be loaded; anything else is an attribute error."""
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = package.nothing_here
