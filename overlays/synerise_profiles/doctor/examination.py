"""`client.doctor()`: whether the host answers, the key is accepted, what it may do, the clock, the latency.

A workflow, written once for both clients. It reads and changes nothing: GET /v4/server/time, a login where the client
signs in by an API key, and the check of the key's permissions.
"""

from __future__ import annotations

import platform
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from statistics import median
from typing import Any, Final

import orjson

from synerise_profiles._core.config import Options
from synerise_profiles._core.server_clock import ClockState
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.tokens import LOGIN
from synerise_profiles._core.workflow import SendRequest, Workflow
from synerise_profiles.errors import APIConnectionError, APIStatusError, AuthenticationError, UnconfirmedResponseError
from synerise_profiles_api import settings
from synerise_profiles_api.api.events import server_time
from synerise_profiles_api.bounded import items_of
from synerise_profiles_api.decoding import read_json
from synerise_profiles_api.errors import InvalidRequestError, ResponseDecodingError, SyneriseError
from synerise_profiles_api.json_values import InvalidValueError, raise_if_of_a_signal
from synerise_profiles_api.names import closest_name
from synerise_profiles_api.operations import all_operations
from synerise_profiles_api.types import Operation, RawResponse, Request, Response

from .diagnosis import Check, CheckState, Diagnosis

__all__ = ["PERMISSION_CHECK", "diagnose"]


PERMISSION_CHECK: Final = Operation(
    resource="auth",
    method="check_permissions",
    operation_id="permissionCheck",
    http_method=settings.PERMISSION_CHECK_METHOD,
    path=settings.PERMISSION_CHECK_PATH,
    summary="Tell which permissions an API key has",
    consumers=("workspace",),
    retry="idempotent",
)
_SAMPLES: Final = 3
"""How many requests the latency is the median of; one before them opens the connection."""
_MAX_CALL_SECONDS: Final = 20.0
_SLOW_SECONDS: Final = 1.0
_MAX_CLOCK_OFFSET_SECONDS: Final = 2.0
_MAX_SHOWN: Final = 10
_UNREACHED: Final = "not looked at, since the host did not answer"
_NAME: Final = re.compile(r"[\w.-]+")


def diagnose(
    options: Options, sign_in_method: str, timing: Timing, methods: Sequence[str] | None = None
) -> Workflow[Diagnosis]:
    """Look at everything; raises InvalidRequestError for a method that does not exist, before anything is sent."""
    if isinstance(methods, str):
        raise InvalidRequestError(f"expected a list of names, got one text; write [{methods!r}]", field="methods")
    operations = _operations_of(methods)
    examination = _Examination(options, sign_in_method, timing)
    is_reached = yield from examination.measure()
    if is_reached:
        yield from examination.ask_for_permissions(operations, are_chosen=methods is not None)
    return examination.diagnosis()


