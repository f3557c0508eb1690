"""Has the model's loss risen: the mean loss of a window against that of the reference, with groups as the unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.monitoring.drift import Floats

Groups = NDArray[Any]

_RESAMPLES = 2000
_UNITS = 2000


@dataclass(frozen=True)
class Decay:
    """Mean loss of the window minus that of the reference, with a group-bootstrap interval [lower, upper]."""

    decayed: bool
    difference: float
    lower: float
    upper: float
    reference_loss: float
    minimum_difference: float
    labelled_rows: int
    labelled_groups: int


def loss_increase(
    reference: Floats,
    current: Floats,
    *,
    reference_groups: Groups,
    groups: Groups,
    minimum: float,
    confidence: float,
    seed: int,
) -> Decay:
    """Compare two mean losses by a percentile bootstrap that draws whole groups from either side.

    Decayed when the interval lies wholly above zero and the difference exceeds `minimum` x the reference's mean loss.
    The interval's tails are widened for few groups (Hesterberg 2015, "What teachers should know about the bootstrap",
    section 5.3: the expanded percentile interval).  reference: (n,), current: (m,), all finite.
    """
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        raise ValueError("losses must be finite or NaN: clip probabilities before the logarithm")
    rng = np.random.default_rng(seed)
    labelled_groups = len(np.unique(groups))
    means = _resampled_means(rng, current, groups) - _resampled_means(rng, reference, reference_groups)
    widening = math.sqrt(labelled_groups / (labelled_groups - 1))
    tail = float(stats.norm.cdf(widening * stats.t.ppf((1 - confidence) / 2, labelled_groups - 1)))
    lower, upper = (float(bound) for bound in np.quantile(means, [tail, 1 - tail]))
    base = float(reference.mean())
    difference = float(current.mean()) - base
    decayed = lower > 0 and difference > minimum * abs(base)
    return Decay(decayed, difference, lower, upper, base, minimum * abs(base), len(current), labelled_groups)


def _resampled_means(rng: np.random.Generator, losses: Floats, groups: Groups) -> Floats:
    """The mean loss in each of 2,000 resamples of whole groups: (2000,).

    Of many groups, units of several that are put together at random are drawn: their means spread as those of groups do.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.bincount(codes, losses)
    if len(sizes) > _UNITS:
        unit = rng.permutation(len(sizes)) % _UNITS
        sums, sizes = np.bincount(unit, sums), np.bincount(unit, sizes)
    draws = (rng.integers(0, len(sizes), len(sizes)) for _ in range(_RESAMPLES))
    return np.array([sums[draw].sum() / sizes[draw].sum() for draw in draws])
