"""Tables whose rows are no examples: steps of many series, or of one course of time that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

REGULAR = 0.95  # share of the steps that have the usual length
FEWEST_STEPS = 200  # of a forecast
FEWEST_LONG = 60  # the same of steps from a month up
TWICE = 0.01  # share of the rows that may have a time that another has: where clocks go back
SHORT = 0.1  # share of the rows that may be of series with fewer: shops that open late
FEWEST_SERIES = 10
EACH = 5  # steps of a series
CHANGING = 0.5  # share of the other columns that change within a series
CALLED_TIME = frozenset(("time", "timestamp", "date", "datetime", "ts", "epoch", "unixtime", "unix_time", "year"))
YEARS = (1000, 2999)  # of a column called year
DAY = 86_400
MONTH = 28 * DAY
LENGTHS = (  # longest step in seconds, steps to look back and ahead, in words
    (5 * 60, 288, 48),
    (30 * 60, 336, 96),
    (2 * 3600, 336, 96),
    (12 * 3600, 112, 28),
    (2 * DAY, 56, 14),
    (14 * DAY, 104, 26),
    (45 * DAY, 36, 12),
    (120 * DAY, 16, 4),
    (float("inf"), 10, 2),
)
UNITS = ((365 * DAY, "year"), (MONTH, "month"), (7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True)
class Series:
    """Long rows: which column names the series and which orders its steps."""

    id: str
    time: str
    steps: float


@dataclass(frozen=True)
class Course:
    """A forecast: the column of the time, that of the series where there are several, the step, and how far to look."""

    time: str
    series: str | None
    step: str
    look_back: int
    horizon: int


def series(first: pd.DataFrame, kinds: Mapping[str, str], target: str) -> Series | None:
    """Whether the rows, in the source's order, are steps of many series that each have one value of the target.

    The steps of every series are numbered through or have dates of their own, and at least half of the other columns are numbers
    that change from step to step: rows of a customer, of which some change, are no series.
    """
    for name in (name for name, kind in kinds.items() if kind in ("number", "category", "id") and name != target):
        groups = first.groupby(name, sort=False)
        count = groups.ngroups
        if not FEWEST_SERIES <= count <= len(first) / EACH or first[name].isna().any():
            continue
        if (groups[target].nunique() > 1).any():
            continue
        for time in (time for time, kind in kinds.items() if kind in ("number", "datetime") and time not in (name, target)):
            if first[time].isna().any() or first.duplicated([name, time]).any() or not _numbered(groups, first, time, kinds[time]):
                continue
            others = [other for other in kinds if other not in (name, time, target)]
            changes = [other for other in others if (groups[other].nunique() > 1).any()]
            numbers = all(kinds[other] in ("number", "boolean") for other in changes)
            if numbers and changes and len(changes) >= CHANGING * len(others):
                return Series(name, time, len(first) / count)
    return None


def _numbered(groups: pd.core.groupby.DataFrameGroupBy, first: pd.DataFrame, time: str, kind: str) -> bool:
    if kind == "datetime":
        return True
    steps = first[time].to_numpy("float64")
    if (steps % 1 != 0).any():
        return False
    ends = groups[time].agg(["min", "max", "size"]).iloc[:-1]  # the last series may be cut off
    dense = (ends["max"] - ends["min"] + 1 == ends["size"]) & ends["min"].isin((0, 1))
    return bool(dense.mean() >= REGULAR)


def course(first: pd.DataFrame, kinds: Mapping[str, str], target: str, rows: int) -> Course | None:
    """Whether the rows are steps of equal length in time, all other columns numbers, and the target a number that varies.

    One further column may name several courses, each with its own steps.
    """
    times = [name for name, kind in kinds.items() if kind == "datetime"] or [name for name in kinds if _is_year(first, name, kinds[name])]
    if len(times) != 1 or kinds[target] != "number" or first[target].nunique() <= 10:
        return None
    time = times[0]
    others = {name: kind for name, kind in kinds.items() if name != time and kind not in ("ignore", "id")}
    named = [name for name, kind in others.items() if kind not in ("number", "boolean")]
    if len(named) > 1 or first[time].isna().any():
        return None
    by = named[0] if named else None
    when = first[time] if kinds[time] == "datetime" else _as_dates(first[time])
    groups = [part for _, part in when.groupby(first[by], sort=False)] if by else [when]
    groups = sorted(groups, key=len)[len(groups) // 10 :]  # the shortest may be cut off
    step = _step(groups)
    if step is None:
        return None
    seconds = step / np.timedelta64(1, "s")
    fewest = FEWEST_LONG if seconds >= MONTH else FEWEST_STEPS
    long = [group for group in groups if len(group) >= fewest]
    if sum(map(len, long)) < (1 - SHORT) * sum(map(len, groups)) or len(groups) > 200:
        return None
    back, ahead = next((back, ahead) for longest, back, ahead in LENGTHS if seconds <= longest)
    each = rows if by is None else rows // len(long)
    return Course(time, by, words(float(seconds)), max(1, min(back, each // 8)), max(1, min(ahead, each // 30)))


def twice(first: pd.DataFrame, kinds: Mapping[str, str], target: str, rows: int) -> str | None:
    """What keeps rows from being a forecast where it is only that some of them have the same time."""
    for time in (name for name, kind in kinds.items() if kind == "datetime"):
        named = [name for name, kind in kinds.items() if kind not in ("number", "boolean", "ignore", "id") and name != target]
        again = first.duplicated(named)
        if 0 < again.sum() <= max(1, TWICE * len(first)) and (found := course(first[~again], kinds, target, rows)):
            example = first.loc[again, time].iloc[0]
            return (
                f"rows are steps of one {found.step}, but {again.sum():,} of them at a {time} that another has ({example}; "
                "where clocks go back, write times in UTC): without them this is a forecast"
            )
    return None


def _is_year(first: pd.DataFrame, name: str, kind: str) -> bool:
    """Whether a column of numbers is called year and holds whole ones."""
    return (
        kind == "number"
        and name.strip().lower() == "year"
        and bool((first[name] % 1 == 0).all())
        and bool(first[name].between(*YEARS).all())
    )


def _as_dates(years: pd.Series) -> pd.Series:
    return pd.Series((years.to_numpy("int64") - 1970).astype("datetime64[Y]").astype("datetime64[s]"), years.index)


def _step(groups: Sequence[pd.Series]) -> np.timedelta64 | None:
    """The usual step, where times grow and nearly all steps have that length (months and years may differ by days)."""
    lengths = [np.diff(times.to_numpy("datetime64[s]")) for times in groups]
    every = np.concatenate(lengths)
    if (every <= np.timedelta64(0, "s")).any():
        return None
    usual = np.timedelta64(int(np.median(every.astype("int64"))), "s")
    slack = np.timedelta64(int(usual.astype("int64") * (0.12 if usual >= np.timedelta64(MONTH, "s") else 0)), "s")
    return usual if (np.abs(every - usual) <= slack).mean() >= REGULAR else None


def clock(first: pd.DataFrame, kinds: Mapping[str, str], target: str) -> str | None:
    """The column of the time by which the rows, in the source's order, are sorted: a date, or a number that is called so."""
    for name, kind in kinds.items():
        if name == target or not (kind == "datetime" or (kind == "number" and name.strip().lower() in CALLED_TIME)):
            continue
        times = first[name]
        if times.isna().mean() > 0.01 or times.nunique() < 20:
            continue
        steps = np.diff(times.dropna().to_numpy("datetime64[us]" if kind == "datetime" else "float64")).astype("float64")
        if (steps >= 0).mean() >= 0.99:
            return name
    return None


def words(seconds: float) -> str:
    """A length of time as people say it: `hour`, `15 minutes`."""
    for length, unit in UNITS:
        if seconds >= length:
            count = round(seconds / length)
            return unit if count == 1 else f"{count} {unit}s"
    return f"{seconds:g} seconds"
