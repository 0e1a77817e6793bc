"""Transactions, single and in batches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox import jobs
from synerise_profiles.sandbox.answers import Answer
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.world import Call, Handler

from .events import refuse_invalid


def create(call: Call) -> Answer:
    """One transaction with its events."""
    return Answer(job=partial(jobs.record_transactions, call.world, [call.body]))


def create_batch(call: Call) -> Answer:
    """Several transactions with their events."""
    items: list[Json] = call.body
    refuse_invalid(call, items)
    return Answer(job=partial(jobs.record_transactions, call.world, items))


HANDLERS: Mapping[str, Handler] = {
    "transactions.create": create,
    "transactions.create_batch": create_batch,
}
