"""What importing the package and building a client cost, in fresh interpreters.

Budgets: importing takes at most 20 ms more than a bare interpreter; importing and building a client at most 1.2 times
what importing httpx, attrs and orjson takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

IMPORT_BUDGET_MS = 20.0
BUILD_BUDGET = 1.2
STATEMENTS = {
    "bare": "pass",
    "import": "import synerise_profiles",
    "libraries": "import httpx, attrs, orjson",
    "client": "from synerise_profiles import Synerise; Synerise(token='t')",
    "async client": "from synerise_profiles import AsyncSynerise; AsyncSynerise(token='t')",
}


def _milliseconds(statement: str, caches: str) -> float:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = caches
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environ)
    return (time.perf_counter() - begun) * 1000


def measure(rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each statement, in interleaved rounds after one that fills the caches.

    All modules are compiled into caches of this run, as an installed package and its libraries would be.
    """
    taken: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    with tempfile.TemporaryDirectory(prefix="caches-") as caches:
        for statement in STATEMENTS.values():
            _milliseconds(statement, caches)
        for _ in range(rounds):
            for name, statement in STATEMENTS.items():
                taken[name].append(_milliseconds(statement, caches))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    medians = measure(parser.parse_args().rounds)
    bare = medians["bare"]
    for name, value in medians.items():
        print(f"{name:>12}: {value:6.1f} ms, {value - bare:+6.1f} ms over bare")
    importing = medians["import"] - bare
    building = (medians["client"] - bare) / (medians["libraries"] - bare)
    print(f"importing: {importing:.1f} ms over bare (budget {IMPORT_BUDGET_MS:.0f} ms)")
    print(f"building a client: {building:.2f} times importing httpx, attrs, orjson (budget {BUILD_BUDGET})")
    return int(importing > IMPORT_BUDGET_MS or building > BUILD_BUDGET)


if __name__ == "__main__":
    sys.exit(main())
