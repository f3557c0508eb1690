"""Rates of the categories of protected columns, and the gaps between them (Hardt et al. 2016).

`task`, `y`, `outputs`, `groups` and `table` are as in `slices`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.fitted import Task
from pipeline.evaluation.coding import Coded, checked_rows, coded, units_of
from pipeline.evaluation.intervals import CHUNK, MAX_UNITS
from pipeline.evaluation.metrics import Array, Decide, Floats, Ints, predicted_class


@dataclass(frozen=True)
class Rates:
    """What a model does with the rows of one category: measures by name, nan where undefined."""

    column: str
    category: str
    rows: int
    groups: int
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Gap:
    """The largest less the smallest value of a measure over the categories of a column, with its interval.

    nan, and no names, where fewer than two categories have enough rows; the ends alone are nan where there are fewer than
    two groups or no category has any spread.
    """

    column: str
    measure: str
    value: float
    low: float
    high: float
    largest: str
    smallest: str


@dataclass(frozen=True)
class Fairness:
    """What `fairness` found; `left_out` has the number of categories beyond the most frequent, by column."""

    rates: tuple[Rates, ...]
    gaps: tuple[Gap, ...]
    left_out: Mapping[str, int]
    replicates: int
    confidence: float


def fairness(
    task: Task,
    y: Array,
    outputs: Array,
    table: pd.DataFrame,
    protected: Sequence[str],
    groups: Array,
    *,
    decide: Decide | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int,
    min_rows: int = 30,
) -> Fairness:
    """Returns rates of each category of the protected columns, and their gaps.

    Binary: a row is selected where the second class is answered.  The gap of the selection rate is the
    demographic parity difference, that of the true positive rate the equal opportunity difference, and `equalized_odds` is
    the larger of the gaps of true and false positive rates (Hardt et al. 2016).  Multiclass: accuracy.  Regression:
    mean error (prediction less target) and RMSE, in the target's units.  Numbers and dates are taken in quantile bins, and
    missing values are a category.

    Whole groups are resampled (Efron & Tibshirani 1993).  A gap is chosen as the largest of many differences and is
    never below 0; its interval is therefore that of simultaneous comparisons of all categories, from the bootstrap
    distribution of the largest studentized deviation of a difference (Westfall & Young 1993).  It is cut at 0, and with
    equal rates it includes 0 in at least about the share `confidence` of cases.  A rate of 0 or 1 in two categories
    has no spread that a bootstrap could see.

    Args:
        protected: columns of `table`.
        decide: how classes are answered; by default as `metrics.predicted_class`.
        min_rows: fewest rows that a rate is a share of for its category to count in a gap, such as positives for the true
            positive rate.

    Raises ValueError as `slices.find` does, and for a protected column that is not in the table.
    """
    y, outputs = checked_rows(task, y, outputs, groups, table)
    unknown = [name for name in protected if name not in table.columns]
    if unknown:
        raise ValueError(f"protected columns {', '.join(unknown)} are not among {', '.join(map(str, table.columns))}")
    measures, parts = MEASURES[task], _parts(task, y, outputs, decide or partial(predicted_class, task))
    codes, units, n_units = units_of(np.asarray(groups), MAX_UNITS)
    columns = [coded(name, table[name], 1) for name in protected]
    sums = [_category_sums(column, parts, units, n_units) for column in columns]
    drawn = _resampled(sums, measures, n_units, replicates if n_units >= 2 else 0, seed)
    rates, gaps = list[Rates](), list[Gap]()
    for column, of_units, draws in zip(columns, sums, drawn, strict=True):
        totals = of_units.sum(axis=0)
        values = _measured(totals, measures)
        for code, value in enumerate(column.values):
            members = np.bincount(codes[column.codes == code])
            told = dict(zip((measure.name for measure in measures), values[:, code].tolist(), strict=True))
            rates.append(Rates(column.name, value, int(members.sum()), int(np.count_nonzero(members)), told))
        enough = np.array([measure.base(totals) >= min_rows for measure in measures])
        usable = np.where(enough, values, np.nan)
        for name, chosen in _gaps_of(measures):
            gaps.append(_gap(column, name, usable[chosen], draws[:, chosen], confidence))
    return Fairness(tuple(rates), tuple(gaps), {column.name: column.left_out for column in columns}, replicates, confidence)


def rate_rows(found: Fairness) -> list[dict[str, Any]]:
    """Returns one plain row a category, for CSV or JSON."""
    return [{"column": r.column, "category": r.category, "rows": r.rows, "groups": r.groups} | dict(r.measures) for r in found.rates]


def gap_rows(found: Fairness) -> list[dict[str, Any]]:
    """Returns one plain row a gap, for CSV or JSON."""
    return [asdict(gap) for gap in found.gaps]


@dataclass(frozen=True)
class _Measure:
    """A sum over rows divided by another: `top` and `base` take totals (..., 1 + parts), rows first; its root where asked.

    `gap` says whether the measure's gap is told.
    """

    name: str
    top: Callable[[Floats], Floats]
    base: Callable[[Floats], Floats]
    root: bool = False
    gap: bool = True

    def __call__(self, totals: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.top(totals) / self.base(totals)
        return np.sqrt(value) if self.root else value


def _part(at: int) -> Callable[[Floats], Floats]:
    return lambda totals: totals[..., at]


def _negatives(totals: Floats) -> Floats:
    negatives: Floats = totals[..., 0] - totals[..., 1]
    return negatives


def _false_positives(totals: Floats) -> Floats:
    false: Floats = totals[..., 2] - totals[..., 3]
    return false


ODDS = ("true_positive_rate", "false_positive_rate")
MEASURES: Mapping[Task, tuple[_Measure, ...]] = {
    "binary": (
        _Measure("base_rate", _part(1), _part(0), gap=False),
        _Measure("selection_rate", _part(2), _part(0)),
        _Measure("true_positive_rate", _part(3), _part(1)),
        _Measure("false_positive_rate", _false_positives, _negatives),
        _Measure("mean_predicted", _part(4), _part(0), gap=False),
        _Measure("error_rate", _part(5), _part(0)),
    ),
    "multiclass": (_Measure("accuracy", _part(1), _part(0)),),
    "regression": (_Measure("mean_error", _part(1), _part(0)), _Measure("rmse", _part(2), _part(0), root=True)),
}


def _parts(task: Task, y: Array, outputs: Array, decide: Decide) -> list[Array]:
    """Returns what `MEASURES` adds up, each (rows,), after the count of rows."""
    if task == "binary":
        selected = decide(outputs) == 1
        return [y, selected, selected * y, outputs, selected != y]
    if task == "multiclass":
        return [decide(outputs) == y]
    return [outputs - y, (outputs - y) ** 2]


def _category_sums(column: Coded, parts: Sequence[Array], units: Ints, n_units: int) -> Floats:
    """Returns (units, categories, 1 + parts)."""
    count = len(column.values)
    there = np.flatnonzero(column.codes >= 0)
    key = units[there] * count + column.codes[there]
    found = [np.bincount(key, minlength=n_units * count)]
    found += [np.bincount(key, weights=part[there], minlength=n_units * count) for part in parts]
    return np.stack(found, axis=-1).astype(np.float64).reshape(n_units, count, 1 + len(parts))


def _measured(totals: Floats, measures: Sequence[_Measure]) -> Floats:
    """Returns (..., measures, categories) of totals (..., categories, 1 + parts)."""
    return np.stack([measure(totals) for measure in measures], axis=-2)


def _resampled(sums: Sequence[Floats], measures: Sequence[_Measure], n_units: int, replicates: int, seed: int) -> list[Floats]:
    """Returns (replicates, measures, categories) for each column, all columns on the same draws."""
    rng = np.random.default_rng(seed)
    found = [np.empty((replicates, len(measures), one.shape[1])) for one in sums]
    step = max(1, CHUNK // max(n_units, 1))
    for start in range(0, replicates, step):
        drawn = [np.bincount(rng.integers(n_units, size=n_units), minlength=n_units) for _ in range(min(step, replicates - start))]
        weights = np.array(drawn, np.float64)
        for one, into in zip(sums, found, strict=True):
            totals = (weights @ one.reshape(n_units, -1)).reshape(len(weights), *one.shape[1:])
            into[start : start + step] = _measured(totals, measures)
    return found


def _gaps_of(measures: Sequence[_Measure]) -> list[tuple[str, list[int]]]:
    """Returns the name of each gap and the places of its measures."""
    names = [measure.name for measure in measures]
    gaps = [(measure.name, [at]) for at, measure in enumerate(measures) if measure.gap]
    return gaps + ([("equalized_odds", [names.index(one) for one in ODDS])] if ODDS[0] in names else [])


def _gap(column: Coded, name: str, values: Floats, draws: Floats, confidence: float) -> Gap:
    """Returns the gap of values (M, C), the largest over M measures; draws are (replicates, M, C)."""
    usable = [np.flatnonzero(~np.isnan(row)) for row in values]
    spans = [row[at].max() - row[at].min() if len(at) >= 2 else -1.0 for row, at in zip(values, usable, strict=True)]
    measure = int(np.argmax(spans))
    if spans[measure] < 0:
        return Gap(column.name, name, float("nan"), float("nan"), float("nan"), "", "")
    at, row = usable[measure], values[measure]
    top, bottom = int(at[np.argmax(row[at])]), int(at[np.argmin(row[at])])
    largest = np.full(len(draws), np.nan)
    for m, there in enumerate(usable):
        deviations = draws[:, m, there] - values[m, there]
        for c in range(len(there) - 1):
            differences = deviations[:, c + 1 :] - deviations[:, c : c + 1]
            largest = np.fmax(largest, np.fmax.reduce(np.abs(differences) / _spread(differences), axis=1))
    known = largest[~np.isnan(largest)]
    deviation = draws[:, measure, [top]] - draws[:, measure, [bottom]]
    reach = float(np.quantile(known, confidence) * _spread(deviation)[0]) if len(known) and top != bottom else float("nan")
    gap = float(spans[measure])
    return Gap(
        column.name, name, gap, max(gap - reach, 0.0) if reach == reach else reach, gap + reach, column.values[top], column.values[bottom]
    )


def _spread(draws: Floats) -> Floats:
    """Returns (C,) standard deviations over replicates (replicates, C), those undefined left out; nan where there is none."""
    defined = ~np.isnan(draws)
    count = defined.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(defined, draws, 0.0).sum(axis=0) / count
        spread: Floats = np.sqrt(np.where(defined, (draws - mean) ** 2, 0.0).sum(axis=0) / count)
    return np.where(spread > 1e-12, spread, np.nan)
