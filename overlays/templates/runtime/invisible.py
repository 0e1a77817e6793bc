"""Invisible characters: those that a text has and nobody sees, named by their code points.

They come along when texts are copied from pages and workbooks. An identifier that has one is another identifier.
"""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["control_problem", "has_invisible", "invisible_characters", "invisible_text", "is_blank"]

_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Control and format characters, and blanks."""
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs that are drawn as nothing."""
_SELECTORS = (range(0x180B, 0x180E), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
"""Characters that choose the shape of the one before them."""

_CONTROL = re.compile("[\x00-\x1f\x7f]")


def control_problem(text: str) -> str:
    """Return why an identifier is refused that holds a control character of ASCII; nothing where it holds none."""
    found = None if text.isprintable() else _CONTROL.search(text)
    return "" if found is None else f"holds the control character U+{ord(found[0]):04X}; remove it"


def invisible_characters(text: str) -> list[str]:
    """Return the invisible characters of a text beyond ASCII, each once, as `U+200B (zero width space)`."""
    return [] if text.isascii() else [name for name in dict.fromkeys(map(_invisible_name, text)) if name]


def invisible_text(value: object) -> str:
    """Return what to add to the refusal of a value: its invisible characters, or nothing where it has none."""
    found = invisible_characters(value) if isinstance(value, str) else []
    return f"; it has {' and '.join(found)}, which nobody sees" if found else ""


def has_invisible(text: str) -> bool:
    """Whether a text has an invisible character beyond ASCII."""
    return not text.isascii() and any(map(_invisible_name, set(text)))


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: it is empty, or holds blanks and invisible characters alone."""
    if not text or text.isspace():
        return True
    return not text.isascii() and all(char.isspace() or bool(_invisible_name(char)) for char in text)


@functools.lru_cache(4096)
def _invisible_name(character: str) -> str:
    if character.isascii() or not (
        unicodedata.category(character) in _CATEGORIES
        or character in _FILLERS
        or any(ord(character) in selectors for selectors in _SELECTORS)
    ):
        return ""
    name = unicodedata.name(character, "").lower()
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")
