"""Whole programs: their ends, forks and gevent. Every row arrives once, and every program ends in time."""

from __future__ import annotations

import collections
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from synerise_profiles.bulk import read_dead_letter
from synerise_profiles.sandbox import Sandbox
from tests._core.support import Server, silence, unused_url
from tests.queue.support import number

PROGRAM = Path(__file__).with_name("program.py")
with_gevent = pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")


def run(name: str, url: str, key: str, *more: str, seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", str(PROGRAM), name, url, key, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


def arrived(sandbox: Sandbox) -> collections.Counter[int]:
    """How often each event was accepted, by its number."""
    found: collections.Counter[int] = collections.Counter()
    for exchange in sandbox.log:
        if exchange.operation == "events.send_batch":
            assert exchange.status == 202
            found.update(number(row) for row in orjson.loads(exchange.body or b"[]"))
    return found


def check(sandbox: Sandbox, name: str, expected: set[int]) -> subprocess.CompletedProcess[str]:
    done = run(name, sandbox.url, sandbox.api_key)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(sandbox) == dict.fromkeys(expected, 1)
    return done


def test_a_program_that_just_ends_delivers_everything(sandbox: Sandbox) -> None:
    """No close, no flush, and nobody holds the queue."""
    check(sandbox, "exit_plain", set(range(2500)))


def test_a_program_that_raises_delivers_everything(sandbox: Sandbox) -> None:
    """What was put before an error that nobody caught is delivered."""
    done = run("exit_raising", sandbox.url, sandbox.api_key)
    assert done.returncode == 1
    assert "an error of the program" in done.stderr
    assert arrived(sandbox) == dict.fromkeys(range(10), 1)


def test_ctrl_c_at_the_end_of_a_program_ends_the_waiting_alone(tmp_path: Path) -> None:
    """Nothing more is waited for, and all queues write what they hold to their spill files."""
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    done = run("exit_impatiently", unused_url(), "0" * 36, *map(str, paths), seconds=20.0)
    assert "KeyboardInterrupt" in done.stderr
    assert [len(list(read_dead_letter(path))) for path in paths] == [10, 10]


@pytest.mark.long
def test_threads_that_outlive_the_main_one_may_put(sandbox: Sandbox) -> None:
    """The end comes when all threads of the program have ended."""
    check(sandbox, "exit_after_user_thread", set(range(10)))


def test_a_program_that_is_terminated_delivers_everything(sandbox: Sandbox) -> None:
    """With a handler that ends it by SystemExit, wherever it was: in a put too."""
    done = run("exit_by_signal", sandbox.url, sandbox.api_key)
    assert (done.returncode, done.stderr) == (0, "")
    printed, found = len(done.stdout.split()), arrived(sandbox)
    # The last put may have been cut off before its number was printed.
    assert found in (dict.fromkeys(range(printed), 1), dict.fromkeys(range(printed + 1), 1))
    assert printed > 10


@pytest.mark.parametrize("options", [("1000000", "block"), ("200", "drop_oldest")])
def test_interruptions_neither_lose_nor_miscount_nor_hang(sandbox: Sandbox, options: tuple[str, str]) -> None:
    """Ctrl-C or a handler that raises may come at any moment of a put: the counters stay exact and the lock is free."""
    done = run("interrupted", sandbox.url, sandbox.api_key, *options)
    assert (done.returncode, done.stderr) == (0, "")
    found = arrived(sandbox)
    assert set(found.values()) == {1}
    assert len(found) == int(done.stdout)


@pytest.mark.long
def test_handlers_of_signals_may_use_the_queue(sandbox: Sandbox) -> None:
    """One that interrupts a put may find the queue busy, and never waits for itself."""
    done = run("handler_uses_queue", sandbox.url, sandbox.api_key)
    assert (done.returncode, done.stderr) == (0, "")
    found = arrived(sandbox)
    assert set(found.values()) == {1}
    assert len(found) == int(done.stdout)


@pytest.mark.parametrize("server", ["dead", "stalled"])
def test_a_program_whose_server_is_away_ends_in_time(tmp_path: Path, server: str) -> None:
    """It says on standard error how much was left, and writes it to the file that was asked for."""
    path = tmp_path / "left.jsonl"
    with Server([silence]) as stalled:
        begun = time.monotonic()
        done = run("exit_undeliverable", unused_url() if server == "dead" else stalled.url, "key", str(path))
        assert time.monotonic() - begun < 15
    assert done.returncode == 0
    assert "UndeliveredWarning: 10 of 10 rows were left in the queue; they were written to" in done.stderr
    letters = list(read_dead_letter(path))
    assert sorted(number(letter["row"]) for letter in letters) == list(range(10))
    assert {letter["stage"] for letter in letters} == {"unsent"}
    assert {letter["operation"] for letter in letters} == {"events.send_batch"}


def test_rows_put_before_a_fork_are_sent_by_the_parent_alone(sandbox: Sandbox) -> None:
    """The child's queue is empty, takes rows of its own and is flushed at its end."""
    check(sandbox, "fork", set(range(160)))


def test_a_fork_at_any_moment_leaves_no_lock_behind(sandbox: Sandbox) -> None:
    """Even while other threads put and send: the children deliver, and so does the parent."""
    done = run("fork_while_busy", sandbox.url, sandbox.api_key)
    assert (done.returncode, done.stderr) == (0, "")
    found = arrived(sandbox)
    assert set(found.values()) == {1}
    assert {n for n in found if n < 1_000_000} == set(range(60))
    assert sum(n >= 1_000_000 for n in found) == int(done.stdout) > 0


def test_processes_that_are_forked_from_one_with_a_queue(sandbox: Sandbox) -> None:
    """As servers with several processes do."""
    check(sandbox, "prefork", {0, 1, 2} | {k * 1000 + n for k in (1, 2, 3) for n in range(300)})


def test_processes_of_multiprocessing(sandbox: Sandbox) -> None:
    """They end without atexit, and still deliver everything."""
    check(sandbox, "multiprocessing_fork", {*range(10), *range(100, 120), *range(200, 220)})


@with_gevent
def test_gevent(sandbox: Sandbox) -> None:
    """Everything is patched, greenlets put, wait for room and flush; the end delivers the rest."""
    check(sandbox, "gevent_greenlets", {k * 1000 + n for k in range(5) for n in range(300)} | set(range(9000, 9010)))


@pytest.mark.long
@with_gevent
def test_gevent_and_fork(sandbox: Sandbox) -> None:
    """The child's greenlets put, and its end delivers; the parent sends its own."""
    check(sandbox, "gevent_fork", set(range(300)))


@with_gevent
def test_gevent_with_a_stalled_server() -> None:
    """A put and a flush end in time and let other greenlets run meanwhile; so does the end."""
    with Server([silence]) as stalled:
        done = run("gevent_dead", stalled.url, "key")
    assert (done.returncode, done.stdout) == (0, "QueueFullError\n")
    assert "UndeliveredWarning: 10 of 10 rows" in done.stderr


def test_an_async_queue_whose_block_was_never_left_warns(sandbox: Sandbox) -> None:
    """There is no event loop any more at the end; the warning counts what was lost."""
    done = run("async_left_open", sandbox.url, sandbox.api_key)
    assert "UndeliveredWarning: 1 of 2 rows were left in the queue" in done.stderr
    assert arrived(sandbox) == {1: 1}
