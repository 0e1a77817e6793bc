"""When a request of a queue is sent again: by the client's policy of retries, for as long as the server is away.

Rows are kept meanwhile, so neither a number of attempts nor a deadline ends them.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.throttle import Throttle
from synerise_profiles._core.retry import THROTTLED_STATUSES, RetryPolicy, decide_retry
from synerise_profiles._core.timing import Timing

from .inflight import QueueTask

__all__ = ["QueueBackoff"]

_MAX_BACKOFF_SECONDS: Final = 60.0
"""Seconds to which the waits grow where nothing can succeed until somebody mends it, such as an API key."""
_MIN_RETRY_SECONDS: Final = 0.05
"""Seconds between two attempts at least, whatever the policy says: they go on for as long as the server is away."""
_MAX_RETRY_AFTER_SECONDS: Final = 3600.0
"""How many seconds a server may ask to wait for."""


class QueueBackoff:
    """Says after how many seconds a request is sent again."""

    def __init__(self, policy: RetryPolicy, timing: Timing) -> None:
        self._policy = attrs.evolve(
            policy, max_retries=2**62, deadline=math.inf, retry_after_cap=_MAX_RETRY_AFTER_SECONDS
        )
        self._timing = timing

    def delay(self, task: QueueTask, result: SendResult, throttle: Throttle | None, now: float) -> float:
        """Return the seconds; a server that is too busy gets nothing of the channel of this throttle before.

        One that is too busy for these rows alone, and takes others, holds nothing up, unless it says for how long.
        """
        sub_batch, failure = task.sub_batch, result.failure
        if failure is None or result.is_final:
            return self.growing_delay(task)
        is_alone = (sub_batch.others_pass or sub_batch.was_parked) and result.may_be_about(sub_batch)
        is_throttled = result.status in THROTTLED_STATUSES and not (is_alone and failure.retry_after is None)
        was_received = failure.maybe_received and result.status not in THROTTLED_STATUSES
        sub_batch.maybe_applied = sub_batch.maybe_applied or was_received
        attempt = sub_batch.attempts
        if is_throttled and throttle is not None:
            attempt = throttle.on_throttled(now, task.sent_at)
        decision = decide_retry(
            self._policy, failure, repeatable=True, attempt=attempt, elapsed=0.0, random=self._timing.random
        )
        delay = self.growing_delay(task) if decision.delay is None else max(decision.delay, _MIN_RETRY_SECONDS)
        if is_throttled and throttle is not None:
            throttle.hold_until(now + delay)
        return delay

    def growing_delay(self, task: QueueTask) -> float:
        """Return the seconds that grow with the attempts alone."""
        least = max(self._policy.base_delay, _MIN_RETRY_SECONDS)
        return min(_MAX_BACKOFF_SECONDS, least * 2.0 ** min(task.sub_batch.attempts - 1, 60))