class _Examination:
    """What has been found so far."""

    def __init__(self, options: Options, sign_in_method: str, timing: Timing) -> None:
        self._options = options
        self._sign_in_method = sign_in_method
        self._timing = timing
        self._checks = {
            name: Check(name=name, state="skipped", text=_UNREACHED)
            for name in ("host", "key", "permissions", "clock", "latency")
        }
        self._latencies: list[float] = []
        self._workspace: str | None = None
        self._permissions: dict[str, bool] = {}
        self._clock_offset: float | None = None
        self._clock_error: float | None = None

    def measure(self) -> Workflow[bool]:
        """Ask for the server's time a few times; returns whether the host answers at all."""
        clock = ClockState()
        for _ in range(1 + _SAMPLES):
            began = self._timing.monotonic()
            outcome = yield from _ask(server_time.request())
            ended = self._timing.monotonic()
            if isinstance(outcome, Exception):
                return self._take_host_failure(outcome)
            self._latencies.append(ended - began)
            if outcome.body.server_time is not None:
                clock.record_measurement(began, ended, self._timing.wall(), outcome.body.server_time)
        self._set("host", "ok", "it answers")
        self._take_latency(median(self._latencies[1:]))
        self._take_clock(clock)
        return True

    def ask_for_permissions(self, operations: Sequence[Operation], *, are_chosen: bool) -> Workflow[None]:
        """Ask which permissions the key has; that the key is accepted shows by the way."""
        consumer = self._options.consumer
        if consumer not in (None, "workspace"):
            text = f"not looked at: this client signs in as {consumer}, and only the key of a workspace can be asked"
            self._set("key", "skipped", text)
            self._set("permissions", "skipped", text)
            return
        needed: dict[str, list[str]] = {}
        for operation in operations:
            if operation.permission is not None:
                needed.setdefault(operation.permission, []).append(operation.name)
        outcome = yield from _ask(_permission_request(needed))
        if isinstance(outcome, Exception):
            self._take_key_failure(outcome)
            return
        self._workspace, self._permissions = outcome.body
        named = "" if self._workspace is None else f"; the workspace is {self._workspace}"
        self._set("key", "ok", f"accepted (signed in by {self._sign_in_method}){named}")
        self._take_permissions(needed, are_chosen=are_chosen)

    def diagnosis(self) -> Diagnosis:
        """Return what was found."""
        return Diagnosis(
            base_url=self._options.base_url,
            checks=tuple(self._checks.values()),
            workspace=self._workspace,
            permissions=self._permissions,
            clock_offset=self._clock_offset,
            clock_error=self._clock_error,
            latency=median(self._latencies[1:]) if len(self._latencies) > 1 else None,
            versions=dict(_versions()),
        )

    def _set(self, name: str, state: CheckState, text: str, advice: str = "") -> None:
        self._checks[name] = Check(name=name, state=state, text=text, advice=advice)

    def _take_host_failure(self, error: Exception) -> bool:
        """Take note of an answer that is none; returns whether the key may be asked for all the same."""
        if isinstance(error, APIConnectionError):
            advice = "check the network, a proxy or firewall in between, and the region or base_url of the client"
            self._set("host", "problem", error.problem, advice)
            return False
        if isinstance(error, APIStatusError) and (error.status_code == 429 or error.status_code >= 500):
            advice = "wait and try again; where it stays so, ask the publisher's support"
            self._set("host", "problem", f"it answers, but with {_status(error)}", advice)
        elif isinstance(error, SyneriseError):
            advice = "check base_url and proxies: another server than the API seems to answer"
            self._set("host", "problem", f"it answers, but not as the API does: {_brief(error)}", advice)
        else:
            self._set("host", "problem", _callers_text(error), "mend that function")
        return False

    def _take_key_failure(self, error: Exception) -> None:
        self._set("permissions", "skipped", "not looked at, since the key could not be asked")
        if isinstance(error, AuthenticationError):
            self._set("key", "problem", f"refused with {_status(error)}", self._key_advice(error))
        elif isinstance(error, APIStatusError) and error.operation != LOGIN.name:
            text = f"the login was accepted, but what it may do could not be asked: {_status(error)}"
            self._set("key", "note" if self._signs_in_by_login else "skipped", text)
        elif isinstance(error, SyneriseError):
            self._set("key", "skipped", f"no clear answer: {_brief(error)}", "try again")
        else:
            self._set("key", "problem", _callers_text(error), "mend that function")

    @property
    def _signs_in_by_login(self) -> bool:
        return self._sign_in_method == "an API key"

    def _key_advice(self, error: AuthenticationError) -> str:
        if "token" in self._sign_in_method:
            other = "if it is one of a user or a profile, say so by the client's argument consumer"
            return f"fetch a new token, of this region: it may have ended; {other}"
        if error.operation == LOGIN.name:
            region = "the region or base_url that the workspace belongs to"
            return (
                f"check that it is the API key of a workspace (not of a profile), {region}, and the IP rules of the key"
            )
        return "check workspace_guid and api_key, and that Basic is enabled for the key"

    def _take_permissions(self, needed: Mapping[str, Sequence[str]], *, are_chosen: bool) -> None:
        missing = [name for name in needed if not self._permissions.get(name, False)]
        count = len(needed)
        if not missing:
            text = f"all {count} that were asked for are there" if count else "none is needed"
            self._set("permissions", "ok", text)
            return
        shown = [f"{name} (for {', '.join(needed[name])})" for name in missing[:_MAX_SHOWN]]
        more = len(missing) - len(shown)
        text = f"{len(missing)} of {count} are missing: {'; '.join(shown)}{f'; and {more} more' if more else ''}"
        if are_chosen or len(missing) == count:
            self._set("permissions", "problem", text, "add them to the API key in the workspace's settings")
        else:
            advice = "nothing, unless the program calls these; methods=[...] asks for what it calls alone"
            self._set("permissions", "note", text, advice)

    def _take_latency(self, seconds: float) -> None:
        text = f"{seconds * 1000:.0f} ms (the median of {_SAMPLES} answers)"
        if seconds <= _SLOW_SECONDS:
            self._set("latency", "ok", text)
        else:
            self._set("latency", "note", f"slow: {text}", "look for a proxy, or for a region that is nearer")

    def _take_clock(self, clock: ClockState) -> None:
        bounds = clock.bounds(self._timing.monotonic())
        if bounds is None:
            self._set("clock", "skipped", "not known, since the server told no time")
            return
        here = self._timing.wall()
        low, high = bounds.earliest.timestamp() - here, bounds.latest.timestamp() - here
        self._clock_offset, self._clock_error = (low + high) / 2, (high - low) / 2
        size = abs(self._clock_offset)
        side = "behind" if self._clock_offset > 0 else "ahead of"
        text = f"the clock here is {size:,.3f} s {side} the server's (give or take {self._clock_error:,.3f} s)"
        if size - self._clock_error <= _MAX_CLOCK_OFFSET_SECONDS:
            self._set("clock", "ok", text)
            return
        cause = "set the clock of this machine (NTP)"
        advice = f"{cause}; until then take times of events from client.clock or client.builder()"
        self._set("clock", "problem", text, advice)


