"""What a chunk takes from the responses to its parts."""

from __future__ import annotations

import orjson

from synerise_profiles._batching import operations
from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.bisection import BisectBudget, ChunkState
from synerise_profiles._batching.send_result import SendResult

REFUSAL = orjson.dumps([{"customId": "c-1", "status": 400, "message": "refused"}])


def test_only_the_last_response_says_whether_a_row_was_accepted_last() -> None:
    """A chunk of which rows were accepted before, and another one is refused now, accepted nothing last.

    Its accepted rows may be older by now than those of another chunk, and must not be sent once more for the newest.
    """
    chunk = Chunk(operations.profiles())
    for n in range(4):
        chunk.add(orjson.dumps({"customId": f"c-{n}"}), n)
    chunk.build_body()
    state = ChunkState(chunk, BisectBudget(10))
    accepted, partial = SendResult(status=202), SendResult(status=207, content=REFUSAL)

    state.take_answer(SubBatch((0, 2)), accepted, is_accepted=True)
    assert state.last_answer_accepts
    state.take_answer(SubBatch((1,)), partial, is_accepted=True)
    assert not state.last_answer_accepts
    state.take_answer(SubBatch((3,)), accepted, is_accepted=True)
    assert state.last_answer_accepts
    state.take_answer(SubBatch((3,), is_probe=True), accepted, is_accepted=True)
    assert not state.last_answer_accepts
    assert (state.accepted, set(state.refused)) == (3, {1})
