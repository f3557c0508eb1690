"""Windows of time: the hour, day, week or month that a moment lies in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

Period = Literal["hour", "day", "week", "month"]
PERIODS: Sequence[Period] = ("hour", "day", "week", "month")
_UNITS = {"hour": "h", "day": "D", "month": "M"}
_MONDAY = 4  # 1970-01-05, a Monday, lies so many days after the first day that numpy counts from


def starts(moments: np.ndarray, period: Period) -> np.ndarray:
    """The first microsecond of the period each moment (n,) datetime64 lies in; a week begins on Monday; NaT stays NaT."""
    if period != "week":
        return moments.astype(f"datetime64[{_UNITS[period]}]").astype("datetime64[us]")
    days = moments.astype("datetime64[D]")
    return (days - (days.astype("int64") - _MONDAY) % 7 * np.timedelta64(1, "D")).astype("datetime64[us]")


def end(start: np.datetime64, period: Period) -> np.datetime64:
    """The first microsecond after the period that begins at `start`."""
    if period == "month":
        return (start.astype("datetime64[M]") + 1).astype("datetime64[us]")
    return start + np.timedelta64({"hour": 1, "day": 24, "week": 7 * 24}[period], "h")


def name(start: np.datetime64, period: Period | None) -> str:
    """A name for the window that begins there: sorts by time, and can name a folder."""
    text = pd.Timestamp(start).strftime(
        {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m"}.get(period or "", "%Y-%m-%dT%H%M%S")
    )
    return f"week-{text}" if period == "week" else text


def told(moment: np.datetime64 | None) -> str | None:
    """ISO 8601, in UTC."""
    return None if moment is None or np.isnat(moment) else pd.Timestamp(moment).isoformat() + "Z"
