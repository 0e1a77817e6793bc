"""The pytest plugin: its fixtures are used by a test module of its own, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(sys.path),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # or the plugin would be there twice where it is installed
    "PYTEST_ADDOPTS": "",
}
PLUGIN = "synerise_profiles.testing.plugin"

TESTS = """
import asyncio, threading, time
import pytest
from synerise_profiles import RateLimitError, ServerError
from synerise_profiles.sandbox import Outcome

def test_the_client_talks_to_the_sandbox(synerise_sandbox, synerise):
    synerise.profiles.upsert({"customId": "a"})
    assert synerise.profiles.find("by-custom-id", "a").custom_id == "a"
    assert [exchange.operation for exchange in synerise_sandbox.log] == ["login", "profiles.upsert", "profiles.find"]

def test_it_is_empty_again(synerise_sandbox, synerise):
    assert synerise.tags.list() == []
    assert len(synerise_sandbox.store.profiles) == 0

def test_retries_do_not_wait(synerise_sandbox, synerise):
    synerise_sandbox.faults.status(429, retry_after=50, times=2, operation="tags.list")
    begin, before = time.perf_counter(), synerise_sandbox.clock()
    assert synerise.tags.list() == []
    assert time.perf_counter() - begin < 10
    assert 100 <= synerise_sandbox.clock() - before < 110

def test_a_date_to_retry_after(synerise_sandbox, synerise):
    synerise_sandbox.faults.status(503, retry_after=50, retry_after_date=True, times=1, operation="tags.list")
    before = synerise_sandbox.clock()
    assert synerise.tags.list() == []
    assert 49 <= synerise_sandbox.clock() - before <= 60

def test_retries_end(synerise_sandbox, synerise):
    synerise_sandbox.faults.status(502, operation="tags.list")
    with pytest.raises(ServerError):
        synerise.tags.list()
    assert len(synerise_sandbox.log) == 1 + 4

def test_an_expired_token_is_renewed(synerise_sandbox, synerise):
    synerise_sandbox.faults.expire_token(times=1)
    assert synerise.tags.list() == []
    assert [exchange.operation for exchange in synerise_sandbox.log] == ["login", "tags.list", "login", "tags.list"]

def test_a_token_ends_with_the_clock(synerise_sandbox, synerise):
    synerise.tags.list()
    synerise_sandbox.clock.advance(7200)
    synerise.tags.list()
    assert [exchange.status for exchange in synerise_sandbox.log] == [200] * 4

@pytest.mark.parametrize("fault", ["close", "truncate", "html", "drip", "content_type", "delay"])
def test_faults_on_the_wire(synerise_sandbox, synerise, fault):
    arguments = {"delay": (0.001,), "drip": (0.0001,)}.get(fault, ())
    planned = getattr(synerise_sandbox.faults, fault)(*arguments, operation="profiles.find", times=1)
    synerise.profiles.upsert({"customId": "a"})
    assert synerise.profiles.find("by-custom-id", "a").custom_id == "a"
    assert planned.played == 1

def test_nothing_is_applied_twice(synerise_sandbox, synerise):
    synerise_sandbox.faults.close(processed=True, reset=True, operation="events.custom", times=2)
    event = {"action": "a.b", "label": "x", "client": {"customId": "a"}, "time": "2026-01-01T00:00:00Z"}
    synerise.events.custom(event | {"eventSalt": "s"})
    sent = [exchange for exchange in synerise_sandbox.log if exchange.operation == "events.custom"]
    assert [exchange.outcomes for exchange in sent] == [(Outcome.APPLIED,), (Outcome.OVERWROTE,), (Outcome.OVERWROTE,)]
    assert len(synerise_sandbox.store.events) == 1

def test_async(synerise_sandbox, async_synerise):
    async def work():
        synerise_sandbox.faults.status(503, retry_after=50, times=1, operation="profiles.find")
        await async_synerise.profiles.upsert({"customId": "a"})
        return await asyncio.gather(*(async_synerise.profiles.find("by-custom-id", "a") for _ in range(5)))
    begin = time.perf_counter()
    assert {profile.custom_id for profile in asyncio.run(work())} == {"a"}
    assert time.perf_counter() - begin < 10

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async_with_a_plugin(async_synerise, anyio_backend):
    await async_synerise.profiles.upsert({"customId": "a"})
    assert (await async_synerise.profiles.find("by-custom-id", "a")).custom_id == "a"

def test_nothing_is_left():
    assert [thread.name for thread in threading.enumerate() if "synerise" in thread.name] == []
"""


def run(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
    )


def test_the_fixtures(tmp_path: Path) -> None:
    """A sandbox of its own for each test, clients that never wait, nothing left behind, no warning."""
    done = run(tmp_path, TESTS, "-p", "anyio", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "18 passed" in done.stdout


def test_they_are_listed_with_their_meaning(tmp_path: Path) -> None:
    """`pytest --fixtures` says what each is for."""
    shown = run(tmp_path, "", "--fixtures").stdout
    for name in ("synerise_sandbox", "synerise", "async_synerise"):
        assert name in shown
    assert "no docstring" not in shown.partition("synerise_sandbox")[2]


@pytest.mark.usefixtures("unmeasured")
def test_it_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    """A run without these fixtures loads neither the sandbox nor httpx nor a client."""
    source = """
import sys

def test_loaded():
    heavy = {"httpx", "uvicorn", "sqlite3", "synerise_profiles.sandbox", "synerise_profiles.client", "attrs"}
    assert "synerise_profiles.testing.plugin" in sys.modules
    assert not heavy & set(sys.modules)
"""
    done = run(tmp_path, source)
    assert done.returncode == 0, done.stdout


def test_a_sandbox_for_each_test_is_affordable(tmp_path: Path) -> None:
    """A hundred tests with a sandbox and a client each take a few seconds at most."""
    source = """
import pytest

@pytest.mark.parametrize("number", range(100))
def test_one(synerise, number):
    synerise.profiles.upsert({"customId": "a"})
"""
    done = run(tmp_path, source)
    assert "100 passed" in done.stdout
    assert float(done.stdout.rpartition(" in ")[2].partition("s")[0]) < 20
