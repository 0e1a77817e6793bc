"""The sandbox as an ASGI application: route, authorize, validate, run the handler, render.

`App.respond` does all that without I/O, so that tests need no server; `__call__` only reads, waits and sends. A handler
checks and answers at once, and hands back its write: this module runs it, or delays it where the answer is no more than
"accepted" and `SandboxOptions.delay` asks for it. Faults are picked here and played by `admin.fault_injection`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from .admin.control import ControlAPI
from .admin.fault_injection import apply_fault, body_bytes_sent, emit_fault
from .admin.faults import Fault, FaultKind, Faults
from .admin.host_check import HostCheck, check_hosts
from .admin.request_log import LoggedRequest, RequestLog, interned
from .admin.workspace import Workspace
from .clock import Clock, MovableClock, iso_of, system_clock
from .context import Context, Handler, RequestContext
from .domain.profiles import ProfileShape
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
from .http.auth import Authenticator
from .http.messages import JSON, DateHeader, HTTPRequest, HTTPResponse
from .http.rendering import check_media_type, render_refusal, render_response
from .http.routing import RouteMatch, Router
from .http.validation import RequestValidator
from .options import SandboxOptions
from .responses import HandlerResponse, Outcome, RefusedRequest, Write
from .spec import OpenAPISpec, OperationSpec, load_spec
from .storage.accounts import AccountStore
from .storage.database import MEMORY
from .storage.dropped_writes import DroppedWrites
from .storage.mailbox import Mailbox
from .storage.store import StateStore

_DELAYABLE_STATUSES = (202, 207)

_logger = logging.getLogger("synerise_profiles.sandbox")


@dataclass(slots=True)
class RoutedRequest:
    """A request, the operation or token endpoint that it asks for, and the fault that it meets.

    `operation_name` is "" where the path or the method is unknown.
    """

    http_request: HTTPRequest
    operation_name: str
    match: RouteMatch | None
    token_endpoint: TokenEndpoint | None = None
    fault: Fault | None = None


class App(Workspace):
    """A workspace that answers requests as an ASGI application; make it with `create_app`."""

    def __init__(
        self,
        *,
        spec: OpenAPISpec,
        make_context: Callable[[], tuple[Context, Authenticator]],
        log: RequestLog,
        clock: MovableClock,
        host_check: HostCheck,
    ) -> None:
        endpoints = token_endpoints(spec.login)
        names = [(item.name, item.endpoint.method, item.endpoint.path) for item in endpoints]
        names.extend((item.name, item.method, item.path) for item in spec.operations)
        super().__init__(make_context=make_context, log=log, clock=clock, faults=Faults(names))
        self._token_endpoints = {(item.endpoint.method, item.endpoint.path.encode()): item for item in endpoints}
        self._router = Router(spec.operations)
        self._handlers: dict[str, Handler | None] = {item.name: handler_for(item) for item in spec.operations}
        self._date = DateHeader()
        self._control_api = ControlAPI(self, host_check)

    async def __call__(self, scope: ASGIMessage, receive: ASGIReceive, send: ASGISend) -> None:
        """Answer one request of an ASGI server."""
        if scope["type"] != "http":
            return
        http_request = await read_request(scope, receive)
        if http_request is None:
            return
        if self._control_api.handles(http_request.raw_path):
            await send_response(self._control_api.respond(http_request), self._now(), send)
            return
        routed = self.route(http_request)
        fault = routed.fault
        if fault is not None and fault.kind is FaultKind.DELAY and not fault.processed:
            await wait_for_disconnect(fault.seconds, receive)
        http_response = self.handle(routed)
        if routed.fault is None:
            await send_response(http_response, self._now(), send)
        else:
            await emit_fault(routed.fault, http_response, self._now(), scope, receive, send)

    def respond(self, http_request: HTTPRequest) -> HTTPResponse:
        """Answer one request without a connection: `route` and `handle` in one."""
        return self.handle(self.route(http_request))

    def route(self, http_request: HTTPRequest) -> RoutedRequest:
        """Find what a request asks for, and the fault that it meets."""
        endpoint = self._token_endpoints.get((http_request.method, http_request.raw_path))
        if endpoint is not None:
            routed = RoutedRequest(http_request, endpoint.name, None, endpoint)
        else:
            match = self._router.match(http_request.method, http_request.raw_path)
            routed = RoutedRequest(http_request, "" if match is None else match.operation.name, match)
        if self.faults:
            routed.fault = self.faults.pick(routed.operation_name, bearer=http_request.bearer_token is not None)
        return routed

    def handle(self, routed: RoutedRequest) -> HTTPResponse:
        """Answer a request, run or delay its write, apply its fault to the answer, and log it."""
        http_request, match = routed.http_request, routed.match
        path = http_request.raw_path.decode("latin-1") if match is None else match.operation.path
        logged = LoggedRequest(http_request.method, path, routed.operation_name, 0, len(http_request.content), 0)
        logged.body = http_request.content if self.context.options.keep_bodies else None
        with self._lock:
            logged.time = self.context.clock()
            self.delayed_writes.run_due(logged.time)
            if routed.fault is None or routed.fault.carries_out:
                http_response = self._carry_out(routed, logged)
            else:
                http_response = HTTPResponse(204)
            if routed.fault is None and self.faults:
                routed.fault = self.faults.pick(routed.operation_name, status=http_response.status)
            logged.bytes_sent = len(http_response.content)
            if routed.fault is not None:
                http_response = self._apply_fault(routed, routed.fault, http_response)
                logged.fault = routed.fault.label
                logged.bytes_sent = body_bytes_sent(routed.fault, http_response)
            closed = routed.fault is not None and routed.fault.kind is FaultKind.CLOSE
            logged.status = 0 if closed else http_response.status
            self.log.add(logged)
        return http_response

    def _now(self) -> bytes:
        return self._date.at(self.context.clock())

    def _carry_out(self, routed: RoutedRequest, logged: LoggedRequest) -> HTTPResponse:
        http_request, match = routed.http_request, routed.match
        operation = None if match is None else match.operation
        try:
            if routed.token_endpoint is not None:
                return self._respond_at_token_endpoint(routed.token_endpoint, http_request)
            if match is None:
                return self._refuse_unknown(http_request)
            return self._run_handler(match.operation, match.raw_parameters, http_request, logged)
        except RefusedRequest as refusal:
            return self._refuse(refusal, operation, http_request)
        except Exception as error:
            _logger.exception("%s failed", logged.operation or logged.path)
            return self._refuse(RefusedRequest(500, f"{type(error).__name__} in the sandbox"), operation, http_request)

    def _apply_fault(self, routed: RoutedRequest, fault: Fault, http_response: HTTPResponse) -> HTTPResponse:
        if fault.kind is FaultKind.EXPIRE_TOKEN:
            with contextlib.suppress(ValueError):  # what is no token of this sandbox is invalid already
                self.auth.revoke(routed.http_request.bearer_token or "")
        operation = None if routed.match is None else routed.match.operation
        return apply_fault(fault, http_response, operation, routed.http_request, self.context.now())

    def _run_handler(
        self, operation: OperationSpec, raw: dict[str, bytes], http_request: HTTPRequest, logged: LoggedRequest
    ) -> HTTPResponse:
        validator = self.context.validator
        handler = self._handlers[operation.name]
        if handler is None:
            raise RefusedRequest(501, f"The sandbox has no handler for {operation.name}.")
        self.context.refuse_sunset(operation)
        caller = self.auth.authorize(operation, http_request.authorization)
        if operation.body_pointer is not None and http_request.content:
            check_media_type(http_request)
        validator.headers(operation, http_request.headers)
        request = RequestContext(
            operation=operation,
            path=validator.path(operation, raw),
            query=validator.query(operation, http_request.query),
            body=validator.body(operation, http_request.content),
            caller=caller,
            context=self.context,
        )
        response = handler(request)
        if response.write is None:
            logged.outcomes = interned(response.outcomes or (Outcome.APPLIED,) * response.applied)
        else:
            self._write_or_delay(operation, response, response.write, logged)
        return render_response(operation, response)

    def _write_or_delay(
        self, operation: OperationSpec, response: HandlerResponse, write: Write, logged: LoggedRequest
    ) -> None:
        """Run the write at once, or delay it where the answer says no more than that it was accepted."""
        status = operation.success_status if response.status is None else response.status
        delay = self.context.options.delay
        if status not in _DELAYABLE_STATUSES or (delay <= 0 and not self.delayed_writes):
            logged.outcomes = interned(write())
            return

        def apply_delayed() -> None:
            logged.waiting = False
            try:
                logged.outcomes = interned(write())
            except Exception:  # nobody waits for an answer any more
                _logger.exception("queued work of %s failed", logged.operation)

        logged.waiting = True
        self.delayed_writes.add(logged.time + delay, apply_delayed)

    def _respond_at_token_endpoint(self, endpoint: TokenEndpoint, http_request: HTTPRequest) -> HTTPResponse:
        if len(http_request.content) > 0:
            check_media_type(http_request)
        try:
            body: Any = orjson.loads(http_request.content)
        except orjson.JSONDecodeError:
            body = None
        return HTTPResponse(200, JSON, orjson.dumps(endpoint.respond(self.context, body, http_request.authorization)))

    def _refuse_unknown(self, http_request: HTTPRequest) -> HTTPResponse:
        allowed = self._router.methods(http_request.raw_path)
        allowed.extend(method for method, path in self._token_endpoints if path == http_request.raw_path)
        refusal = RefusedRequest(405, "Method not allowed.") if allowed else RefusedRequest(404, "No such operation.")
        http_response = self._refuse(refusal, None, http_request)
        if allowed:
            http_response.headers = ((b"allow", ", ".join(allowed).encode()),)
        return http_response

    def _refuse(
        self, refusal: RefusedRequest, operation: OperationSpec | None, http_request: HTTPRequest
    ) -> HTTPResponse:
        return render_refusal(refusal, operation, http_request, self.context.now())


def create_app(
    *,
    state: str | os.PathLike[str] = MEMORY,
    api_key: str | None = None,
    workspace_guid: str | None = None,
    clock: Clock = system_clock,
    log_size: int = 10_000,
    options: SandboxOptions | None = None,
    allow_hosts: Collection[str] = (),
) -> App:
    """Make the application.

    `state` is the path of an SQLite file, by default the memory. `api_key` and `workspace_guid` are made up where none
    is given, and kept with the state. `clock` gives seconds since 1970; `log_size` is how many requests the log keeps.
    `allow_hosts` are names, beside those of this machine, by which the start page and the control API may be asked.
    Raises InvalidRequestError (a ValueError) for a file that is no state, of another version, in use or not usable,
    and for a name that is no host.
    """
    spec = load_spec()
    check_hosts(allow_hosts)
    host_check = HostCheck(allow_hosts)
    movable_clock = clock if isinstance(clock, MovableClock) else MovableClock(clock)
    store = StateStore(state, movable_clock, ProfileShape(spec.profile_fields, spec.agreements))
    dropped_writes = DroppedWrites()
    mailbox = Mailbox()
    chosen_options = options or SandboxOptions()

    def make_context() -> tuple[Context, Authenticator]:
        auth = Authenticator(
            api_key=api_key or store.setting("api_key", str(uuid.uuid4())),
            profile_key=store.setting("profile_key", str(uuid.uuid4())),
            workspace_guid=workspace_guid or store.setting("workspace_guid", str(uuid.uuid4())),
            secret=store.setting("secret", secrets.token_hex(32)).encode(),
            clock=movable_clock,
            store=store,
            options=chosen_options,
        )
        context = Context(
            store=store,
            clock=movable_clock,
            validator=_validator(spec),
            spec=spec,
            auth=auth,
            accounts=AccountStore(store, mailbox, lambda: iso_of(int(movable_clock() * 1000))),
            mailbox=mailbox,
            options=chosen_options,
            dropped_writes=dropped_writes,
        )
        return context, auth

    log = RequestLog(log_size)
    try:
        return App(spec=spec, make_context=make_context, log=log, clock=movable_clock, host_check=host_check)
    except BaseException:
        store.close()
        raise


@cache
def _validator(spec: OpenAPISpec) -> RequestValidator:
    """One for all sandboxes of a spec: compiling schemas is slow."""
    return RequestValidator(spec)
