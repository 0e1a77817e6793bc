"""Invisible characters: those that a text has and nobody sees, named by their code points.

They come along when texts are copied from pages and workbooks. An identifier that has one is another identifier.
"""

from __future__ import annotations

import functools
import unicodedata

__all__ = ["invisible_characters", "invisible_text"]

_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Control and format characters, and blanks."""


def invisible_characters(text: str) -> list[str]:
    """Return the invisible characters of a text beyond ASCII, each once, as `U+200B (zero width space)`."""
    return [] if text.isascii() else [name for name in dict.fromkeys(map(_invisible_name, text)) if name]


def invisible_text(value: object) -> str:
    """Return what to add to the refusal of a value: its invisible characters, or nothing where it has none."""
    found = invisible_characters(value) if isinstance(value, str) else []
    return f"; it has {' and '.join(found)}, which nobody sees" if found else ""


@functools.cache
def _invisible_name(character: str) -> str:
    if character.isascii() or unicodedata.category(character) not in _CATEGORIES:
        return ""
    name = unicodedata.name(character, "").lower()
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")
