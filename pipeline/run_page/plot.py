"""A drawing as places: what a template needs to draw a chart as SVG in the colours of the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 12, 40
FAR = 3.0  # ranges of all later values that a first value may lie beyond them before it is cut off
DRAWN = 400  # points of a line that are drawn; of more, as many evenly chosen ones


@dataclass(frozen=True)
class Mark:
    """A point; `kind` is its class of CSS, `title` what the pointer tells."""

    kind: str
    x: float
    y: float
    title: str = ""


@dataclass(frozen=True)
class Line:
    """A path; `kind` is its class of CSS; with a `name` it stands in the key."""

    kind: str
    path: str
    name: str = ""


@dataclass(frozen=True)
class Plot:
    """A chart with two axes."""

    title: str
    says: str
    """What it shows, for those who do not see it."""
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    """Place in the drawing, and text."""
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    note: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    key: tuple[tuple[str, str], ...] = field(default=())
    """Class of CSS and text of what the key names beside the lines."""


@dataclass(frozen=True)
class Axis:
    """From values to places between two ends of the drawing."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """Where a value lies, within the ends."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.first + share * (self.last - self.first), 1)

    def ticks(self, most: int = 5, *, whole: bool = False) -> tuple[tuple[float, str], ...]:
        """Some round values within the axis: where each lies, and its text."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough * 0.999)
        step = max(1.0, step) if whole else step
        values = [n * step for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]
        return tuple((self.at(value), tick(value, step)) for value in values)


def tick(value: float, step: float) -> str:
    """The text of a tick: 0.25, 20, 150k, 2.5M, 1e-05."""
    if abs(value) < step / 1e6:
        return "0"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (abs(value) >= size and size > 1e3):
            return f"{value / size:.{max(0, -math.floor(math.log10(step / size) + 1e-9))}f}{unit}" if abs(value) < 1e13 else f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}" if digits <= 5 else f"{value:.2g}"


def x_axis(low: float, high: float) -> Axis:
    """The axis along the drawing."""
    return Axis(*_apart(low, high), LEFT, WIDTH - RIGHT)


def y_axis(low: float, high: float) -> Axis:
    """The axis upwards."""
    return Axis(*_apart(low, high), HEIGHT - BOTTOM, TOP)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Two ends that are apart, even where all values are one."""
    room = (abs(low) or 1.0) / 10
    return (low, high) if high - low > 1e-12 * max(abs(low), abs(high)) else (low - room, high + room)


def reach(values: Iterable[float], *, room: float = 0.06) -> tuple[float, float]:
    """Ends that hold all finite values, with some room; 0 and 1 without any."""
    there = [value for value in values if math.isfinite(value)]
    low, high = min(there, default=0.0), max(there, default=1.0)
    return low - room * (high - low), high + room * (high - low)


def cut_first(curves: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Ends for curves over time; a first value far beyond all later ones is cut off, so that these can be told apart."""
    later = [value for curve in curves for value in curve[1:] if math.isfinite(value)]
    everything = [value for curve in curves for value in curve if math.isfinite(value)]
    if len(later) < 4:
        return reach(everything)
    low, high = min(later), max(later)
    return reach(min(max(value, low - FAR * (high - low)), high + FAR * (high - low)) for value in everything)


def path(x: Axis, y: Axis, points: Sequence[tuple[float, float]]) -> str:
    """The path through points; it breaks where a value is not finite."""
    if len(points) > DRAWN:
        points = [points[round(n * (len(points) - 1) / (DRAWN - 1))] for n in range(DRAWN)]
    drawn, pen = [], "M"
    for across, up in points:
        if math.isfinite(across) and math.isfinite(up):
            drawn.append(f"{pen}{x.at(across):g} {y.at(up):g}")
            pen = "L"
        else:
            pen = "M"
    return "".join(drawn)


def steps(x: Axis, y: Axis, points: Sequence[tuple[float, float]]) -> str:
    """The path that keeps each point's height until the next one, and to the end of the axis."""
    if not points:
        return ""
    drawn = [f"M{x.at(points[0][0]):g} {y.at(points[0][1]):g}"]
    drawn += [f"H{x.at(across):g}V{y.at(up):g}" for across, up in points[1:]]
    return "".join(drawn) + f"H{x.last:g}"


def area(x: Axis, y: Axis, edges: Sequence[tuple[float, float, float]]) -> str:
    """The shape between two curves: across, low and high of each point."""
    there = [edge for edge in edges if all(map(math.isfinite, edge))]
    if not there:
        return ""
    upper = "L".join(f"{x.at(across):g} {y.at(high):g}" for across, _, high in there)
    lower = "L".join(f"{x.at(across):g} {y.at(low):g}" for across, low, _ in reversed(there))
    return f"M{upper}L{lower}Z"
