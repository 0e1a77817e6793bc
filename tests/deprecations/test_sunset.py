"""An operation that a server has switched off, against the sandbox."""

from __future__ import annotations

import datetime
import warnings

import pytest

from synerise_profiles import (
    APIStatusError,
    NotFoundError,
    OperationSunsetError,
    Synerise,
    SyneriseSunsetWarning,
)
from synerise_profiles._core.timing import Timing
from synerise_profiles.sandbox import Sandbox, SandboxOptions

END = datetime.datetime(2026, 8, 30, tzinfo=datetime.UTC)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_before_and_after() -> None:
    """The last second before its day it works; then it is 410, and the error says what to use instead."""
    with Sandbox(options=SandboxOptions(enforce_sunset=True)) as sandbox:
        sandbox.clock.stop()
        sandbox.clock.set(END - datetime.timedelta(seconds=1))
        # The client's clock is the server's.
        timing = Timing(wall=sandbox.clock)
        with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0, _timing=timing) as client:
            client.profiles.upsert({"customId": "c"})
            found = client.profiles.find("by-custom-id", "c")
            assert client.profiles.get_contact(found.client_id or 0) is not None
            sandbox.clock.advance(1)
            with (
                pytest.warns(SyneriseSunsetWarning, match="was due to be switched off on 2026-08-30"),
                pytest.raises(OperationSunsetError) as raised,
            ):
                client.profiles.get_contact(found.client_id or 0)
    error = raised.value
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.sunset) == (410, "2026-08-30")
    assert error.replaced_by == ("profiles.get", "profiles.find")
    assert error.body is not None
    assert str(error).endswith("it was due to be switched off on 2026-08-30; use profiles.get or profiles.find")


def test_a_profile_that_is_not_there() -> None:
    """After the day a 404 may mean either, and both names catch it."""
    with Sandbox() as sandbox:
        timing = Timing(wall=END.timestamp)
        token = sandbox.token()
        with (
            Synerise(token=token, base_url=sandbox.url, deprecations="ignore", _timing=timing) as client,
            pytest.raises(OperationSunsetError) as raised,
        ):
            client.profiles.get_contact(4711)
    assert isinstance(raised.value, NotFoundError)


def test_nothing_is_warned_of_by_default_elsewhere() -> None:
    """A client that calls nothing deprecated says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            assert client.tags.list() == []
