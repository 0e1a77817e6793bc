"""The lock: what the tree was made from and with.

No dates and no machine's paths, so that it changes only with its causes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from generator.output.tree import relative_name


def make_lock(inputs: Mapping[str, bytes], tools: Mapping[str, str], outputs: Mapping[str, bytes]) -> bytes:
    """sha256 of inputs and outputs by name, versions of tools; sorted, one entry a line."""
    lock = {"inputs": _hashes(inputs), "tools": dict(tools), "outputs": _hashes(outputs)}
    return (json.dumps(lock, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {str(relative_name(name)): hashlib.sha256(content).hexdigest() for name, content in files.items()}
