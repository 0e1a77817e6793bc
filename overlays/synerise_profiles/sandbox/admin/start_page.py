"""The start page: one file of HTML, CSS and JavaScript that asks for the state once a second."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from synerise_profiles.sandbox.http.messages import Header


@cache
def page() -> bytes:
    """The page as it is sent."""
    return (resources.files(__package__ or "") / "start_page.html").read_bytes()


def _content_security_policy() -> bytes:
    """The page may run its own script and style, ask its own server, and load nothing at all."""
    text = page().decode()
    rules = ["default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'"]
    for name, element in (("script-src", "script"), ("style-src", "style")):
        found = re.search(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = hashlib.sha256((found[1] if found else "").encode()).digest()
        rules.append(f"{name} 'sha256-{base64.b64encode(digest).decode()}'")
    return "; ".join([*rules, "frame-ancestors 'none'"]).encode()


SECURITY_HEADERS: tuple[Header, ...] = (
    (b"content-security-policy", _content_security_policy()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
