"""Exports of profiles: order, wait, read page by page, write to a file. Reached by `client.exports`."""

from __future__ import annotations

from .client import AsyncExportsClient, ExportsClient
from .errors import ExportError, ExportFailedError, ExportTimeoutError
from .export import AsyncExport, Export
from .settings import Backoff
from .status import ExportProgress

__all__ = [
    "AsyncExport",
    "AsyncExportsClient",
    "Backoff",
    "Export",
    "ExportError",
    "ExportFailedError",
    "ExportProgress",
    "ExportTimeoutError",
    "ExportsClient",
]
