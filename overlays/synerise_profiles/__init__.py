"""A client of the Synerise Profile Management API.

Start with `Synerise` or `AsyncSynerise`. Names are loaded when they are first used, so that importing this package
costs next to nothing.
"""

from __future__ import annotations

# Type checkers take this name for true. Importing it from typing would be most of what this import costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from synerise_profiles_api import api
    from synerise_profiles_api.types import UNSET, Operation, RawJson, Request, Response, Unset

    from . import events, models
    from ._core.config import AttemptResult, Options
    from ._core.retry import RetryPolicy
    from .client import AsyncSynerise, Synerise
    from .deprecations import SyneriseDeprecationWarning, SyneriseSunsetWarning
    from .errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        DeprecatedOperationError,
        FailedDependencyError,
        InvalidRequestError,
        NotFoundError,
        OperationSunsetError,
        PermissionDeniedError,
        RateLimitError,
        ResponseDecodingError,
        ServerError,
        SyneriseError,
        UnconfirmedResponseError,
        UnsupportedMediaTypeError,
    )

    __version__: str

__all__ = [
    "UNSET",
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncSynerise",
    "AttemptResult",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "DeprecatedOperationError",
    "FailedDependencyError",
    "InvalidRequestError",
    "NotFoundError",
    "Operation",
    "OperationSunsetError",
    "Options",
    "PermissionDeniedError",
    "RateLimitError",
    "RawJson",
    "Request",
    "Response",
    "ResponseDecodingError",
    "RetryPolicy",
    "ServerError",
    "Synerise",
    "SyneriseDeprecationWarning",
    "SyneriseError",
    "SyneriseSunsetWarning",
    "UnconfirmedResponseError",
    "Unset",
    "UnsupportedMediaTypeError",
    "__version__",
    "api",
    "events",
    "models",
]

_MODULES = {
    "AsyncSynerise": "synerise_profiles.client",
    "AttemptResult": "synerise_profiles._core.config",
    "Operation": "synerise_profiles_api.types",
    "Options": "synerise_profiles._core.config",
    "RawJson": "synerise_profiles_api.types",
    "Request": "synerise_profiles_api.types",
    "Response": "synerise_profiles_api.types",
    "RetryPolicy": "synerise_profiles._core.retry",
    "Synerise": "synerise_profiles.client",
    "SyneriseDeprecationWarning": "synerise_profiles.deprecations",
    "SyneriseSunsetWarning": "synerise_profiles.deprecations",
    "UNSET": "synerise_profiles_api.types",
    "Unset": "synerise_profiles_api.types",
}


if not TYPE_CHECKING:  # or type checkers would believe that every name exists

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415 - an import of this package should cost nothing

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "__version__":
            value = import_module("importlib.metadata").version("synerise-profiles")
        elif name in ("events", "models"):
            value = import_module(f"synerise_profiles.{name}")
        elif name == "api":
            value = import_module("synerise_profiles_api.api")
        else:
            value = getattr(import_module(_MODULES.get(name, "synerise_profiles.errors")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
