"""A run in a process of its own, to be killed: brings a table, by its seed, up to date with a state."""

from __future__ import annotations

import random
import sys
from typing import Any

from synerise_profiles import Synerise


def table(seed: int, count: int) -> list[dict[str, Any]]:
    """The table of one night: one in five values is another one than in the first night."""
    chance = random.Random(seed)
    return [{"customId": f"c-{n}", "firstName": f"v{seed if chance.random() < 0.2 else 0}"} for n in range(count)]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    url, key, state, seed, count = sys.argv[1:]
    say("ready")
    with Synerise(api_key=key, base_url=url) as client:
        rows = table(int(seed), int(count))
        report = client.delta_sync.profiles(rows, key="customId", state=state, concurrency=4)
        say(f"{report.read} {report.unchanged} {report.sent.complete}")


if __name__ == "__main__":
    main()
