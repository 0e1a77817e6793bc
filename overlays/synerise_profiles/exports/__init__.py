"""Exports of profiles: order, wait, read page by page, write to a file. Reached by `client.exports`."""

from __future__ import annotations

from .errors import ExportError, ExportFailedError, ExportTimeoutError
from .progress import ExportProgress
from .reading import AsyncExport, Export
from .settings import Backoff
from .surface import AsyncExports, Exports

__all__ = [
    "AsyncExport",
    "AsyncExports",
    "Backoff",
    "Export",
    "ExportError",
    "ExportFailedError",
    "ExportProgress",
    "ExportTimeoutError",
    "Exports",
]
