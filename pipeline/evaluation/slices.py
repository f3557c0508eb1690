"""Slices of rows on which a model is worse than elsewhere.

`find` looks at each category, at quantile bins of numbers and dates, at missing values, and at pairs of these (Slice Finder,
Chung et al. 2019, in its lattice of depth two).  The loss of a row is its log loss in nats, or its squared error.  A slice
is tested against the rest on sums over groups, since rows of a group are not independent, and the p values are corrected
for all slices that might have been named.

`task`, `y` and `outputs` are as in `metrics`, but for forecasts, which have no rows of a table.  `groups` is (rows,) of
codes; rows with an equal code belong together.  `table` has the same rows in columns as people know them: numbers, dates,
booleans, categories, any of them missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.data.fitted import Task
from pipeline.evaluation.coding import Coded, checked_rows, coded, units_of
from pipeline.evaluation.metrics import LOSS, METRICS, Array, Floats, Ints, Metric, losses
from pipeline.evaluation.wording import word

PAIRED = 8  # slices of a column that enter pairs, those that look worst alone
UNITS = 4096  # more groups are merged for the tests, which gives the standard error a noise of 1 / sqrt(2 * 4096) = 1.1%
SHOWN: Mapping[Task, tuple[str, ...]] = {
    "binary": ("auc", "accuracy"),
    "multiclass": ("log_loss", "accuracy"),
    "regression": ("rmse", "mae"),
}


@dataclass(frozen=True)
class Slice:
    """Rows with these values, against all others.

    `loss` and `rest` are mean losses of the slice and of all other rows, `ratio` is loss / rest; `p` is one-sided, `q` the
    smallest level at which the slice is named.  `metrics` are those of the slice and `elsewhere` those of the other rows,
    nan where undefined; `elsewhere` is empty in `Found.all_singles`.
    """

    columns: tuple[str, ...]
    name: str
    rows: int
    groups: int
    loss: float
    rest: float
    ratio: float
    p: float
    q: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    elsewhere: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What `find` found.

    looked_at: slices tested.  candidates: those and the pairs beyond the bound, all of which the correction counts.
    too_small: slices not tested, as they or the rows to compare with are too few.  worse: the slices named, the surest
    first; named: their number before the list was cut.  explained: single slices left out because a named pair inside
    them has all the harm.  all_singles: every single slice tested, the surest first.  loss: mean loss of all rows.
    """

    looked_at: int
    candidates: int
    too_small: int
    named: int
    explained: int
    loss: float
    worse: tuple[Slice, ...]
    all_singles: tuple[Slice, ...]


