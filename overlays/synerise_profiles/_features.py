"""The features of a client beside the operations of the spec: bulk, queue, exports, merges, clock, builder, doctor.

Each is imported when it is first used, so that a program loads only what it uses.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack, cast

from synerise_profiles_api.names import checks_names
from synerise_profiles_api.resources import AsyncResources, Resources
from synerise_profiles_api.types import UNSET, Unset

from ._core.config import Options
from ._core.connections import AsyncConnectionManager, ConnectionManager
from ._core.signatures import shows_options

if TYPE_CHECKING:
    from synerise_profiles_api.built import SaltChoice

    from ._core.protocols import AsyncClientProtocol, ClientProtocol
    from ._core.server_clock import AsyncServerClock, ServerClock
    from .bulk import AsyncBulk, Bulk
    from .delta_sync import AsyncDeltaSync, DeltaSync
    from .doctor import Diagnosis
    from .events import Builder
    from .exports import AsyncExportsClient, ExportsClient
    from .merges import AsyncMerges, Merges
    from .queue import AsyncQueue, Queue, QueueArguments

__all__ = ["AsyncClientExtensions", "ClientExtensions"]


def _queue_options() -> tuple[type, ...]:
    from .queue import AsyncQueue, QueueArguments  # noqa: PLC0415 - for who looks

    return QueueArguments, AsyncQueue


class ClientExtensions(Resources):
    """The features of `Synerise`, on top of its generated resources."""

    _stands_as = "Synerise"
    _options: Options
    _sign_in_method: str
    _connections: ConnectionManager

    @functools.cached_property
    def bulk(self) -> Bulk:
        """Batching for millions of rows: says of each whether it was accepted, and why not."""
        from .bulk import Bulk  # noqa: PLC0415 - most programs do without

        return Bulk(cast("ClientProtocol", self), self._connections.timing)

    @functools.cached_property
    def delta_sync(self) -> DeltaSync:
        """Sends only what changed in a table since the server confirmed it."""
        from .delta_sync import DeltaSync  # noqa: PLC0415 - most programs do without

        return DeltaSync(cast("ClientProtocol", self), self._connections.timing)

    @functools.cached_property
    def clock(self) -> ServerClock:
        """The server's clock: `client.clock.now()` is never later than the server's own time."""
        return self._connections.clock(self._options)

    @checks_names
    def builder(self, *, salt: SaltChoice | Unset = UNSET) -> Builder:
        """Return a builder of events and transactions that tells time by the server's clock.

        What it builds has a time always, now where none is given, and `salt` where no other is given. A time in the
        future is refused. Reading the clock may send GET /v4/server/time, and then raises what a call raises.
        """
        from .events import Builder  # noqa: PLC0415 - most programs do without

        return Builder(self.clock.bounds, salt=salt, deprecations=self._options.deprecations)

    @checks_names
    def doctor(self, methods: Sequence[str] | None = None) -> Diagnosis:
        """Look at the host, the key, its permissions, the clock and the latency; say what is wrong and what to do.

        Changes nothing, and raises nothing for what is wrong: the `Diagnosis` says it, printed or by its fields.
        `methods`, such as ["profiles.upsert_batch"], are what the program calls: each permission that they need and the
        key lacks is a problem. Without `methods` all are asked for, and a missing one is no problem.

        Raises InvalidRequestError for a name in `methods` that does not exist.

        Operation:
            GET /v4/server/time (events.server_time), the login, and the check of the key's permissions,
            POST /uauth/api-key/permission-check; no permission is needed.
        """
        from ._core.telemetry import feature_span  # noqa: PLC0415 - most programs do without
        from ._core.workflow import run_workflow  # noqa: PLC0415 - most programs do without
        from .doctor import diagnose  # noqa: PLC0415 - most programs do without

        client, timing = cast("ClientProtocol", self), self._connections.timing
        workflow = diagnose(self._options, self._sign_in_method, timing, methods)
        with feature_span("doctor"):
            return run_workflow(workflow, client.with_options(max_retries=1), timing)

    @functools.cached_property
    def exports(self) -> ExportsClient:
        """The operations of exports; `run` and `resume` wait for one and read its records."""
        from .exports import ExportsClient  # noqa: PLC0415 - most programs do without

        return ExportsClient(cast("ClientProtocol", self), self._connections.timing)

    @checks_names
    @shows_options(_queue_options)
    def queue(self, **options: Unpack[QueueArguments]) -> Queue:
        """Return a queue for a running service: `put` holds a row, which is sent in the background.

        See `synerise_profiles.queue.QueueArguments` for the options. Close it, or use it by `with`; closing the client
        closes it too.
        """
        from .queue import Queue  # noqa: PLC0415 - most programs do without

        self._connections.prepare("queue")
        queue = Queue(cast("ClientProtocol", self), self._connections.timing, **options)
        self._connections.closeables.add(queue)
        return queue

    @functools.cached_property
    def merges(self) -> Merges:
        """Merging profiles by a plan that says first what would be copied and lost."""
        from .merges import Merges  # noqa: PLC0415 - most programs do without

        return Merges(cast("ClientProtocol", self), self._connections.timing)


class AsyncClientExtensions(AsyncResources):
    """The features of `AsyncSynerise`, on top of its generated resources."""

    _stands_as = "AsyncSynerise"
    _options: Options
    _sign_in_method: str
    _connections: AsyncConnectionManager

    @functools.cached_property
    def bulk(self) -> AsyncBulk:
        """Batching for millions of rows: says of each whether it was accepted, and why not."""
        from .bulk import AsyncBulk  # noqa: PLC0415 - most programs do without

        return AsyncBulk(cast("AsyncClientProtocol", self), self._connections.timing)

    @functools.cached_property
    def delta_sync(self) -> AsyncDeltaSync:
        """Sends only what changed in a table since the server confirmed it."""
        from .delta_sync import AsyncDeltaSync  # noqa: PLC0415 - most programs do without

        return AsyncDeltaSync(cast("AsyncClientProtocol", self), self._connections.timing)

    @functools.cached_property
    def clock(self) -> AsyncServerClock:
        """The server's clock: `await client.clock.now()` is never later than the server's own time."""
        return self._connections.clock(self._options)

    @checks_names
    async def builder(self, *, salt: SaltChoice | Unset = UNSET) -> Builder:
        """Return a builder of events and transactions that tells time by the server's clock.

        What it builds has a time always, now where none is given, and `salt` where no other is given. A time in the
        future is refused. The clock is read here, by GET /v4/server/time where that is due, and this raises what a call
        raises; building sends nothing. Get a new one now and then: an old one falls behind by half a second in a
        thousand.
        """
        from .events import Builder  # noqa: PLC0415 - most programs do without

        await self.clock.bounds()
        return Builder(self.clock.known, salt=salt, deprecations=self._options.deprecations)

    @checks_names
    async def doctor(self, methods: Sequence[str] | None = None) -> Diagnosis:
        """Look at the host, the key, its permissions, the clock and the latency; see `Synerise.doctor`."""
        from ._core.telemetry import feature_span  # noqa: PLC0415 - most programs do without
        from ._core.workflow import run_workflow_async  # noqa: PLC0415 - most programs do without
        from .doctor import diagnose  # noqa: PLC0415 - most programs do without

        client, timing = cast("AsyncClientProtocol", self), self._connections.timing
        workflow = diagnose(self._options, self._sign_in_method, timing, methods)
        with feature_span("doctor"):
            return await run_workflow_async(workflow, client.with_options(max_retries=1), timing)

    @functools.cached_property
    def exports(self) -> AsyncExportsClient:
        """The operations of exports; `run` and `resume` wait for one and read its records."""
        from .exports import AsyncExportsClient  # noqa: PLC0415 - most programs do without

        return AsyncExportsClient(cast("AsyncClientProtocol", self), self._connections.timing)

    @checks_names
    @shows_options(_queue_options)
    def queue(self, **options: Unpack[QueueArguments]) -> AsyncQueue:
        """Return a queue for a running service, to be used by `async with`; its options are those of `Synerise.queue`.

        `on_rejected` and `on_error` may be coroutine functions.
        """
        from .queue import AsyncQueue  # noqa: PLC0415 - most programs do without

        queue = AsyncQueue(cast("AsyncClientProtocol", self), self._connections.timing, **options)
        self._connections.closeables.add(queue)
        return queue

    @functools.cached_property
    def merges(self) -> AsyncMerges:
        """Merging profiles by a plan that says first what would be copied and lost."""
        from .merges import AsyncMerges  # noqa: PLC0415 - most programs do without

        return AsyncMerges(cast("AsyncClientProtocol", self), self._connections.timing)
