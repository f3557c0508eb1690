"""How numbers are scaled: what is learnt from a sample of train values, as pure functions of arrays."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from pipeline.config import Scaling
from pipeline.data.fitted import GRID, Number, Target

TAIL = 5.0  # of the interquartile range from the median to the 0.5% or 99.5% quantile: the normal has 1.9, the exponential 4.2
LEVELS = np.arange(GRID + 1) / GRID


def stable(value: float) -> float:
    """A sum over rows as single precision: the last digits of a parallel sum change from run to run."""
    return float(f"{value:.7g}")


def scaled(number: Number, values: np.ndarray, method: Scaling, *, clip: float = 0.0, smooth: bool = True) -> Number:
    """`number` with its scaling learnt from train values (float64, at least one, none missing).

    auto is log for heavy tails and robust else.  Where the quartiles coincide, robust takes half the range.  quantile
    goes by rank to a standard normal rather than to a uniform: networks learn better from it (Gorishniy et al. 2021,
    section 4.2), and what lies beyond train's ends still counts as its end.

    Args:
        clip: share of the values at each end beyond which values are cut.
        smooth: whether robust and log bend what lies far out towards 3.
    """
    if method == "auto":
        method = "log" if heavy_tail(values) else "robust"
    if clip:
        low, high = (float(edge) for edge in np.quantile(values, [clip, 1 - clip]))
        number, values = replace(number, low=low, high=high), np.clip(values, low, high)
    if method == "none":
        return number
    if method == "quantile":
        return _ranked(number, values)
    if method == "standard":
        largest = float(np.abs(values).max()) or 1.0  # squares of huge numbers would overflow
        spread = stable(float((values / largest).std()) * largest)
        return replace(number, center=stable(float((values / largest).mean()) * largest), scale=spread or 1.0)
    if method == "log":
        number = replace(number, log=unit(values))
        values = signed_log(values, number.log)
    low, center, high = (float(quartile) for quartile in np.quantile(values, [0.25, 0.5, 0.75]))
    spread = high - low or float(values.max() - values.min()) / 2
    return replace(number, center=center, scale=spread if 0 < spread < np.inf else 1.0, smooth_clip=smooth)


def _ranked(number: Number, values: np.ndarray) -> Number:
    knots, at = np.unique(np.quantile(values, LEVELS), return_inverse=True)
    middle = np.bincount(at, LEVELS) / np.bincount(at)  # equal values share the middle of their ranks
    inner = np.clip(middle, 0.5 / GRID, 1 - 0.5 / GRID)
    ranks = tuple(round(NormalDist().inv_cdf(float(share)), 6) for share in inner)
    return replace(number, knots=tuple(knots.tolist()), ranks=ranks)


def heavy_tail(values: np.ndarray) -> bool:
    """Whether a tail reaches far beyond the middle half of the values."""
    far_low, low, center, high, far_high = np.quantile(values, [0.005, 0.25, 0.5, 0.75, 0.995])
    spread = high - low or values.std()
    return bool(max(far_high - center, center - far_low) > TAIL * spread)


def unit(values: np.ndarray) -> float:
    """The size from which a signed logarithm bends values: 1, or less where most of them are smaller."""
    present = np.abs(values[values != 0])
    return min(1.0, float(np.quantile(present, 0.25))) if len(present) else 1.0


def signed_log(values: np.ndarray, size: float) -> np.ndarray:
    """sign(x) ln(1 + |x| / size)."""
    return np.sign(values) * np.log1p(np.abs(values) / size)


def target(column: str, values: np.ndarray, transform: str) -> Target:
    """A regression's target from train values; auto takes log where none is negative and a tail is heavy."""
    mean, std = stable(float(values.mean())), stable(float(values.std())) or 1.0
    if transform == "auto":
        transform = "log" if values.min() >= 0 and heavy_tail(values) else "standardize"
    if transform == "none":
        return Target(column, (), mean, std, "none")
    if transform == "standardize":
        return Target(column, (), mean, std)
    size = unit(values)
    logs = signed_log(values, size)
    largest = float(np.abs(values).max())
    return Target(column, (), mean, std, "log", size, stable(float(logs.mean())), stable(float(logs.std())) or 1.0, largest)
