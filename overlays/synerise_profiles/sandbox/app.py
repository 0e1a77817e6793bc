"""The sandbox as an ASGI application: route, authenticate, check, handle, answer. `respond` does it all without I/O."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from .admin.control import Control
from .admin.dropped_writes import Journal
from .admin.faults import Fault, Faults, Kind
from .admin.request_log import Exchange, Log, Outcome, shared
from .clock import Clock, MovableClock, iso_of, system_clock
from .context import Call, Handler, World
from .domain.accounts import Accounts
from .domain.mailbox import Mailbox
from .handlers import handler_for
from .http.asgi import Message, Receive, Send, body_sent, pause, play, read, write
from .http.auth import Authenticator, Caller
from .http.messages import JSON, DateHeader, Incoming, Outgoing
from .http.rendering import check_media_type, refused, spoilt, written
from .http.routing import Match, Router
from .http.token_endpoints import Entrance, entrances
from .http.validation import Validation
from .options import Options
from .responses import Answer, Failure, Job
from .spec import Bundle, Operation, is_object, load_bundle
from .storage.database import MEMORY
from .storage.delayed_writes import Queue
from .storage.store import Store

_QUEUED = (202, 207)

_logger = logging.getLogger("synerise_profiles.sandbox")


@dataclass(slots=True)
class Arrival:
    """A request that was received: what it asks for, and the fault that it meets. `name` is "" for nothing known."""

    incoming: Incoming
    name: str
    match: Match | None
    entrance: Entrance | None = None
    fault: Fault | None = None


class App:
    """One workspace of the API. Make it with `create_app`."""

    def __init__(
        self, *, bundle: Bundle, make: Callable[[], tuple[World, Authenticator]], log: Log, clock: MovableClock
    ) -> None:
        self._make = make
        self.clock = clock
        self.world, self.auth = make()
        self.log = log
        self.queue = Queue()
        self._lock = threading.RLock()
        self._token_field = bundle.login.token_field
        self._entrances = {(item.door.method, item.door.path.encode()): item for item in entrances(bundle.login)}
        self._router = Router(bundle.operations)
        self._handlers: dict[str, Handler] = {item.name: handler_for(item) for item in bundle.operations}
        self._date = DateHeader()
        doors = [(item.name, item.door.method, item.door.path) for item in self._entrances.values()]
        self.faults = Faults([*doors, *((item.name, item.method, item.path) for item in bundle.operations)])
        self._control = Control(self)

    @property
    def store(self) -> Store:
        """The state."""
        return self.world.store

    def mint(
        self,
        consumer: str = "workspace",
        *,
        client_id: int | None = None,
        uuid: str | None = None,
        roles: Collection[str] | None = None,
        lifetime: float | None = None,
    ) -> str:
        """Mint a token of a consumer."""
        return self.auth.mint(Caller(consumer, client_id, uuid, None if roles is None else frozenset(roles)), lifetime)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request of an ASGI server."""
        if scope["type"] != "http":
            return
        incoming = await read(scope, receive)
        if incoming is None:
            return
        if self._control.owns(incoming.raw_path):
            await write(self._control.respond(incoming), self._now(), send)
            return
        arrival = self.arrive(incoming)
        fault = arrival.fault
        if fault is not None and fault.kind is Kind.DELAY and not fault.processed:
            await pause(fault.seconds, receive)
        outgoing = self.answer(arrival)
        if arrival.fault is None:
            await write(outgoing, self._now(), send)
        else:
            await play(arrival.fault, outgoing, self._now(), scope, receive, send)

    def respond(self, incoming: Incoming) -> Outgoing:
        """Answer one request without a connection: `arrive` and `answer` in one."""
        return self.answer(self.arrive(incoming))

    def arrive(self, incoming: Incoming) -> Arrival:
        """Find what a request asks for, and the fault that it meets."""
        entrance = self._entrances.get((incoming.method, incoming.raw_path))
        if entrance is not None:
            arrival = Arrival(incoming, entrance.name, None, entrance)
        else:
            match = self._router.match(incoming.method, incoming.raw_path)
            arrival = Arrival(incoming, "" if match is None else match.operation.name, match)
        if self.faults:
            arrival.fault = self.faults.pick(arrival.name, bearer=_token(incoming) is not None)
        return arrival

    def answer(self, arrival: Arrival) -> Outgoing:
        """Answer a request, do its work or queue it, spoil the answer if it meets a fault, and note it in the log."""
        incoming, match = arrival.incoming, arrival.match
        path = incoming.raw_path.decode("latin-1") if match is None else match.operation.path
        exchange = Exchange(incoming.method, path, arrival.name, 0, len(incoming.content), 0)
        exchange.body = incoming.content if self.world.options.keep_bodies else None
        with self._lock:
            exchange.time = self.world.clock()
            self.queue.run_due(exchange.time)
            if arrival.fault is None or arrival.fault.carries_out:
                outgoing = self._carry_out(arrival, exchange)
            else:
                outgoing = Outgoing(204)
            if arrival.fault is None and self.faults:
                arrival.fault = self.faults.pick(arrival.name, status=outgoing.status)
            exchange.bytes_sent = len(outgoing.content)
            if arrival.fault is not None:
                outgoing = self._spoil(arrival, arrival.fault, outgoing)
                exchange.fault = arrival.fault.label
                exchange.bytes_sent = body_sent(arrival.fault, outgoing)
            closed = arrival.fault is not None and arrival.fault.kind is Kind.CLOSE
            exchange.status = 0 if closed else outgoing.status
            self.log.add(exchange)
        return outgoing

    def catch_up(self) -> None:
        """Do the queued work that is due. Safe from any thread."""
        if self.queue:
            with self._lock:
                self.queue.run_due(self.world.clock())

    def drain(self) -> int:
        """Do all queued work now; how many requests that were. Safe from any thread."""
        with self._lock:
            return self.queue.drain()

    def reset(self) -> None:
        """Forget all but the credentials: state, queued work, journal, log, faults; the clock goes right again.

        Options stay as they are, and ids that were given are not given again. Safe from any thread.
        """
        with self._lock:
            self.queue.clear()
            self.faults.clear()
            self.store.clear()
            self.world.journal.clear()
            self.world.mailbox.clear()
            self.log.clear()
            self.clock.reset()
            self.world, self.auth = self._make()

    def _now(self) -> bytes:
        return self._date.at(self.world.clock())

    def _carry_out(self, arrival: Arrival, exchange: Exchange) -> Outgoing:
        incoming, match = arrival.incoming, arrival.match
        operation = None if match is None else match.operation
        try:
            if arrival.entrance is not None:
                return self._enter(arrival.entrance, incoming)
            if match is None:
                return self._unknown(incoming)
            return self._perform(match.operation, match.raw, incoming, exchange)
        except Failure as failure:
            return self._refuse(failure, operation, incoming)
        except Exception as error:
            _logger.exception("%s failed", exchange.operation or exchange.path)
            return self._refuse(Failure(500, f"{type(error).__name__} in the sandbox"), operation, incoming)

    def _spoil(self, arrival: Arrival, fault: Fault, outgoing: Outgoing) -> Outgoing:
        if fault.kind is Kind.EXPIRE_TOKEN:
            with contextlib.suppress(ValueError):  # a token that is none is worth nothing already
                self.auth.revoke(_token(arrival.incoming) or "")
        operation = None if arrival.match is None else arrival.match.operation
        return spoilt(fault, outgoing, operation, arrival.incoming, self.world.now())

    def _perform(self, operation: Operation, raw: dict[str, bytes], incoming: Incoming, exchange: Exchange) -> Outgoing:
        validation = self.world.validation
        self.world.refuse_sunset(operation)
        caller = self.auth.caller(operation, _authorization(incoming))
        if operation.body is not None and incoming.content:
            check_media_type(incoming)
        validation.headers(operation, incoming.headers)
        call = Call(
            operation=operation,
            path=validation.path(operation, raw),
            query=validation.query(operation, incoming.query),
            body=validation.body(operation, incoming.content),
            caller=caller,
            world=self.world,
        )
        answer = self._handlers[operation.name](call)
        if answer.job is None:
            exchange.outcomes = shared(answer.outcomes or (Outcome.APPLIED,) * answer.applied)
        else:
            self._do_or_queue(operation, answer, answer.job, exchange)
        return written(operation, answer)

    def _do_or_queue(self, operation: Operation, answer: Answer, job: Job, exchange: Exchange) -> None:
        """Do the work at once, or queue it where the answer says no more than that it was accepted."""
        status = operation.success if answer.status is None else answer.status
        delay = self.world.options.delay
        if status not in _QUEUED or (delay <= 0 and not self.queue):
            exchange.outcomes = shared(job())
            return

        def work() -> None:
            exchange.waiting = False
            try:
                exchange.outcomes = shared(job())
            except Exception:  # nobody waits for an answer any more
                _logger.exception("queued work of %s failed", exchange.operation)

        exchange.waiting = True
        self.queue.add(exchange.time + delay, work)

    def _enter(self, entrance: Entrance, incoming: Incoming) -> Outgoing:
        if len(incoming.content) > 0:
            check_media_type(incoming)
        try:
            sent: Any = orjson.loads(incoming.content)
        except orjson.JSONDecodeError:
            sent = None
        token = entrance.enter(self.world, sent if is_object(sent) else {}, _authorization(incoming))
        return Outgoing(200, JSON, orjson.dumps({self._token_field: token}))

    def _unknown(self, incoming: Incoming) -> Outgoing:
        allowed = self._router.methods(incoming.raw_path)
        allowed.extend(method for method, path in self._entrances if path == incoming.raw_path)
        failure = Failure(405, "Method not allowed.") if allowed else Failure(404, "No such operation.")
        refusal = self._refuse(failure, None, incoming)
        if allowed:
            refusal.headers = ((b"allow", ", ".join(allowed).encode()),)
        return refusal

    def _refuse(self, failure: Failure, operation: Operation | None, incoming: Incoming) -> Outgoing:
        return refused(failure, operation, incoming, self.world.now())


