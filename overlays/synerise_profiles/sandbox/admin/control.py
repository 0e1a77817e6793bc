"""The control API: what `Sandbox` offers in Python, over HTTP under /_sandbox/, and the start page at /.

It is for tests in other languages, so paths and JSON keys are the names of Python. JSON in, JSON out, no authorization.
Nothing here is a path of the API, meets a fault or appears in the request log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from synerise_profiles.sandbox.clock import iso_of
from synerise_profiles.sandbox.http.messages import HTML, JSON, TEXT, HTTPRequest, HTTPResponse
from synerise_profiles.sandbox.schemas import Json
from synerise_profiles.sandbox.spec import is_object
from synerise_profiles.sandbox.storage.dropped_writes import DroppedWrite

from .faults import Fault, FaultKind, InjectedFault
from .host_check import HostCheck
from .request_log import LoggedRequest
from .start_page import SECURITY_HEADERS, page, profile_row, shortened_json
from .workspace import Workspace

PREFIX = "/_sandbox/"
DEFAULT_PAGE_ITEMS = 100
"""How many entries a list has by default; `limit` may ask for ten times as many."""

_Handler = Callable[["_ControlRequest"], Any]
_PATH = re.compile(r"/_sandbox/?(?P<name>[a-z-]*)(?:/(?P<number>\d{1,18}))?")
_logger = logging.getLogger("synerise_profiles.sandbox")
_NO_CACHE = (b"cache-control", b"no-store")


class _ControlError(Exception):
    """A refused request: its status and the one line of its body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _ControlRequest:
    """One request of the control API: the number at the end of its path, its query and its body."""

    def __init__(self, number: str | None, query: Mapping[str, str], content: bytes) -> None:
        self.number = int(number or 0)
        self.query = query
        self._content = content

    def whole_number(self, name: str, default: int | None) -> int | None:
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise _ControlError(400, f"{name}: expected a whole number")
        return int(text)

    @property
    def page(self) -> tuple[int, int | None]:
        return min(self.whole_number("limit", DEFAULT_PAGE_ITEMS) or 0, 10 * DEFAULT_PAGE_ITEMS), self.whole_number(
            "before", None
        )

    def body(self, allowed: Mapping[str, type | tuple[type, ...]]) -> Json:
        """The JSON object that was sent, with known names and values of their types."""
        try:
            body: Any = orjson.loads(self._content or b"{}")
        except orjson.JSONDecodeError:
            raise _ControlError(400, "the body is not JSON") from None
        if not is_object(body):
            raise _ControlError(400, "the body is not an object")
        for name, value in body.items():
            if name not in allowed:
                raise _ControlError(400, f"{name}: unknown{'; one of ' if allowed else ''}{', '.join(allowed)}")
            kinds = allowed[name]
            wants_bool = kinds is bool
            if not isinstance(value, kinds) or (isinstance(value, bool) and not wants_bool):
                raise _ControlError(400, f"{name}: not of the right type")
            if isinstance(value, int | float) and not abs(value) < _NUMBER_LIMITS[kinds is int]:
                raise _ControlError(400, f"{name}: too large")
        return body


_NUMBER_TYPES = (int, float)
_NUMBER_LIMITS = (1e12, 2**63)
"""What numbers of seconds, and whole numbers, are smaller than."""
_FAULT_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("kind", "operation", "method", "path", "media_type"), str),
    **dict.fromkeys(("times", "seed", "status", "size"), int),
    **dict.fromkeys(("rate", "retry_after", "seconds"), _NUMBER_TYPES),
    **dict.fromkeys(("processed", "retry_after_date", "reset"), bool),
}
_TOKEN_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "consumer": str,
    "client_id": int,
    "uuid": str,
    "lifetime": _NUMBER_TYPES,
}


