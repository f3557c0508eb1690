"""How far a window of rows lies from the reference, column by column, as one number that Evidently prints too.

Numbers are compared by the Wasserstein-1 distance in units of the reference's standard deviation (Evidently's
"wasserstein"), categories by the Jensen-Shannon distance in nats (Evidently's "jensenshannon").  Both are effect
sizes: they do not grow with the number of rows, so one threshold can be read and argued about.  Evidently drops what
is missing before it compares, so a column that empties looks unchanged to it; here missing is a category of its own,
and a number has a second distance, between the shares of missing values (aspect "missing").

Distances are taken between counts over a common support, so that resampling (alarms.py) only re-weights counts and
never sorts again.  A window is judged by all its values; where thousands of resamples are compared, a number of many
values is put on a grid first (`gridded`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

Kind = Literal["number", "category"]
Aspect = Literal["values", "missing"]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Weights = NDArray[np.float32]  # counts to 2^24 are exact

METHODS: Mapping[Kind, str] = {"number": "wasserstein", "category": "jensenshannon"}  # Evidently's names
ASPECTS: Mapping[Kind, Sequence[Aspect]] = {"number": ("values", "missing"), "category": ("values",)}
MISSING_METHOD = METHODS["category"]  # present or missing is a category of two values
GRID = 200
_SMALLEST_NORM = 0.001  # Evidently's floor of the standard deviation: a constant reference has none


@dataclass(frozen=True)
class Coded:
    """A column as codes over its support; the code len(support) stands for a missing value.

    support: (k,) distinct values, ascending; floats for a number, str for a category.  codes: (rows,) in [0, k].
    """

    kind: Kind
    support: NDArray[np.generic]
    codes: Codes

    def counts(self, weights: Floats | None = None) -> Floats:
        """The (k + 1,) counts of the values and, last, of the missing; weights: (rows,) how often each row counts."""
        return np.bincount(self.codes, weights, minlength=len(self.support) + 1).astype(np.float64)

    def resampled(self, of_row: Codes, weights: Weights) -> Floats:
        """The (n, k + 1) counts of n resamples of groups.

        of_row: (rows,) the group of each row, from 0; weights: (groups, n) how often each resample holds each group.
        """
        order, sizes = np.argsort(self.codes, kind="stable"), self.counts()
        ends = np.append(0, np.cumsum(sizes)).astype(np.intp)
        held = csr_array((np.ones(len(order), np.float32), of_row[order], ends), shape=(len(sizes), len(weights)))
        return np.asarray((held @ weights).T, dtype=np.float64, order="C")


@dataclass(frozen=True)
class Threshold:
    """A column's aspect drifts when its distance is greater than `threshold`; only one that can do harm may alarm."""

    column: str
    kind: Kind
    aspect: Aspect
    threshold: float
    harmful: bool = True


@dataclass(frozen=True)
class Thresholds:
    """The outcome of `calibrate`: valid for windows worth `rows` rows or more (see `comparable_rows`)."""

    rows: int
    false_alarm_rate: float
    minimum_effect: float
    resamples: int
    seed: int
    measures: tuple[Threshold, ...]

    def of(self, column: str, aspect: Aspect = "values") -> float:
        """The threshold of one column's aspect; KeyError when it was not calibrated."""
        for measure in self.measures:
            if (measure.column, measure.aspect) == (column, aspect):
                return measure.threshold
        raise KeyError(f"no threshold for the {aspect} of column {column!r}")


@dataclass(frozen=True)
class Change:
    """What changed in a column beside its distance: shares of rows, from 0 to 1, and the categories that came and went.

    For a number, `new` and `gone` are empty.  `constant` means that the window holds one value only and the
    reference more than one; `absent` that the window has no such column.
    """

    missing_reference: float
    missing_current: float
    new: tuple[str, ...]
    new_share: float
    gone: tuple[str, ...]
    constant: bool
    absent: bool


def measures_of(kinds: Mapping[str, Kind]) -> list[tuple[str, Aspect]]:
    """What is watched: every column's values, then how many of a number's are missing (a category's count as values)."""
    return [(column, aspect) for aspect in ASPECTS["number"] for column, kind in kinds.items() if aspect in ASPECTS[kind]]


def is_harmful(column: str, used: Collection[str] | None) -> bool:
    """May the drift of this column alarm."""
    return used is None or column in used


