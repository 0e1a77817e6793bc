"""Makes a class of enums with a `value` of its own while rows are read; prints what was accepted, and what refused."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from synerise_profiles import InvalidRequestError, Synerise


def new_member() -> Any:
    """Return a member of a new class, which raises when it is asked for its value."""

    class Late(enum.Enum):
        A = 1

        @property
        def value(self) -> Any:
            raise RuntimeError("the value of a person")

    return Late.A


def rows(count: int, row: dict[str, Any], field: str) -> Iterator[dict[str, Any]]:
    """Yield rows, and one with a member of a class that is new."""
    for _ in range(count):
        yield dict(row)
    yield {**row, field: {"v": new_member()}}


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the server does."""
    is_time = request.url.path.endswith("/server/time")
    return httpx.Response(200, json={"serverTime": "2026-01-01T00:00:00.000Z"}) if is_time else httpx.Response(202)


def main() -> None:
    """Send rows by one road: profiles, events or queue."""
    road, count = sys.argv[1], int(sys.argv[2])
    profile, event = {"customId": "x"}, {"client": {"customId": "x"}, "action": "a.b", "label": "l"}
    with Synerise(token="t", base_url="http://localhost", transport=httpx.MockTransport(answer)) as client:
        if road == "queue":
            with client.queue() as queue:
                try:
                    for row in rows(count, profile, "attributes"):
                        queue.profiles.put(row)
                except InvalidRequestError as error:
                    sys.stdout.write(error.field)
            return
        is_event = road == "events"
        send = client.bulk.send_events if is_event else client.bulk.upsert_profiles
        report = send(rows(count, event if is_event else profile, "attributes"))
        sys.stdout.write(f"{report.rejected[0].field}" if report.accepted == count else str(report))


if __name__ == "__main__":
    main()