class ControlAPI:
    """Answers the requests of the control API by one workspace. `handles` says which requests these are."""

    def __init__(self, workspace: Workspace, host_check: HostCheck) -> None:
        self._workspace = workspace
        self._host_check = host_check
        self._handlers: dict[str, dict[str, _Handler]] = {
            "": {"GET": self._index},
            "state": {"GET": self._state},
            "start-page": {"GET": self._start_page},
            "log": {"GET": self._log, "DELETE": _without_body(workspace.log.clear)},
            "log/{number}": {"GET": self._log_entry},
            "dropped-writes": {
                "GET": self._dropped_writes,
                "DELETE": _without_body(workspace.context.dropped_writes.clear),
            },
            "faults": {"GET": self._faults, "POST": self._add_fault, "DELETE": _without_body(workspace.faults.clear)},
            "faults/{number}": {"GET": self._fault, "DELETE": self._remove_fault},
            "clock": {"GET": lambda _: self._clock(), "POST": self._move_clock},
            "options": {"GET": lambda _: asdict(workspace.context.options), "PATCH": self._set_options},
            "tokens": {"POST": self._issue_token},
            "mailbox": {"GET": self._mailbox},
            "drain": {"POST": _without_body(lambda: {"done": workspace.drain()})},
            "reset": {"POST": _without_body(workspace.reset)},
        }

    def handles(self, raw_path: bytes) -> bool:
        """Whether a path is answered here."""
        return raw_path == b"/" or raw_path.startswith(b"/_sandbox")

    def respond(self, http_request: HTTPRequest) -> HTTPResponse:
        """Answer one request."""
        if not self._host_check.is_known(http_request):
            text = b"This host does not name the sandbox's machine. Start the sandbox with --allow-host to allow it.\n"
            return HTTPResponse(403, TEXT, text, (_NO_CACHE,))
        if http_request.raw_path == b"/" and http_request.method in ("GET", "HEAD"):
            return HTTPResponse(200, HTML, page(), (*SECURITY_HEADERS, _NO_CACHE))
        try:
            status, body = 200, self._dispatch(http_request)
        except _ControlError as refusal:
            status, body = refusal.status, {"error": str(refusal)}
        except Exception as error:
            _logger.exception("%s failed", http_request.raw_path)
            status, body = 500, {"error": f"{type(error).__name__} in the sandbox"}
        content = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
        return HTTPResponse(status, JSON, content, (_NO_CACHE, (b"x-content-type-options", b"nosniff")))

    def _dispatch(self, http_request: HTTPRequest) -> Any:
        if not self._host_check.is_same_site(http_request):
            raise _ControlError(403, "a page of another site may not ask this")
        found = _PATH.fullmatch(http_request.raw_path.decode("latin-1"))
        name, number = (found["name"], found["number"]) if found else ("?", None)
        methods = self._handlers.get(name if number is None else f"{name}/{{number}}")
        if methods is None:
            raise _ControlError(404, f"nothing here; GET {PREFIX} lists what there is")
        handler = methods.get(http_request.method)
        if handler is None:
            raise _ControlError(405, f"allowed: {', '.join(methods)}")
        self._workspace.run_due_writes()
        query = dict(parse_qsl(http_request.query.decode("latin-1")))
        answer = handler(_ControlRequest(number, query, http_request.content))
        return {} if answer is None else answer

    def _index(self, _: _ControlRequest) -> Any:
        return [f"{method} {PREFIX}{name}" for name, methods in self._handlers.items() for method in methods]

    def _state(self, _: _ControlRequest) -> Json:
        workspace = self._workspace
        return {
            "workspace_guid": workspace.auth.workspace_guid,
            "api_key": workspace.auth.api_key,
            "counts": {
                **workspace.store.overview.counts(),
                "requests": workspace.log.total,
                "delayed_writes": len(workspace.delayed_writes),
                "dropped_writes": workspace.context.dropped_writes.total,
                "faults": len(workspace.faults),
            },
            "clock": self._clock(),
            "options": asdict(workspace.context.options),
        }

    def _start_page(self, request: _ControlRequest) -> Json:
        """All that the start page shows; only version and clock while nothing has changed since the version `seen`."""
        workspace = self._workspace
        moved = (workspace.log.changes, workspace.context.dropped_writes.changes, len(workspace.delayed_writes))
        played = [(injected.number, injected.played, injected.active) for injected in workspace.faults]
        version = f"{hash((id(workspace.context), moved, tuple(played), repr(workspace.context.options))):x}"
        if request.query.get("seen") == version:
            return {"version": version, "clock": self._clock()}
        newest = workspace.store.overview.newest_profiles(DEFAULT_PAGE_ITEMS)
        profiles = [profile for client_id in newest if (profile := workspace.store.profile(client_id)) is not None]
        dropped = self._dropped_writes(request)["entries"]
        events = workspace.store.overview.newest_events(DEFAULT_PAGE_ITEMS)
        return {
            "version": version,
            **self._state(request),
            "log": self._log(request)["entries"],
            "dropped_writes": [{**entry, "item": shortened_json(entry["item"])} for entry in dropped],
            "faults": [_injected_fault(injected) for injected in workspace.faults][-DEFAULT_PAGE_ITEMS:],
            "profiles": [profile_row(profile) for profile in profiles],
            "events": [{**event, "params": shortened_json(event["params"])} for event in events],
        }

    def _log(self, request: _ControlRequest) -> Json:
        found = self._workspace.log.newest(*request.page)
        return {
            "total": self._workspace.log.total,
            "entries": [_logged_request(number, item) for number, item in found],
        }

    def _log_entry(self, request: _ControlRequest) -> Json:
        for number, logged in self._workspace.log.newest(1, request.number + 1):
            if number == request.number:
                body = None if logged.body is None else logged.body.decode("utf-8", "replace")
                return {
                    **_logged_request(number, logged),
                    "body": body,
                    "outcomes": [outcome.value for outcome in logged.outcomes],
                }
        raise _ControlError(404, "no such entry")

    def _dropped_writes(self, request: _ControlRequest) -> Json:
        dropped = self._workspace.context.dropped_writes
        found = dropped.newest(*request.page)
        return {"total": dropped.total, "entries": [_dropped_write(number, item) for number, item in found]}

    def _faults(self, _: _ControlRequest) -> Any:
        return [_injected_fault(injected) for injected in self._workspace.faults]

    def _fault(self, request: _ControlRequest) -> Json:
        for injected in self._workspace.faults:
            if injected.number == request.number:
                return _injected_fault(injected)
        raise _ControlError(404, "no such fault")

    def _add_fault(self, request: _ControlRequest) -> Json:
        body = request.body(_FAULT_FIELDS)
        kind = body.pop("kind", None)
        if kind not in list(FaultKind):
            raise _ControlError(400, f"kind: one of {', '.join(FaultKind)}")
        try:
            return _injected_fault(self._workspace.faults.add(Fault(kind=FaultKind(kind), **body)))
        except ValueError as error:
            raise _ControlError(400, str(error)) from None

    def _remove_fault(self, request: _ControlRequest) -> None:
        if not self._workspace.faults.remove(request.number):
            raise _ControlError(404, "no such fault is active")

    def _clock(self) -> Json:
        clock = self._workspace.clock
        return {"now": iso_of(int(clock() * 1000)), "offset": round(clock.offset, 3), "stopped": clock.stopped}

    def _move_clock(self, request: _ControlRequest) -> Json:
        """First stop or go, then set, then advance."""
        body = request.body({"advance": _NUMBER_TYPES, "set": str, "stopped": bool})
        try:
            to = datetime.fromisoformat(body["set"]) if "set" in body else None
            self._workspace.clock.change(stopped=body.get("stopped"), to=to, seconds=body.get("advance", 0.0))
        except (ValueError, OverflowError) as error:
            raise _ControlError(400, f"clock: {error}") from None
        self._workspace.run_due_writes()
        return self._clock()

    def _set_options(self, request: _ControlRequest) -> Json:
        options = self._workspace.context.options
        now: Json = asdict(options)
        numbers = {name for name, value in now.items() if isinstance(value, float)}
        texts = {name for name, value in now.items() if isinstance(value, str)}
        kinds: dict[str, type | tuple[type, ...]] = {name: str if name in texts else bool for name in now}
        kinds |= dict.fromkeys(numbers, _NUMBER_TYPES) | {"card_pool": list}
        body = request.body(kinds)
        if not all(isinstance(code, str) for code in body.get("card_pool", ())):
            raise _ControlError(400, "card_pool: expected a list of texts")
        for name in numbers & body.keys():
            if body[name] < 0:
                raise _ControlError(400, f"{name}: expected a number that is not negative")
        for name, value in body.items():
            setattr(options, name, float(value) if name in numbers else value)
        return asdict(options)

    def _issue_token(self, request: _ControlRequest) -> Json:
        body = request.body(_TOKEN_FIELDS)
        try:
            return {"token": self._workspace.issue_token(body.pop("consumer", "workspace"), **body)}
        except ValueError as error:
            raise _ControlError(400, str(error)) from None

    def _mailbox(self, _: _ControlRequest) -> Any:
        return [asdict(message) for message in self._workspace.context.mailbox]


