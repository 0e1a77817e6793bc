"""A local server that behaves as the Synerise Profile Management API; needs `pip install synerise-profiles[sandbox]`.

`with Sandbox() as sandbox: ...` starts it on a free loopback port; `create_app()` is the same as an ASGI application.

A request goes through `app`: `http` reads, routes, authorizes and validates it, a function of `handlers` answers it and
hands back its write, `domain` decides and `storage` keeps, `http` renders the answer. `admin` is what tests see and
control. Each room imports only rooms above it, and of these only the ones named:

    clock, options, schemas, spec, responses   facts: time, options, the API document, what a handler answers with
    domain                                     the facts
    storage                                    the facts, domain
    http                                       the facts, domain, storage (for credentials)
    context                                    the facts, domain, storage, http
    handlers                                   the facts, domain, context: storage is reached through the context
    admin                                      the facts, domain, storage, http, context
    app, server                                all
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from synerise_profiles._core.optional_deps import missing_dependency_error

if TYPE_CHECKING:
    from .admin.faults import Fault as Fault
    from .admin.faults import Faults as Faults
    from .admin.request_log import LoggedRequest as LoggedRequest
    from .app import App as App
    from .app import create_app as create_app
    from .clock import MovableClock as MovableClock
    from .options import SandboxOptions as SandboxOptions
    from .responses import Outcome as Outcome
    from .server import Sandbox as Sandbox
    from .storage.dropped_writes import DroppedWrite as DroppedWrite

_MODULES = {
    "App": "app",
    "DroppedWrite": "storage.dropped_writes",
    "Fault": "admin.faults",
    "Faults": "admin.faults",
    "LoggedRequest": "admin.request_log",
    "MovableClock": "clock",
    "Outcome": "responses",
    "Sandbox": "server",
    "SandboxOptions": "options",
    "create_app": "app",
}

__all__ = [
    "App",
    "DroppedWrite",
    "Fault",
    "Faults",
    "LoggedRequest",
    "MovableClock",
    "Outcome",
    "Sandbox",
    "SandboxOptions",
    "create_app",
]

_EXTRA_MODULES = ("httptools", "jsonschema_rs", "uvicorn")


def __getattr__(name: str) -> object:
    home = _MODULES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA_MODULES:
            raise
        raise missing_dependency_error(error, "sandbox", "the sandbox") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
