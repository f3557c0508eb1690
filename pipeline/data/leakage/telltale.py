"""How surely one column tells the target, each row told from the other ones."""

from __future__ import annotations

import numpy as np

SLIPS = 0.03  # share of a class' rows that a copy of the target may have wrong
SURE = 1.64  # standard errors above it
FEWEST = 10  # rows of a class that is judged
NEAREST = 3  # neighbours on either side
BORDER = 0.1  # of the target's spread: how near to a border of ranges it is looked at closely
AT_BORDERS = 20  # rows there, below which the target itself may have gaps, and any column that moves it looks like ranges
CROSSED = 0.06  # share of the rows there that may lie beyond a border


def classes_by_value(y: np.ndarray, codes: np.ndarray) -> float:
    """How much of the uncertainty of classes `y` (rows,) goes when each row gets the commonest class of its value's other rows.

    Classes weigh the same, however rare: what is returned is Youden's informedness.  0 where a class is not told but for slips.
    """
    kept, y, sizes = _large(y)
    if len(sizes) < 2:
        return 0.0
    codes = codes[kept] + 1
    cells, rows = np.unique(codes * len(sizes) + y, return_counts=True)
    value, label = cells // len(sizes), cells % len(sizes)
    weight = rows / sizes[label]
    order = np.lexsort((-weight, value))
    first = np.r_[True, np.diff(value[order]) > 0]
    best, second = np.zeros(value.max() + 1), np.zeros(value.max() + 1)
    best[value[order][first]] = weight[order][first]
    follows = np.flatnonzero(~first & np.r_[False, first[:-1]])
    second[value[order][follows]] = weight[order][follows]
    top = np.zeros(len(cells), dtype=bool)
    top[order[first]] = True
    right = (rows - 1) / sizes[label] > np.where(top, second[value], best[value])  # without the row itself
    return _told(np.bincount(label[right], weights=rows[right], minlength=len(sizes)), sizes)


def classes_by_number(y: np.ndarray, x: np.ndarray, present: np.ndarray) -> float:
    """The same for numbers `x` with many values: each row gets the commonest class of its nearest ones, missing ones together."""
    kept, y, sizes = _large(y)
    if len(sizes) < 2:
        return 0.0
    x, present = x[kept], present[kept]
    right = np.zeros(len(y), dtype=bool)
    absent = y[~present]
    if len(absent):
        counts = np.bincount(absent, minlength=len(sizes)) / sizes
        others = np.array([np.delete(counts, at).max() for at in range(len(sizes))])
        right[~present] = (counts - 1 / sizes > others)[absent]
    rows = np.flatnonzero(present)
    rows = rows[np.argsort(x[rows], kind="stable")]
    right[rows] = _nearest(y[rows], 1 / sizes)
    return _told(np.bincount(y[right], minlength=len(sizes)), sizes)


def _nearest(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether each of the labels in order is the one of most weight among its neighbours."""
    padded = np.r_[np.full(NEAREST, -1), labels, np.full(NEAREST, -1)]
    around = [padded[NEAREST + step : NEAREST + step + len(labels)] for step in range(-NEAREST, NEAREST + 1) if step]
    heavy = np.r_[weights, 0.0]  # the last for what lies beyond the ends
    own = sum(np.where(other == labels, heavy[other], 0.0) for other in around)
    rival = np.zeros(len(labels))
    for candidate in around:
        votes = sum(np.where(other == candidate, heavy[other], 0.0) for other in around)
        rival = np.maximum(rival, np.where(candidate == labels, 0.0, votes))
    return own > rival


def _large(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of classes that have enough, their classes numbered anew, and how many rows each has."""
    sizes = np.bincount(y)
    numbers = np.full(len(sizes), -1)
    numbers[sizes >= FEWEST] = np.arange((sizes >= FEWEST).sum())
    kept = np.flatnonzero(numbers[y] >= 0)
    return kept, numbers[y[kept]], sizes[sizes >= FEWEST]


def _told(right: np.ndarray, sizes: np.ndarray) -> float:
    wrong = sizes - right
    if (wrong > SLIPS * sizes + SURE * np.sqrt(SLIPS * (1 - SLIPS) * sizes)).any():
        return 0.0
    chance = 1 / len(sizes)
    return float(max(0.0, ((right / sizes).mean() - chance) / (1 - chance)))


def correlation(y: np.ndarray, x: np.ndarray) -> float:
    """The squared correlation of two numbers, of their values or of their ranks, whichever is larger."""
    from scipy.stats import rankdata

    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    if len(y) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        found = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in ((x, y), (rankdata(x), rankdata(y)))]
    return float(np.nan_to_num(found).max())


def means_by_value(y: np.ndarray, codes: np.ndarray) -> float:
    """The share of a number's variance, and of that of its ranks, that goes when each row gets the mean of its value's other rows."""
    from scipy.stats import rankdata

    return max(_without_own(y, codes + 1), _without_own(rankdata(y), codes + 1))


def _without_own(y: np.ndarray, codes: np.ndarray) -> float:
    y = y - y.mean()
    rows, sums = np.bincount(codes), np.bincount(codes, weights=y)
    others = (sums[codes] - y) / np.maximum(rows[codes] - 1, 1)
    spread = float((y**2).sum())
    return max(0.0, 1 - float(((y - others) ** 2).sum()) / spread) if spread > 0 else 0.0


def bins(y: np.ndarray, codes: np.ndarray) -> float:
    """The share of rows whose value is that of a range of `y`; 0 where values are no ranges that meet.

    Ranges of the target have sharp borders in places where it is dense.  A column that moves the target a great deal
    also sets rows apart, but not at the border itself, or there are no rows there.
    """
    codes = np.unique(codes, return_inverse=True)[1]
    rows = np.bincount(codes)
    if len(rows) < 2:
        return 0.0
    order = np.lexsort((codes, y))
    middles = np.array([np.median(y[codes == at]) for at in range(len(rows))])
    turn = np.argsort(middles, kind="stable")
    place = np.empty(len(turn), dtype="int64")
    place[turn] = np.arange(len(turn))
    ordered, own = y[order], place[codes][order]
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) > 0])  # equal numbers lie in one range
    halfway = (starts + np.r_[starts[1:], len(ordered)] - 1) // 2
    expected = np.repeat(np.arange(len(turn)), rows[turn])[halfway].repeat(np.diff(np.r_[starts, len(ordered)]))
    wrong = own != expected
    low, high = np.quantile(ordered, [0.25, 0.75])
    reach = BORDER * ((high - low) / 1.35 or ordered.std())
    borders = ordered[np.flatnonzero(np.diff(expected))]
    gaps = np.abs(ordered[:, None] - borders[None, :]).min(axis=1, initial=np.inf) if len(borders) <= 100 else np.zeros(len(ordered))
    near = gaps <= reach
    if near.sum() < AT_BORDERS or wrong[near].mean() > CROSSED or wrong.mean() > SLIPS:
        return 0.0
    return float(1 - wrong.mean())
