"""The sandbox's own control over HTTP, under /_sandbox/, and its start page at /. JSON in, JSON out, no authorization.

Nothing here is a path of the API, meets a fault or appears in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from synerise_profiles.sandbox.clock import iso_of
from synerise_profiles.sandbox.http.messages import HTML, JSON, HTTPRequest, HTTPResponse
from synerise_profiles.sandbox.spec import Json, is_object
from synerise_profiles.sandbox.storage.dropped_writes import DroppedWrite

from .faults import Fault, FaultKind, InjectedFault
from .request_log import LoggedRequest
from .start_page import SECURITY_HEADERS, page

if TYPE_CHECKING:
    from synerise_profiles.sandbox.app import App

PREFIX = "/_sandbox/"
DEFAULT_PAGE_ITEMS = 100
"""How many entries a list has by default; at most ten times as many."""

_MAX_SHOWN_CHARS = 400
_MAX_SHOWN_TAGS = 10

_Handler = Callable[["_ControlRequest"], Any]
_PATH = re.compile(r"/_sandbox/?(?P<name>[a-z-]*)(?:/(?P<number>\d{1,18}))?")
_logger = logging.getLogger("synerise_profiles.sandbox")
_NO_CACHE = (b"cache-control", b"no-store")


class _ControlError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _ControlRequest:
    """What was asked: the number at the end of the path, the query, the body."""

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
            sent: Any = orjson.loads(self._content or b"{}")
        except orjson.JSONDecodeError:
            raise _ControlError(400, "the body is not JSON") from None
        if not is_object(sent):
            raise _ControlError(400, "the body is not an object")
        for name, value in sent.items():
            if name not in allowed:
                raise _ControlError(400, f"{name}: unknown; one of {', '.join(allowed)}")
            kinds = allowed[name]
            wants_bool = kinds is bool
            if not isinstance(value, kinds) or (isinstance(value, bool) and not wants_bool):
                raise _ControlError(400, f"{name}: not of the right type")
        return sent


_NUMBER_TYPES = (int, float)
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
    """Answers what is asked about one application."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._handlers: dict[str, dict[str, _Handler]] = {
            "": {"GET": self._index},
            "state": {"GET": self._state},
            "page": {"GET": self._page},
            "log": {"GET": self._log, "DELETE": lambda _: app.log.clear()},
            "log/{number}": {"GET": self._log_entry},
            "dropped-writes": {"GET": self._dropped_writes, "DELETE": lambda _: app.context.dropped_writes.clear()},
            "faults": {"GET": self._faults, "POST": self._add_fault, "DELETE": lambda _: app.faults.clear()},
            "faults/{number}": {"GET": self._fault, "DELETE": self._remove_fault},
            "clock": {"GET": lambda _: self._clock(), "POST": self._move_clock},
            "options": {"GET": lambda _: asdict(app.context.options), "PATCH": self._set_options},
            "tokens": {"POST": self._issue_token},
            "mail": {"GET": self._mail},
            "drain": {"POST": lambda _: {"done": app.drain()}},
            "reset": {"POST": lambda _: app.reset()},
        }

    def handles(self, raw_path: bytes) -> bool:
        """Whether a path is answered here."""
        return raw_path == b"/" or raw_path.startswith(b"/_sandbox")

    def respond(self, incoming: HTTPRequest) -> HTTPResponse:
        """Answer one request."""
        if incoming.raw_path == b"/" and incoming.method in ("GET", "HEAD"):
            return HTTPResponse(200, HTML, page(), (*SECURITY_HEADERS, _NO_CACHE))
        try:
            status, body = 200, self._dispatch(incoming)
        except _ControlError as refusal:
            status, body = refusal.status, {"error": str(refusal)}
        except Exception as error:
            _logger.exception("%s failed", incoming.raw_path)
            status, body = 500, {"error": f"{type(error).__name__} in the sandbox"}
        content = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
        return HTTPResponse(status, JSON, content, (_NO_CACHE, (b"x-content-type-options", b"nosniff")))

    def _dispatch(self, incoming: HTTPRequest) -> Any:
        _refuse_other_sites(incoming)
        found = _PATH.fullmatch(incoming.raw_path.decode("latin-1"))
        name, number = (found["name"], found["number"]) if found else ("?", None)
        methods = self._handlers.get(name if number is None else f"{name}/{{number}}")
        if methods is None:
            raise _ControlError(404, f"nothing here; GET {PREFIX} lists what there is")
        handler = methods.get(incoming.method)
        if handler is None:
            raise _ControlError(405, f"allowed: {', '.join(methods)}")
        self._app.run_due_writes()
        query = dict(parse_qsl(incoming.query.decode("latin-1")))
        answer = handler(_ControlRequest(number, query, incoming.content))
        return {} if answer is None else answer

    def _index(self, _: _ControlRequest) -> Any:
        return [f"{method} {PREFIX}{name}" for name, methods in self._handlers.items() for method in methods]

    def _state(self, _: _ControlRequest) -> Json:
        app = self._app
        return {
            "workspace_guid": app.auth.workspace_guid,
            "api_key": app.auth.api_key,
            "counts": {
                **app.store.overview.counts(),
                "requests": app.log.total,
                "waiting": len(app.delayed_writes),
                "dropped": app.context.dropped_writes.total,
                "faults": len(app.faults),
            },
            "clock": self._clock(),
            "options": asdict(app.context.options),
        }

    def _page(self, request: _ControlRequest) -> Json:
        """All that the start page shows; little when nothing has happened since what it has `seen`."""
        app = self._app
        moved = (app.log.changes, app.context.dropped_writes.changes, len(app.delayed_writes))
        played = [(planned.number, planned.played, planned.active) for planned in app.faults]
        version = f"{hash((id(app.context), moved, tuple(played), repr(app.context.options))):x}"
        if request.query.get("seen") == version:
            return {"version": version, "clock": self._clock()}
        newest = app.store.overview.newest_profiles(DEFAULT_PAGE_ITEMS)
        profiles = [profile for client_id in newest if (profile := app.store.profile(client_id)) is not None]
        dropped = self._dropped_writes(request)["entries"]
        events = app.store.overview.newest_events(DEFAULT_PAGE_ITEMS)
        return {
            "version": version,
            **self._state(request),
            "log": self._log(request)["entries"],
            "dropped_writes": [{**entry, "item": _clipped(entry["item"])} for entry in dropped],
            "faults": [_injected_fault(planned) for planned in app.faults][-DEFAULT_PAGE_ITEMS:],
            "profiles": [_profile_row(profile) for profile in profiles],
            "events": [{**event, "params": _clipped(event["params"])} for event in events],
        }

    def _log(self, request: _ControlRequest) -> Json:
        found = self._app.log.newest(*request.page)
        return {"total": self._app.log.total, "entries": [_logged_request(number, item) for number, item in found]}

    def _log_entry(self, request: _ControlRequest) -> Json:
        for number, exchange in self._app.log.newest(1, request.number + 1):
            if number == request.number:
                body = None if exchange.body is None else exchange.body.decode("utf-8", "replace")
                return {
                    **_logged_request(number, exchange),
                    "body": body,
                    "each": [outcome.value for outcome in exchange.outcomes],
                }
        raise _ControlError(404, "no such entry")

    def _dropped_writes(self, request: _ControlRequest) -> Json:
        dropped = self._app.context.dropped_writes
        found = dropped.newest(*request.page)
        return {"total": dropped.total, "entries": [_dropped_write(number, item) for number, item in found]}

    def _faults(self, _: _ControlRequest) -> Any:
        return [_injected_fault(planned) for planned in self._app.faults]

    def _fault(self, request: _ControlRequest) -> Json:
        for planned in self._app.faults:
            if planned.number == request.number:
                return _injected_fault(planned)
        raise _ControlError(404, "no such fault")

    def _add_fault(self, request: _ControlRequest) -> Json:
        sent = request.body(_FAULT_FIELDS)
        kind = sent.pop("kind", None)
        if kind not in list(FaultKind):
            raise _ControlError(400, f"kind: one of {', '.join(FaultKind)}")
        try:
            return _injected_fault(self._app.faults.add(Fault(kind=FaultKind(kind), **sent)))
        except ValueError as error:
            raise _ControlError(400, str(error)) from None

    def _remove_fault(self, request: _ControlRequest) -> None:
        if not self._app.faults.remove(request.number):
            raise _ControlError(404, "no such fault is active")

    def _clock(self) -> Json:
        clock = self._app.clock
        return {"now": iso_of(int(clock() * 1000)), "offset": round(clock.offset, 3), "stopped": clock.stopped}

    def _move_clock(self, request: _ControlRequest) -> Json:
        """First stop or go, then set, then advance."""
        clock = self._app.clock
        sent = request.body({"advance": _NUMBER_TYPES, "set": str, "stopped": bool})
        try:
            to = datetime.fromisoformat(sent["set"]) if "set" in sent else None
            if "stopped" in sent:
                (clock.stop if sent["stopped"] else clock.go)()
            if to is not None:
                clock.set(to)
            clock.advance(sent.get("advance", 0.0))
        except ValueError as error:
            raise _ControlError(400, f"clock: {error}") from None
        self._app.run_due_writes()
        return self._clock()

    def _set_options(self, request: _ControlRequest) -> Json:
        options = self._app.context.options
        now: Json = asdict(options)
        numbers = {name for name, value in now.items() if isinstance(value, float)}
        texts = {name for name, value in now.items() if isinstance(value, str)}
        sent = request.body(
            {name: _NUMBER_TYPES if name in numbers else str if name in texts else bool for name in now}
        )
        for name, value in sent.items():
            setattr(options, name, float(value) if name in numbers else value)
        return asdict(options)

    def _issue_token(self, request: _ControlRequest) -> Json:
        sent = request.body(_TOKEN_FIELDS)
        try:
            return {"token": self._app.issue_token(sent.pop("consumer", "workspace"), **sent)}
        except ValueError as error:
            raise _ControlError(400, str(error)) from None

    def _mail(self, _: _ControlRequest) -> Any:
        return [asdict(message) for message in self._app.context.mailbox]