def find(
    task: Task,
    y: Array,
    outputs: Array,
    groups: Array,
    table: pd.DataFrame,
    *,
    metrics: Sequence[Metric] | None = None,
    also: Collection[str] = (),
    level: float = 0.05,
    min_effect: float = 0.1,
    min_rows: int = 50,
    min_groups: int = 20,
    max_pairs: int = 3000,
    most: int = 50,
) -> Found:
    """Returns the slices of `table` with a larger mean loss than the rest; the result depends on the arguments alone.

    Single slices and pairs are corrected together by the step-up procedure of Benjamini & Hochberg 1995, weighted as in
    Genovese, Roeder & Wasserman 2006: one half of the level is for single slices, one half for pairs.  Pairs are searched
    from the columns that look worst alone, a choice that sees the losses; hence all pairs that the bound left out count as
    tested, with p = 1.

    A pair's p value is the largest of three: against the rest, and against the other rows of either single slice
    (intersection-union test, Berger 1982); so a pair is named only if neither single slice explains it.  A single slice
    is left out if its rows outside a named pair are not worse (at `level`, uncorrected, or by `min_effect`).

    Args:
        metrics: that slices are described by; the task's where None.  also: names of those that are shown beside the usual ones.
        level: the false discovery rate.
        min_effect: least (loss - rest) of a slice that is named, in units of the mean loss of all rows.
        min_rows: fewest rows of a slice, and of the rows it is compared with.
        min_groups: fewest groups of both, where groups of sizes n count as (sum n)^2 / sum n^2 (Kish 1965).
        max_pairs: most pairs tested; 0 looks at single slices alone.
        most: longest list of named slices.

    Raises ValueError for arguments that do not fit each other (see `metrics.checked`) or the task, and for a column whose
    values cannot be told apart, such as lists.
    """
    y, outputs = checked_rows(task, y, outputs, groups, table)
    if not len(y):
        return Found(0, 0, 0, 0, 0, float("nan"), (), ())
    order = np.argsort(-outputs, kind="stable") if task == "binary" else np.arange(len(y))  # ranked metrics sort sorted rows fast
    y, outputs = y[order], outputs[order]
    codes, units, n_units = units_of(np.asarray(groups)[order], UNITS)
    columns = [coded(str(name), table.iloc[:, at], min_rows).reordered(order) for at, name in enumerate(table.columns)]
    loss = losses(task, y, outputs)
    moments = partial(_moments, units=units, n_units=n_units, loss=loss - loss.mean())
    enough = _Enough(min_rows, max(min_groups, 2))

    singles, small = _singles(columns, moments, enough)
    pairs, small_pairs, skipped = _pairs(columns, singles, moments, enough, max_pairs)
    q = _adjusted(np.array([one.p for one in singles]), np.array([one.p for one in pairs]), len(pairs) + skipped)
    tested = [one.with_q(at) for one, at in zip([*singles, *pairs], q, strict=True)]
    least = min_effect * float(loss.mean())
    named = [one for one in tested if one.q <= level and one.gap >= least and one.gap > 0]
    explained = {parent for one in named for parent, left in zip(one.parents, one.left, strict=True) if left.p > level or left.gap < least}
    kept = sorted((one for one in named if one.key not in explained), key=_surest)
    shown = [metric for metric in metrics or METRICS[task] if metric.name in (*SHOWN[task], *also)]
    describe = partial(_described, shown, y, outputs, codes, loss, columns)
    return Found(
        looked_at=len(tested),
        candidates=len(tested) + skipped,
        too_small=small + small_pairs,
        named=len(kept),
        explained=len(named) - len(kept),
        loss=float(loss.mean()),
        worse=tuple(describe(one, elsewhere=True) for one in kept[:most]),
        all_singles=tuple(describe(one) for one in sorted(tested[: len(singles)], key=_surest)),
    )


def sentence(task: Task, one: Slice) -> str:
    """Returns a slice in words: "city Lima (132 rows): log loss 0.61 against 0.42 elsewhere, AUC 0.71 against 0.8"."""
    power, first = (0.5, word("rmse")) if task == "regression" else (1, "log loss")
    told = [f"{first} {_number(one.loss**power)} against {_number(one.rest**power)} elsewhere"]
    for name in SHOWN[task]:
        if name != LOSS[task] and name in one.elsewhere:
            told.append(f"{word(name)} {_number(one.metrics[name])} against {_number(one.elsewhere[name])}")
    return f"{one.name} ({one.rows} rows): {', '.join(told)}"


def slice_rows(slices: Iterable[Slice]) -> list[dict[str, Any]]:
    """Returns one plain row a slice, for CSV or JSON; the metrics of all other rows are called `<metric>_elsewhere`."""
    return [
        {"slice": one.name, "columns": ", ".join(one.columns)}
        | {key: getattr(one, key) for key in ("rows", "groups", "loss", "rest", "ratio", "p", "q")}
        | dict(one.metrics)
        | {f"{name}_elsewhere": value for name, value in one.elsewhere.items()}
        for one in slices
    ]


# -- tests


@dataclass(frozen=True)
class _Moments:
    """Of cells (each row is in one of K): `gram` (2K, 2K), sums over units of products of each cell's counts and summed
    losses, counts first; `totals` (2K,), their sums."""

    gram: Floats
    totals: Floats


@dataclass(frozen=True)
class _Enough:
    """The fewest rows and the fewest groups, at least 2."""

    rows: int
    groups: int


@dataclass(frozen=True)
class _Contrast:
    """Of T comparisons of inside with outside: the difference of mean losses, t, one-sided p; `fit` where both are large enough."""

    gap: Floats
    t: Floats
    p: Floats
    fit: Array


def _moments(cells: Array, n_cells: int, *, units: Ints, n_units: int, loss: Floats) -> _Moments:
    key = units * n_cells + cells
    sums = np.empty((n_units, 2 * n_cells))
    sums[:, :n_cells] = np.bincount(key, minlength=n_units * n_cells).reshape(n_units, n_cells)
    sums[:, n_cells:] = np.bincount(key, weights=loss, minlength=n_units * n_cells).reshape(n_units, n_cells)
    return _Moments(sums.T @ sums, sums.sum(axis=0))


