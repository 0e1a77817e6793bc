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

from .admin.control import ControlAPI
from .admin.fault_injection import apply_fault, body_bytes_sent, emit_fault
from .admin.faults import Fault, FaultKind, Faults
from .admin.request_log import LoggedRequest, RequestLog, interned
from .clock import Clock, MovableClock, iso_of, system_clock
from .context import Context, Handler, RequestContext
from .handlers import handler_for
from .handlers.token_endpoints import TokenEndpoint, token_endpoints
from .http.asgi import (
    ASGIMessage,
    ASGIReceive,
    ASGISend,
    read_request,
    send_response,
    wait_for_disconnect,
)
from .http.auth import Authenticator, Caller
from .http.messages import JSON, DateHeader, HTTPRequest, HTTPResponse
from .http.rendering import check_media_type, render_refusal, render_response
from .http.routing import RouteMatch, Router
from .http.validation import RequestValidator
from .options import SandboxOptions
from .responses import HandlerResponse, Outcome, RefusedRequest, Write
from .spec import OpenAPISpec, OperationSpec, is_object, load_spec
from .storage.accounts import AccountStore
from .storage.database import MEMORY
from .storage.delayed_writes import DelayedWriteQueue
from .storage.dropped_writes import DroppedWrites
from .storage.mailbox import Mailbox
from .storage.store import StateStore

_DELAYABLE_STATUSES = (202, 207)

_logger = logging.getLogger("synerise_profiles.sandbox")


@dataclass(slots=True)
class RoutedRequest:
    """A request that was received: what it asks for, and the fault that it meets. `name` is "" for nothing known."""

    http_request: HTTPRequest
    operation_name: str
    match: RouteMatch | None
    token_endpoint: TokenEndpoint | None = None
    fault: Fault | None = None


