"""`python -m synerise_profiles`: the command `synerise-profiles`."""

from __future__ import annotations

import sys

from synerise_profiles.cli import main

if __name__ == "__main__":
    sys.exit(main())