def _compare(moments: _Moments, inside: Floats, outside: Floats, enough: _Enough) -> _Contrast:
    """Returns Welch's t test with cluster-robust variance of the mean losses of sets of cells, (K, T) of 0 and 1.

    Each set's mean has the linearized variance of a ratio over units (Liang & Zeger 1986), with the correction G / (G - 1)
    for G Kish's effective number of units, and their covariance counts, as a unit may have rows in both.  A set's variance
    is taken as at least what the other's would be at its size: where losses are skewed, a small set can by chance have a
    low mean and next to no variance.  Degrees of freedom are those of the smaller set, which Satterthwaite's approach.
    """
    cells = len(inside)
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = []
        for chosen in (inside, outside):
            rows = moments.totals[:cells] @ chosen
            mean = moments.totals[cells:] @ chosen / rows
            effective = rows**2 / np.einsum("kt,kt->t", chosen, moments.gram[:cells, :cells] @ chosen)
            weights = np.concatenate([-mean * chosen, chosen]) / rows * np.sqrt(effective / (effective - 1))
            sides.append((rows, mean, effective, weights))
        (n1, m1, g1, w1), (n0, m0, g0, w0) = sides
        v1, v0, both = (np.einsum("kt,kt->t", a, moments.gram @ b) for a, b in ((w1, w1), (w0, w0), (w1, w0)))
        least1, least0 = v0 * np.minimum(n0 / n1, g0 / g1), v1 * np.minimum(n1 / n0, g1 / g0)
        variance = np.maximum(v1, least1) + np.maximum(v0, least0) - 2 * both
        t = np.where(variance > 0, (m1 - m0) / np.sqrt(variance), np.where(m1 > m0, np.inf, 0.0))
        smaller = np.minimum(g1, g0)
        fit = (np.minimum(n1, n0) >= enough.rows) & (smaller >= enough.groups - 1e-9)
        p = np.where(fit, stats.t.sf(t, np.where(fit, smaller - 1, 1)), 1.0)
    return _Contrast(m1 - m0, t, p, fit)


@dataclass(frozen=True)
class _Left:
    """What is left of a single slice without a pair, against the rows outside the single slice."""

    gap: float
    p: float


Key = tuple[tuple[int, int], ...]  # (column, code) of each value


@dataclass(frozen=True)
class _Tested:
    """A slice with its test; a pair also has, for each of its single slices, what is left of it."""

    key: Key
    gap: float
    t: float
    p: float
    left: tuple[_Left, ...] = ()
    q: float = 1.0

    @property
    def parents(self) -> tuple[Key, ...]:
        return tuple((one,) for one in self.key) if self.left else ()

    def with_q(self, q: float) -> _Tested:
        return _Tested(self.key, self.gap, self.t, self.p, self.left, float(q))


def _surest(one: _Tested) -> tuple[float, float, Key]:
    return one.p, -one.t, one.key


def _singles(columns: Sequence[Coded], moments: Any, enough: _Enough) -> tuple[list[_Tested], int]:
    """Returns the single slices tested, and the number of those too small."""
    tested, small = [], 0
    for at, column in enumerate(columns):
        count = len(column.values)
        inside = np.eye(count + 1)[:, 1:]  # cell 0 is all that has no code
        found = _compare(moments(column.codes + np.int8(1), count + 1), inside, 1 - inside, enough)
        fit = np.flatnonzero(found.fit)
        tested += [_Tested(((at, int(code)),), float(found.gap[code]), float(found.t[code]), float(found.p[code])) for code in fit]
        small += column.left_out + count - len(fit)
    return tested, small


def _pairs(
    columns: Sequence[Coded], singles: Sequence[_Tested], moments: Any, enough: _Enough, max_pairs: int
) -> tuple[list[_Tested], int, int]:
    """Returns the pairs tested, the number of those too small, and the number of those that the bound left out."""
    if max_pairs <= 0:
        return [], 0, 0
    of_column: dict[int, list[_Tested]] = {}
    for one in sorted(singles, key=lambda one: (-one.t, one.key)):
        of_column.setdefault(one.key[0][0], []).append(one)
    sizes = np.array([len(ones) for ones in of_column.values()])
    candidates = int(sizes.sum() ** 2 - (sizes**2).sum()) // 2
    ranked = [(at, [one.key[0][1] for one in ones[:PAIRED]]) for at, ones in of_column.items()]  # the worst column first
    tested, small, seen = list[_Tested](), 0, 0
    for first, second in ((ranked[i], ranked[j]) for j in range(len(ranked)) for i in range(j)):
        cost = len(first[1]) * len(second[1])
        if seen + cost > max_pairs:
            break
        seen += cost
        found, too_small = _crossed(columns, first, second, moments, enough)
        tested += found
        small += too_small
    return tested, small, candidates - seen


