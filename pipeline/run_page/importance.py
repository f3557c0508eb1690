"""What the answers rest on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.run_page.reading import Row, value

MOST = 12  # columns


@dataclass(frozen=True)
class Weight:
    """A column: the rise of the loss when it is shuffled, with its interval, as places in percent; and how much worse the metric gets."""

    name: str
    at: float
    low: float
    high: float
    cost: str


def importance(rows: Sequence[Row], metric: str) -> list[Weight]:
    """The columns that the answers rest on most, from evaluate's table; none where the loss rises for no column."""
    names = ("loss_increase", "low", "high", f"{metric}_worse_by")
    single = [(row["name"], [value(row, name) for name in names]) for row in rows if row.get("columns") == "1"]
    found = sorted((one for one in single if math.isfinite(one[1][0])), key=lambda one: -one[1][0])[:MOST]
    most = max((end for _, ends in found for end in ends[:3] if math.isfinite(end)), default=0.0)
    if most <= 0:
        return []
    worse = max((abs(ends[3]) for _, ends in found if math.isfinite(ends[3])), default=0.0)
    digits = max(0, 2 - math.floor(math.log10(worse))) if worse else 0
    return [Weight(name, *_places(ends, most), _told(ends[3], digits)) for name, ends in found]


def _places(ends: Sequence[float], most: float) -> tuple[float, float, float]:
    at, low, high = (round(100 * min(max(end, 0.0), most) / most, 1) if math.isfinite(end) else 0.0 for end in ends[:3])
    return at, min(low, at), max(high, at)


def _told(cost: float, digits: int) -> str:
    return f"{round(cost, digits) + 0.0:,.{digits}f}" if math.isfinite(cost) else ""
