"""Breaks of data quality in a window: columns that are gone, in other units, swapped, stuck or spelled anew.

A break is the fault of what records or moves the data; a population change is news about the world.  What either could
have caused is left to `changes`: a break is named only where a change of the population would hardly leave such a trace,
so a small fault may go unnamed, and no sound column should be accused.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import Floats, Kind, statistic
from pipeline.monitoring.units import FEWEST, LEVEL, change_of_unit, distance, thinned
from pipeline.monitoring.windows import PREDICTION
from pipeline.monitoring.wording import categories, days, figures, listed, numbers, percent, quoted

BreakKind = Literal[
    "missing column",
    "text instead of numbers",
    "unreadable values",
    "swapped columns",
    "unit change",
    "stuck sensor",
    "placeholder value",
    "missing values",
    "changed spelling",
    "new categories",
]

UNSEEN: BreakKind = "new categories"  # it may as well be real
_CHANCE = 1e-6  # a break is named where chance leaves such a trace less often than this
_VALUES = 20  # distinct values (Simpson's effective number) from which on a column is taken for a measured quantity


@dataclass(frozen=True)
class Break:
    """A fault in these columns, with what is seen of it in one sentence without a full stop."""

    kind: BreakKind
    columns: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Lost:
    """Values of a column that came and could not be read, which therefore are missing: of how many rows, why, and one of them."""

    rows: int
    why: str
    example: str


def find(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    kinds: Mapping[str, Kind],
    drifted: Collection[str],
    lost: Mapping[str, Lost] | None = None,
    *,
    dates: Collection[str] = (),
) -> list[Break]:
    """Returns the breaks of a window: swapped columns, then missing ones, then the others in the order of the columns.

    Only columns that drifted, are missing or hold one value are looked at, and never the model's prediction; of two swapped
    columns one must have drifted.

    Args:
        reference: (N, columns) and current: (n, columns), rows in the order of time; as in `windows.Window.frame`.
        kinds: how each watched column is compared; a column that the reference lacks is passed over.
        drifted: names of the columns whose distance is above its threshold.
        lost: by column what came and could not be read: these are not told as missing.
        dates: columns whose numbers are days since 1970: they have no unit, and go on with the calendar.
    """
    lost = lost or {}
    watched = {name: kind for name, kind in kinds.items() if name in reference and name != PREDICTION}
    found = [one for name in watched if name in lost and (one := _unreadable(name, lost[name], len(current)))]
    unread = {name for one in found for name in one.columns}
    found += [one for name in watched if name not in unread and (one := _gone(name, reference[name], current.get(name), len(current)))]
    gone = {name for one in found for name in one.columns if name not in unread or current[name].isna().all()}
    left = {name: kind for name, kind in watched.items() if name not in gone and name in current and len(current) >= FEWEST}
    looked = {name: kind for name, kind in left.items() if name in drifted or _constant(current[name])}
    numeric = {name: (numbers(reference[name]), numbers(current[name])) for name, kind in left.items() if kind == "number"}
    swapped = list(_swapped(numeric, {name: (reference[name], current[name]) for name in left if name not in numeric}, looked))
    moved = {name for one in swapped for name in one.columns}
    for name, kind in looked.items():
        if kind == "number":
            more = _of_number(name, current[name], *numeric[name], swapped=name in moved, date=name in dates)
        else:
            more = _of_category(name, reference[name], current[name], swapped=name in moved)
        found += [one for one in more if one.kind != "missing values" or name not in unread]
    return swapped + found


# -- breaks of any column


def _gone(name: str, old: pd.Series, now: pd.Series | None, rows: int) -> Break | None:
    share = _cautious(int(old.isna().sum()), len(old))
    if now is None:
        return Break("missing column", (name,), f"{name} is not in the data")
    if rows and now.iloc[:100].isna().all() and now.isna().all() and share**rows < _CHANCE:
        return Break(
            "missing column", (name,), f"{name} is missing in all rows ({percent(float(old.isna().sum()) / max(len(old), 1))} before)"
        )
    return None


def _unreadable(name: str, lost: Lost, rows: int) -> Break | None:
    """From one in fifty rows on; a few odd entries are in most data."""
    if lost.rows < 0.02 * rows:
        return None
    return Break(
        "unreadable values", (name,), f"{name} is {lost.why} in {percent(lost.rows / rows)} of rows, such as {quoted(lost.example)}"
    )


def _constant(column: pd.Series) -> bool:
    return column.iloc[:100].nunique(dropna=False) < 2 and column.nunique(dropna=False) < 2


def _more_missing(name: str, old: np.ndarray, now: np.ndarray) -> Iterator[Break]:
    """A share of missing values (of masks) that rises threefold, by ten points and far beyond chance."""
    before, after = float(old.mean()) if len(old) else 0.0, float(now.mean())
    share = _cautious(int(old.sum()), len(old))
    if after >= max(3 * before, before + 0.1) and (after - share) > 5 * math.sqrt(share * (1 - share) / len(now)):
        yield Break("missing values", (name,), f"{name} is missing in {percent(after)} of rows ({percent(before)} before)")


def _cautious(count: int, rows: int) -> float:
    """A share that is not 0 only because few rows were seen (Laplace's rule of succession)."""
    return (count + 1) / (rows + 2)


# -- breaks of numbers


def _of_number(name: str, column: pd.Series, old: Floats, now: Floats, *, swapped: bool, date: bool) -> Iterator[Break]:
    text = np.zeros(len(now), dtype=bool)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        text = np.isnan(now) & column.notna().to_numpy() & ~column.isin([np.inf, -np.inf]).to_numpy()
    if text.sum() >= FEWEST / 4:
        example = quoted(str(column[text].iloc[0]))
        yield Break(
            "text instead of numbers", (name,), f"{name} is no number but text, such as {example}, in {percent(text.mean())} of rows"
        )
    yield from _more_missing(name, np.isnan(old), np.isnan(now) & ~text)
    before, after = old[~np.isnan(old)], now[~np.isnan(now)]
    if swapped or min(len(before), len(after)) < FEWEST:
        return
    if not date and (told := change_of_unit(name, before, thinned(after))):
        yield Break("unit change", (name,), told)
    else:
        yield from _stuck(name, before, after, date=date)


def _stuck(name: str, old: Floats, now: Floats, *, date: bool) -> Iterator[Break]:
    """One value of a quantity in most rows or in a long run, or one never seen that stands for a missing value."""
    measured = _effective(old) >= _VALUES
    values, counts = np.unique(now, return_counts=True)
    value, share = float(values[counts.argmax()]), float(counts.max() / len(now))
    write = days if date else figures
    shown = write(value)[0]
    before = float((old == value).mean())
    beyond = max(old.min() - value, value - old.max())
    strange = before == 0 and (beyond > (0 if measured and not date else old.max() - old.min()) or (measured and value == 0))
    if strange and 0.05 <= share < 0.95 and counts.max() >= FEWEST / 2:
        yield Break(
            "placeholder value", (name,), f"{name} is {shown} in {percent(share)} of rows (never before): perhaps a code for missing"
        )
        return
    if not measured or (date and value > old.max()):
        return
    start, length = _longest_run(now)
    if share >= 0.5 and before <= 0.1:
        always = "always" if share == 1 else f"in {percent(share)} of rows"
        yield Break(
            "stuck sensor", (name,), f"{name} is stuck: {always} {shown} ({f'{percent(before)} of rows' if before else 'never'} before)"
        )
    elif length >= max(FEWEST + math.log2(len(now)), 5 * _longest_run(old)[1]):  # by chance once in 2^20 windows, or less
        yield Break("stuck sensor", (name,), f"{name} is stuck at {write(float(now[start]))[0]} for {length:,} rows in a row")


def _longest_run(values: Floats) -> tuple[int, int]:
    """The start and the length of the longest run of equal values."""
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    lengths = np.diff(np.append(starts, len(values)))
    return int(starts[lengths.argmax()]), int(lengths.max())


def _effective(values: Floats) -> float:
    """The number of distinct values, the rare ones counting less: 1 over the sum of squared shares (Simpson 1949)."""
    counts = np.unique(values, return_counts=True)[1]
    return float(counts.sum() ** 2 / (counts.astype(float) ** 2).sum())


# -- breaks of categories and of pairs


def _of_category(name: str, old: pd.Series, now: pd.Series, *, swapped: bool) -> Iterator[Break]:
    yield from _more_missing(name, old.isna().to_numpy(), now.isna().to_numpy())
    if swapped or old.isna().all() or now.isna().all():
        return
    before, after = categories(old).value_counts(), categories(now).value_counts()
    new = after[~after.index.isin(before.index)]
    known = {_spelling(label): label for label in before.index[::-1]}
    respelled = new[[_spelling(label) in known for label in new.index]]
    if respelled.sum() >= max(FEWEST / 4, 0.02 * len(now)):
        example = respelled.index[0]
        told = f"'{example}' instead of '{known[_spelling(example)]}'"
        yield Break("changed spelling", (name,), f"{name} is spelled differently in {percent(respelled.sum() / len(now))} of rows: {told}")
    strange = new.drop(respelled.index)
    unseen = float((before == 1).sum() / before.sum())  # the chance of a new label (Good 1953)
    share = strange.sum() / len(now)
    if strange.sum() >= FEWEST / 4 and share > 0.02 + 3 * unseen:
        if len(after) == 1:
            told = f"is always {quoted(strange.index[0])}, which was never seen before"
        else:
            named = [quoted(label) for label in strange.index[:3]] + ([f"{len(strange) - 3:,} more"] if len(strange) > 3 else [])
            told = f"holds categories never seen before in {percent(share)} of rows: {listed(named)}"
        yield Break("new categories", (name,), f"{name} {told}")


def _spelling(label: str) -> str:
    """A label without what hands and programs change by chance: case, width, spaces, dashes, and the .0 of a whole number."""
    plain = re.sub(r"\s|(?<=\w)[_-](?=\w)", "", unicodedata.normalize("NFKC", label).casefold())
    return re.sub(r"^(\d+)\.0+$", r"\1", plain)


def _swapped(
    numeric: Mapping[str, tuple[Floats, Floats]], other: Mapping[str, tuple[pd.Series, pd.Series]], looked: Collection[str]
) -> Iterator[Break]:
    """Pairs of columns, one of them looked at, each far from its own reference and near the other's."""
    drawn = {name: (old[~np.isnan(old)], thinned(now[~np.isnan(now)])) for name, (old, now) in numeric.items()}
    drawn = {name: sides for name, sides in drawn.items() if min(map(len, sides)) >= FEWEST}
    yield from _pairs(drawn, distance, 0.4, looked)
    labels = {name: (old, now.iloc[:: max(-(-len(now) // 2000), 1)]) for name, (old, now) in other.items() if len(old)}
    yield from _pairs(labels, partial(statistic, kind="category"), 0.5, looked)


def _pairs(
    columns: Mapping[str, tuple[Any, Any]], distance: Callable[[Any, Any], float], far: float, looked: Collection[str]
) -> Iterator[Break]:
    traces = {name: [_trace(side) for side in sides] for name, sides in columns.items()}
    own = cache(lambda name: distance(*columns[name]))
    taken = set[str]()
    for a, b in combinations(columns, 2):
        if {a, b} & taken or (a not in looked and b not in looked):
            continue
        if not (_alike(traces[a][1], traces[b][0]) and _alike(traces[b][1], traces[a][0])):
            continue  # most pairs end here, at little cost
        if min(own(a), own(b)) < far:
            continue
        noise = 1 / math.sqrt(min(len(side) for name in (a, b) for side in columns[name]))
        if all(distance(columns[q][0], columns[p][1]) <= min(0.15 * own(q), LEVEL) + noise for p, q in ((a, b), (b, a))):
            taken |= {a, b}
            yield Break("swapped columns", (a, b), f"{a} and {b} look swapped: each holds the usual values of the other")


def _trace(values: Any) -> Any:
    """The mean and the deviation of numbers, or the most frequent of labels."""
    return set(values.value_counts().index[:5]) if isinstance(values, pd.Series) else (values.mean(), values.std())


def _alike(now: Any, old: Any) -> bool:
    """Whether two samples may be near: means lie no farther apart than distributions."""
    return bool(now & old) if isinstance(now, set) else bool(abs(now[0] - old[0]) <= 0.35 * max(old[1], 0.001))
