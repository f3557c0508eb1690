"""How far a window of rows lies from the reference, column by column, as one number that Evidently prints too.

Numbers are compared by the Wasserstein-1 distance in units of the reference's standard deviation (Evidently's
"wasserstein"), categories by the Jensen-Shannon distance in nats (Evidently's "jensenshannon").  Both are effect
sizes: they do not grow with the number of rows, so one threshold can be read and argued about.  Evidently drops what
is missing before it compares, so a column that empties looks unchanged to it; here missing is a category of its own,
and a number has a second distance, between the shares of missing values (aspect "missing").

Distances are taken between counts over a common support, so that resampling (alarms.py) only re-weights counts and
never sorts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import rel_entr

Kind = Literal["number", "category"]
Aspect = Literal["values", "missing"]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

METHODS: Mapping[Kind, str] = {"number": "wasserstein", "category": "jensenshannon"}  # Evidently's names
MISSING_METHOD = METHODS["category"]  # present or missing is a category of two values
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


def statistic(reference: pd.Series, current: pd.Series, kind: Kind) -> float:
    """The distance of two samples of one column, as `ValueDrift(method=METHODS[kind])` of Evidently prints it.

    A missing category counts as one more category (give Evidently a label in its place); missing numbers are left
    out, see `missing_statistic`.  NaN when a side has no value to compare.
    """
    return _one_distance(reference, current, kind, "values")


def missing_statistic(reference: pd.Series, current: pd.Series, kind: Kind) -> float:
    """The Jensen-Shannon distance between the shares of missing values; NaN when a side has no rows."""
    return _one_distance(reference, current, kind, "missing")


def distance(column: Coded, reference: Floats, current: Floats, aspect: Aspect) -> Floats:
    """The distances (r, n) of r references (r, k + 1) from n windows (n, k + 1), counts over the column's support."""
    if aspect == "missing":
        return jensen_shannon(_present_and_missing(reference), _present_and_missing(current))
    if column.kind == "category":
        return jensen_shannon(reference, current)
    return normed_wasserstein(column.support.astype(np.float64), reference[:, :-1], current[:, :-1])


def normed_wasserstein(support: Floats, reference: Floats, current: Floats) -> Floats:
    """The Wasserstein-1 distances over the reference's standard deviation (divisor n, at least 0.001).

    support: (k,) ascending; reference: (r, k) counts; current: (n, k) counts; returns (r, n).  In one dimension the
    distance is the area between the two distribution functions (Ramdas, Garcia and Cuturi 2017, "On Wasserstein
    two-sample testing", section 4).  NaN where a side is empty.
    """
    p, gaps = _shares(reference), np.diff(support)
    below = np.cumsum(p, axis=-1)[:, :-1]
    area = np.empty((len(reference), len(current)))
    for index, q in enumerate(_shares(current)):  # window by window: (r, k) stays in the processor's cache
        area[:, index] = np.abs(below - np.cumsum(q)[:-1]) @ gaps
    centred = support - (p @ support)[:, None]
    deviation = np.sqrt((p * centred**2).sum(axis=-1))
    known = (reference.sum(axis=-1) > 0)[:, None] & (current.sum(axis=-1) > 0)  # one value: the empty sum hides NaN
    return np.where(known, area / np.maximum(deviation, _SMALLEST_NORM)[:, None], np.nan)


def jensen_shannon(reference: Floats, current: Floats) -> Floats:
    """The Jensen-Shannon distances (Endres and Schindelin 2003) of counts, each from 0 to sqrt(ln 2) = 0.833.

    reference: (r, k); current: (n, k); returns (r, n).  NaN where a side is empty.
    """
    p = _shares(reference)
    divergence = np.empty((len(reference), len(current)))
    for index, q in enumerate(_shares(current)):
        middle = (p + q) / 2
        divergence[:, index] = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)), dtype=np.float64)  # rounding may leave -1e-17


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


def _one_distance(reference: pd.Series, current: pd.Series, kind: Kind, aspect: Aspect) -> float:
    """Code both samples over the union of their values, count, and compare."""
    if kind == "number":  # pandas would warn about an empty or wholly missing part
        both = encode(pd.Series(np.concatenate([_as_floats(reference), _as_floats(current)])), kind)
    else:
        both = encode(pd.Series([*reference, *current], dtype=object), kind)
    parts = both.codes[: len(reference)], both.codes[len(reference) :]
    old, now = (Coded(kind, both.support, part).counts()[None] for part in parts)
    return float(distance(both, old, now, aspect)[0, 0])


def _as_floats(column: pd.Series) -> Floats:
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _shares(counts: Floats) -> Floats:
    """Counts (..., k) as shares of their sum; all NaN where the sum is zero."""
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True), dtype=np.float64)


def _present_and_missing(counts: Floats) -> Floats:
    return np.stack([counts[..., :-1].sum(axis=-1), counts[..., -1]], axis=-1)
