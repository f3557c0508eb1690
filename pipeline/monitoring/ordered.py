"""Thresholds and decay where rows are in the order of time: neighbours are alike, and a window is one stretch of time.

A stretch of time differs from the rest of time more than as many rows drawn at random do, so resampled rows would
alarm over windows in which nothing changed.  What is normal is learned from contiguous stretches of the reference of
the window's own length, each against the rest of the reference.  Few of them are independent, K = reference rows /
window rows; so no tail is read off them, but a prediction bound for one new observation with K - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.errors import UserError
from pipeline.monitoring.decay import Decay
from pipeline.monitoring.drift import (
    Floats,
    Kind,
    Threshold,
    Thresholds,
    encode,
    gridded,
    is_harmful,
    measures_of,
    paired_distance,
)

FEWEST_STRETCHES = 6
_FLOOR = 0.01  # added to a distance before the logarithm, which would make much of 0.0001 against 0.0002
_SMALLEST_DEVIATION = 0.1  # of a log distance: 10% of the distance
_OVERLAP = 4  # a stretch starts every quarter of its length


def shortage(reference_rows: int, rows: int) -> str:
    """What is lacking for a judgement of windows of `rows` rows; empty when nothing is."""
    if reference_rows >= FEWEST_STRETCHES * max(rows, 1):
        return ""
    return (
        f"{reference_rows} reference rows in the order of time hold fewer than {FEWEST_STRETCHES} stretches of {rows} rows: "
        f"{FEWEST_STRETCHES * rows} reference rows would do, or windows of at most {reference_rows // FEWEST_STRETCHES} rows"
    )


def calibrate(
    reference: pd.DataFrame,
    kinds: Mapping[str, Kind],
    *,
    rows: int,
    used: Collection[str] | None = None,
    false_alarm_rate: float = 0.05,
    minimum_effect: float = 0.1,
) -> Thresholds:
    """Learn from the reference, in the order of time, the threshold of every column for windows of `rows` rows.

    Arguments and units as of `alarms.calibrate`.  Where `shortage` says something, no measure gets a threshold, and
    `alarms.verdict(..., ordered=True)` says `insufficient data`.

    Each measure's log distance is standardised by the stretches that share no row with this one; a stretch is judged by
    the largest over the measures that can do harm, and the bound is Student's for one new observation of that largest
    (Hahn and Meeker 1991, "Statistical Intervals", section 4.7) or, where lower, Student's for one new observation of
    each measure, Bonferroni over those that ever vary; at half of the rate.  UserError when the reference lacks a column.
    (Standardised by all stretches, itself among them, the largest of 20 columns alarmed in 8 to 23% of unchanged
    windows instead of 5%; as it stands in 1 to 4%.)
    """
    if absent := [name for name in kinds if name not in reference]:
        raise UserError(*(f"the reference of the monitoring has no column {name!r}" for name in absent))
    if rows < 1 or shortage(len(reference), rows):
        return Thresholds(rows, false_alarm_rate, minimum_effect, 0, 0, ())
    distances = _stretch_distances(reference, kinds, rows)
    measures = measures_of(kinds)
    harmful = np.array([is_harmful(column, used) for column, _ in measures], dtype=bool)
    levels = np.empty(len(measures))
    for family in (harmful, ~harmful):
        levels[family] = _bounds(distances[family], rows, len(reference), false_alarm_rate / 2)
    thresholds = tuple(
        Threshold(column, kinds[column], aspect, max(float(level), minimum_effect), is_harmful(column, used))
        for (column, aspect), level in zip(measures, levels, strict=True)
    )
    return Thresholds(rows, false_alarm_rate, minimum_effect, distances.shape[1], 0, thresholds)


def loss_increase(reference: Floats, current: Floats, *, minimum: float, confidence: float) -> Decay:
    """Compare the mean loss of a window with those of the reference's stretches of as many rows, both in the order of time.

    The interval of the difference is Student's prediction interval from the K stretches, without overlap.  Decayed
    when it lies wholly above zero and the difference exceeds `minimum` x the reference's mean loss.  reference: (n,),
    current: (m,), all finite, n >= 6 m (ValueError).  `labelled_groups` is the number of rows.
    """
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        raise ValueError("losses must be finite or NaN: clip probabilities before the logarithm")
    if short := shortage(len(reference), len(current)) or not len(current):
        raise ValueError(short or "no loss in the window")
    stretches = len(reference) // len(current)
    means = reference[len(reference) - stretches * len(current) :].reshape(stretches, -1).mean(axis=1)
    half = float(stats.t.ppf((1 + confidence) / 2, stretches - 1) * means.std(ddof=1) * math.sqrt(1 + 1 / stretches))
    base = float(reference.mean())
    difference = float(current.mean()) - base
    decayed = difference - half > 0 and difference > minimum * abs(base)
    return Decay(decayed, difference, difference - half, difference + half, base, minimum * abs(base), len(current), len(current))


def _stretch_distances(reference: pd.DataFrame, kinds: Mapping[str, Kind], rows: int) -> Floats:
    """The distance of each measure in each stretch from the rest of the reference: (measures, stretches)."""
    starts = np.arange(0, len(reference) - rows + 1, _step(rows))
    place = np.arange(len(reference))
    inside = ((place[:, None] >= starts) & (place[:, None] < starts + rows)).astype(np.float32)  # (reference, stretches)
    found = {}
    for column, kind in kinds.items():
        coded = gridded(encode(reference[column], kind))
        counts = coded.resampled(place, inside)
        found[column] = coded, counts, coded.counts() - counts
    distances = []
    for column, aspect in measures_of(kinds):
        coded, counts, rest = found[column]
        distances.append(np.nan_to_num(paired_distance(coded, rest, counts, aspect), nan=0.0))
    return np.array(distances).reshape(len(distances), len(starts))


def _bounds(distances: Floats, rows: int, reference_rows: int, rate: float) -> Floats:
    """The thresholds (measures,) of one family from its distances (measures, stretches) at a family-wise rate."""
    if not len(distances):
        return np.empty(0)
    logs = np.log(distances + _FLOOR)
    mean = logs.mean(axis=1, keepdims=True)
    deviation = np.maximum(logs.std(axis=1, ddof=1), _SMALLEST_DEVIATION)
    stretches = reference_rows // rows
    unsure = math.sqrt(1 + 1 / stretches)
    largest = _standardised_by_others(logs - mean, math.ceil(rows / _step(rows)) - 1).max(axis=0)
    of_largest = largest.mean() + stats.t.ppf(1 - rate, stretches - 1) * largest.std(ddof=1) * unsure
    varying = max(int((np.ptp(distances, axis=1) > 0).sum()), 1)
    of_each = stats.t.ppf(1 - rate / varying, stretches - 1) * unsure
    return np.asarray(np.exp(mean[:, 0] + min(of_largest, of_each) * deviation) - _FLOOR)


def _standardised_by_others(centred: Floats, near: int) -> Floats:
    """Each stretch (measures, stretches) in deviations of those that share no row with it: not within `near` places."""
    count = centred.shape[1]
    first, last = np.maximum(np.arange(count) - near, 0), np.minimum(np.arange(count) + near + 1, count)
    upto = [np.cumsum(np.pad(power, ((0, 0), (1, 0))), axis=1) for power in (centred, centred**2)]
    sums, squares = (total[:, -1:] - total[:, last] + total[:, first] for total in upto)
    others = count - (last - first)
    variance = (squares - sums**2 / others) / (others - 1)
    return np.asarray((centred - sums / others) / np.maximum(np.sqrt(np.maximum(variance, 0)), _SMALLEST_DEVIATION))


def _step(rows: int) -> int:
    return max(rows // _OVERLAP, 1)