def encode(column: pd.Series, kind: Kind) -> Coded:
    """Code a column; None, NaN and, for a number, an infinity are missing (Evidently drops infinities alike)."""
    if kind == "number":
        values = _as_floats(column)
        finite = np.isfinite(values)
        support, inverse = np.unique(values[finite], return_inverse=True)
        codes = np.full(len(values), len(support), dtype=np.intp)
        codes[finite] = inverse
        return Coded(kind, support, codes)
    found, uniques = pd.factorize(column)  # -1 for a missing value; hashing, since categories of mixed types do not sort
    labels, of_unique = np.unique(np.array([str(value) for value in uniques], dtype=object), return_inverse=True)
    return Coded(kind, labels, np.append(of_unique, len(labels)).astype(np.intp)[found])


def gridded(column: Coded, most: int = GRID) -> Coded:
    """The column on at most `most` values: what has no more, and a category, stays as it is.

    Values that lie together become their mean; the smallest and the largest stay.  A step of the grid holds equal
    parts of the rows and of the area that chance leaves between two distribution functions, which is in proportion to
    sqrt(F (1 - F)) dx (del Barrio, Gine and Matran 1999, "Central limit theorems for the Wasserstein distance"): so a
    long tail is resolved too.
    """
    if column.kind == "category" or len(column.support) <= most:
        return column
    support, sizes = column.support.astype(np.float64), column.counts()[:-1]
    below = np.cumsum(sizes)[:-1] / sizes.sum()
    area = np.cumsum(np.sqrt(below * (1 - below)) * np.diff(support))
    steps = np.floor((below + area / area[-1])[:-1] / 2 * (most - 2)).astype(np.intp)  # of all values but the extremes
    _, places = np.unique(np.concatenate([[-1], np.minimum(steps, most - 3), [most]]), return_inverse=True)
    means = np.bincount(places, sizes * support) / np.bincount(places, sizes)
    return Coded("number", means, np.append(places, len(means)).astype(np.intp)[column.codes])


def statistic(reference: pd.Series, current: pd.Series, kind: Kind) -> float:
    """The distance of two samples of one column, as `ValueDrift(method=METHODS[kind])` of Evidently prints it.

    A missing category counts as one more category (give Evidently a label in its place); missing numbers are left
    out, see `missing_statistic`.  NaN when a side has no value to compare.
    """
    both, old, now = _counted(reference, current, kind)
    return float(distance(both, old, now, "values")[0, 0])


def missing_statistic(reference: pd.Series, current: pd.Series, kind: Kind) -> float:
    """The Jensen-Shannon distance between the shares of missing values; NaN when a side has no rows."""
    sides = [_present_and_missing_of(side, kind) for side in (reference, current)]
    return float(_jensen_shannon(*map(_shares, sides)))


def distance(column: Coded, reference: Floats, current: Floats, aspect: Aspect) -> Floats:
    """The distances (r, n) of r references (r, k + 1) from n windows (n, k + 1), counts over the column's support.

    Wasserstein-1 over the reference's standard deviation (divisor n, at least 0.001) or Jensen-Shannon; NaN where a
    side is empty.
    """
    found = np.empty((len(reference), len(current)))
    compare = _comparison(column, reference, current, aspect)
    for index in range(len(current)):  # window by window: (r, k) stays in the processor's cache
        found[:, index] = compare(slice(None), slice(index, index + 1))
    return found


def paired_distance(column: Coded, reference: Floats, current: Floats, aspect: Aspect) -> Floats:
    """As `distance`, of each reference (n, k + 1) from the window (n, k + 1) of the same place: (n,)."""
    return _comparison(column, reference, current, aspect)(slice(None), slice(None))


def _comparison(column: Coded, reference: Floats, current: Floats, aspect: Aspect) -> Callable[[slice, slice], Floats]:
    """A function that compares some references with as many windows, or with one; what is the same for all is done once."""
    if aspect == "missing":
        reference, current = _present_and_missing(reference), _present_and_missing(current)
    if aspect == "missing" or column.kind == "category":
        p, q = _shares(reference), _shares(current)
        of_p, of_q = _negative_entropy(p), _negative_entropy(q)
        return lambda old, now: _from_entropies(of_p[old] + of_q[now], p[old] + q[now])
    # In one dimension Wasserstein-1 is the area between the two distribution functions (Ramdas, Garcia and Cuturi 2017,
    # "On Wasserstein two-sample testing", section 4).
    support = column.support.astype(np.float64)
    p, q, gaps = _shares(reference[:, :-1]), _shares(current[:, :-1]), np.diff(support)
    centred = support - (p @ support)[:, None]
    norm = np.maximum(np.sqrt((p * centred**2).sum(axis=-1)), _SMALLEST_NORM)
    norm[reference[:, :-1].sum(axis=-1) == 0] = np.nan  # one value: the empty sum below hides NaN
    unknown = np.where(current[:, :-1].sum(axis=-1) > 0, 0.0, np.nan)
    below_p, below_q = np.cumsum(p, axis=-1)[:, :-1], np.cumsum(q, axis=-1)[:, :-1]

    def area(old: slice, now: slice) -> Floats:
        between = below_p[old] - below_q[now]
        np.abs(between, out=between)
        return np.asarray(between @ gaps / norm[old] + unknown[now])

    return area


