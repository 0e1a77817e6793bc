"""One workspace of the sandbox as tests control it: its state, clock, logs, faults and delayed writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from synerise_profiles.sandbox.clock import MovableClock
from synerise_profiles.sandbox.context import Context
from synerise_profiles.sandbox.domain.permissions import Caller
from synerise_profiles.sandbox.http.auth import Authenticator
from synerise_profiles.sandbox.storage.delayed_writes import DelayedWriteQueue
from synerise_profiles.sandbox.storage.store import StateStore

from .faults import Faults
from .request_log import RequestLog


class Workspace:
    """Everything of a workspace that can be looked at and changed without a request of the API.

    The server's loop and the threads of a test share it, so that requests, delayed writes and `reset` take one lock.
    `context` and `auth` are replaced by a reset: read them from here each time.
    """

    def __init__(
        self,
        *,
        make_context: Callable[[], tuple[Context, Authenticator]],
        log: RequestLog,
        clock: MovableClock,
        faults: Faults,
    ) -> None:
        self._make_context = make_context
        self.clock = clock
        self.context, self.auth = make_context()
        self.log = log
        self.faults = faults
        self.delayed_writes = DelayedWriteQueue()
        self._lock = threading.RLock()

    @property
    def store(self) -> StateStore:
        """The state."""
        return self.context.store

    def issue_token(
        self,
        consumer: str = "workspace",
        *,
        client_id: int | None = None,
        uuid: str | None = None,
        roles: Collection[str] | None = None,
        lifetime: float | None = None,
    ) -> str:
        """Issue a token for a consumer, without signing in.

        `roles` limits a user to these permissions; `lifetime` is in seconds, by default that of the options. Raises
        ValueError for an unknown consumer, and for roles of anyone but a user.
        """
        return self.auth.issue_token(
            Caller(consumer, client_id, uuid, None if roles is None else frozenset(roles)), lifetime
        )

    def run_due_writes(self) -> None:
        """Apply the delayed writes that are due by the sandbox's clock. Safe from any thread."""
        if self.delayed_writes:
            with self._lock:
                self.delayed_writes.run_due(self.context.clock())

    def drain(self) -> int:
        """Apply all delayed writes now; the number of requests that they came from. Safe from any thread."""
        with self._lock:
            return self.delayed_writes.drain()

    def reset(self) -> None:
        """Forget all but the credentials: state, delayed and dropped writes, log, faults; the clock goes right again.

        Options stay as they are, and ids that were given are not given again. Safe from any thread.
        """
        with self._lock:
            self.delayed_writes.clear()
            self.faults.clear()
            self.store.clear()
            self.context.dropped_writes.clear()
            self.context.mailbox.clear()
            self.log.clear()
            self.clock.reset()
            self.context, self.auth = self._make_context()
