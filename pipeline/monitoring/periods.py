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


def bounds(moments: np.ndarray, every: int | Period) -> list[tuple[str, np.datetime64, np.datetime64]]:
    """Name, first moment and the moment after the last of each window of sorted moments.

    Windows that are counted have `every` moments or more, since equal ones stay together; only the last may have half of them.
    """
    if not len(moments):
        return []
    if not isinstance(every, int):
        return [(name(start, every), start, end(start, every)) for start in np.unique(starts(moments, every))]
    found, at = list[tuple[str, np.datetime64, np.datetime64]](), 0
    while at < len(moments):
        stop = int(np.searchsorted(moments, moments[min(at + every, len(moments)) - 1], side="right"))
        if len(moments) - stop < every / 2:  # of what would be left
            stop = len(moments)
        first, after = moments[at], moments[stop] if stop < len(moments) else moments[-1] + np.timedelta64(1, "us")
        called = name(first, None)
        if found and found[-1][0].startswith(called):  # of busy seconds: the window before has the second's name
            called = f"{called}.{int(first.astype('datetime64[us]').astype(np.int64)) % 1_000_000:06d}"
        found.append((called, first, after))
        at = stop
    return found
