"""Patterns of the spec as functions of Python's `re`, and which texts pass them without a match."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["allows_printable_ascii", "compile_pattern"]

_PRINTABLE_ASCII = "".join(map(chr, range(32, 127)))
_ONE_CLASS_PATTERN = re.compile(r"\^\[(?:[^\]\\]|\\.)+\][*+]\$")


# Any text, but for some characters; or such a text with at least one character that is none of some more.
_EXCLUDING_PATTERN = re.compile(
    r"(?:\^\$\|)?\^\[\^(?:[^\]\\]|\\.)+\]\*\[\^(?:[^\]\\]|\\.)+\]\[\^(?:[^\]\\]|\\.)+\]\*\$"
)


def allows_printable_ascii(pattern: str) -> bool:
    """Whether a text of printable ASCII matches, whatever it says: the classes of the pattern hold all of ASCII."""
    if _EXCLUDING_PATTERN.fullmatch(pattern) is not None:
        return all(re.fullmatch(pattern, character) for character in (*_PRINTABLE_ASCII, _PRINTABLE_ASCII))
    return _ONE_CLASS_PATTERN.fullmatch(pattern) is not None and re.fullmatch(pattern, _PRINTABLE_ASCII) is not None


def _without_capturing(pattern: str) -> str:
    """Make all groups non-capturing: capturing takes time, and nobody asks what was captured."""
    return re.sub(r"(\\.|\[(?:[^\]\\]|\\.)*\])|\((?!\?)", lambda found: found[1] or "(?:", pattern)


def compile_pattern(pattern: str) -> Callable[[str], object]:
    """Compile a pattern of the spec. It is of ECMA-262: an unanchored one is searched for, and `$` is the very end."""
    compiled = re.compile(_without_capturing(pattern))
    return compiled.fullmatch if pattern.lstrip("(").startswith("^") else compiled.search
