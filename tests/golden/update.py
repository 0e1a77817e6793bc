"""Rewrite the expected files of the golden cases: `python -m tests.golden.update [case ...]` from the project's root.

A case shows the files that stand in its expected/; to show another one, create it empty and run this. Review the diff.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tests.golden.pipeline import CASES, make_case, shown_files


def main(cases: Sequence[str]) -> int:
    if os.environ.get("CI"):
        sys.stderr.write("refused: expected files are rewritten by hand and reviewed, never by CI\n")
        return 1
    for case in cases or CASES:
        made = make_case(case)
        for name, path in shown_files(case).items():
            if name in made:
                path.write_bytes(made[name])
            else:
                sys.stderr.write(f"{case}: {name} is no longer made; remove it from expected/\n")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
