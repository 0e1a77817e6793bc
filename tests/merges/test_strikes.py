"""Two handlers of signals that raise, one after the other, in a merge: the audit is true, and the plan goes on."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.merges import MergeSetResult, MergeStoppedError, report_of
from tests._core.cancellations import WAYS, awaited, cancel_twice
from tests._core.strikes import (
    Count,
    PackageFiles,
    Strike,
    StruckError,
    is_of_the_test,
    let_go,
    shown_where_it_hangs,
    strike_twice,
)
from tests.merges.support import FakeSleep

SURVIVORS = {"a": ("a1", "a2", "a3"), "b": ("b1",)}
"""Who takes whom: two groups of a plan, and another plan."""
ENDS = {"group-answered", "group-refused", "group-doubtful"}


class People:
    """A server that keeps profiles, merges them, and counts how often it was asked to merge each."""

    def __init__(self) -> None:
        keys = [key for survivor, sources in SURVIVORS.items() for key in (survivor, *sources)]
        self.holders = {key: key for key in keys}
        """The profile that each of them is now."""
        self.asked: Counter[str] = Counter()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        merge = re.fullmatch("/v4/clients/merge/from/custom-ids/(.+)/to/custom-id/(.+)", request.url.path)
        if merge is not None:
            sources = merge[1].split(",")
            self.asked.update(sources)
            self.holders |= dict.fromkeys(sources, merge[2])
            return self._profile(merge[2])
        by, _, key = request.url.path.removeprefix("/v4/clients/").partition("/")
        if by == "by-uuid":
            return self._profile(self.holders[key.removeprefix("u-")])
        return self._profile(key) if self.holders[key] == key else httpx.Response(404)

    def _profile(self, key: str) -> httpx.Response:
        number = list(self.holders).index(key)
        return httpx.Response(200, json={"clientId": number, "customId": key, "uuid": f"u-{key}"})


def innermost(error: BaseException) -> BaseException:
    """Return what a task group wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def is_alike(people: People, key: str) -> bool:
    return people.holders[key] == key.rstrip("123")


class Merging:
    """A set of two plans, applied by a client with an audit."""

    def __init__(self, folder: Path, number: int, *, is_async: bool) -> None:
        self._people = People()
        self._is_async = is_async
        transport = httpx.MockTransport(self._people)
        self._options: dict[str, Any] = {"token": "t", "transport": transport, "_timing": FakeSleep().timing}
        self._audit = folder / f"{number}.jsonl"
        self._arguments: dict[str, Any] = {"audit": self._audit, "actor": "anna", "group_size": 2}
        with Synerise(**self._options) as client:
            pairs = {key: survivor for survivor, sources in SURVIVORS.items() for key in sources}
            self._plans = client.merges.plan_many(pairs, by="custom_id")

    def run(self, tracer: Any) -> None:
        if self._is_async:
            return asyncio.run(self._run_async(tracer))
        with Synerise(**self._options) as client:
            apply = client.merges.apply_many
            with tracer.active():
                self._result = apply(self._plans, **self._arguments)
        return None

    async def work(self) -> None:
        self._options["transport"] = awaited(self._people)
        await self._run_async(Count(()))

    async def _run_async(self, tracer: Any) -> None:
        async with AsyncSynerise(**self._options) as client:
            apply = client.merges.apply_many
            with tracer.active():
                self._result = await apply(self._plans, **self._arguments)

    def check(self, caught: BaseException | None, where: str) -> None:
        assert caught is None or isinstance(caught, MergeStoppedError) or is_of_the_test(innermost(caught)), where
        if caught is not None:
            self._check_result(report_of(caught), where)
        let_go(caught)
        self._check_audit(where)
        self.run(Count(()))
        assert self._result.complete, where
        assert all(is_alike(self._people, key) for key in self._people.holders), where
        assert set(self._people.asked.values()) == {1}, where  # nothing was merged twice
        assert {key: str(target) for key, target in self._result.merged.items()} == {
            key: target for target, sources in SURVIVORS.items() for key in sources
        }, where
        self._check_audit(where)

    def _check_result(self, result: object, where: str) -> None:
        """It has each source once: what was asked for is merged or of unknown fate, and nothing else is."""
        if result is None:  # nothing had been asked for, or all was over and handed out
            assert not self._people.asked or ".apply_many" in where, where
            return
        assert isinstance(result, MergeSetResult), where
        reasons = [(item.source, item.reason) for item in result.not_merged]
        sources = [key for keys in SURVIVORS.values() for key in keys]
        assert sorted([*result.merged, *(key for key, _ in reasons)]) == sorted(sources), where
        assert set(result.merged) <= set(self._people.asked), where
        unknown = {key for key, reason in reasons if reason == "unknown"}
        assert set(self._people.asked) <= set(result.merged) | unknown, where
        assert len(unknown) <= 2, where

    def _check_audit(self, where: str) -> None:
        """Each line is whole, and says of each group that was sent what became of it, but of the last one at most."""
        if not self._audit.exists():
            return
        content = self._audit.read_bytes()
        entries = [orjson.loads(line) for line in content.splitlines()]
        assert not content or content.endswith(b"\n"), where
        merged = {key for entry in entries for key, _ in entry.get("merged", ()) if "group" in entry}
        assert merged <= set(self._people.asked), where
        for run in {entry["run"] for entry in entries}:
            names = [entry["entry"] for entry in entries if entry["run"] == run]
            groups = [name for name in names if name.startswith("group")]
            assert all(sent != then for sent, then in itertools.pairwise(groups)), where
        sent = {key for entry in entries if entry["entry"] == "group-sent" for key in entry["sources"]}
        assert set(self._people.asked) <= sent, where


