"""Charts as inline SVG, with their words as HTML beside them, so that they are read on any width."""

from __future__ import annotations

import math
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


def rate_chart(points: Sequence[tuple[float, int, int]]) -> str:
    """Return rows in a second over time, from how many rows had been settled after how many seconds.

    The third number of a point counts responses that were throttled until then: where it grows, the column is marked.
    """
    columns: list[tuple[float, float, float, bool]] = []
    before, count_before, throttled_before = 0.0, 0, 0
    for now, count, throttled in points:
        if now > before + _MIN_SECONDS:
            rate = max(0.0, (count - count_before) / (now - before))
            columns.append((before, now, rate, throttled > throttled_before))
            before, count_before, throttled_before = now, count, throttled
    highest = max((column[2] for column in columns), default=0.0)
    if not highest:
        return ""
    top = _axis_end(highest)
    lines = "".join(f'<rect class="line" width="{_WIDTH}" y="{_HEIGHT * n / 4}" height="0.5"/>' for n in (1, 2, 3))
    shapes = "".join(_column(start / before, end / before, rate / top, is_bad) for start, end, rate, is_bad in columns)
    scale = "".join(f"<span>{_axis_text(top * n / 4)}</span>" for n in (4, 3, 2, 1, 0))
    times = "".join(f"<span>{_axis_text(before * n / 4)}</span>" for n in range(5))
    marked = " A mark at the foot: the server was too busy then." if any(bad for *_, bad in columns) else ""
    return (
        f'<div class="rate"><div class="scale">{scale}</div>{_svg(lines + shapes)}'
        f'<div class="times">{times}</div></div>\n'
        f'<p class="note">Upwards: rows a second, at most {highest:,.0f}. To the right: seconds.{marked}</p>\n'
    )


def _column(start: float, end: float, share: float, is_throttled: bool) -> str:  # noqa: FBT001 - of one loop alone
    x, width, height = start * _WIDTH, (end - start) * _WIDTH, share * _HEIGHT
    column = f'<rect class="plain" x="{x:.1f}" y="{_HEIGHT - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    mark = f'<rect class="lost" x="{x:.1f}" y="{_HEIGHT - 4}" width="{width:.1f}" height="4"/>'
    return column + mark if is_throttled else column


def _axis_end(highest: float) -> float:
    """Return a round number that is not below the highest value."""
    size = 10.0 ** math.floor(math.log10(highest))
    return next(size * step for step in (1, 2, 4, 5, 8, 10, 20) if size * step >= highest)


def _axis_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _bar(item: Bar) -> str:
    width = item.count / item.whole * _WIDTH if item.whole else 0
    rect = f'<rect class="{item.kind}" width="{width:.1f}" height="{_HEIGHT}"/>'
    label = escape(printable(item.label))
    return f'<div class="bar"><div><span>{label}</span> <strong>{item.count:,}</strong></div>{_svg(rect)}</div>\n'


def _svg(shapes: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{shapes}</svg>'
