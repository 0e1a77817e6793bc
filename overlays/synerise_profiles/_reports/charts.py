"""Charts as inline SVG, with their words as HTML beside them, so that they are read on any width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

import attrs

from .plain_text import printable

__all__ = ["Bar", "bars", "rate_chart"]

_WIDTH = 1000
_HEIGHT = 100
_MIN_SECONDS = 1e-6


@attrs.frozen
class Bar:
    """A bar of a chart: how much of the `whole` it is, and of which `kind`."""

    label: str
    count: int
    whole: int
    kind: Literal["plain", "good", "lost"] = "plain"


def bars(items: Iterable[Bar]) -> str:
    """Return bars, each under its label and count."""
    return "".join(map(_bar, items))


def rate_chart(points: Sequence[tuple[float, int]]) -> str:
    """Return rows in a second over time, from how many rows had been settled after how many seconds."""
    rates: list[tuple[float, float, float]] = []
    before, count_before = 0.0, 0
    for now, count in points:
        if now > before + _MIN_SECONDS:
            rates.append((before, now, max(0.0, (count - count_before) / (now - before))))
            before, count_before = now, count
    top = max((rate for *_, rate in rates), default=0.0)
    if not top:
        return ""
    columns = "".join(
        f'<rect class="plain" x="{start / before * _WIDTH:.1f}" y="{_HEIGHT - rate / top * _HEIGHT:.1f}" '
        f'width="{(end - start) / before * _WIDTH:.1f}" height="{rate / top * _HEIGHT:.1f}"/>'
        for start, end, rate in rates
    )
    return (
        f'<div class="rate">{_svg(columns)}</div>\n'
        f'<p class="note">Over {before:,.1f} s; the highest column is {top:,.0f} rows a second.</p>\n'
    )


def _bar(item: Bar) -> str:
    width = item.count / item.whole * _WIDTH if item.whole else 0
    rect = f'<rect class="{item.kind}" width="{width:.1f}" height="{_HEIGHT}"/>'
    label = escape(printable(item.label))
    return f'<div class="bar"><div><span>{label}</span> <strong>{item.count:,}</strong></div>{_svg(rect)}</div>\n'


def _svg(shapes: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{shapes}</svg>'