def _crossed(
    columns: Sequence[Coded], first: tuple[int, list[int]], second: tuple[int, list[int]], moments: Any, enough: _Enough
) -> tuple[list[_Tested], int]:
    """Returns the tested pairs of some values of two columns, and the number of those too small (without empty ones)."""
    (a, a_codes), (b, b_codes) = first, second
    down, across = len(a_codes) + 1, len(b_codes) + 1
    cells = _places(columns[a], a_codes)[columns[a].codes] * np.int16(across) + _places(columns[b], b_codes)[columns[b].codes]
    found = moments(cells, down * across)
    i, j = (axis.ravel() for axis in np.meshgrid(np.arange(1, down), np.arange(1, across), indexing="ij"))
    row, column = np.divmod(np.arange(down * across), across)
    of_a, of_b = (row[:, None] == i).astype(float), (column[:, None] == j).astype(float)
    pair = of_a * of_b
    tests = [_compare(found, pair, whole - pair, enough) for whole in (np.ones_like(pair), of_a, of_b)]
    rests = [_compare(found, whole - pair, 1 - whole, enough) for whole in (of_a, of_b)]
    fit = np.all([test.fit for test in tests], axis=0)
    p, t = np.max([test.p for test in tests], axis=0), np.min([test.t for test in tests], axis=0)
    tested = [
        _Tested(
            tuple(sorted(((a, a_codes[i[at] - 1]), (b, b_codes[j[at] - 1])))),
            float(tests[0].gap[at]),
            float(t[at]),
            float(p[at]),
            tuple(_Left(float(rest.gap[at]), float(rest.p[at])) for rest in (rests if a < b else rests[::-1])),
        )
        for at in np.flatnonzero(fit)
    ]
    return tested, int((~fit & (found.totals[: down * across] @ pair > 0)).sum())


def _places(column: Coded, chosen: Sequence[int]) -> Array:
    """Returns (codes + 1,) 1, 2, ... for the chosen codes and 0 for the others; the last entry is that of code -1."""
    places = np.zeros(len(column.values) + 1, np.int16)
    places[list(chosen)] = np.arange(1, len(chosen) + 1)
    return places


def _adjusted(singles: Floats, pairs: Floats, n_pairs: int) -> Floats:
    """Returns q values of single slices, then pairs; p of a family of n, weighted, counts as n p, or 2 n p where there are two."""
    halves = 2 if len(singles) and n_pairs else 1
    scaled = halves * np.concatenate([singles * len(singles), pairs * n_pairs])
    order = np.argsort(scaled, kind="stable")
    steps = scaled[order] / np.arange(1, len(scaled) + 1)
    q = np.empty(len(scaled))
    q[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return q


def _described(
    shown: Sequence[Metric],
    y: Array,
    outputs: Array,
    codes: Ints,
    loss: Floats,
    columns: Sequence[Coded],
    one: _Tested,
    *,
    elsewhere: bool = False,
) -> Slice:
    """Returns a tested slice with its size, mean losses and metrics."""
    chosen = np.all([columns[at].codes == code for at, code in one.key], axis=0)
    rows, others = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    mean, rest = float(loss[rows].mean()), float(loss[others].mean())
    return Slice(
        columns=tuple(columns[at].name for at, _ in one.key),
        name=" and ".join(f"{columns[at].name} {columns[at].values[code]}" for at, code in one.key),
        rows=len(rows),
        groups=int(np.count_nonzero(np.bincount(codes[rows]))),
        loss=mean,
        rest=rest,
        ratio=mean / rest if rest > 0 else float("nan"),
        p=one.p,
        q=one.q,
        metrics={metric.name: metric(y[rows], outputs[rows]) for metric in shown},
        elsewhere={metric.name: metric(y[others], outputs[others]) for metric in shown} if elsewhere else {},
    )


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.3g}"
