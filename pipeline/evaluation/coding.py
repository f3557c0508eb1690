"""Rows as slices and comparisons see them: columns as codes of categories and quantile bins, groups as units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.fitted import Task
from pipeline.evaluation.metrics import Array, Ints, checked

BINS = 4  # quantile bins of a number or a date
CATEGORIES = 100  # of a column, the most frequent; codes fit in a byte
NAME = 60  # characters of a category that are shown
TASKS = ("binary", "multiclass", "regression")  # those whose rows are rows of a table


def checked_rows(task: Task, y: Array, outputs: Array, groups: Array, table: pd.DataFrame) -> tuple[Array, Array]:
    """Returns y and outputs as `metrics.checked` does; raises ValueError for what does not fit them, and for forecasts."""
    if task not in TASKS:
        raise ValueError(f"slices of task {task!r}: expected one of {', '.join(TASKS)}")
    y, outputs = checked(task, y, outputs)
    if np.shape(groups) != y.shape or len(table) != len(y):
        raise ValueError(f"groups of shape {np.shape(groups)} and a table of {len(table)} rows do not fit {len(y)} targets")
    return y, outputs


def units_of(groups: Array, most: int) -> tuple[Ints, Ints, int]:
    """Returns each row's group, its unit and the number of units; many groups are merged at random, as in `intervals`."""
    codes, values = pd.factorize(groups, sort=True, use_na_sentinel=False)
    n_units = min(len(values), most)
    merged = np.random.default_rng(0).permutation(len(values)) % n_units if n_units < len(values) else np.arange(n_units)
    return codes, merged[codes].astype(np.int64), n_units


@dataclass(frozen=True)
class Coded:
    """A column's codes (rows,) in bytes, the values that they stand for, and how many categories were left out (code -1)."""

    name: str
    codes: Ints
    values: tuple[str, ...]
    left_out: int

    def reordered(self, order: Ints) -> Coded:
        return Coded(self.name, self.codes[order], self.values, self.left_out)


def coded(name: str, column: pd.Series, min_rows: int) -> Coded:
    """Returns the bins of a number or a date, else the categories of at least `min_rows` rows; missing values have the last code."""
    missing = column.isna().to_numpy(dtype=bool)
    there = column[~missing] if missing.any() else column
    ordered = _ordered(there)
    try:
        found, values, left_out = _categories(there, min_rows) if ordered is None else (*_bins(ordered), 0)
    except TypeError as error:
        raise ValueError(f"column {name!r}: expected numbers, dates, booleans or categories: {error}") from error
    codes = np.full(len(column), len(values), np.int8)
    codes[~missing] = found
    return Coded(name, codes, (*values, "missing") if missing.any() else tuple(values), left_out)


def _ordered(there: pd.Series) -> Array | None:
    """Returns numbers as float64 or int64, and dates as datetime64, for which bins make sense; None for categories."""
    kind = pd.api.types.infer_dtype(there, skipna=True) if there.dtype == object else ""
    if pd.api.types.is_datetime64_any_dtype(there) or kind in ("date", "datetime", "datetime64"):
        if isinstance(there.dtype, pd.DatetimeTZDtype):
            there = there.dt.tz_convert(None)
        return there.to_numpy().astype("datetime64[us]")  # in UTC; nanoseconds would end in 2262
    if pd.api.types.is_bool_dtype(there) or isinstance(there.dtype, pd.CategoricalDtype):
        return None
    if pd.api.types.is_numeric_dtype(there) or kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return there.to_numpy(dtype="int64" if pd.api.types.is_signed_integer_dtype(there) else "float64")
    return None


def _bins(values: Array) -> tuple[Ints, list[str]]:
    """Returns codes and names of quantile bins that end in values of the column, or of the values where they are few."""
    if not len(values):
        return np.empty(0, np.int8), []
    few = np.unique(values[:1000])
    few = np.unique(values) if len(few) <= BINS else few
    ranks = [-(-len(values) * at // BINS) - 1 for at in range(1, BINS)]
    edges = few[:-1] if len(few) <= BINS else np.unique(np.partition(values, ranks)[ranks])
    codes = np.zeros(len(values), np.int8)
    for edge in edges:
        codes += values > edge
    used = np.unique(codes)
    codes = np.searchsorted(used, codes).astype(np.int8)
    ends = [(values[codes == code].min(), values[codes == code].max()) for code in range(len(used))]
    return codes, _ranges(ends)


def _ranges(ends: Sequence[tuple[Any, Any]]) -> list[str]:
    """Returns "18 to 25" for each pair of least and greatest value, in as few digits as tell neighbours apart."""
    flat = [one for pair in ends for one in pair]
    if isinstance(flat[0], np.datetime64):
        days = [np.datetime_as_string(one, unit="D") for one in flat]
        short = days if len(set(days)) == len(set(flat)) else [np.datetime_as_string(one, unit="s").replace("T", " ") for one in flat]
    elif all(float(one).is_integer() and abs(one) < 1e15 for one in flat):
        short = [str(int(one)) for one in flat]
    else:
        digits = next((d for d in (4, 6, 9) if len({f"{one:.{d}g}" for one in flat}) == len(set(flat))), 17)
        short = [f"{one:.{digits}g}" for one in flat]
    return [low if low == high else f"{low} to {high}" for low, high in zip(short[::2], short[1::2], strict=True)]


def _categories(there: pd.Series, min_rows: int) -> tuple[Ints, list[str], int]:
    """Returns codes of the frequent categories, -1 for the others, the names, and how many others there are."""
    codes, values = pd.factorize(there)
    counts = np.bincount(codes, minlength=len(values))
    frequent = np.flatnonzero(counts >= min_rows)
    names = {at: _category(values[at]) for at in frequent}
    kept = sorted(names, key=lambda at: (-counts[at], names[at]))[:CATEGORIES]
    code = np.full(len(values), -1, np.int8)
    code[kept] = np.arange(len(kept))
    return code[codes], [names[at] for at in kept], len(values) - len(kept)


def _category(value: Any) -> str:
    name = str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"
