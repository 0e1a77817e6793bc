"""The sandbox as a server: uvicorn in a thread of its own, on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from .app import App, create_app
from .auth import LIFETIME, Caller
from .clock import Clock, MovableClock, system_clock
from .journal import Journal
from .log import Log
from .options import Options
from .state.database import MEMORY
from .store import Store

_PATIENCE = 10.0
"""Seconds to start or stop. Both take a fraction of one; more means that something is wrong."""


class _Server(uvicorn.Server):
    """Tells when it is ready and ends when it is told to; uvicorn's own loop looks ten times a second."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        """Keep the Date header true until the end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1)

    def stop(self) -> None:
        """End; callable from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)


class Sandbox:
    """A local Synerise: `with Sandbox() as sandbox:` serves at `sandbox.url` until the block ends.

    `port` 0 takes a free one; `state` is a file to keep the data in, by default the memory. `clock` can be moved while
    it runs, and so can the `options`.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: str = MEMORY,
        api_key: str | None = None,
        workspace_guid: str | None = None,
        clock: Clock = system_clock,
        log_size: int = 10_000,
        options: Options | None = None,
    ) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._closed = False
        self.clock = MovableClock(clock)
        self.app: App = create_app(
            state=state,
            api_key=api_key,
            workspace_guid=workspace_guid,
            clock=self.clock,
            log_size=log_size,
            options=options,
        )

    @property
    def url(self) -> str:
        """Where it serves, such as http://127.0.0.1:54321."""
        if self._socket is None:
            raise RuntimeError("the sandbox is not running; use it as a context manager or call start()")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def api_key(self) -> str:
        """The workspace's API key."""
        return self.app.auth.api_key

    @property
    def workspace_guid(self) -> str:
        """The workspace's GUID, the user name of Basic."""
        return self.app.auth.workspace_guid

    @property
    def store(self) -> Store:
        """The state; reading is safe while the server runs."""
        return self.app.store

    @property
    def log(self) -> Log:
        """What was received and answered, newest last; it can still be read when the sandbox has stopped."""
        return self.app.log

    @property
    def options(self) -> Options:
        """How the workspace behaves; may be changed while it runs."""
        return self.app.world.options

    @property
    def journal(self) -> Journal:
        """Items that were accepted and dropped, newest last."""
        return self.app.world.journal

    def drain(self) -> int:
        """Make every accepted write visible now; how many requests were waiting."""
        return self.app.drain()

    def token(
        self,
        consumer: str = "workspace",
        *,
        client_id: int | None = None,
        uuid: str | None = None,
        lifetime: float = LIFETIME,
    ) -> str:
        """Mint a token: of a workspace, user, profile, anonymous, profile-conditional, web-sdk or ai-key."""
        return self.app.auth.mint(Caller(consumer, client_id, uuid), lifetime)

    def start(self) -> Self:
        """Begin to serve; returns when requests are answered."""
        if self._closed or self._socket is not None:
            raise RuntimeError("a sandbox can be started once; make another one")
        try:
            self._socket = _listen(*self._address)
        except OSError:
            self.stop()
            raise
        config = uvicorn.Config(
            self.app,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        self._server = _Server(config, self._ready)
        self._thread = threading.Thread(target=self._run, name="synerise-sandbox", daemon=True)
        self._thread.start()
        if not self._ready.wait(_PATIENCE) or self._failure is not None:
            failure = self._failure
            self.stop()
            raise RuntimeError("the sandbox did not start") from failure
        return self

    def stop(self) -> None:
        """End, close the port and the state. Does nothing the second time."""
        if self._server is not None:
            self._server.stop()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None
        if not self._closed:
            self._closed = True
            self.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        server, listener = self._server, self._socket
        if server is None or listener is None:
            return
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits in start()
            self._failure = error
        finally:
            self._ready.set()


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket: its port is known before the server runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without it each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
