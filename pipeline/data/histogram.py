"""Values as reports show them: single ones cut short, many as counts in bins."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BINS = 24
CUT = 60  # characters of a value that are shown
FENCE = 10.0  # interquartile ranges beyond the quartiles from which a number is extreme
RARE = 0.01  # share of the values up to which extremes are left out of a histogram


def shown(value: Any) -> Any:
    """A value as JSON holds it, long texts cut."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ") if value.time() != datetime.time() else value.date().isoformat()
    if isinstance(value, str):
        return value if len(value) <= CUT else value[: CUT - 1] + "…"
    return float(f"{value:.6g}") if isinstance(value, float) else value


def numeric(there: pa.Array) -> np.ndarray:
    """Numbers as float64, times as seconds since 1970."""
    if pa.types.is_timestamp(there.type):
        return np.asarray(pc.cast(pc.cast(there, pa.timestamp("us")), pa.int64()).to_numpy(zero_copy_only=False)) / 1e6
    return np.asarray(there.to_numpy(zero_copy_only=False), dtype="float64")


def histogram(numbers: np.ndarray) -> dict[str, Any]:
    """Counts in equal bins between the ends, or between fences where few values lie far out."""
    low, high = fences(numbers)
    inside = numbers[(numbers >= low) & (numbers <= high)]
    if len(inside) < (1 - RARE) * len(numbers):
        inside = numbers
    with np.errstate(over="ignore"):
        wide = np.isfinite(float(inside.max()) - float(inside.min()))
    if not wide:
        return {"low": shown(float(inside.min())), "high": shown(float(inside.max())), "counts": []}
    try:
        counts, edges = np.histogram(inside, bins=min(BINS, max(1, len(np.unique(inside[:1000])))))
    except ValueError:  # a range too small for so many bins
        return {"low": shown(float(inside.min())), "high": shown(float(inside.max())), "counts": [len(inside)]}
    return {
        "low": shown(float(edges[0])),
        "high": shown(float(edges[-1])),
        "counts": counts.tolist(),
        "beyond": int(len(numbers) - len(inside)),
    }


def fences(numbers: np.ndarray) -> tuple[float, float]:
    first, third = (float(edge) for edge in np.quantile(numbers, [0.25, 0.75]))
    width = FENCE * (third - first)
    return (first - width, third + width) if width else (-np.inf, np.inf)
