"""What the tests of queues share: a clock that tests set, rows with numbers, a server that is a function."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from typing import Any

import orjson

from synerise_profiles._batching.send_result import SendResult, send_result_of
from synerise_profiles._core.retry import AttemptFailure
from synerise_profiles._core.timing import Timing
from synerise_profiles.errors import (
    APIConnectionError,
    APITimeoutError,
    PermissionDeniedError,
    UnconfirmedResponseError,
)

START = 1_700_000_000.0
"""Where the wall clock of `Clock` starts."""


class Clock:
    """Time that passes only when a test says so. The server's clock is `ahead` of the wall clock here."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.now = 100.0
        self.ahead = ahead
        self.random = random.Random(0)
        self.timing = Timing(monotonic=lambda: self.now, wall=lambda: START + self.now, random=self.random.random)

    def server_time(self) -> float:
        return START + self.now + self.ahead


def _mark(good: str, *, bad: bool, poisoned: bool, garbled: bool) -> str:
    return "?" if poisoned else "%" if garbled else "!" if bad else good


def event(
    n: int,
    *,
    by: str = "customId",
    bad: bool = False,
    poisoned: bool = False,
    garbled: bool = False,
    **more: Any,
) -> dict[str, Any]:
    client = {"customId": f"c-{n % 50}", "email": f"p{n % 50}@example.com"}[by]
    return {
        "label": _mark("Visit", bad=bad, poisoned=poisoned, garbled=garbled),
        "action": "shop.visit",
        "client": {by: client},
        "params": {"n": n},
        **more,
    }


def profile(n: int, *, bad: bool = False, poisoned: bool = False, garbled: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "customId": f"c-{n}",
        "city": _mark("Łódź", bad=bad, poisoned=poisoned, garbled=garbled),
        "attributes": {"n": n},
        **more,
    }


def number(row: Any) -> int:
    n: int = row["params"]["n"] if "params" in row else row["attributes"]["n"]
    return n


def is_bad(row: Any) -> bool:
    return "!" in (row.get("label"), row.get("city"))


def is_garbled(row: Any) -> bool:
    return "%" in (row.get("label"), row.get("city"))


def is_poisoned(row: Any) -> bool:
    return "?" in (row.get("label"), row.get("city"))


LOST = APIConnectionError("the connection broke", operation="x", maybe_applied=True)
FORBIDDEN = PermissionDeniedError(operation="x", status_code=403, headers={}, content=b"{}", attempts=1)
PAGE = UnconfirmedResponseError("the body is not JSON", operation="x", status_code=200, content=b"<html>")
GARBLED = UnconfirmedResponseError("a 207 without its list", operation="x", status_code=207, content=b"{}")
LATE = APITimeoutError("late", operation="x", maybe_applied=True)
FATES: dict[str, Callable[[], tuple[bool, SendResult]]] = {
    "refused connection": lambda: (
        False,
        SendResult(failure=AttemptFailure(maybe_received=False), error=LOST),
    ),
    "lost before": lambda: (False, SendResult(failure=AttemptFailure(maybe_received=True), error=LOST)),
    "lost after": lambda: (True, SendResult(failure=AttemptFailure(maybe_received=True), error=LOST)),
    "429": lambda: (False, SendResult(status=429, failure=AttemptFailure(status_code=429, retry_after=2.0))),
    "503": lambda: (False, SendResult(status=503, failure=AttemptFailure(status_code=503))),
    "500 after": lambda: (True, SendResult(status=500, failure=AttemptFailure(status_code=500))),
    "timeout before": lambda: (False, send_result_of(LATE)),
    "timeout after": lambda: (True, send_result_of(LATE)),
    "page before": lambda: (False, send_result_of(PAGE)),
    "page after": lambda: (True, send_result_of(PAGE)),
    "403": lambda: (False, SendResult(status=403, failure=AttemptFailure(status_code=403), error=FORBIDDEN)),
}
"""What may happen to a request: whether it is carried out all the same, and what comes back."""


class Server:
    """Takes batches; refuses the bad rows as `style` says, and breaks at poisoned ones until it `is_mended`.

    Where it refuses a garbled row, its 207 has no list.

    Keeps what it stored by the row's salt or number.
    """

    def __init__(self, clock: Clock, style: str = "207") -> None:
        self.clock = clock
        self.style = style
        self.is_mended = False
        self.poison_status = 500
        self.retry_after: float | None = None
        self.stored: dict[Any, Any] = {}
        self.sizes: list[tuple[int, int]] = []
        """Rows and bytes of each batch."""
        self.order: list[int] = []
        self.arrived: list[Any] = []

    def __call__(self, content: bytes | None, fate: str = "well") -> SendResult:
        is_carried_out, instead = (True, None) if fate == "well" else FATES[fate]()
        if not is_carried_out and instead is not None:
            return instead
        if content is None:
            content = orjson.dumps({"serverTime": _text(self.clock.server_time())})
            return instead or SendResult(status=200, content=content, failure=AttemptFailure())
        rows: list[Any] = orjson.loads(content)
        self.sizes.append((len(rows), len(content)))
        result, accepted = self._answer(rows)
        for row in accepted:
            assert row.get("time") is None or row["time"] <= _text(self.clock.server_time())
            key = (row.get("eventSalt"), row.get("time"), number(row))
            self.stored[key] = row
            self.order.append(number(row))
            self.arrived.append(row)
        return instead or result

    def _answer(self, rows: list[Any]) -> tuple[SendResult, list[Any]]:
        if not self.is_mended and any(map(is_poisoned, rows)):
            status = self.poison_status
            failure = AttemptFailure(status_code=status, retry_after=self.retry_after)
            return SendResult(status=status, failure=failure), []
        if any(map(is_garbled, rows)):
            return send_result_of(GARBLED), [row for row in rows if not is_garbled(row) and not is_bad(row)]
        bad = [position for position, row in enumerate(rows) if is_bad(row)]
        good = [row for row in rows if not is_bad(row)]
        if not bad:
            return SendResult(status=202, failure=AttemptFailure()), good
        if self.style == "207":
            named = [
                {"field": "label" if "label" in rows[position] else "city", "rejectedValue": "!"} for position in bad
            ]
            return SendResult(status=207, content=orjson.dumps(named), failure=AttemptFailure()), good
        if self.style == "400 with positions":
            body = {"errors": [{"field": f"[{position}].label", "message": "is bad"} for position in bad]}
            return SendResult(status=400, content=orjson.dumps(body), failure=AttemptFailure(status_code=400)), []
        return SendResult(status=400, content=b"{}", failure=AttemptFailure(status_code=400)), []


def _text(moment: float) -> str:
    text = datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"
