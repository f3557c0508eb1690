"""What the alarms can see and how often they err: their power against a stated shift, and their measured false alarms.

"Nothing drifted" means something only where a shift that matters would have been seen.  Here it is planted in windows
drawn from the reference, in one column at a time, and the share of them that exceed the column's threshold is counted.
The stated shift: a number moves by `shift` standard deviations of the reference; of a category the share p of its most
common value (missing is a value) moves by shift x sqrt(p (1 - p)), the deviation of "is it this value": from the others
where p is below a half, else into them, in proportion to their shares.

Rows are drawn by groups, as in `alarms.calibrate`; for windows in the order of time (`ordered`) none of this holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.monitoring.alarms import ENOUGH_POWER, FEWEST_ROWS, calibrate
from pipeline.monitoring.decay import Groups
from pipeline.monitoring.drift import ASPECTS, Coded, Floats, Kind, Thresholds, distance, encode, gridded, paired_distance
from pipeline.monitoring.resampling import draw_references, draw_windows, group_codes
from pipeline.monitoring.verdicts import MOST_ROWS
from pipeline.monitoring.verdicts import Power as Power

WANTED = 0.8
_REFERENCES, _WINDOWS = 20, 200  # of a power: 4,000 pairs
_SIZE_STEP = 1.1  # between the sizes that are tried for `rows_needed`


@dataclass(frozen=True)
class FalseAlarms:
    """How many unchanged windows alarmed of drift: a share with its 95% interval (Wilson 1927), and the share allowed."""

    alarms: int
    windows: int
    rate: float
    lower: float
    upper: float
    allowed: float


def power(
    reference: pd.DataFrame,
    groups: Groups,
    kinds: Mapping[str, Kind],
    thresholds: Thresholds,
    *,
    shift: float = 0.5,
    seed: int = 0,
    most: int = 10,
    needed: bool = True,
) -> Power:
    """The power of thresholds from `alarms.calibrate` on this reference, over its first `most` harmful columns that can shift.

    groups: (len(reference),) one code a row.  shift: in deviations, see the module.  A column of one value cannot
    shift.  needed: whether `rows_needed` is looked for also where the power is a half or more; each size that is tried
    gets a calibration of its own, on fewer resamples.
    """
    wanted = {one.column: kinds[one.column] for one in thresholds.measures if one.harmful and one.column in kinds}
    columns: dict[str, tuple[Coded, Floats]] = {}
    for name, kind in wanted.items():
        coded = gridded(encode(reference[name], kind))
        if len(columns) < most and (coded.counts()[: None if kind == "category" else -1] > 0).sum() > 1:
            columns[name] = coded, coded.counts()
    if not columns:
        return Power(shift, thresholds.rows, None, {}, None)
    found = _caught(columns, groups, thresholds, shift, seed)
    power = float(np.median([*found.values()]))
    if not needed and power >= ENOUGH_POWER:
        return Power(shift, thresholds.rows, power, found, None)
    least = None
    sizes = [round(FEWEST_ROWS * _SIZE_STEP**step) for step in range(math.ceil(math.log(MOST_ROWS / FEWEST_ROWS, _SIZE_STEP)))]
    sizes.append(MOST_ROWS)
    low, high = 0, len(sizes)  # power grows with the rows
    while low < high:
        middle = (low + high) // 2
        tried = calibrate(
            reference,
            groups,
            wanted,
            rows=sizes[middle],
            false_alarm_rate=thresholds.false_alarm_rate,
            minimum_effect=thresholds.minimum_effect,
            resamples=max(200, math.ceil(4 / thresholds.false_alarm_rate)),
            references=50,
            seed=seed,
        )
        if np.median([*_caught(columns, groups, tried, shift, seed).values()]) >= WANTED:
            high, least = middle, sizes[middle]
        else:
            low = middle + 1
    return Power(shift, thresholds.rows, power, found, least)


def false_alarms(
    reference: pd.DataFrame,
    groups: Groups,
    kinds: Mapping[str, Kind],
    thresholds: Thresholds,
    *,
    seed: int = 0,
    windows: int = 500,
) -> FalseAlarms:
    """Measure how often unchanged windows of `thresholds.rows` rows alarm of drift, each against a reference of its own.

    Both are drawn by groups from the reference (give a seed that the thresholds do not have); drift may take half of
    the stated rate, decay the other half.
    """
    of_row, sizes = group_codes(groups)
    rng = np.random.default_rng(seed)
    old, new = draw_references(rng, sizes, windows), draw_windows(rng, sizes, thresholds.rows, windows)
    alarmed = np.zeros(windows, dtype=bool)
    for name in {one.column: None for one in thresholds.measures if one.harmful and one.column in kinds}:
        coded = gridded(encode(reference[name], kinds[name]))
        counts = coded.resampled(of_row, old), coded.resampled(of_row, new)
        for aspect in ASPECTS[kinds[name]]:
            alarmed |= paired_distance(coded, *counts, aspect) > thresholds.of(name, aspect)  # NaN is no alarm
    count = int(alarmed.sum())
    return FalseAlarms(count, windows, count / windows, *_wilson(count, windows), thresholds.false_alarm_rate / 2)


def _caught(
    columns: Mapping[str, tuple[Coded, Floats]], groups: Groups, thresholds: Thresholds, shift: float, seed: int
) -> dict[str, float]:
    """The share of pairs of a pseudo-reference and a shifted pseudo-window beyond the threshold, by column."""
    of_row, sizes = group_codes(groups)
    rng = np.random.default_rng([seed, thresholds.rows])
    old, new = draw_references(rng, sizes, _REFERENCES), draw_windows(rng, sizes, thresholds.rows, _WINDOWS)
    found = {}
    for name, (coded, counts) in columns.items():
        moved = _shifted(coded, counts, coded.resampled(of_row, old), coded.resampled(of_row, new), shift)
        found[name] = float((distance(*moved, "values") > thresholds.of(name)).mean())
    return found


def _shifted(coded: Coded, counts: Floats, references: Floats, windows: Floats, shift: float) -> tuple[Coded, Floats, Floats]:
    """The support of both, the references' counts over it, and the counts of the windows after the shift."""
    if coded.kind == "category":
        common = int(counts.argmax())
        p = counts[common] / counts.sum()
        step = shift * math.sqrt(p * (1 - p))
        share = min(p + step, 1.0) if p < 0.5 else max(p - step, 0.0)
        factors = np.full(len(counts), (1 - share) / (1 - p))
        factors[common] = share / p
        return coded, references, windows * factors
    values = coded.support.astype(np.float64)
    of_values = counts[:-1] / counts[:-1].sum()
    moved = values + shift * math.sqrt(of_values @ (values - of_values @ values) ** 2)
    support = np.union1d(values, moved)

    def spread(found: Floats, at: Floats) -> Floats:
        wide = np.zeros((len(found), len(support) + 1))
        wide[:, np.append(np.searchsorted(support, at), len(support))] = found
        return wide

    return Coded("number", support, coded.codes[:0]), spread(references, values), spread(windows, moved)


def _wilson(count: int, of: int) -> tuple[float, float]:
    z2 = float(stats.norm.ppf(0.975)) ** 2
    middle, half = count + z2 / 2, math.sqrt(z2 * (count * (of - count) / of + z2 / 4))
    return max((middle - half) / (of + z2), 0.0), min((middle + half) / (of + z2), 1.0)