def create_app(
    *,
    state: str = MEMORY,
    api_key: str | None = None,
    workspace_guid: str | None = None,
    clock: Clock = system_clock,
    log_size: int = 10_000,
    options: Options | None = None,
) -> App:
    """Make the application. `state` is a file, or by default the memory; credentials are kept with the state."""
    bundle = load_bundle()
    movable = clock if isinstance(clock, MovableClock) else MovableClock(clock)
    store = Store(state, movable)
    journal = Journal()
    mailbox = Mailbox()
    chosen = options or Options()
    actions = {
        item.event_type: item.action
        for item in bundle.operations
        if item.action is not None and item.event_type is not None
    }

    def make() -> tuple[World, Authenticator]:
        auth = Authenticator(
            api_key=api_key or store.setting("api_key", str(uuid.uuid4())),
            profile_key=store.setting("profile_key", str(uuid.uuid4())),
            workspace_guid=workspace_guid or store.setting("workspace_guid", str(uuid.uuid4())),
            secret=store.setting("secret", secrets.token_hex(32)).encode(),
            clock=movable,
            store=store,
            options=chosen,
        )
        world = World(
            store=store,
            clock=movable,
            validation=_validation(),
            actions=actions,
            reserved=bundle.reserved,
            auth=auth,
            accounts=Accounts(store, mailbox, lambda: iso_of(int(movable() * 1000))),
            mailbox=mailbox,
            options=chosen,
            journal=journal,
        )
        return world, auth

    return App(bundle=bundle, make=make, log=Log(log_size), clock=movable)


@cache
def _validation() -> Validation:
    """Sandboxes share what is compiled: it depends on the bundle alone."""
    return Validation(load_bundle())


def _authorization(incoming: Incoming) -> str | None:
    sent = incoming.headers.get(b"authorization")
    return None if sent is None else sent.decode("latin-1")


def _token(incoming: Incoming) -> str | None:
    kind, _, value = (_authorization(incoming) or "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None
