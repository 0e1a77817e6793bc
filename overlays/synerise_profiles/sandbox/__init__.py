"""A local server that behaves as the Synerise Profile Management API; needs `pip install synerise-profiles[sandbox]`.

`with Sandbox() as sandbox: ...` starts it on a free loopback port; `create_app()` is the same as an ASGI application.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from synerise_profiles._core.optional_deps import missing_dependency_error

if TYPE_CHECKING:
    from .admin.dropped_writes import Dropped as Dropped
    from .admin.faults import Fault as Fault
    from .admin.faults import Faults as Faults
    from .admin.request_log import Exchange as Exchange
    from .admin.request_log import Outcome as Outcome
    from .app import App as App
    from .app import create_app as create_app
    from .clock import MovableClock as MovableClock
    from .options import Options as Options
    from .server import Sandbox as Sandbox

_HOMES = {
    "App": "app",
    "Dropped": "admin.dropped_writes",
    "Exchange": "admin.request_log",
    "Fault": "admin.faults",
    "Faults": "admin.faults",
    "MovableClock": "clock",
    "Options": "options",
    "Outcome": "admin.request_log",
    "Sandbox": "server",
    "create_app": "app",
}

__all__ = [
    "App",
    "Dropped",
    "Exchange",
    "Fault",
    "Faults",
    "MovableClock",
    "Options",
    "Outcome",
    "Sandbox",
    "create_app",
]

_EXTRA = ("httptools", "jsonschema_rs", "uvicorn")


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise missing_dependency_error(error, "sandbox", "the sandbox") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
