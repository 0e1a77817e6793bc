"""What the doctor makes of answers that say little, and of functions of the caller that raise."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles import Synerise
from synerise_profiles.doctor import Diagnosis
from tests.doctor.test_doctor import TIMING, check, states

TIME = {"serverTime": "2026-07-01T12:00:00.000Z"}


def look(*, time: Any = TIME, permissions: httpx.Response, **given: Any) -> Diagnosis:
    """Ask a server that answers so, by a key unless a token is given."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=time)
        if "permission" in request.url.path:
            return permissions
        return httpx.Response(200, json={"token": "t"})

    given = given if "token" in given else {"api_key": "k", **given}
    with Synerise(
        base_url="https://x.example", transport=httpx.MockTransport(answer), _timing=TIMING, **given
    ) as client:
        return client.doctor()


@pytest.mark.parametrize("status", [403, 404])
def test_a_login_that_is_accepted_is_told_where_no_more_could_be_asked(status: int) -> None:
    """As a note; of a token that was given nothing is known."""
    found = look(permissions=httpx.Response(status))
    assert (states(found)["key"], states(found)["permissions"]) == ("note", "skipped")
    assert check(found, "key").text.startswith(
        f"the login was accepted, but what it may do could not be asked: status {status} from "
    )
    found = look(permissions=httpx.Response(status), token="a-token")
    assert states(found)["key"] == "skipped"
    assert "a-token" not in str(found)


def test_a_server_that_tells_no_time_leaves_the_clock_out() -> None:
    """All else is looked at."""
    permitted = httpx.Response(200, json={"businessProfileName": "Shop", "permissions": {}})
    found = look(time={}, permissions=permitted)
    assert check(found, "clock").text == "not known, since the server told no time"
    assert (states(found)["clock"], states(found)["host"]) == ("skipped", "ok")
    assert found.clock_offset is None


def test_a_function_of_the_caller_that_raises_is_the_problem() -> None:
    """By its kind and without its words."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("secret words")

    found = look(permissions=httpx.Response(200, json={}), on_request=refuse)
    assert [item.name for item in found.problems] == ["host"]
    assert check(found, "host").text == (
        "a function that was given to the client (token, on_request or on_response) raised RuntimeError"
    )
    assert "secret words" not in str(found)
