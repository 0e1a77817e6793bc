"""A merge in a process of its own, to be killed: applies a saved plan, and dies at a given entry of the audit."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from synerise_profiles import Synerise
from synerise_profiles.merges import MergePlan
from synerise_profiles.merges.audit import Audit


def main() -> None:
    url, key, plan_file, audit, entry, count, when = sys.argv[1:]
    left = int(count)
    write = Audit.write

    def deadly(self: Audit, name: str, plan: str, **values: object) -> None:
        nonlocal left
        left -= name == entry
        is_due = name == entry and left == 0
        if is_due and when == "before":
            os.kill(os.getpid(), 9)
        write(self, name, plan, **values)
        if is_due and when == "after":
            os.kill(os.getpid(), 9)

    Audit.write = deadly  # type: ignore[method-assign]
    plan = MergePlan.from_dict(json.loads(Path(plan_file).read_text(encoding="utf-8")))
    with Synerise(api_key=key, base_url=url) as client:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        result = client.merges.apply(plan, audit=audit, actor="anna", group_size=2)
    sys.stdout.write(json.dumps(result.to_dict()))


if __name__ == "__main__":
    main()
