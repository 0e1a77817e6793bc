"""Defects of the sandbox itself: they are told, and end nothing else."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox, server


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever starts it, with the reason; the port is free again."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no descriptors are left")

    with monkeypatch.context() as broken:
        broken.setattr(server._Server, "run", fail)
        sandbox = Sandbox()
        with pytest.raises(RuntimeError, match="the sandbox did not start") as caught:
            sandbox.start()
    assert isinstance(caught.value.__cause__, OSError)
    with Sandbox() as other:
        assert httpx.get(other.url, trust_env=False).status_code == 200


def test_a_defect_of_a_control_is_an_answer(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With its kind alone; the log has the rest, and the sandbox goes on."""

    def fail() -> None:
        raise ZeroDivisionError("secret")

    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(sandbox.app, "drain", fail)
        answer = httpx.post(f"{sandbox.url}/_sandbox/drain", trust_env=False)
    assert (answer.status_code, answer.json()) == (500, {"error": "ZeroDivisionError in the sandbox"})
    assert "/_sandbox/drain" in caplog.text
    assert httpx.post(f"{sandbox.url}/_sandbox/drain", trust_env=False).status_code == 200