def _without_body(act: Callable[[], Any]) -> _Handler:
    """Return the handler of a request that says nothing but what is to be done."""

    def handle(request: _ControlRequest) -> Any:
        request.body({})
        return act()

    return handle


def _logged_request(number: int, logged: LoggedRequest) -> Json:
    counted: dict[str, int] = {}
    for outcome in logged.outcomes:
        counted[outcome.value] = counted.get(outcome.value, 0) + 1
    return {
        "number": number,
        "time": iso_of(int(logged.time * 1000)),
        "method": logged.method,
        "path": logged.path,
        "operation": logged.operation,
        "status": logged.status,
        "bytes_received": logged.bytes_received,
        "bytes_sent": logged.bytes_sent,
        "outcome_counts": counted,
        "waiting": logged.waiting,
        "fault": logged.fault,
    }


def _dropped_write(number: int, entry: DroppedWrite) -> Json:
    return {"number": number, **{item.name: getattr(entry, item.name) for item in fields(entry)}}


def _injected_fault(injected: InjectedFault) -> Json:
    """A fault as it was asked for, and what became of it."""
    return {
        "number": injected.number,
        "label": injected.fault.label,
        "active": injected.active,
        "matched": injected.matched,
        "played": injected.played,
        **{item.name: getattr(injected.fault, item.name) for item in fields(injected.fault)},
    }
