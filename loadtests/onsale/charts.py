"""Charts as inline SVG. Marks have classes but no colours: those are up to the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTHS = {"wide": 720, "narrow": 340}
"""By class: each chart is drawn for desktop and for phone, because its text must not scale."""

HEIGHT = 250
RIGHT, TOP, BOTTOM = 12, 24, 38

DIGIT_WIDTH = 7
"""The maximum, for labels on the axes."""

X_LABEL = "seconds since the first request"


class Line(NamedTuple):
    """A line in a chart: its class on the page, and its points by x."""

    style: str
    points: Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """A bar from one x to another, stacked from parts with a class each."""

    begins: float
    ends: float
    parts: Sequence[tuple[str, float]]


def line_chart(lines: Sequence[Line], *, seconds: float, unit: str, label: str) -> str:
    """Lines over the course of a sale.

    Args:
        seconds: how long the sale lasted.
        unit: of the y axis.
        label: what the chart shows, for screen readers.
    """

    def marks(frame: _Frame) -> Iterator[str]:
        for line in lines:
            points = "L".join(f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in line.points)
            yield f'<path class="line {line.style}" d="M{points}"/>'

    value_max = max((y for line in lines for _, y in line.points), default=0)
    return _draw(marks, seconds, value_max, unit, label)


def bar_chart(bars: Sequence[Bar], *, seconds: float, unit: str, label: str) -> str:
    """Bars over the course of a sale; the arguments are those of `line_chart`."""

    def marks(frame: _Frame) -> Iterator[str]:
        for bar in bars:
            left, right = frame.x(bar.begins) + 0.5, frame.x(bar.ends) - 0.5
            below = 0.0
            for style, value in bar.parts:
                top, bottom = frame.y(below + value), frame.y(below)
                below += value
                if value:
                    yield (
                        f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}"'
                        f' width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
                    )

    value_max = max((sum(value for _, value in bar.parts) for bar in bars), default=0)
    return _draw(marks, seconds, value_max, unit, label)


def ticks(value_max: float, steps_max: int) -> list[float]:
    """Round numbers from 0 to at least `value_max`, in at most `steps_max` steps."""
    rough = max(value_max, 1e-9) / steps_max
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    # The tolerance is for 3 * 0.1, which is slightly more than 0.3.
    return [number * step for number in range(math.ceil(value_max / step - 1e-9) + 1)]


class _Frame:
    """The axes of a chart, and the position of a value in it."""

    def __init__(self, width: int, seconds: float, value_max: float, unit: str) -> None:
        self._width = width
        self._seconds = seconds
        self._x_ticks = [tick for tick in ticks(seconds, width // 70) if tick <= seconds]
        self._y_ticks = ticks(value_max or 1, 5)
        self._left = 12 + DIGIT_WIDTH * max(len(_label(tick)) for tick in self._y_ticks)
        self._unit = unit

    def x(self, value: float) -> float:
        return self._left + value / self._seconds * (self._width - self._left - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._y_ticks[-1] * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> Iterator[str]:
        right = self._width - RIGHT
        for tick in self._y_ticks:
            y = self.y(tick)
            yield f'<path class="grid" d="M{self._left} {y:.1f}H{right}"/>'
            yield f'<text x="{self._left - 8}" y="{y + 4:.1f}" class="end">{_label(tick)}</text>'
        for tick in self._x_ticks:
            yield (
                f'<text x="{self.x(tick):.1f}" y="{HEIGHT - BOTTOM + 17}" class="middle">'
                f"{_label(tick)}</text>"
            )
        yield f'<text x="0" y="11">{escape(self._unit)}</text>'
        yield f'<text x="{right}" y="{HEIGHT - 5}" class="end">{X_LABEL}</text>'


def _label(tick: float) -> str:
    return f"{tick:,.10g}"


def _draw(
    marks: Callable[[_Frame], Iterator[str]],
    seconds: float,
    value_max: float,
    unit: str,
    label: str,
) -> str:
    drawn = []
    for style, width in WIDTHS.items():
        frame = _Frame(width, seconds, value_max, unit)
        drawn.append(
            f'<svg class="{style}" viewBox="0 0 {width} {HEIGHT}" role="img"'
            f' aria-label="{escape(label)}">{"".join([*frame.axes(), *marks(frame)])}</svg>'
        )
    return "\n".join(drawn)
