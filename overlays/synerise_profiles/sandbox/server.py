"""The sandbox as a server: uvicorn in a thread of its own, by default on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from synerise_profiles_api.names import checks_names

from .admin.faults import Faults
from .admin.host_check import check_hosts, is_host
from .admin.request_log import RequestLog
from .app import App, create_app
from .clock import Clock, MovableClock, system_clock
from .domain.permissions import ApiKey, KeyKind
from .handlers.token_endpoints import sign_in
from .http.asgi import TRANSPORT_EXTENSION
from .http.auth import Authenticator
from .options import SandboxOptions
from .responses import RefusedRequest
from .storage.database import MEMORY
from .storage.dropped_writes import DroppedWrites
from .storage.mailbox import Mailbox
from .storage.store import StateStore

_MAX_WAIT_SECONDS = 10.0
"""Seconds to start or stop. Both take a fraction of one; more means that something is wrong."""
_GRACE_SECONDS = 0.5
"""Seconds that a request in progress has when the sandbox stops."""


class _ConnectionProtocol(HttpToolsProtocol):
    """Puts the transport into the ASGI scope, so that a fault can break the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {TRANSPORT_EXTENSION: self.transport}


class _Server(uvicorn.Server):
    """uvicorn's server without its polling: it signals when it is ready, and stops as soon as it is told to."""

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
        """Wait for `stop`; uvicorn's own loop polls ten times a second."""
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, let answers go out, abort what is left; uvicorn's own waits in tenths of a second."""
        # asyncio leaves a connection open whose listener was closed between its acceptance and its registration.
        await self._wait_until(self._has_accepted, _GRACE_SECONDS)
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._wait_until(self._is_idle, _GRACE_SECONDS):
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await self._wait_until(self._is_idle, _GRACE_SECONDS)
        for task in self.server_state.tasks:
            task.cancel()

    def stop(self) -> None:
        """Stop; callable from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)

    def _has_accepted(self) -> bool:
        """Whether every connection that was accepted is known: asyncio has a task for each until it is."""
        return asyncio.all_tasks() <= {asyncio.current_task(), *self.server_state.tasks}

    def _is_idle(self) -> bool:
        """Whether there is neither a connection nor a request."""
        return not self.server_state.connections and not self.server_state.tasks

    async def _wait_until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait for it; whether that came to pass in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pause = 0.0
        while not is_so():
            if loop.time() > end:
                return False
            await asyncio.sleep(pause)
            pause = 0.001
        return True


class Sandbox:
    """A local Synerise: `with Sandbox() as sandbox:` serves at `sandbox.url` until the block ends.

    `port` 0 takes a free one. `state` is the path of an SQLite file to keep the data in, by default the memory;
    `api_key` and `workspace_guid` are made up where none is given, and kept with it. `clock` gives seconds since 1970.
    `log_size` is how many requests `log` keeps. `clock` can be moved and `options` changed while it runs. The start
    page and the control API answer requests that name this machine, `host` or one of `allow_hosts`. Raises
    InvalidRequestError (a ValueError) for a state that is none, of another version or in use by another sandbox.
    """

    @checks_names
    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: str | os.PathLike[str] = MEMORY,
        api_key: str | None = None,
        workspace_guid: str | None = None,
        clock: Clock = system_clock,
        log_size: int = 10_000,
        options: SandboxOptions | None = None,
        allow_hosts: Collection[str] = (),
    ) -> None:
        check_hosts(allow_hosts)
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._startup_error: BaseException | None = None
        self._ready = threading.Event()
        self._closed = False
        self.app: App = create_app(
            state=state,
            api_key=api_key,
            workspace_guid=workspace_guid,
            clock=clock,
            log_size=log_size,
            options=options,
            allow_hosts=(host, *allow_hosts) if is_host(host) else allow_hosts,
        )

    @property
    def url(self) -> str:
        """Where this machine finds it, such as http://127.0.0.1:54321, also if it listens on all addresses."""
        if self._socket is None:
            raise RuntimeError("the sandbox is not running; use it as a context manager or call start()")
        address, port = self._socket.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, str(address))  # noqa: S104 - nobody can connect to these
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def api_key(self) -> str:
        """The workspace's API key."""
        return self.app.auth.api_key

    @property
    def profile_key(self) -> str:
        """The API key of apps, with which profiles sign in."""
        return self.app.auth.profile_key

    @property
    def workspace_guid(self) -> str:
        """The workspace's GUID, the user name of Basic."""
        return self.app.auth.workspace_guid

    @property
    def clock(self) -> MovableClock:
        """The clock that all times of the sandbox come from; may be moved while it runs."""
        return self.app.clock

    @property
    def faults(self) -> Faults:
        """Injected faults: `sandbox.faults.status(503, operation="tags.list", times=2)`."""
        return self.app.faults

    @property
    def options(self) -> SandboxOptions:
        """How the workspace behaves; may be changed while it runs."""
        return self.app.context.options

    @property
    def store(self) -> StateStore:
        """The state; reading is safe while the server runs."""
        self.app.run_due_writes()
        return self.app.store

    @property
    def log(self) -> RequestLog:
        """What was received and answered, newest last; it can still be read when the sandbox has stopped."""
        self.app.run_due_writes()
        return self.app.log

    @property
    def dropped_writes(self) -> DroppedWrites:
        """Items that were accepted and dropped, newest last; it can still be read when the sandbox has stopped."""
        self.app.run_due_writes()
        return self.app.context.dropped_writes

    @property
    def mailbox(self) -> Mailbox:
        """What would have been sent by e-mail or text message, newest last."""
        self.app.run_due_writes()
        return self.app.context.mailbox

    @property
    def auth(self) -> Authenticator:
        """The workspace's credentials: further API keys, and the end of keys and tokens."""
        return self.app.auth

    def drain(self) -> int:
        """Apply all delayed writes now; the number of requests that were waiting."""
        return self.app.drain()

    def reset(self) -> None:
        """Start afresh at the same address: all but options and credentials is forgotten, and the clock goes right."""
        self.app.reset()

    def token(
        self,
        consumer: str = "workspace",
        *,
        client_id: int | None = None,
        uuid: str | None = None,
        roles: Collection[str] | None = None,
        lifetime: float | None = None,
    ) -> str:
        """Issue a token: of a workspace, user, profile, anonymous, profile-conditional, web-sdk or ai-key.

        `roles` limits a user to these permissions, such as "client_info: read"; `lifetime` is in seconds. Raises
        ValueError for another consumer, and for `roles` of anyone but a user.
        """
        return self.app.issue_token(consumer, client_id=client_id, uuid=uuid, roles=roles, lifetime=lifetime)

    def add_key(
        self, permissions: Collection[str] | None = None, *, basic: bool = True, kind: KeyKind = "workspace"
    ) -> ApiKey:
        """Make another API key, with these permissions or with all; `basic` False disables Basic for it."""
        return self.app.auth.add_key(permissions, basic=basic, kind=kind)

    def revoke(self, credential: str | ApiKey) -> None:
        """Revoke a token, or an API key with all its tokens; ValueError for what is neither of this sandbox."""
        self.app.auth.revoke(credential)

    def expire_tokens(self) -> None:
        """Expire every token that was issued so far."""
        self.app.auth.expire_all()

    def sign_in(self, email: str, password: str) -> str:
        """Sign a profile in: a token of the account with this e-mail address; PermissionError where the API refuses."""
        self.app.run_due_writes()
        try:
            return sign_in(self.app.context, {"email": email}, password)
        except RefusedRequest as refusal:
            raise PermissionError(refusal.message) from None

    def mark_test_profile(self, client_id: int, *, test: bool = True) -> None:
        """Make a profile a test profile, which everyone may see, whatever is protected."""
        self.app.context.mark_test_profile(client_id, test=test)

    def start(self) -> Self:
        """Start to serve; returns when requests are answered.

        Raises OSError when it cannot listen, RuntimeError when it was started before or does not come up.
        """
        if self._closed or self._socket is not None:
            raise RuntimeError("a sandbox can be started once; make another one")
        try:
            self._socket = _listen(*self._address)
        except (OSError, OverflowError):
            self.stop()
            raise
        config = uvicorn.Config(
            self.app,
            http=_ConnectionProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,  # the application sends its own
            timeout_keep_alive=75,
        )
        self._server = _Server(config, self._ready)
        self._thread = threading.Thread(target=self._run, name="synerise-sandbox", daemon=True)
        self._thread.start()
        if not self._ready.wait(_MAX_WAIT_SECONDS) or self._startup_error is not None:
            error = self._startup_error
            self.stop()
            raise RuntimeError("the sandbox did not start") from error
        return self

    def stop(self) -> None:
        """Stop, apply the delayed writes, close the port and the state. Does nothing the second time."""
        if self._server is not None:
            self._server.stop()
        if self._thread is not None:
            self._thread.join(_MAX_WAIT_SECONDS)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None
        if not self._closed:
            self._closed = True
            self.app.drain()
            self.app.store.close()

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
            self._startup_error = error
        finally:
            self._ready.set()


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket, made before the server runs so that its port is known."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Where the protocol is given, asyncio sets TCP_NODELAY; without it each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener
