"""The tasks of a bulk run: requests that the engine asks its driver to send, and the steps that it says."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from synerise_profiles._batching.attribution import ChunkState
from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.machine import Call, Read, Signal, Wait
from synerise_profiles_api.types import Request

from .timestamps import ServerTimeTask

__all__ = ["BulkStep", "BulkTask", "SubBatchTask"]


@attrs.frozen(eq=False)
class SubBatchTask:
    """A request with rows of a chunk, to be sent once; `on_result` takes what came of it."""

    sub_batch: SubBatch
    sent_at: float
    chunk_state: ChunkState
    with_digest: bool = False

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done beside the main thread."""
        return self.chunk_state.chunk.request(
            None if self.sub_batch.is_whole else self.sub_batch.positions, with_digest=self.with_digest
        )


BulkTask: TypeAlias = SubBatchTask | ServerTimeTask
BulkStep: TypeAlias = BulkTask | Call | Read | Wait | Signal
