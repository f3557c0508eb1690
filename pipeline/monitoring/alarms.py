"""Thresholds at which nothing-changed rarely alarms, and the verdict on one window of rows.

A distance between two samples is never zero, and it is larger in small windows, in columns with many categories, and
where several rows stem from one person.  So each column's threshold is learned from the reference itself: by drawing
groups (persons), pseudo-references and pseudo-windows are made in which nothing changed, and the thresholds are set
so that a window in which ANY column exceeds its threshold is rare.

Two things make the plain bootstrap alarm too often, and both are met here.  One reference serves many windows: an
unlucky one makes all of them look drifted.  So every pseudo-reference is crossed with every pseudo-window, each
pseudo-reference gets the critical value under which its own windows hold the rate, and the value taken is the one that
holds for nine of ten of them.  And two alarms are watched for: half of the stated rate goes to drift over all columns,
half to decay (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.monitoring.decay import Decay, Groups, loss_increase
from pipeline.monitoring.drift import Aspect, Floats, Kind, column_or_missing, distance, encode, statistic
from pipeline.monitoring.drift import missing_statistic as missing_share_statistic

State = Literal["ok", "drift", "decay", "insufficient data"]

FEWEST_ROWS = 30
FEWEST_GROUPS = 10
_PSEUDO_REFERENCES = 20
_REFERENCES_HELD = 0.9  # the share of references under which the rate of false alarms shall hold
_SIZE_TOLERANCE = 1.25  # a window may be worth this much fewer rows than its thresholds were calibrated for


@dataclass(frozen=True)
class Threshold:
    """A column's aspect drifts when its distance is greater than `threshold`."""

    column: str
    kind: Kind
    aspect: Aspect
    threshold: float


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
class Observed:
    """One aspect of one column in a window; `observed` is None where there was no value to compare."""

    column: str
    aspect: Aspect
    observed: float | None
    threshold: float
    drifted: bool


@dataclass(frozen=True)
class Verdict:
    """The state of one window; `decay` is None where too few rows are labelled, and `reason` then says so."""

    state: State
    drift: bool
    decayed: bool
    reason: str
    rows: int
    groups: int
    measures: tuple[Observed, ...]
    decay: Decay | None


def calibrate(
    reference: pd.DataFrame,
    groups: Groups,
    kinds: Mapping[str, Kind],
    *,
    rows: int,
    false_alarm_rate: float = 0.05,
    minimum_effect: float = 0.1,
    resamples: int = 1000,
    seed: int = 0,
) -> Thresholds:
    """Learn from the reference the threshold of every column for windows of `rows` rows.

    groups: (len(reference),) one code a row.  minimum_effect: no threshold is lower; in reference standard deviations
    for numbers, in Jensen-Shannon distance for categories and missing shares (0.1 is a missing share that rises from
    0 to 3%).  resamples: pseudo-windows; each meets 20 pseudo-references.

    Every distance is judged by its p-value under the null; the smallest over the columns is one draw of the statistic
    whose tail is held (Westfall and Young 1993, single-step minP: it treats columns alike, whatever the shape of their
    tails).  A distance not above the minimum effect can never alarm and so takes no part.  Memory: resamples x distinct
    values of one column x 8 bytes, a few times over.

    UserError when the reference is too small or lacks a column; ValueError when resamples cannot resolve the rate.
    """
    if absent := [name for name in kinds if name not in reference]:
        raise UserError(*(f"the reference of the monitoring has no column {name!r}" for name in absent))
    of_row, sizes = _group_codes(groups)
    if short := _shortage(len(reference), len(sizes)):
        raise UserError(f"the reference of the monitoring is too small: {short}")
    tail = math.floor(false_alarm_rate / 2 * (resamples + 1))
    if tail < 1:
        raise ValueError(f"a rate of {false_alarm_rate} needs at least {math.ceil(2 / false_alarm_rate)} resamples")
    rng = np.random.default_rng(seed)
    references = [rng.integers(0, len(sizes), len(sizes)) for _ in range(_PSEUDO_REFERENCES)]
    windows = [_draw_window(rng, sizes, rows) for _ in range(resamples)]
    measures = _measures(kinds)
    distances = np.empty((len(measures), _PSEUDO_REFERENCES, resamples))
    for column, kind in kinds.items():
        coded = encode(reference[column], kind)
        of_references = np.stack([coded.counts(_multiplicity(draw, len(sizes))[of_row]) for draw in references])
        of_windows = np.stack([coded.counts(_multiplicity(draw, len(sizes))[of_row]) for draw in windows])
        for index, (name, aspect) in enumerate(measures):
            if name == column:
                distances[index] = distance(coded, of_references, of_windows, aspect)
    levels = _common_levels(np.nan_to_num(distances, nan=0.0), tail, minimum_effect)  # NaN: nothing to compare
    thresholds = tuple(
        Threshold(column, kinds[column], aspect, float(level)) for (column, aspect), level in zip(measures, levels, strict=True)
    )
    return Thresholds(rows, false_alarm_rate, minimum_effect, resamples, seed, thresholds)