def _ask(request: Request[Any]) -> Workflow[Response[Any] | Exception]:
    """Send a request and return its outcome, that of a function of the caller's that raised included."""
    try:
        outcome: Response[Any] | Exception = yield SendRequest(request, deadline=_MAX_CALL_SECONDS)
    except Exception as error:  # noqa: BLE001 - a hook or a token callable; it is what is wrong
        raise_if_of_a_signal(error)
        return error
    return outcome


def _operations_of(methods: Sequence[str] | None) -> list[Operation]:
    known = {operation.name: operation for operation in all_operations()}
    if methods is None:
        return [
            operation for operation in known.values() if not operation.consumers or "workspace" in operation.consumers
        ]
    try:
        methods = items_of(methods)
    except InvalidValueError as error:
        raise InvalidRequestError(error.problem, field="methods") from None
    for name in methods:
        if name not in known:
            near = closest_name(str(name), known)
            hint = "they are named as profiles.upsert_batch is" if near is None else f"did you mean {near!r}?"
            raise InvalidRequestError(f"no method is called {name!r}; {hint}", field="methods")
    return [known[name] for name in methods]


def _permission_request(names: Mapping[str, object]) -> Request[tuple[str | None, dict[str, bool]]]:
    content = orjson.dumps(list(names))
    return Request(
        operation=PERMISSION_CHECK,
        path=PERMISSION_CHECK.path,
        parse=_parse_permissions,
        content=content,
        repeatable=True,
    )


def _parse_permissions(response: RawResponse) -> tuple[str | None, dict[str, bool]]:
    try:
        body: Any = read_json(response.content)
        granted = body[settings.PERMISSION_CHECK_PERMISSIONS_FIELD]
        permissions = {str(name): value is True for name, value in granted.items()}
        workspace = body.get(settings.PERMISSION_CHECK_WORKSPACE_FIELD)
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        raise ResponseDecodingError(
            "the body lists no permissions",
            operation=PERMISSION_CHECK.name,
            status_code=response.status_code,
            content=response.content,
        ) from None
    return workspace if isinstance(workspace, str) and workspace.isprintable() else None, permissions


def _status(error: APIStatusError) -> str:
    request_id = f", request id {error.request_id}" if error.request_id else ""
    return f"status {error.status_code} from {error.operation}{request_id}"


def _brief(error: SyneriseError) -> str:
    if isinstance(error, APIStatusError):
        return _status(error)
    if isinstance(error, UnconfirmedResponseError | APIConnectionError | ResponseDecodingError):
        return error.problem
    return str(error)


def _callers_text(error: Exception) -> str:
    return f"a function that was given to the client (token, on_request or on_response) raised {type(error).__name__}"


def _versions() -> Iterator[tuple[str, str]]:
    """Yield this library and what it always needs, with their versions; the least where it was not installed."""
    try:
        yield "synerise-profiles", metadata.version("synerise-profiles")
        requirements = metadata.requires("synerise-profiles") or []
    except metadata.PackageNotFoundError:
        requirements = []
    for requirement in requirements:
        name = _NAME.match(requirement)
        if name is not None and "extra ==" not in requirement:
            yield name[0], metadata.version(name[0])
    yield "Python", platform.python_version()
    yield "OpenSSL", ssl.OPENSSL_VERSION.removeprefix("OpenSSL ")
