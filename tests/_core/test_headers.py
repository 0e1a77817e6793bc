"""Headers of the caller: sent with every attempt of a copy's calls, never with the login, never the client's own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import httpx
import pytest

from synerise_profiles import ConfigurationError, Synerise
from tests._core.support import Clock, jwt, mock, request


def test_headers_are_repeated_on_retries_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt carries the same X-Request-Id, and the log says it; the client that was copied sends none."""
    caplog.set_level(logging.DEBUG, "synerise_profiles")
    transport, sent = mock(httpx.Response(503), httpx.Response(200, json={}))
    with Synerise(token=jwt(4e9), transport=transport, _timing=Clock().timing) as client:
        client.with_options(headers={"X-Request-Id": "order-17", "X-Team": "crm"}).send(request())
        client.send(request())
    assert [item.headers.get("x-request-id") for item in sent] == ["order-17", "order-17", None]
    assert [item.headers.get("x-team") for item in sent] == ["crm", "crm", None]
    lines = [record.getMessage() for record in caplog.records if "attempt" in record.getMessage()]
    assert sum("request id order-17" in line for line in lines) == 3
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.endswith(", request id order-17")


def test_lines_of_retries_of_bulk_and_queue_say_the_request_id(caplog: pytest.LogCaptureFixture) -> None:
    """As those of calls do."""
    caplog.set_level(logging.DEBUG, "synerise_profiles")
    for away in (503, 429):
        answers = [httpx.Response(away, headers={"Retry-After": "0"}), httpx.Response(202)]
        transport, _ = mock(*answers, *answers)
        with Synerise(token=jwt(4e9), transport=transport) as client:
            copy = client.with_options(headers={"X-Request-Id": "night-3"})
            assert copy.bulk.upsert_profiles([{"customId": "c1"}]).accepted == 1
            with copy.queue(flush_after=0.0) as queue:
                queue.profiles.put({"customId": "c2"})
                assert queue.flush().left == 0
    lines = [record.getMessage() for record in caplog.records if "profiles.upsert_batch: status" in record.getMessage()]
    assert len(lines) == 4
    assert all(line.endswith(", request id night-3") for line in lines)


def test_later_headers_take_the_place_of_earlier_ones() -> None:
    """A copy of a copy sends its own headers alone, and keeps them where none are given."""
    with Synerise(token="t") as client:
        first = client.with_options(headers={"X-A": "1"})
        assert dict(first.with_options(timeout=3).options.headers) == {"X-A": "1"}
        assert dict(first.with_options(headers={"X-B": "2"}).options.headers) == {"X-B": "2"}


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"authorization": "x"}, "headers: authorization is set by the client itself; leave it out"),
        ({"Content-Type": "x"}, "headers: Content-Type is set by the client itself; leave it out"),
        ({"HOST": "x"}, "headers: HOST is set by the client itself; leave it out"),
        ({"X-A": "1", "x-a": "2"}, "headers: x-a is given twice; names differ by more than case"),
        ({"X A": "1"}, "headers: holds a name that is no name of a header"),
        ({"X-A": "a\nb"}, "headers: X-A: expected printable ASCII text without white space around it"),
        ({"X-A": 7}, "headers: X-A: expected printable ASCII text without white space around it"),
        ([("X-A", "1")], "headers: expected a mapping of names to texts, such as {'X-Request-Id': '...'}"),
    ],
)
def test_what_is_the_clients_own_or_no_header_is_refused(headers: Mapping[str, str], problem: str) -> None:
    """Before anything is sent, by the header's name, never by its value."""
    with Synerise(token="t") as client, pytest.raises(ConfigurationError) as caught:
        client.with_options(headers=headers)
    assert str(caught.value) == problem
