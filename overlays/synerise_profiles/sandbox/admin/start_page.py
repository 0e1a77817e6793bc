"""The start page: one file of HTML, CSS and JavaScript that polls `/_sandbox/start-page` once a second.

It is one file so that its security policy can name the digests of its script and its style, and forbid all else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

import orjson

from synerise_profiles.sandbox.http.messages import Header
from synerise_profiles.sandbox.schemas import Json

_MAX_SHOWN_CHARS = 400
_MAX_SHOWN_TAGS = 10


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


def profile_row(profile: Json) -> Json:
    """A profile as a row of the start page."""
    names = (profile["firstName"], profile["lastName"])
    return {
        **{name: profile[name] for name in ("clientId", "email", "customId", "phone")},
        "name": profile["displayName"] or " ".join(filter(None, names)),
        "tags": profile["tags"][:_MAX_SHOWN_TAGS],
        "attributes": shortened_json(profile["attributes"]),
    }


def shortened_json(value: Any) -> str:
    """The beginning of a value's JSON, for people to read."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + " …"
