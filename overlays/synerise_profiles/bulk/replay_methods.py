"""The methods by which letters are sent again, each by the name of its operation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from synerise_profiles._batching import operations

from .settings import BatchArguments, BulkArguments, SaltedArguments

if TYPE_CHECKING:
    from synerise_profiles._batching.operations import BatchOperation

__all__ = ["ReplayMethod", "replay_methods"]


@attrs.frozen
class ReplayMethod:
    """How the letters of an operation are sent: by which arguments, and what makes its `BatchOperation`."""

    arguments: type
    batch_operation: Callable[[Mapping[str, Any]], BatchOperation]


@functools.cache
def replay_methods() -> Mapping[str, ReplayMethod]:
    """Return the methods, by the names of their operations."""
    profiles, events, transactions = operations.profiles, operations.events, operations.transactions
    deletions, tags = operations.profile_deletions, operations.tag_assignments
    return {
        profiles().operation.name: ReplayMethod(BatchArguments, lambda _: profiles()),
        events().operation.name: ReplayMethod(SaltedArguments, lambda _: events()),
        transactions().operation.name: ReplayMethod(SaltedArguments, lambda _: transactions()),
        deletions().operation.name: ReplayMethod(BulkArguments, lambda _: deletions()),
        tags(1).operation.name: ReplayMethod(BulkArguments, lambda given: tags(given["tag_id"])),
    }
