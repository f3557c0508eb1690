"""Small before-and-after pictures of a column: the shares of its bins or categories in the reference and in a window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import Floats, Kind
from pipeline.monitoring.wording import categories, numbers

_BINS, _LABELS = 16, 8  # of a picture


@dataclass(frozen=True)
class Picture:
    """A column before and now, as shares of all rows.

    A number has `edges` (bins + 1,) over the joint 1 to 99% range, and no `labels`; a category has its (bins,) most frequent
    `labels`, and no edges.  before, now: (bins,).  outside and missing: (before, now), of values in no bin and of missing
    ones; bins, outside and missing add up to 1 unless there are no rows.  The edges of a `date` are days since 1970.
    """

    column: str
    kind: Kind
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    before: tuple[float, ...]
    now: tuple[float, ...]
    outside: tuple[float, float]
    missing: tuple[float, float]
    date: bool = False


def picture(name: str, reference: pd.Series, current: pd.Series | None, kind: Kind, *, date: bool = False) -> Picture:
    """Returns a column before and now; current None means that the window has no such column, so that all is missing."""
    now = pd.Series([None] * len(reference), dtype=object) if current is None else current
    if kind == "category":
        sides = [categories(part).value_counts(dropna=False) / max(len(part), 1) for part in (reference, now)]
        lacking = (_missing(sides[0]), _missing(sides[1]))
        shares = pd.DataFrame({at: side[side.index.notna()] for at, side in enumerate(sides)}, dtype=float).fillna(0.0)
        shares = shares.assign(size=-shares.sum(axis=1), label=shares.index.astype(str)).sort_values(["size", "label"])
        top, others = shares.iloc[:_LABELS], shares.iloc[_LABELS:]
        outside = (float(others[0].sum()), float(others[1].sum()))
        return Picture(name, kind, (), tuple(top["label"]), tuple(top[0].tolist()), tuple(top[1].tolist()), outside, lacking)
    values = [numbers(part) for part in (reference, now)]
    known = [part[~np.isnan(part)] for part in values]
    edges = _edges([part for part in known if len(part)])
    counts = [np.histogram(part, edges)[0] for part in known]
    rows = [max(len(whole), 1) for whole in values]
    gaps = [float(np.isnan(part).mean()) if len(part) else 0.0 for part in values]
    out = [float((len(part) - count.sum()) / size) for part, count, size in zip(known, counts, rows, strict=True)]
    before, after = (tuple((count / size).tolist()) for count, size in zip(counts, rows, strict=True))
    return Picture(name, kind, tuple(edges.tolist()), (), before, after, (out[0], out[1]), (gaps[0], gaps[1]), date)


def _edges(sides: Sequence[Floats]) -> Floats:
    """Common edges of the bins of two samples, whole numbers with few values each in the middle of its own."""
    if not sides:
        return np.array([0.0, 1.0])
    low = min(float(np.quantile(part, 0.01)) for part in sides)
    high = max(float(np.quantile(part, 0.99)) for part in sides)
    whole = all(np.array_equal(part, np.round(part)) for part in sides)
    if whole and high - low < 20:
        return np.arange(math.floor(low), math.ceil(high) + 2, dtype=np.float64) - 0.5
    if high - low <= 1e-9 * max(abs(low), abs(high), 1.0):
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, _BINS + 1, dtype=np.float64)


def _missing(shares: pd.Series) -> float:
    return float(shares[shares.index.isna()].sum())
