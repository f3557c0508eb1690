"""Where the windows of a forecast start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.data.fitted import Forecast

HOLE = 1.5  # of the usual time between steps, from which steps are missing between two


@dataclass(frozen=True)
class Starts:
    """Where whole windows start (windows,); at how many places steps are missing, and how many windows that costs."""

    starts: np.ndarray
    holes: int
    lost: int


def find(time: np.ndarray, series: np.ndarray, fine: np.ndarray, forecast: Forecast) -> Starts:
    """The starts of windows that lie in one series, over no missing step, and whose horizon is `fine` in each step.

    All arguments are (steps,), in the order of series and time, in which time grows within a series.
    """
    length = forecast.look_back + forecast.horizon
    gaps, same = np.diff(time), np.diff(series) == 0
    usual = float(np.median(gaps[same])) if same.any() else 1.0
    holes = same & (gaps > HOLE * usual)
    breaks = np.concatenate([[0], np.cumsum(~same | holes)])
    known = np.concatenate([[0], np.cumsum(fine)])
    first = np.arange(max(len(time) - length + 1, 0))
    last = first + length - 1
    inside = known[last + 1] - known[first + forecast.look_back] == forecast.horizon
    unbroken = breaks[first] == breaks[last]
    lost = inside & ~unbroken & (series[first] == series[last])
    return Starts(first[inside & unbroken].astype(np.int64), int(holes.sum()), int(lost.sum()))


def ticks(time: pd.Series) -> np.ndarray:
    """Times as seconds since 1970, or the numbers that they are."""
    if pd.api.types.is_datetime64_any_dtype(time.dtype):
        return (time - pd.Timestamp(0)).dt.total_seconds().to_numpy()
    return time.to_numpy(dtype="float64")
