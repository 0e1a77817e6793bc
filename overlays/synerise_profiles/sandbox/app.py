"""The sandbox as an ASGI application: route, authenticate, check, handle, answer. `respond` does it all without I/O."""

from __future__ import annotations

import logging
import secrets
import threading
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from .answers import NOTHING, Answer, Failure, Job, error_body, problem
from .auth import Authenticator, Caller
from .bundle import Bundle, Operation, is_object, load_bundle
from .clock import Clock, system_clock
from .handlers import handler_for
from .log import Exchange, Log, Outcome
from .options import Options
from .queue import Queue
from .routes import Router
from .state.database import MEMORY
from .store import Store
from .validation import Validation
from .world import Call, Handler, World

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = "application/json"
MOST_BYTES = 32_000_000
"""More than any operation allows by far; only keeps a mistake from filling the memory."""

_QUEUED = (202, 207)

_logger = logging.getLogger("synerise_profiles.sandbox")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came; header names in lower case."""

    method: str
    raw_path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    content: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An answer as it goes out."""

    status: int
    media_type: str | None = None
    content: bytes = b""
    allow: str = ""


class App:
    """One workspace of the API. Make it with `create_app`."""

    def __init__(self, *, bundle: Bundle, world: World, auth: Authenticator, log: Log) -> None:
        self.world = world
        self.auth = auth
        self.log = log
        self.queue = Queue()
        self._lock = threading.RLock()
        self._login = bundle.login
        self._login_path = bundle.login.path.encode()
        self._router = Router(bundle.operations)
        self._handlers: dict[str, Handler] = {item.name: handler_for(item) for item in bundle.operations}

    @property
    def store(self) -> Store:
        """The state."""
        return self.world.store

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request of an ASGI server."""
        if scope["type"] != "http":
            return
        content = await _read(receive)
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        incoming = Incoming(scope["method"], raw_path, scope["query_string"], headers, content)
        outgoing = self.respond(incoming)
        fields = [(b"content-length", str(len(outgoing.content)).encode())]
        if outgoing.media_type is not None:
            fields.append((b"content-type", outgoing.media_type.encode()))
        if outgoing.allow:
            fields.append((b"allow", outgoing.allow.encode()))
        await send({"type": "http.response.start", "status": outgoing.status, "headers": fields})
        await send({"type": "http.response.body", "body": outgoing.content})

    def respond(self, incoming: Incoming) -> Outgoing:
        """Answer one request, do its work or queue it, and note it in the log."""
        with self._lock:
            self.queue.run_due(self.world.clock())
            return self._respond(incoming)

    def drain(self) -> int:
        """Do all queued work now; how many requests that were. Safe from any thread."""
        with self._lock:
            return self.queue.drain()

    def _respond(self, incoming: Incoming) -> Outgoing:
        kept = incoming.content if self.world.options.keep_bodies else None
        exchange = Exchange(incoming.method, incoming.raw_path.decode("latin-1"), "", 0, len(incoming.content), 0)
        exchange.body = kept
        operation: Operation | None = None
        try:
            if incoming.raw_path == self._login_path and incoming.method == self._login.method:
                exchange.operation = "login"
                outgoing = self._log_in(incoming)
            else:
                match = self._router.match(incoming.method, incoming.raw_path)
                if match is None:
                    outgoing = self._unknown(incoming)
                else:
                    operation = match.operation
                    exchange.path, exchange.operation = operation.path, operation.name
                    outgoing = self._perform(operation, match.raw, incoming, exchange)
        except Failure as failure:
            outgoing = self._refuse(failure, operation, incoming)
        except Exception as error:
            _logger.exception("%s failed", exchange.operation or exchange.path)
            outgoing = self._refuse(Failure(500, f"{type(error).__name__} in the sandbox"), operation, incoming)
        exchange.status, exchange.bytes_sent = outgoing.status, len(outgoing.content)
        self.log.add(exchange)
        return outgoing

    def _perform(self, operation: Operation, raw: dict[str, bytes], incoming: Incoming, exchange: Exchange) -> Outgoing:
        validation = self.world.validation
        authorization = incoming.headers.get(b"authorization")
        caller = self.auth.caller(operation, None if authorization is None else authorization.decode("latin-1"))
        if operation.body is not None and incoming.content:
            _check_media_type(incoming)
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
            exchange.outcomes = (Outcome.APPLIED,) * answer.applied
        else:
            self._carry_out(operation, answer, answer.job, exchange)
        return _written(operation, answer)

    def _carry_out(self, operation: Operation, answer: Answer, job: Job, exchange: Exchange) -> None:
        """Do the work at once, or queue it where the answer says no more than that it was accepted."""

        def work() -> None:
            exchange.outcomes = tuple(job())

        status = operation.success if answer.status is None else answer.status
        if status in _QUEUED and (self.world.options.delay > 0 or len(self.queue) > 0):
            self.queue.add(self.world.clock() + self.world.options.delay, work)
        else:
            work()

    def _log_in(self, incoming: Incoming) -> Outgoing:
        if len(incoming.content) > 0:
            _check_media_type(incoming)
        try:
            sent: Any = orjson.loads(incoming.content)
        except orjson.JSONDecodeError:
            sent = None
        key: Any = sent.get(self._login.key_field) if is_object(sent) else None
        if not isinstance(key, str) or not key:
            raise Failure(400, "The API key is missing.", [problem(self._login.key_field, "is required")])
        if not secrets.compare_digest(key.encode(), self.auth.api_key.encode()):
            raise Failure(401, "Invalid API key.")
        token = self.auth.mint(Caller("workspace"))
        return Outgoing(200, JSON, orjson.dumps({self._login.token_field: token}))

    def _unknown(self, incoming: Incoming) -> Outgoing:
        allowed = self._router.methods(incoming.raw_path)
        if incoming.raw_path == self._login_path:
            allowed.append(self._login.method)
        failure = Failure(405, "Method not allowed.") if allowed else Failure(404, "No such operation.")
        refusal = self._refuse(failure, None, incoming)
        return Outgoing(refusal.status, refusal.media_type, refusal.content, allow=", ".join(allowed))

    def _refuse(self, failure: Failure, operation: Operation | None, incoming: Incoming) -> Outgoing:
        """An error in the form that the document gives for this operation and status."""
        reply = None if operation is None else operation.reply(failure.status)
        if reply is not None and reply.media_type is None:
            return Outgoing(failure.status)
        if reply is not None and reply.media_type == "text/plain":
            return Outgoing(failure.status, "text/plain; charset=utf-8", failure.message.encode())
        path = incoming.raw_path.decode("latin-1")
        body = error_body(failure.status, failure.message, path, self.world.now(), failure.errors)
        if path.startswith("/sauth/"):
            body["traceId"] = secrets.token_hex(8)
        return Outgoing(failure.status, JSON, orjson.dumps(body))


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
    store = Store(state)
    auth = Authenticator(
        api_key=api_key or store.setting("api_key", str(uuid.uuid4())),
        workspace_guid=workspace_guid or store.setting("workspace_guid", str(uuid.uuid4())),
        secret=store.setting("secret", secrets.token_hex(32)).encode(),
        clock=clock,
    )
    prefix = "/v4/events/"
    actions = {
        item.path.removeprefix(prefix): item.action
        for item in bundle.operations
        if item.action is not None and item.path.startswith(prefix)
    }
    world = World(
        store=store, clock=clock, validation=Validation(bundle), actions=actions, options=options or Options()
    )
    return App(bundle=bundle, world=world, auth=auth, log=Log(log_size))


def _written(operation: Operation, answer: Answer) -> Outgoing:
    """A success in the form that the document gives for this operation and status."""
    status = operation.success if answer.status is None else answer.status
    reply = operation.reply(status)
    if reply is None or reply.media_type is None:
        return Outgoing(status)
    if reply.media_type != JSON:
        return Outgoing(status, f"{reply.media_type}; charset=utf-8")
    content = b"{}" if answer.body is NOTHING else orjson.dumps(answer.body)
    return Outgoing(status, JSON, content)


def _check_media_type(incoming: Incoming) -> None:
    sent = incoming.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if sent != JSON.encode():
        raise Failure(415, f"Media type {sent.decode('latin-1')!r} is not supported; send {JSON}.")
    coding = incoming.headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise Failure(415, "A compressed body is not supported.")


async def _read(receive: Receive) -> bytes:
    """The whole body. What exceeds the bound is read to its end and thrown away, so that the refusal arrives."""
    message = await receive()
    content: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return content
    chunks, size = [content], len(content)
    while message.get("more_body", False):
        message = await receive()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= MOST_BYTES:
            chunks.append(chunk)
    return b"".join(chunks)
