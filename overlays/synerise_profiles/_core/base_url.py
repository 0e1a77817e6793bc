"""The base URL of a client: that of a region, or a given one, checked. Loads no HTTP library."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api import settings
from synerise_profiles_api.names import closest_name

__all__ = ["checked_base_url", "is_loopback"]

_HOST_PATTERN = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+", re.ASCII)
_PATH_PATTERN = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_LABEL_END = 64  # one more than what a name server takes


def checked_base_url(region: object, base_url: str | None) -> str:
    """Return the base URL that a region or a URL leads to, without a slash at its end; raise ConfigurationError."""
    if base_url is None:
        name = settings.DEFAULT_REGION if region is None else region
        url = settings.REGIONS.get(name) if isinstance(name, str) else None
        if url is None:
            near = closest_name(region, settings.REGIONS) if isinstance(region, str) else None
            hint = "or pass base_url" if near is None else f"did you mean {near!r}?"
            raise ConfigurationError(f"region: expected one of {', '.join(settings.REGIONS)}; {hint}")
        return url
    if region is not None:
        raise ConfigurationError("both region and base_url are given; expected at most one")
    parts, port = _split(base_url)
    problem = ""
    host = parts.hostname
    if "@" in parts.netloc:
        problem = "holds a user name or password; pass them as credentials"
    elif "?" in base_url or "#" in base_url:
        problem = "holds a query or a fragment; remove it"
    elif not host:
        problem = "names no host" if "://" in base_url else "is no whole URL; begin it with https://"
    elif parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        problem = "expected https (http is allowed for this machine only)"
    elif not _HOST_PATTERN.fullmatch(host) or (
        ":" not in host and any(not 0 < len(label) < _LABEL_END for label in host.split("."))
    ):
        problem = "its host is not a host name or an address"
    elif not _PATH_PATTERN.fullmatch(parts.path) or any(segment in (".", "..") for segment in parts.path.split("/")):
        problem = "its path holds relative segments or characters that are not encoded"
    if problem or host is None:
        raise ConfigurationError(f"base_url: {problem}")
    authority = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{authority}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _split(base_url: object) -> tuple[SplitResult, int | None]:
    if not isinstance(base_url, str) or not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        raise ConfigurationError("base_url: expected a URL in ASCII without white space")
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("base_url: is not a URL (its host or port cannot be read)") from None
    return parts, port


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
