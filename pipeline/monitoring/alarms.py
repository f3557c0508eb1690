"""Thresholds at which nothing-changed rarely alarms, and the verdict on one window of rows.

A distance between two samples is never zero, and it is larger in small windows, in columns with many categories, and
where several rows stem from one person.  So each column's threshold is learned from the reference itself: by drawing
groups (persons), pseudo-references and pseudo-windows are made in which nothing changed, and the thresholds are set
so that a window in which ANY column exceeds its threshold is rare.

Three things make the plain bootstrap alarm too often, and all are met here.  A pseudo-window shares groups with its
pseudo-reference, while a real one brings new persons, and with them categories that the reference lacks: distances are
enlarged to what disjoint parts of the reference show.  One reference serves many windows: an unlucky one makes all of
them look drifted.  So every pseudo-reference is crossed with every pseudo-window, and the thresholds hold the rate over
all pairs and, under nine of ten references, over the windows of that one alone.  And two alarms are watched for: half of
the stated rate goes to drift over all columns, half to decay (Bonferroni).

Only what can harm may alarm: columns that the model does not use (`used`) get thresholds of their own, which cost the
others no power, and raise nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.monitoring import ordered as ordered_time
from pipeline.monitoring.decay import Groups, loss_increase
from pipeline.monitoring.drift import (
    ASPECTS,
    Aspect,
    Floats,
    Kind,
    column_or_missing,
    distance,
    encode,
    gridded,
    is_harmful,
    measures_of,
    missing_statistic,
    paired_distance,
    statistic,
)
from pipeline.monitoring.drift import Threshold as Threshold
from pipeline.monitoring.drift import Thresholds as Thresholds
from pipeline.monitoring.resampling import comparable_rows as comparable_rows
from pipeline.monitoring.resampling import draw_references, draw_splits, draw_windows, group_codes
from pipeline.monitoring.verdicts import Observed as Observed
from pipeline.monitoring.verdicts import Power, State
from pipeline.monitoring.verdicts import Verdict as Verdict

FEWEST_ROWS = 30
FEWEST_GROUPS = 10
ENOUGH_POWER = 0.5  # of less, "nothing found" says nothing
_TAIL_STARTS = 0.9  # the quantile of a distance above which its tail is taken as exponential
_SPLITS = 400  # of the reference into a window and the rest
_REFERENCES_HELD = 0.9  # the share of references under which the rate of false alarms shall hold
_SIZE_TOLERANCE = 1.25  # a window may be worth this much fewer rows than its thresholds were calibrated for


def calibrate(
    reference: pd.DataFrame,
    groups: Groups,
    kinds: Mapping[str, Kind],
    *,
    rows: int,
    used: Collection[str] | None = None,
    false_alarm_rate: float = 0.05,
    minimum_effect: float = 0.1,
    resamples: int | None = None,
    references: int | None = None,
    seed: int = 0,
) -> Thresholds:
    """Learn from the reference the threshold of every column for windows of `rows` rows.

    groups: (len(reference),) one code a row.  used: the columns whose drift may alarm, None for all; the others are a
    family of their own at the same rate.  minimum_effect: no threshold is lower; in reference standard deviations
    for numbers, in Jensen-Shannon distance for categories and missing shares (0.1 is a missing share that rises from
    0 to 3%).  resamples: pseudo-windows; each meets all `references`, the pseudo-references.  By default 100,000 pairs:
    1,000 windows where they have no more rows than the reference, else 250, since the reference then decides.

    Every distance is measured from the 90% quantile of its null in units of the mean excess over it, which makes equal
    tails of columns alike (the peaks over a threshold of Pickands 1975, with an exponential tail); the largest over the
    columns is one draw of the statistic whose tail is held (the single-step maxT of Westfall and Young 1993).  Ranks in
    place of excesses would need far more resamples than columns.  A distance not above the minimum effect can never alarm
    and so takes no part.  A number is put on a grid (`drift.gridded`): thresholds are within 2% of those from all values.

    UserError when the reference is too small or lacks a column; ValueError when resamples cannot resolve the rate.
    """
    if absent := [name for name in kinds if name not in reference]:
        raise UserError(*(f"the reference of the monitoring has no column {name!r}" for name in absent))
    of_row, sizes = group_codes(groups)
    if short := _shortage(len(reference), len(sizes)):
        raise UserError(f"the reference of the monitoring is too small: {short}")
    small = rows <= len(reference)
    if resamples is None:
        resamples = max(1000 if small else 250, math.ceil(2 / false_alarm_rate))
    references = references or (100 if small else 400)
    tail = math.floor(false_alarm_rate / 2 * (resamples + 1))
    if tail < 1:
        raise ValueError(f"a rate of {false_alarm_rate} needs at least {math.ceil(2 / false_alarm_rate)} resamples")
    rng = np.random.default_rng(seed)
    old = draw_references(rng, sizes, references)
    new = draw_windows(rng, sizes, rows, resamples)
    splits = draw_splits(rng, sizes, rows, _SPLITS)
    apart = [(splits.rest, splits.part), *([(splits.first, splits.second)] if splits.large else [])]
    largest = {harmful: np.full((references, resamples), -np.inf) for harmful in (True, False)}
    tails: dict[tuple[str, Aspect], tuple[float, float]] = {}
    for column, kind in kinds.items():
        family = largest[is_harmful(column, used)]
        coded = gridded(encode(reference[column], kind))
        counts = coded.resampled(of_row, old), coded.resampled(of_row, new)
        disjoint = [(coded.resampled(of_row, one), coded.resampled(of_row, other)) for one, other in apart]
        for aspect in ASPECTS[kind]:
            distances = np.nan_to_num(distance(coded, *counts, aspect), nan=0.0)  # NaN: nothing to compare
            fresh = [float(np.median(np.nan_to_num(paired_distance(coded, *two, aspect), nan=0.0))) for two in disjoint]
            if (usual := float(np.median(distances))) > 0:
                distances *= max(1.0, splits.scale(*fresh) * fresh[0] / usual)
            tails[column, aspect] = _tail(distances, minimum_effect, family)
    held = {harmful: _level(family, tail, false_alarm_rate) for harmful, family in largest.items()}
    thresholds = []
    for column, aspect in measures_of(kinds):
        (start, excess), at = tails[column, aspect], held[is_harmful(column, used)]
        beyond = at * excess if excess > 0 else 0.0  # at is -inf where chance alone rarely passes the minimum effect
        level = max(start + beyond, minimum_effect)
        thresholds.append(Threshold(column, kinds[column], aspect, level, is_harmful(column, used)))
    return Thresholds(rows, false_alarm_rate, minimum_effect, resamples, seed, tuple(thresholds))


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
    power: Power | None = None,
    ordered: bool = False,
) -> Verdict:
    """Judge one window: has a column drifted, has the model's loss risen.  Decay comes first in the headline state.

    power: what `power.power` says of these thresholds; where nothing alarms and it is low, the state is `insufficient
    data`.  ordered: rows are in the order of time and the thresholds are those of `ordered.calibrate`; groups play no
    part, and decay is judged by stretches of the reference.

    losses, reference_losses: one loss a row (log loss, squared error), NaN where the label is not known, None where
    none is.  A column that the window lacks counts as wholly missing.  ValueError when the thresholds were calibrated
    for larger windows, since they would alarm too often, and for an infinite loss.
    """
    count = len(np.unique(groups))

    def lacking(reference_rows: int, rows: int, in_groups: Groups) -> str:
        if not ordered:
            return _shortage(rows, len(np.unique(in_groups)))
        return _shortage(rows, FEWEST_GROUPS) or ordered_time.shortage(reference_rows, rows)

    if short := lacking(len(reference), len(current), groups):
        return Verdict("insufficient data", False, False, short, len(current), count, (), None, power)
    worth = len(current) if ordered else comparable_rows(groups, reference_groups)
    if thresholds.rows > _SIZE_TOLERANCE * worth:
        raise ValueError(f"thresholds for {thresholds.rows} rows, a window worth {worth}: calibrate for rows={worth}")
    observed = tuple(_observe(measure, reference, current) for measure in thresholds.measures)
    drift = any(one.drifted and one.harmful for one in observed)
    decay, reason = None, "no labels: decay not judged"
    if losses is not None and reference_losses is not None and not np.isnan(losses).all():
        labelled, known = ~np.isnan(losses), ~np.isnan(reference_losses)
        short = lacking(int(known.sum()), int(labelled.sum()), groups[labelled]) if known.any() else "no loss of the reference is known"
        reason = f"decay not judged, of labelled rows: {short}" if short else ""
        confidence = 1 - thresholds.false_alarm_rate
        if not short and ordered:
            decay = ordered_time.loss_increase(reference_losses[known], losses[labelled], minimum=minimum_decay, confidence=confidence)
        elif not short:
            decay = loss_increase(
                reference_losses[known],
                losses[labelled],
                reference_groups=reference_groups[known],
                groups=groups[labelled],
                minimum=minimum_decay,
                confidence=confidence,
                seed=seed,
            )
    decayed = decay is not None and decay.decayed
    state: State = "decay" if decayed else "drift" if drift else "ok"
    if state == "ok" and power is not None and power.power is not None and power.power < ENOUGH_POWER:
        state, reason = "insufficient data", "; ".join([power.words(len(current)), *([reason] if reason else [])])
    return Verdict(state, drift, decayed, reason, len(current), count, observed, decay, power)


def _tail(distances: Floats, minimum: float, largest: Floats) -> tuple[float, float]:
    """Where the tail of a measure's null distances (references, windows) starts, and the mean excess over that.

    `largest` takes, where it is higher, the excess in units of its mean of each distance that is above the minimum.
    """
    flat = distances.ravel()
    at = math.floor(_TAIL_STARTS * len(flat))
    start = float(np.partition(flat, at)[at])
    over = flat[flat > start]
    excess = float(over.mean() - start) if len(over) else 0.0
    if excess > 0:
        np.maximum(largest, (distances - start) / excess, where=distances > minimum, out=largest)
    return start, excess


def _level(largest: Floats, tail: int, rate: float) -> float:
    """The level to hold, from the largest excess over the measures of each pair (references, windows).

    Fewer than half of the rate of all pairs have a higher one; so have, under nine of ten references, fewer than `tail`
    windows.  The first rule binds where windows are larger than the reference, whose luck then decides over all.
    """
    references, windows = largest.shape
    overall = max(math.floor(rate / 2 * (largest.size + 1)), 1)
    of_all = np.partition(largest, -overall, axis=None)[-overall]
    of_each = np.sort(np.partition(largest, windows - tail, axis=1)[:, windows - tail])
    return float(max(of_all, of_each[math.ceil(_REFERENCES_HELD * references) - 1]))


def _observe(measure: Threshold, reference: pd.DataFrame, current: pd.DataFrame) -> Observed:
    old, now = reference[measure.column], column_or_missing(current.get(measure.column), len(current))
    compare = statistic if measure.aspect == "values" else missing_statistic
    observed = compare(old, now, measure.kind)
    known = None if math.isnan(observed) else observed
    return Observed(measure.column, measure.aspect, known, measure.threshold, observed > measure.threshold, measure.harmful)


def _shortage(rows: int, groups: int) -> str:
    """What is lacking for a judgement; empty when nothing is."""
    lacking = [f"{rows} row{'s' * (rows != 1)}, at least {FEWEST_ROWS} needed"] if rows < FEWEST_ROWS else []
    lacking += [f"{groups} group{'s' * (groups != 1)}, at least {FEWEST_GROUPS} needed"] if groups < FEWEST_GROUPS else []
    return "; ".join(lacking)