class App:
    """One workspace of the API. Make it with `create_app`."""

    def __init__(
        self,
        *,
        spec: OpenAPISpec,
        make_context: Callable[[], tuple[Context, Authenticator]],
        log: RequestLog,
        clock: MovableClock,
    ) -> None:
        self._make_context = make_context
        self.clock = clock
        self.context, self.auth = make_context()
        self.log = log
        self.delayed_writes = DelayedWriteQueue()
        self._lock = threading.RLock()
        self._token_field = spec.login.token_field
        self._token_endpoints = {
            (item.endpoint.method, item.endpoint.path.encode()): item for item in token_endpoints(spec.login)
        }
        self._router = Router(spec.operations)
        self._handlers: dict[str, Handler] = {item.name: handler_for(item) for item in spec.operations}
        self._date = DateHeader()
        doors = [(item.name, item.endpoint.method, item.endpoint.path) for item in self._token_endpoints.values()]
        self.faults = Faults([*doors, *((item.name, item.method, item.path) for item in spec.operations)])
        self._control_api = ControlAPI(self)

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
        """Mint a token of a consumer."""
        return self.auth.issue_token(
            Caller(consumer, client_id, uuid, None if roles is None else frozenset(roles)), lifetime
        )

    async def __call__(self, scope: ASGIMessage, receive: ASGIReceive, send: ASGISend) -> None:
        """Answer one request of an ASGI server."""
        if scope["type"] != "http":
            return
        incoming = await read_request(scope, receive)
        if incoming is None:
            return
        if self._control_api.handles(incoming.raw_path):
            await send_response(self._control_api.respond(incoming), self._now(), send)
            return
        arrival = self.route(incoming)
        fault = arrival.fault
        if fault is not None and fault.kind is FaultKind.DELAY and not fault.processed:
            await wait_for_disconnect(fault.seconds, receive)
        outgoing = self.handle(arrival)
        if arrival.fault is None:
            await send_response(outgoing, self._now(), send)
        else:
            await emit_fault(arrival.fault, outgoing, self._now(), scope, receive, send)

    def respond(self, incoming: HTTPRequest) -> HTTPResponse:
        """Answer one request without a connection: `arrive` and `answer` in one."""
        return self.handle(self.route(incoming))

    def route(self, incoming: HTTPRequest) -> RoutedRequest:
        """Find what a request asks for, and the fault that it meets."""
        entrance = self._token_endpoints.get((incoming.method, incoming.raw_path))
        if entrance is not None:
            arrival = RoutedRequest(incoming, entrance.name, None, entrance)
        else:
            match = self._router.match(incoming.method, incoming.raw_path)
            arrival = RoutedRequest(incoming, "" if match is None else match.operation.name, match)
        if self.faults:
            arrival.fault = self.faults.pick(arrival.operation_name, bearer=_bearer_token(incoming) is not None)
        return arrival

    def handle(self, arrival: RoutedRequest) -> HTTPResponse:
        """Answer a request, do its work or queue it, spoil the answer if it meets a fault, and note it in the log."""
        incoming, match = arrival.http_request, arrival.match
        path = incoming.raw_path.decode("latin-1") if match is None else match.operation.path
        exchange = LoggedRequest(incoming.method, path, arrival.operation_name, 0, len(incoming.content), 0)
        exchange.body = incoming.content if self.context.options.keep_bodies else None
        with self._lock:
            exchange.time = self.context.clock()
            self.delayed_writes.run_due(exchange.time)
            if arrival.fault is None or arrival.fault.carries_out:
                outgoing = self._carry_out(arrival, exchange)
            else:
                outgoing = HTTPResponse(204)
            if arrival.fault is None and self.faults:
                arrival.fault = self.faults.pick(arrival.operation_name, status=outgoing.status)
            exchange.bytes_sent = len(outgoing.content)
            if arrival.fault is not None:
                outgoing = self._apply_fault(arrival, arrival.fault, outgoing)
                exchange.fault = arrival.fault.label
                exchange.bytes_sent = body_bytes_sent(arrival.fault, outgoing)
            closed = arrival.fault is not None and arrival.fault.kind is FaultKind.CLOSE
            exchange.status = 0 if closed else outgoing.status
            self.log.add(exchange)
        return outgoing

    def run_due_writes(self) -> None:
        """Do the queued work that is due. Safe from any thread."""
        if self.delayed_writes:
            with self._lock:
                self.delayed_writes.run_due(self.context.clock())

    def drain(self) -> int:
        """Do all queued work now; how many requests that were. Safe from any thread."""
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

    def _now(self) -> bytes:
        return self._date.at(self.context.clock())

    def _carry_out(self, arrival: RoutedRequest, exchange: LoggedRequest) -> HTTPResponse:
        incoming, match = arrival.http_request, arrival.match
        operation = None if match is None else match.operation
        try:
            if arrival.token_endpoint is not None:
                return self._respond_with_token(arrival.token_endpoint, incoming)
            if match is None:
                return self._refuse_unknown(incoming)
            return self._run_handler(match.operation, match.raw_parameters, incoming, exchange)
        except RefusedRequest as failure:
            return self._refuse(failure, operation, incoming)
        except Exception as error:
            _logger.exception("%s failed", exchange.operation or exchange.path)
            return self._refuse(RefusedRequest(500, f"{type(error).__name__} in the sandbox"), operation, incoming)

    def _apply_fault(self, arrival: RoutedRequest, fault: Fault, outgoing: HTTPResponse) -> HTTPResponse:
        if fault.kind is FaultKind.EXPIRE_TOKEN:
            with contextlib.suppress(ValueError):  # a token that is none is worth nothing already
                self.auth.revoke(_bearer_token(arrival.http_request) or "")
        operation = None if arrival.match is None else arrival.match.operation
        return apply_fault(fault, outgoing, operation, arrival.http_request, self.context.now())

    def _run_handler(
        self, operation: OperationSpec, raw: dict[str, bytes], incoming: HTTPRequest, exchange: LoggedRequest
    ) -> HTTPResponse:
        validation = self.context.validator
        self.context.refuse_sunset(operation)
        caller = self.auth.authorize(operation, _authorization(incoming))
        if operation.body_pointer is not None and incoming.content:
            check_media_type(incoming)
        validation.headers(operation, incoming.headers)
        call = RequestContext(
            operation=operation,
            path=validation.path(operation, raw),
            query=validation.query(operation, incoming.query),
            body=validation.body(operation, incoming.content),
            caller=caller,
            context=self.context,
        )
        answer = self._handlers[operation.name](call)
        if answer.write is None:
            exchange.outcomes = interned(answer.outcomes or (Outcome.APPLIED,) * answer.applied)
        else:
            self._write_or_delay(operation, answer, answer.write, exchange)
        return render_response(operation, answer)

    def _write_or_delay(
        self, operation: OperationSpec, answer: HandlerResponse, write: Write, exchange: LoggedRequest
    ) -> None:
        """Do the work at once, or queue it where the answer says no more than that it was accepted."""
        status = operation.success_status if answer.status is None else answer.status
        delay = self.context.options.delay
        if status not in _DELAYABLE_STATUSES or (delay <= 0 and not self.delayed_writes):
            exchange.outcomes = interned(write())
            return

        def work() -> None:
            exchange.waiting = False
            try:
                exchange.outcomes = interned(write())
            except Exception:  # nobody waits for an answer any more
                _logger.exception("queued work of %s failed", exchange.operation)

        exchange.waiting = True
        self.delayed_writes.add(exchange.time + delay, work)

    def _respond_with_token(self, entrance: TokenEndpoint, incoming: HTTPRequest) -> HTTPResponse:
        if len(incoming.content) > 0:
            check_media_type(incoming)
        try:
            sent: Any = orjson.loads(incoming.content)
        except orjson.JSONDecodeError:
            sent = None
        token = entrance.issue_token(self.context, sent if is_object(sent) else {}, _authorization(incoming))
        return HTTPResponse(200, JSON, orjson.dumps({self._token_field: token}))

    def _refuse_unknown(self, incoming: HTTPRequest) -> HTTPResponse:
        allowed = self._router.methods(incoming.raw_path)
        allowed.extend(method for method, path in self._token_endpoints if path == incoming.raw_path)
        failure = RefusedRequest(405, "Method not allowed.") if allowed else RefusedRequest(404, "No such operation.")
        refusal = self._refuse(failure, None, incoming)
        if allowed:
            refusal.headers = ((b"allow", ", ".join(allowed).encode()),)
        return refusal

    def _refuse(self, failure: RefusedRequest, operation: OperationSpec | None, incoming: HTTPRequest) -> HTTPResponse:
        return render_refusal(failure, operation, incoming, self.context.now())


