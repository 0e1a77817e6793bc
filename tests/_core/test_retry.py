"""When a request is sent again, and after how long."""

from __future__ import annotations

import math
from email.utils import formatdate

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._core.retry import AttemptFailure, RetryDecision, RetryPolicy, decide_retry, parse_retry_after
from synerise_profiles.errors import ConfigurationError

POLICY = RetryPolicy()
NOT_SENT = AttemptFailure(maybe_received=False)
BROKEN = AttemptFailure(maybe_received=True)


def delay(
    failure: AttemptFailure,
    *,
    policy: RetryPolicy = POLICY,
    repeatable: bool = True,
    attempt: int = 1,
    elapsed: float = 0.0,
    chance: float = 1.0,
) -> float | None:
    return decision(failure, policy, repeatable, attempt, elapsed, chance).delay


def decision(
    failure: AttemptFailure,
    policy: RetryPolicy = POLICY,
    repeatable: bool = True,  # noqa: FBT001, FBT002 - a helper of two callers
    attempt: int = 1,
    elapsed: float = 0.0,
    chance: float = 1.0,
) -> RetryDecision:
    return decide_retry(policy, failure, repeatable=repeatable, attempt=attempt, elapsed=elapsed, random=lambda: chance)


@pytest.mark.parametrize("failure", [NOT_SENT, AttemptFailure(status_code=429), AttemptFailure(status_code=503)])
def test_what_was_not_begun_is_retried_for_every_operation(failure: AttemptFailure) -> None:
    """A failed connection, 429 and 503 are retried even where a second sending would not be safe."""
    assert (0.5, 0.5) == (delay(failure), delay(failure, repeatable=False))


@pytest.mark.parametrize(
    "failure", [BROKEN, *(AttemptFailure(status_code=code) for code in (408, 499, 500, 502, 504, 520))]
)
def test_what_may_have_arrived_is_retried_only_where_it_is_safe(failure: AttemptFailure) -> None:
    """A broken connection or an unclear server error is retried for repeatable requests alone; the error says so."""
    assert 0.5 == delay(failure)
    assert delay(failure, repeatable=False) is None
    assert "could be applied twice" in decision(failure, repeatable=False).note


@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 409, 413, 415, 424, 501, 505])
def test_an_answer_that_another_attempt_cannot_change_is_final(status: int) -> None:
    """Refusals, redirects and missing features of the server are not retried."""
    assert RetryDecision(None) == decision(AttemptFailure(status_code=status))


def test_permanent_failure_is_final() -> None:
    """A failure that another attempt cannot mend is not retried, not even one that was never sent."""
    assert delay(AttemptFailure(maybe_received=False, permanent=True)) is None


def test_number_of_retries_is_bounded() -> None:
    """After max_retries retries the failure is final."""
    policy = RetryPolicy(max_retries=2)
    assert [0.5, 1.0, None] == [delay(NOT_SENT, policy=policy, attempt=attempt) for attempt in (1, 2, 3)]
    assert delay(NOT_SENT, policy=RetryPolicy(max_retries=0)) is None


def test_retry_after_replaces_the_computed_delay() -> None:
    """What the server asks for is kept exactly."""
    assert [0.0, 7.0, 60.0] == [delay(AttemptFailure(status_code=429, retry_after=asked)) for asked in (0.0, 7.0, 60.0)]


def test_retry_after_beyond_the_cap_ends_the_call() -> None:
    """A `Retry-After` beyond the cap is neither kept nor shortened: the call ends and says why."""
    ended = decision(AttemptFailure(status_code=503, retry_after=61.0))
    assert RetryDecision(None, "the server asks to wait 61 s, which is beyond the cap of 60 s") == ended


def test_no_wait_begins_that_would_pass_the_deadline() -> None:
    """A wait that ends at the deadline or later is not begun, and the error says why."""
    policy = RetryPolicy(deadline=10.0)
    assert 0.5 == delay(NOT_SENT, policy=policy, elapsed=9.0)
    assert delay(NOT_SENT, policy=policy, elapsed=9.5) is None
    assert "the deadline of 10 s" in decision(NOT_SENT, policy, elapsed=9.5).note


