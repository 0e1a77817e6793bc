"""Runs and spills that write one file of letters, each from a process of its own; see `test_shared_letters`.

It does one thing after the other, by chance, and prints a line of JSON of each: what it was, the numbers of its
letters, when its first and its last row was read (a spill: when it began), and whether it was refused.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.queue import Undelivered
from synerise_profiles.queue.callbacks import append_dead_letters


class Writer:
    """A process that writes letters; its numbers are those of no other one."""

    def __init__(self, client: Synerise, letters: Path, seed: int) -> None:
        self._client, self._letters = client, letters
        self._chance, self._next = random.Random(seed), seed * 1_000_000
        self._times: list[float] = []

    def numbers(self, count: int) -> range:
        self._next += count
        return range(self._next - count, self._next)

    def rows(self, numbers: range) -> Iterator[dict[str, Any]]:
        for number in numbers:
            self._times.append(time.monotonic())
            yield {"city": f"n{number}", "attributes": {"text": "x" * self._chance.randrange(300)}}
            if number % 5 == 0:
                yield {"customId": f"c{number}"}
            if number % 400 == 0:
                time.sleep(self._chance.uniform(0, 0.01))  # to be in the way of others

    def run(self, mode: Any) -> dict[str, Any]:
        numbers = self.numbers(self._chance.choice([3, 150, 1500]))
        self._times = []
        try:
            report = self._client.bulk.upsert_profiles(
                self.rows(numbers), dead_letter=self._letters, dead_letter_mode=mode
            )
        except InvalidRequestError as error:
            if "is being written by another run" not in str(error):
                raise
            return {"numbers": [], "refused": True}
        assert report.rejected_count() == len(list(report.rejected)) == len(numbers)
        return {"numbers": list(numbers), "first": self._times[0], "last": self._times[-1]}

    def spill(self) -> dict[str, Any]:
        numbers, began = self.numbers(self._chance.choice([1, 40, 900])), time.monotonic()
        content = [json.dumps({"city": f"n{number}"}).encode() for number in numbers]
        append_dead_letters(
            self._letters,
            [Undelivered(index=0, operation="profiles.upsert_batch", row=row, maybe_applied=False) for row in content],
        )
        return {"numbers": list(numbers), "first": began, "last": began}

    def go(self, until: float, kinds: str) -> None:
        while time.monotonic() < until:
            kind = self._chance.choice(kinds)
            done = self.spill() if kind == "s" else self.run("append" if kind == "a" else "replace")
            print(json.dumps({"kind": kind, **done}), flush=True)  # noqa: T201 - the way by which this program speaks


def main(url: str, key: str, letters: str, seed: str, seconds: str, kinds: str) -> None:
    with Synerise(api_key=key, base_url=url) as client:
        Writer(client, Path(letters), int(seed)).go(time.monotonic() + float(seconds), kinds)


main(*sys.argv[1:])
