"""The message about a text that is none of the allowed values."""

from __future__ import annotations

from collections.abc import Sequence

from synerise_profiles_api.names import near_name

__all__ = ["no_choice_problem"]


def no_choice_problem(text: str, choices: Sequence[str]) -> str:
    """Name the choices, and the one that is meant; the text itself is not quoted."""
    near = near_name(text, choices)
    return f"is none of {', '.join(choices)}" + ("" if near is None else f"; did you mean {near!r}?")
