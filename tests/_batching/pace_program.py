"""A program that sends without end at a shared pace, and prints when each request began: URL KEY FILE RATE KIND."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

from synerise_profiles import AsyncSynerise, Synerise

URL, KEY, FILE, RATE, KIND = sys.argv[1:]
PACED: dict[str, Any] = {"requests_per_second": float(RATE), "rate_budget": FILE}


def began(_request: Any, _attempt: int) -> None:
    sys.stdout.write(f"{time.monotonic()}\n")
    sys.stdout.flush()


def rows() -> Iterator[dict[str, Any]]:
    return ({"clientId": number} for number in itertools.count(1))


async def run_async() -> None:
    async with AsyncSynerise(api_key=KEY, base_url=URL, on_request=began) as client:
        await client.bulk.delete_profiles(rows(), **PACED)


def main() -> None:
    if KIND == "async":
        asyncio.run(run_async())
        return
    with Synerise(api_key=KEY, base_url=URL, on_request=began) as client:
        if KIND == "bulk":
            client.bulk.delete_profiles(rows(), **PACED)
            return
        with client.queue(**PACED, flush_items=1, when_full="block", put_timeout=60, max_items=50) as queue:
            for number in itertools.count(1):
                queue.events.put(
                    {
                        "action": "shop.visit",
                        "label": "Visit",
                        "client": {"customId": f"c-{number}"},
                        "time": "2024-01-01T00:00:00Z",
                    }
                )


main()
