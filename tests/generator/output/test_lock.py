"""The lock changes with its causes and with nothing else."""

from __future__ import annotations

import json

import pytest

from generator.output.lock import make_lock

TOOLS = {"ruff": "1.0", "jinja2": "3.0"}


def test_lock_holds_hashes_and_versions() -> None:
    """sha256 of every input and output by name, and the version of each tool."""
    lock = json.loads(make_lock({"spec/a.yaml": b"a"}, TOOLS, {"b.py": b""}))

    assert lock == {
        "inputs": {"spec/a.yaml": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
        "outputs": {"b.py": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "tools": TOOLS,
    }


def test_order_of_arguments_does_not_matter() -> None:
    """The same causes in another order give the same bytes."""
    first = make_lock({"a": b"1", "b": b"2"}, TOOLS, {"c": b"", "d": b""})
    second = make_lock({"b": b"2", "a": b"1"}, dict(reversed(TOOLS.items())), {"d": b"", "c": b""})

    assert first == second
    assert first.endswith(b"}\n")


@pytest.mark.parametrize("name", ["/home/somebody/a.yaml", "../a.yaml", "C:\\a.yaml"])
def test_paths_of_one_machine_are_refused(name: str) -> None:
    """Only names relative to the project may stand in the lock."""
    with pytest.raises(ValueError, match="no name inside the tree"):
        make_lock({name: b""}, TOOLS, {})