def _jensen_shannon(p: Floats, q: Floats) -> Floats:
    """The Jensen-Shannon distance (Endres and Schindelin 2003) of shares (..., k), from 0 to sqrt(ln 2) = 0.833."""
    return _from_entropies(_negative_entropy(p) + _negative_entropy(q), p + q)


def _from_entropies(of_both: Floats, both: Floats) -> Floats:
    """The root of the entropy of the middle less the mean of the two entropies: one logarithm a value."""
    divergence = of_both / 2 - _negative_entropy(both / 2)
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))  # rounding may leave -1e-17


def _negative_entropy(shares: Floats) -> Floats:
    return np.asarray(np.einsum("...k,...k->...", shares, np.log(np.maximum(shares, np.finfo(np.float64).tiny))))  # 0 log 0 = 0


def change(reference: pd.Series, current: pd.Series | None, kind: Kind) -> Change:
    """What changed in a column beside its distance; current None means that the window lacks the column.

    A finding, not an alarm: a rare category of a long tail is new in many windows of an unchanged stream.
    """
    old, now = encode(reference, kind), encode(column_or_missing(current, len(reference)), kind)
    of_old, of_now = old.counts(), now.counts()
    is_new, is_gone = ~np.isin(now.support, old.support), ~np.isin(old.support, now.support)
    category = kind == "category"
    return Change(
        missing_reference=float(_shares(of_old)[-1]),
        missing_current=float(_shares(of_now)[-1]),
        new=tuple(map(str, now.support[is_new])) if category else (),
        new_share=float(_shares(of_now)[:-1][is_new].sum()) if category else 0.0,
        gone=tuple(map(str, old.support[is_gone])) if category else (),
        constant=len(now.support) == 1 and of_now[-1] == 0 and len(old.support) > 1,
        absent=current is None,
    )


def column_or_missing(column: pd.Series | None, rows: int) -> pd.Series:
    """The column, or as many missing values where there is none: an absent column is one that is wholly missing."""
    return pd.Series([None] * rows, dtype=object) if column is None else column


def _present_and_missing_of(column: pd.Series, kind: Kind) -> Floats:
    """How many values of a column are present and how many are missing: (2,)."""
    missing = ~np.isfinite(_as_floats(column)) if kind == "number" else column.isna().to_numpy()
    return np.array([len(missing) - missing.sum(), missing.sum()], dtype=np.float64)


def _counted(reference: pd.Series, current: pd.Series, kind: Kind) -> tuple[Coded, Floats, Floats]:
    """The support of both samples (its codes are left empty) and the counts of either over it, (1, k + 1)."""
    nothing = np.empty(0, dtype=np.intp)
    if kind == "number":  # two sorts and two look-ups: five times as fast as codes
        sides = [values[np.isfinite(values)] for values in (_as_floats(reference), _as_floats(current))]
        support = np.unique(np.concatenate(sides))
        sides = [np.sort(values) for values in sides]
        upto = [np.searchsorted(values, support, side="right") for values in sides]
        old, now = (np.append(np.diff(found, prepend=0), 0)[None].astype(np.float64) for found in upto)
        return Coded(kind, support, nothing), old, now
    both = encode(pd.Series(np.concatenate([side.to_numpy(dtype=object) for side in (reference, current)]), dtype=object), kind)
    old, now = (Coded(kind, both.support, part).counts()[None] for part in (both.codes[: len(reference)], both.codes[len(reference) :]))
    return both, old, now


def _as_floats(column: pd.Series) -> Floats:
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _shares(counts: Floats) -> Floats:
    """Counts (..., k) as shares of their sum; all NaN where the sum is zero."""
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True), dtype=np.float64)


def _present_and_missing(counts: Floats) -> Floats:
    return np.stack([counts[..., :-1].sum(axis=-1), counts[..., -1]], axis=-1)