@given(
    attempt=st.integers(1, 10_000),
    chance=st.floats(0, 1),
    base=st.floats(0, 100),
    most=st.floats(0, 1000),
)
def test_delay_is_jittered_between_zero_and_the_bound(attempt: int, chance: float, base: float, most: float) -> None:
    """Each delay lies between zero and the exponential bound, however many attempts there were."""
    policy = RetryPolicy(max_retries=10_000, base_delay=base, max_delay=most, deadline=math.inf)
    waited = delay(NOT_SENT, policy=policy, attempt=attempt, chance=chance)
    assert waited is not None
    assert 0 <= waited <= min(most, base * 2.0 ** min(attempt - 1, 1000))


@given(
    status=st.one_of(st.none(), st.integers(300, 599)),
    maybe_received=st.booleans(),
    retry_after=st.one_of(st.none(), st.floats(0, 1e6)),
    attempt=st.integers(1, 10),
    elapsed=st.floats(0, 1000),
    chance=st.floats(0, 1),
    repeatable=st.booleans(),
)
def test_bounds_hold_for_every_failure(
    *,
    status: int | None,
    maybe_received: bool,
    retry_after: float | None,
    attempt: int,
    elapsed: float,
    chance: float,
    repeatable: bool,
) -> None:
    """Whatever happens, a wait stays within the deadline, the cap and the number of retries."""
    failure = AttemptFailure(status_code=status, maybe_received=maybe_received, retry_after=retry_after)
    waited = delay(failure, repeatable=repeatable, attempt=attempt, elapsed=elapsed, chance=chance)
    if waited is not None:
        assert attempt <= POLICY.max_retries
        assert elapsed + waited < POLICY.deadline
        assert 0 <= waited <= (POLICY.max_delay if retry_after is None else POLICY.retry_after_cap)


def test_retry_after_is_read_as_seconds() -> None:
    """Whole and broken seconds are read, with space around them."""
    values = ["0", "120", " 3 ", "1.5"]
    assert [0.0, 120.0, 3.0, 1.5] == [parse_retry_after({"retry-after": value}, 0.0) for value in values]


def test_retry_after_date_is_relative_to_the_answers_own_date() -> None:
    """The wait is the difference of two times of the server, so the clock here does not matter."""
    headers = {"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert 30.0 == parse_retry_after(headers, now=0.0)


def test_retry_after_date_without_a_date_is_relative_to_now() -> None:
    """Without the server's time this machine's clock has to do; a moment that has passed is no wait."""
    moment = 1_800_000_000.0
    headers = {"retry-after": formatdate(moment, usegmt=True)}
    assert [30.0, 0.0] == [parse_retry_after(headers, now=now) for now in (moment - 30, moment + 30)]


@pytest.mark.parametrize("value", ["", " ", "soon", "-1", "nan", "inf", "1e400", "٣", "9" * 400, "Wed, 99 Xyz 2026"])
def test_unreadable_retry_after_is_ignored(value: str) -> None:
    """A header that says nothing usable is as good as none."""
    assert parse_retry_after({"retry-after": value}, 0.0) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_retry_after_never_raises(value: str, date: str) -> None:
    """Whatever a server writes, the answer is None or a finite number of seconds that is not negative."""
    seconds = parse_retry_after({"retry-after": value, "date": date}, 0.0)
    assert seconds is None or 0 <= seconds < math.inf


@given(st.integers(0, 10**12))
def test_retry_after_seconds_round_trip(seconds: int) -> None:
    """Delta seconds are read as they are written."""
    assert float(seconds) == parse_retry_after({"retry-after": str(seconds)}, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"max_retries": True},
        {"base_delay": -0.1},
        {"max_delay": math.inf},
        {"retry_after_cap": math.nan},
        {"deadline": 0},
        {"deadline": math.nan},
        {"deadline": "10"},
    ],
)
def test_impossible_policy_is_refused(change: dict[str, float]) -> None:
    """A policy that makes no sense is refused, by the name of what is wrong."""
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        attrs.evolve(POLICY, **change)  # type: ignore[arg-type]
