"""What the tests of merges share: people in a sandbox, and what a profile holds, as a plan puts it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synerise_profiles import Synerise
from synerise_profiles._core.timing import Timing
from synerise_profiles.merges import Snapshot
from synerise_profiles.merges.snapshots import snapshot_of
from synerise_profiles.sandbox import Sandbox


class FakeSleep:
    """Time that passes only when somebody waits; `wake` is called at each wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.wake = lambda: None
        self.timing = Timing(sleep=self.sleep, sleep_async=self.sleep_async, random=lambda: 0.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.wake()

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


def put(client: Synerise, *people: dict[str, Any]) -> None:
    """Make profiles; one without a customId gets none."""
    for person in people:
        client.profiles.upsert(person)


def numbered(client: Synerise, count: int, **attributes: Any) -> list[str]:
    """Make that many profiles s-0, s-1 ... and return their custom ids."""
    keys = [f"s-{number}" for number in range(count)]
    rows = [
        {"customId": key, "email": f"{key}@example.com", "attributes": {**attributes, f"own-{number}": number}}
        for number, key in enumerate(keys)
    ]
    client.profiles.upsert_batch(rows)
    return keys


def stored(client: Synerise, custom_id: str) -> Snapshot:
    """What the sandbox holds."""
    return snapshot_of(client.profiles.find("by-custom-id", custom_id))


def merges(sandbox: Sandbox) -> list[int]:
    """The statuses of the merges that the sandbox was asked for."""
    return [exchange.status for exchange in sandbox.log if exchange.operation.startswith("profiles.merge")]


def ids(sandbox: Sandbox, custom_ids: Iterable[str]) -> list[int]:
    """The clientIds of profiles."""
    found = [sandbox.store.profiles.find("customId", key) for key in custom_ids]
    return [profile.client_id for profile in found if profile is not None]
