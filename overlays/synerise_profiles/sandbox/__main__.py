"""`python -m synerise_profiles.sandbox`: the command `synerise-profiles sandbox`."""

from __future__ import annotations

import sys

from synerise_profiles.cli import main

if __name__ == "__main__":
    sys.exit(main(["sandbox", *sys.argv[1:]]))