def _refuse_other_sites(incoming: HTTPRequest) -> None:
    """A page of another site, open in the same browser, has no business here."""
    origin = incoming.headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != incoming.headers.get(b"host"):
        raise _ControlError(403, "a page of another site may not ask this")


def _logged_request(number: int, exchange: LoggedRequest) -> Json:
    counted: dict[str, int] = {}
    for outcome in exchange.outcomes:
        counted[outcome.value] = counted.get(outcome.value, 0) + 1
    return {
        "number": number,
        "time": iso_of(int(exchange.time * 1000)),
        "method": exchange.method,
        "path": exchange.path,
        "operation": exchange.operation,
        "status": exchange.status,
        "bytes_received": exchange.bytes_received,
        "bytes_sent": exchange.bytes_sent,
        "outcomes": counted,
        "waiting": exchange.waiting,
        "fault": exchange.fault,
    }


def _dropped_write(number: int, entry: DroppedWrite) -> Json:
    return {"number": number, **{item.name: getattr(entry, item.name) for item in fields(entry)}}


def _injected_fault(planned: InjectedFault) -> Json:
    """A fault as it was asked for, and what became of it."""
    return {
        "number": planned.number,
        "label": planned.fault.label,
        "active": planned.active,
        "matched": planned.matched,
        "played": planned.played,
        **{item.name: getattr(planned.fault, item.name) for item in fields(planned.fault)},
    }


def _profile_row(profile: Json) -> Json:
    """A profile as a line of the start page."""
    names = (profile["firstName"], profile["lastName"])
    return {
        **{name: profile[name] for name in ("clientId", "email", "customId", "phone")},
        "name": profile["displayName"] or " ".join(filter(None, names)),
        "tags": profile["tags"][:_MAX_SHOWN_TAGS],
        "attributes": _clipped(profile["attributes"]),
    }


def _clipped(value: Any) -> str:
    """JSON for the eye: its beginning."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + " …"
