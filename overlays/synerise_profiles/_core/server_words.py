"""The server's own words about a refusal, made fit to be shown: what the request held is taken out of them. Pure.

A server quotes what it refuses, so its words may hold personal data. Shown are its reasons with every string and number
of three characters and more that the request held replaced, and without what looks like an address or holds five digits
in a row; what the server quotes percent-encoded or as HTML is decoded for that. The name of a field is shown where it
looks like one.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import orjson

from synerise_profiles_api.json_values import is_list, is_object
from synerise_profiles_api.types import Request

__all__ = ["server_words"]

_MIN_LENGTH: Final = 3
_MAX_FIELDS: Final = 10
_MAX_REASON_LENGTH: Final = 200
_MASK: Final = "[…]"
_HIDDEN_NAME: Final = "(a name that is not shown)"
_HIDDEN_REASON: Final = "a reason that quotes what was sent"
_NAME: Final = re.compile(r"(?!.*\d{5})[A-Za-z_\[][\w.\[\]-]{0,79}", re.ASCII)
_WORD: Final = re.compile(r"\w{3,}")
_MAX_ENCODINGS: Final = 4
_PERSONAL: Final = re.compile(
    r"\S*(?:@|://|www\.|\ufffd)\S*"  # an address, or a letter that is lost
    r"|\S*(?:\\u\{?[0-9a-f]{2}|\\x[0-9a-f]{2}|\\[0-7]{3}|%u?[0-9a-f]{2}|&#|=[0-9a-f]{2}=[0-9a-f]{2})\S*"  # or encoded
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"  # an IP address
    r"|\+?\d(?:[ ()./-]{0,2}\d){8,}"  # a telephone number in groups
    r"|\S*\d{5}\S*",
    re.IGNORECASE,
)
_MESSAGE_KEYS: Final = ("message", "error_description", "detail", "title", "error")


def server_words(data: Any, request: Request[Any], phrase: str) -> str:
    """Return the reasons of an error body by field, or its message; empty where it says no more than its status.

    `data` is the decoded body, `phrase` the words of the status, which some servers repeat.
    """
    entries = list(_entries(data))
    if entries:
        redact = _Redaction(request, [entry.get("rejectedValue") for entry in entries])
        reasons: dict[str, str] = {}
        for entry in entries:
            if len(reasons) <= _MAX_FIELDS:
                reasons.setdefault(_shown_name(entry.get("field")), redact.clean(_message(entry)))
        more = len({str(entry.get("field")) for entry in entries}) - _MAX_FIELDS
        shown = [f"{name} ({reason})" if reason else name for name, reason in list(reasons.items())[:_MAX_FIELDS]]
        return f"refused fields: {', '.join(shown)}" + (f" and {more} more" if more > 0 else "")
    message = _message(data) if is_object(data) else ""
    if not message or message.casefold() == phrase.casefold():
        return ""
    return f"the server says: {_Redaction(request, []).clean(message)}"


def _entries(data: Any) -> Iterator[Mapping[str, Any]]:
    found = data.get("errors") if is_object(data) else data
    if is_list(found):
        yield from (entry for entry in found if is_object(entry) and (entry.get("field") or _message(entry)))


def _message(data: Mapping[str, Any]) -> str:
    return next(
        (" ".join(text.split()) for key in _MESSAGE_KEYS if isinstance(text := data.get(key), str) and text), ""
    )


def _shown_name(field: object) -> str:
    if not field:
        return "(no field)"
    return field if isinstance(field, str) and _NAME.fullmatch(field) else _HIDDEN_NAME


class _Redaction:
    """Takes out of a text what a request held: strings and numbers anywhere, their words where they stand alone."""

    def __init__(self, request: Request[Any], further: list[Any]) -> None:
        held: set[str] = set()
        for value in (_content(request), *further):
            held.update(_texts(value))
        held.update(unquote(part) for segment in request.path.split("/") for part in segment.split(","))
        held.update(value for _, value in parse_qsl(request.query))
        # What the path is made of is no value: it is in every request of the operation.
        held -= set(request.operation.path.split("/"))
        plain = {form.lower() for text in held for form in _forms(text)}
        self._held = sorted((text for text in plain if len(text) >= _MIN_LENGTH), key=len)
        self._words = {word for text in self._held for word in _WORD.findall(text)}

    def clean(self, text: str) -> str:
        """Return a text without what was held, in printable characters, cut where it is long."""
        text = _decoded(text)
        lowered = text.lower()
        for held in reversed(self._held):
            if held in lowered:
                text = re.sub(re.escape(held), _MASK, text, flags=re.IGNORECASE)
                lowered = text.lower()
                if held in lowered:  # letters that change their number with their case
                    return _HIDDEN_REASON
        text = _PERSONAL.sub(_MASK, text)
        text = _WORD.sub(lambda found: _MASK if found[0].lower() in self._words else found[0], text)
        return text if len(text) <= _MAX_REASON_LENGTH else f"{text[:_MAX_REASON_LENGTH]}…"


def _plain(text: str) -> str:
    """Return a text in one line, without characters that nobody sees, which could stand between those of a value."""
    text = unicodedata.normalize("NFC", text)
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def _decoded(text: str) -> str:
    """Return a plain text with its letters decoded, percent-encoded ones and those of HTML, also several times over."""
    text = _plain(text)
    for _ in range(_MAX_ENCODINGS):
        if "%" not in text and "&" not in text:
            break
        text = _plain(unquote(html.unescape(text)))
    return text


def _forms(text: str) -> Iterator[str]:
    """Yield what a server may make of a text: it decodes it, takes UTF-8 for another encoding, or changes letters."""
    plain = _plain(text)
    yield plain
    if "%" in text or "&" in text:
        yield _decoded(text)
    if not plain.isascii():
        letters = plain.encode("utf-8", "replace")
        yield _plain(letters.decode("latin-1"))
        yield _plain(letters.decode("cp1252", "ignore"))
        yield plain.encode("ascii", "replace").decode()
        yield plain.encode("ascii", "ignore").decode()
        yield unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def _content(request: Request[Any]) -> Any:
    try:
        return None if request.content is None else orjson.loads(request.content)
    except orjson.JSONDecodeError:
        return request.content.decode("utf-8", "replace") if request.content else None


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings and numbers of JSON, and the keys that do not look like names of fields."""
    if isinstance(value, str):
        yield value
    elif is_object(value):
        for key, item in value.items():
            if not _NAME.fullmatch(key):
                yield key
            yield from _texts(item)
    elif is_list(value):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value).removesuffix(".0")