CASES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def strikes(folder: Path, kind: type[BaseException], *, is_async: bool, firsts: int, step: int, start: int = 0) -> int:
    def make(number: int) -> Merging:
        return Merging(folder, number, is_async=is_async)

    return strike_twice(make, kind, PackageFiles(), firsts=firsts, step=step, start=start, given=(MergeStoppedError,))


def strike_each(folder: Path, *, is_async: bool, step: int) -> int:
    """Strike once, at some of the moments; return how often the strike came out."""
    count, hits = Count(PackageFiles()), 0
    for number, tracer in enumerate((Count(()), count)):  # the first one loads what is loaded then
        Merging(folder, -number, is_async=is_async).run(tracer)
    for number, target in enumerate(count.targets()[::step], 1):
        trial, strike = (
            Merging(folder, number, is_async=is_async),
            Strike(PackageFiles(), target, KeyboardInterrupt("first")),
        )
        caught: BaseException | None = None
        try:
            trial.run(strike)
        except (KeyboardInterrupt, MergeStoppedError, BaseExceptionGroup) as error:  # a group of a task group
            caught = error
        hits += caught is not None
        trial.check(caught, strike.where)
    return hits


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@CASES
def test_a_handler_that_raises(tmp_path: Path, *, is_async: bool) -> None:
    """What was sent is in the audit and in the result, and the same plans merge the rest: nothing twice."""
    with shown_where_it_hangs(1200):
        assert strike_each(tmp_path, is_async=is_async, step=23) > 20


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@CASES
def test_handlers_that_raise_one_after_the_other(tmp_path: Path, *, is_async: bool) -> None:
    """What was sent is in the audit, and the same plans merge the rest: nothing twice."""
    assert strikes(tmp_path, KeyboardInterrupt, is_async=is_async, firsts=12, step=61) > 20


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, StruckError])
@CASES
def test_handlers_that_raise_one_after_the_other_at_length(
    tmp_path: Path, kind: type[BaseException], *, is_async: bool
) -> None:
    assert strikes(tmp_path, kind, is_async=is_async, firsts=150, step=11) > 500


@pytest.mark.parametrize("way", WAYS)
def test_cancelled_twice(tmp_path: Path, way: str) -> None:
    """The same plans merge the rest: nothing twice."""
    assert cancel_twice(lambda number: Merging(tmp_path, number, is_async=True), way, step=7) > 12