def comparable_rows(groups: Groups, reference_groups: Groups) -> int:
    """How many rows, grouped as in the reference, are worth as much as this window: the `rows` to calibrate for.

    A window of few large groups holds less than its rows suggest.  Its effective number of groups (sum n)^2 / sum n^2
    (Kish 1965) is turned into rows with the reference's sum n^2 / sum n; never more than the window has.
    """
    sizes, of_reference = _group_codes(groups)[1], _group_codes(reference_groups)[1]
    effective = sizes.sum() ** 2 / max((sizes**2).sum(), 1)
    return min(int(sizes.sum()), round(float(effective * (of_reference**2).sum() / of_reference.sum())))


def verdict(
    thresholds: Thresholds,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    reference_groups: Groups,
    groups: Groups,
    reference_losses: Floats | None = None,
    losses: Floats | None = None,
    minimum_decay: float = 0.05,
    seed: int = 0,
) -> Verdict:
    """Judge one window: has a column drifted, has the model's loss risen.  Decay comes first in the headline state.

    losses, reference_losses: one loss a row (log loss, squared error), NaN where the label is not known, None where
    none is.  A column that the window lacks counts as wholly missing.  ValueError when the thresholds were calibrated
    for larger windows, since they would alarm too often, and for an infinite loss.
    """
    count = len(_group_codes(groups)[1])
    if short := _shortage(len(current), count):
        return Verdict("insufficient data", False, False, short, len(current), count, (), None)
    worth = comparable_rows(groups, reference_groups)
    if thresholds.rows > _SIZE_TOLERANCE * worth:
        raise ValueError(f"thresholds for {thresholds.rows} rows, a window worth {worth}: calibrate for rows={worth}")
    observed = tuple(_observe(measure, reference, current) for measure in thresholds.measures)
    drift = any(one.drifted for one in observed)
    decay, reason = None, "no labels: decay not judged"
    if losses is not None and reference_losses is not None:
        labelled, known = ~np.isnan(losses), ~np.isnan(reference_losses)
        short = _shortage(int(labelled.sum()), len(np.unique(groups[labelled])))
        reason = f"decay not judged, of labelled rows: {short}" if short else ""
        if not short:
            decay = loss_increase(
                reference_losses[known],
                losses[labelled],
                reference_groups=reference_groups[known],
                groups=groups[labelled],
                minimum=minimum_decay,
                confidence=1 - thresholds.false_alarm_rate,
                seed=seed,
            )
    decayed = decay is not None and decay.decayed
    state: State = "decay" if decayed else "drift" if drift else "ok"
    return Verdict(state, drift, decayed, reason, len(current), count, observed, decay)


def _common_levels(distances: Floats, tail: int, minimum: float) -> Floats:
    """The thresholds (measures,) from null distances (measures, references, windows) such that under nine of ten
    references fewer than `tail` windows of all have a measure strictly above its threshold.

    Each measure's distances are turned into their p-values among all its null distances, so that a column with a long
    tail raises its own threshold only; the smallest p-value of a window is what is held."""
    measures, references, _windows = distances.shape
    pooled = np.sort(distances.reshape(measures, -1), axis=1)
    count = pooled.shape[1]
    reached = [count - np.searchsorted(one, own, side="left") for one, own in zip(pooled, distances, strict=True)]
    smallest = np.where(distances > minimum, np.stack(reached), count).min(axis=0)  # (references, windows): p x count
    critical = np.sort(np.partition(smallest, tail - 1, axis=1)[:, tail - 1])  # (references,) ascending
    held = int(critical[references - math.ceil(_REFERENCES_HELD * references)])
    if held == count:  # chance alone rarely passes the minimum effect
        return np.full(measures, minimum)
    return np.maximum(pooled[:, count - held], minimum)


def _observe(measure: Threshold, reference: pd.DataFrame, current: pd.DataFrame) -> Observed:
    old, now = reference[measure.column], column_or_missing(current.get(measure.column), len(current))
    compare = statistic if measure.aspect == "values" else missing_share_statistic
    observed = compare(old, now, measure.kind)
    known = None if math.isnan(observed) else observed
    return Observed(measure.column, measure.aspect, known, measure.threshold, observed > measure.threshold)


def _measures(kinds: Mapping[str, Kind]) -> Sequence[tuple[str, Aspect]]:
    """What is watched: every column's values, and how many of a number's are missing (a category's count as values)."""
    of_values: list[tuple[str, Aspect]] = [(column, "values") for column in kinds]
    return of_values + [(column, "missing") for column, kind in kinds.items() if kind == "number"]


def _shortage(rows: int, groups: int) -> str:
    """What is lacking for a judgement; empty when nothing is."""
    lacking = [f"{rows} rows, at least {FEWEST_ROWS} needed"] if rows < FEWEST_ROWS else []
    lacking += [f"{groups} groups, at least {FEWEST_GROUPS} needed"] if groups < FEWEST_GROUPS else []
    return "; ".join(lacking)


def _group_codes(groups: Groups) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Groups (rows,) as codes from 0 (rows,) and the size of each group (groups,)."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return codes.astype(np.intp), sizes


def _draw_window(rng: np.random.Generator, sizes: NDArray[np.intp], rows: int) -> NDArray[np.intp]:
    """Draw whole groups with replacement until they hold at least `rows` rows."""
    draw = rng.integers(0, len(sizes), rows)  # each group has a row or more, so `rows` groups are enough
    return draw[: int(np.searchsorted(np.cumsum(sizes[draw]), rows)) + 1]


def _multiplicity(draw: NDArray[np.intp], groups: int) -> Floats:
    return np.bincount(draw, minlength=groups).astype(np.float64)
