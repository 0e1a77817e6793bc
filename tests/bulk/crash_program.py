"""A run in a process of its own, to be killed: sends events and transactions with a journal, until it is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from synerise_profiles import Synerise


def events(count: int) -> Iterator[dict[str, Any]]:
    """Events without keys: the salt comes from the content, the time from the journal."""
    for n in range(count):
        client = {"customId": f"c-{n % 100}"} if n % 4 else {"email": f"guest{n % 10}@example.com"}
        yield {"label": "Visit", "action": "shop.visit", "client": client, "params": {"n": n}}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    url, key, journal, count = sys.argv[1:]
    say("ready")
    with Synerise(api_key=key, base_url=url) as client:
        # Small chunks make many moments at which it can be killed.
        report = client.bulk.send_events(events(int(count)), journal=journal, concurrency=4)
        say(f"{report.accepted} {report.resumed} {report.complete}")


if __name__ == "__main__":
    main()
