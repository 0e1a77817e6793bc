"""What a call through the client costs beside the same call by bare httpx, both on a transport without a network.

Budget: 1.25 times bare httpx; well below 1 is expected, since the client drives the transport directly.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable

import httpx

from synerise_profiles import Synerise
from synerise_profiles_api.types import Operation, RawResponse, Request

BUDGET = 1.25
URL = "https://api.synerise.com/v4/clients"
BODY = b'{"customId":"c-1","email":"jan.kowalski@example.com","attributes":{"loyaltyLevel":"gold"}}'
HEADERS = {"Authorization": "Bearer t", "Api-Version": "4.4", "Content-Type": "application/json"}
UPSERT = Operation(
    resource="profiles",
    method="upsert",
    operation_id="CreateAClientInCrm",
    http_method="POST",
    path="/v4/clients",
    summary="Create or update a profile",
    consumers=("workspace",),
    headers=(("Api-Version", "4.4"),),
    retry="idempotent",
)


def _nothing(_: RawResponse) -> None:
    return None


def _answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(202)


def _seconds(call: Callable[[], object], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begun) / calls


def measure(rounds: int, calls: int) -> tuple[float, float]:
    """Return the median seconds of one call, through the client and by bare httpx, in interleaved rounds."""
    transport = httpx.MockTransport(_answer)
    request = Request(operation=UPSERT, path="/v4/clients", parse=_nothing, content=BODY, repeatable=True)
    ours: list[float] = []
    theirs: list[float] = []
    with Synerise(token="t", transport=transport) as client, httpx.Client(transport=transport) as bare:

        def through() -> object:
            return client.send(request)

        def directly() -> object:
            return bare.post(URL, content=BODY, headers=HEADERS)

        _seconds(through, calls)
        _seconds(directly, calls)
        gc.disable()
        for _ in range(rounds):
            ours.append(_seconds(through, calls))
            theirs.append(_seconds(directly, calls))
            gc.collect()
        gc.enable()
    return statistics.median(ours), statistics.median(theirs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--calls", type=int, default=200)
    arguments = parser.parse_args()
    ours, theirs = measure(arguments.rounds, arguments.calls)
    ratio = ours / theirs
    print(f"client {ours * 1e6:.1f} us, bare httpx {theirs * 1e6:.1f} us, ratio {ratio:.2f} (budget {BUDGET})")
    return int(ratio > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
