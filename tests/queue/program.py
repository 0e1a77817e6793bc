"""Programs that the tests run in processes of their own: `program.py NAME URL API_KEY`. None closes its queue."""

from __future__ import annotations

import sys

if sys.argv[1].startswith("gevent"):
    import gevent
    from gevent import monkey

    monkey.patch_all()

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.queue import Queue, QueueFullError


def event(n: int) -> dict[str, Any]:
    return {"label": "Visit", "action": "shop.visit", "client": {"customId": f"c-{n % 50}"}, "params": {"n": n}}


def client() -> Synerise:
    return Synerise(api_key=sys.argv[3], base_url=sys.argv[2])


def fill(queue: Queue, first: int, count: int) -> None:
    for n in range(first, first + count):
        queue.events.put(event(n))


def exit_plain() -> None:
    fill(client().queue(), 0, 2500)


def exit_raising() -> None:
    fill(client().queue(flush_after=60), 0, 10)
    raise ValueError("an error of the program")


def exit_after_user_thread() -> None:
    queue = client().queue()

    def work() -> None:
        time.sleep(0.2)
        fill(queue, 0, 10)

    threading.Thread(target=work).start()


def exit_undeliverable() -> None:
    fill(client().queue(exit_timeout=0.5, spill=sys.argv[4], flush_after=0), 0, 10)


def exit_impatiently() -> None:
    """Ctrl-C, again and again, while the end of the program waits for what two queues hold."""

    def strike() -> None:
        for _ in range(3):
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

    for path in sys.argv[4:]:
        fill(client().queue(exit_timeout=60.0, spill=path, flush_after=0), 0, 10)
    threading.Thread(target=strike, daemon=True).start()


def exit_by_signal() -> None:
    """As a container is stopped: the handler that every service has ends the program by SystemExit."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    queue = client().queue(flush_after=60)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    n = 0
    while True:
        queue.events.put(event(n))
        n += 1
        print(n, flush=True)
        time.sleep(0.0005)


class Interruption(BaseException):
    pass


def interrupted() -> None:
    """Signals whose handlers raise come at any moment, thousands of them; as Ctrl-C in a session that goes on."""
    is_armed = False

    def interrupt(*_: object) -> None:
        nonlocal is_armed
        if is_armed:
            is_armed = False
            raise Interruption

    signal.signal(signal.SIGALRM, interrupt)
    queue = client().queue(max_items=int(sys.argv[4]), when_full=sys.argv[5], flush_items=40, put_timeout=5)  # type: ignore[arg-type]
    n = caught = 0
    deadline = time.monotonic() + 0.4
    while time.monotonic() < deadline or caught <= 20:  # a busy machine interrupts less often
        try:
            is_armed = True
            signal.setitimer(signal.ITIMER_REAL, 0.00002 + caught % 50 * 0.00001)
            for _ in range(100):
                n += 1
                queue.events.put(event(n))
            is_armed = False
        except Interruption:
            caught += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    result = queue.flush(10)
    stats = result.stats
    assert result.complete
    assert stats.held == stats.held_bytes == stats.in_flight == 0
    assert stats.put == stats.delivered + stats.dropped
    assert 0 <= n - stats.put <= caught
    print(stats.delivered)


def handler_uses_queue() -> None:
    """Signals whose handlers put, flush and read the counters come at any moment."""
    queue = client().queue(flush_items=40)
    refused = handled = 0

    def use(*_: object) -> None:
        nonlocal refused, handled
        handled += 1
        try:
            queue.events.put(event(1_000_000 + handled))
        except QueueFullError:
            refused += 1
        queue.flush(0)
        queue.stats()

    signal.signal(signal.SIGALRM, use)
    n, deadline = 0, time.monotonic() + 0.3
    while time.monotonic() < deadline or handled <= 5:
        signal.setitimer(signal.ITIMER_REAL, 0.00002 + handled % 50 * 0.00001)
        for _ in range(50):
            queue.events.put(event(n), timeout=5)
            n += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    result = queue.flush(10)
    assert result.complete
    assert result.stats.put == result.stats.delivered == n + handled - refused
    print(result.stats.delivered)


def fork() -> None:
    queue = client().queue(flush_after=60)
    fill(queue, 0, 100)
    child = os.fork()
    if child == 0:
        assert queue.stats().put == 0
        fill(queue, 100, 50)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert queue.stats().put == 100
    fill(queue, 150, 10)


def fork_while_busy() -> None:
    """Forks while other threads hold the queue's lock and send."""
    queue = client().queue(flush_items=20, max_items=500)
    is_over = threading.Event()

    def work(first: int) -> None:
        n = first
        while not is_over.is_set():
            queue.events.put(event(n), timeout=30)
            n += 1

    threads = [threading.Thread(target=work, args=(k * 1_000_000,)) for k in (1, 2)]
    for thread in threads:
        thread.start()
    for k in range(6):
        child = os.fork()
        if child == 0:
            fill(queue, k * 10, 10)
            result = queue.flush(5)
            os._exit(0 if result.complete and result.stats.delivered == 10 else 1)
        assert os.waitpid(child, 0)[1] == 0
    is_over.set()
    for thread in threads:
        thread.join()
    print(queue.stats().put)


def prefork() -> None:
    """As a server with several processes does: the queue is made before the fork, and used in threads after it."""
    queue = client().queue()
    fill(queue, 0, 3)
    children = []
    for k in range(1, 4):
        child = os.fork()
        if child == 0:
            threads = [threading.Thread(target=fill, args=(queue, k * 1000 + t * 100, 100)) for t in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sys.exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


def multiprocessing_fork() -> None:
    queue = client().queue()
    fill(queue, 0, 10)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill, args=(queue, k * 100, 20)) for k in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0


def gevent_greenlets() -> None:
    queue = client().queue(max_items=200, put_timeout=5)
    gevent.joinall([gevent.spawn(fill, queue, k * 1000, 300) for k in range(5)], raise_error=True)
    assert queue.flush(10).complete
    fill(queue, 9000, 10)


def gevent_dead() -> None:
    beats = []

    def beat() -> None:
        while True:
            beats.append(time.monotonic())
            gevent.sleep(0.01)

    gevent.spawn(beat)
    queue = client().queue(max_items=10, when_full="block", flush_after=0, exit_timeout=0.3)
    fill(queue, 0, 10)
    begun = time.monotonic()
    try:
        queue.events.put(event(10), timeout=0.3)
    except QueueFullError as error:
        print(type(error).__name__)
    assert not queue.flush(0.3).complete
    assert time.monotonic() - begun < 10
    # Nobody else had to wait.
    assert len(beats) > 5


def gevent_fork() -> None:
    queue = client().queue(flush_after=60)
    fill(queue, 0, 100)
    child = os.fork()
    if child == 0:
        gevent.joinall([gevent.spawn(fill, queue, k * 100, 100) for k in (1, 2)], raise_error=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0


def async_left_open() -> None:
    async def main() -> None:
        service = AsyncSynerise(api_key=sys.argv[3], base_url=sys.argv[2])
        queue = await service.queue().__aenter__()
        await queue.events.put(event(1))
        await queue.flush()
        await queue.events.put(event(2))
        kept.append(queue)
        loop.stop()

    kept: list[Any] = []
    loop = asyncio.new_event_loop()
    kept.append(loop.create_task(main()))
    loop.run_forever()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
