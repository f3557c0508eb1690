"""Axes of the figures of a sweep: where the levels of a key stand, and what is shown of an objective."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.tuning.report import facts
from pipeline.tuning.report.formats import Absent, Level, is_number, short, shown
from pipeline.tuning.results import COMPLETE, Sweep

TICKS = 7  # of an axis, at most


@dataclass(frozen=True)
class Scale:
    """Where the values of a key stand on an axis."""

    log: bool
    """Positions are decimal logarithms."""
    steps: bool
    """Each value has a place of its own, at equal distances."""
    placed: Mapping[str, float]
    """Position by spelling: of every value where there are steps, else of those that are no numbers."""
    ticks: tuple[tuple[float, str], ...]
    """Position and label."""
    ends: tuple[float, float]
    """Positions between which all values lie."""

    def place(self, level: Level) -> float:
        """The position of a value."""
        if (at := self.placed.get(shown(level))) is not None:
            return at
        value = float(level)  # type: ignore[arg-type]
        return math.log10(value) if self.log else value


@dataclass(frozen=True)
class Span:
    """The values of an objective that a figure shows."""

    low: float
    high: float
    log: bool
    worse: int
    """How many values lie beyond the worse end."""

    @property
    def ends(self) -> tuple[float, float]:
        """Positions of the ends on the axis."""
        return (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)

    def inside(self, value: float) -> float:
        """The value, or the one just inside of the end beyond which it lies."""
        if self.low <= value <= self.high:
            return value
        low, high = self.ends
        at = low + (high - low) * (0.03 if value < self.low else 0.97)
        return 10**at if self.log else at


def scale_of(sweep: Sweep, key: str) -> Scale:
    """The scale of a key over all trials; `model.width[1]` is searched as `model.width` is."""
    return scale([facts.level(trial, key) for trial in sweep.trials], log=key.partition("[")[0] in sweep.logarithmic)


def scale(levels: Sequence[Level], *, log: bool = False) -> Scale:
    """The scale of a key with these values: steps for categories and for a few numbers that come again and again, else the numbers.

    Args:
        log: whether numbers stand at their logarithms, if all are positive.
    """
    numbers = sorted(float(level) for level in levels if is_number(level))
    others = {shown(level) for level in levels if not is_number(level)}
    outside = [label for label in (Absent.ABSENT.value, "null") if label in others]
    categories = len(others) > len(outside) or not numbers
    distinct = len(set(numbers))
    log = log and not categories and numbers[0] > 0
    if categories or (not log and (distinct == 1 or (distinct <= 6 and len(numbers) > 2 * distinct))):
        named = [label for _, label in sorted({(float(v), shown(v)) for v in levels if is_number(v)})]
        placed = {label: float(at) for at, label in enumerate(dict.fromkeys([*outside, *named, *sorted(others - set(outside))]))}
        return Scale(False, True, placed, tuple((at, short(label)) for label, at in placed.items()), (-0.5, len(placed) - 0.5))
    low, high = (math.log10(end) if log else end for end in (numbers[0], numbers[-1]))
    pad = (high - low) / 20 or 0.05
    placed = {label: low - 3 * (len(outside) - at) * pad for at, label in enumerate(outside)}
    return Scale(
        log,
        False,
        placed,
        (*((at, label) for label, at in placed.items()), *ticks(low, high, log=log)),
        (min([low, *placed.values()]) - pad, high + pad),
    )


def ticks(low: float, high: float, *, log: bool) -> list[tuple[float, str]]:
    """Round numbers between two positions, with their labels; the ends where a logarithmic axis has no two of them."""
    if not log:
        raw = (high - low) / (TICKS - 2)
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
        return [
            (step * k, shown(float(f"{step * k:.12g}"))) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        ]
    decades = range(math.floor(low), math.ceil(high) + 1)
    for factors in (1,), (1, 2, 5):
        every = [at for k in decades for factor in factors if low - 1e-9 <= (at := k + math.log10(factor)) <= high + 1e-9]
        if len(every) > 1:
            return [(at, shown(10.0**at)) for at in every[:: -(-len(every) // TICKS)]]
    return [(at, shown(10.0**at)) for at in dict.fromkeys((low, high))]


def span_of(sweep: Sweep, k: int) -> Span:
    """What is shown of objective k: where they are many, complete trials take a third of it at least, since pruned
    ones stop at any height."""
    lower = sweep.lower[k]
    valued = [(trial, value) for trial in sweep.trials if (value := facts.value(trial, k)) is not None]
    every = [value for _, value in valued]
    complete = [value for trial, value in valued if trial.state == COMPLETE]
    always = [value for trial, value in valued if trial.number in sweep.front]
    seen, inner = span(every, lower=lower, always=always), span(complete or every, lower=lower, always=always)
    if not seen.log and not inner.log and len(complete) >= 8:
        height = 2 * (inner.high - inner.low)
        seen = replace(seen, low=max(seen.low, inner.low - height), high=min(seen.high, inner.high + height))
    return replace(seen, worse=sum(v > seen.high if lower else v < seen.low for v in every))


def span(values: Iterable[float], *, lower: bool, always: Collection[float] = ()) -> Span:
    """Ends for an axis; values beyond four interquartile ranges on the worse side would press all others flat.

    Args:
        lower: whether less is better.
        always: values that lie between the ends at any rate.
    """
    ordered = sorted((v for v in values if math.isfinite(v)), reverse=not lower)  # the best first
    if not ordered:
        return Span(0, 1, False, 0)
    best, worst, middle = ordered[0], ordered[-1], ordered[len(ordered) // 2]
    if min(best, worst) > 0 and max(best, middle) > 100 * min(best, middle):
        return Span(min(best, worst) / 1.3, max(best, worst) * 1.3, True, 0)
    cut = worst
    if len(ordered) >= 8:
        near, _, far = statistics.quantiles(ordered, n=4)[:: 1 if lower else -1]
        fence = far + 4 * ((far - near) or (far - best) or (abs(far) or 1.0) * (1 if lower else -1))
        cut = [v for v in ordered if (v <= fence if lower else v >= fence) or v in always][-1]
    low, high = min(best, cut), max(best, cut)
    pad = (high - low) / 16 or abs(high) / 10 or 1.0
    return Span(low - pad, high + pad, False, sum(v > cut if lower else v < cut for v in ordered))