def create_app(
    *,
    state: str = MEMORY,
    api_key: str | None = None,
    workspace_guid: str | None = None,
    clock: Clock = system_clock,
    log_size: int = 10_000,
    options: SandboxOptions | None = None,
) -> App:
    """Make the application. `state` is a file, or by default the memory; credentials are kept with the state."""
    bundle = load_spec()
    movable = clock if isinstance(clock, MovableClock) else MovableClock(clock)
    store = StateStore(state, movable)
    dropped_writes = DroppedWrites()
    mailbox = Mailbox()
    chosen = options or SandboxOptions()
    actions = {
        item.event_type: item.action
        for item in bundle.operations
        if item.action is not None and item.event_type is not None
    }

    def make_context() -> tuple[Context, Authenticator]:
        auth = Authenticator(
            api_key=api_key or store.setting("api_key", str(uuid.uuid4())),
            profile_key=store.setting("profile_key", str(uuid.uuid4())),
            workspace_guid=workspace_guid or store.setting("workspace_guid", str(uuid.uuid4())),
            secret=store.setting("secret", secrets.token_hex(32)).encode(),
            clock=movable,
            store=store,
            options=chosen,
        )
        world = Context(
            store=store,
            clock=movable,
            validator=_shared_validator(),
            actions=actions,
            reserved=bundle.reserved,
            auth=auth,
            accounts=AccountStore(store, mailbox, lambda: iso_of(int(movable() * 1000))),
            mailbox=mailbox,
            options=chosen,
            dropped_writes=dropped_writes,
        )
        return world, auth

    return App(spec=bundle, make_context=make_context, log=RequestLog(log_size), clock=movable)


@cache
def _shared_validator() -> RequestValidator:
    """Sandboxes share what is compiled: it depends on the bundle alone."""
    return RequestValidator(load_spec())


def _authorization(incoming: HTTPRequest) -> str | None:
    sent = incoming.headers.get(b"authorization")
    return None if sent is None else sent.decode("latin-1")


def _bearer_token(incoming: HTTPRequest) -> str | None:
    kind, _, value = (_authorization(incoming) or "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None
