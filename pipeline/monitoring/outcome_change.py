"""The outcome of a window, by labels and by predictions: its change from the reference, with what chance allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.data.fitted import Task
from pipeline.monitoring.drift import Codes, Floats
from pipeline.monitoring.wording import categories, figures, numbers, percent, quoted, verb

CONFIDENCE = 0.995  # of the interval of an outcome's change, over all that is looked at
_YES = ("1", "1.0", "true", "yes")

Groups = NDArray[np.generic]


@dataclass(frozen=True)
class Outcome:
    """What is answered, or was so: values of each row of the reference (N,) and of the window (n,), NaN where not known.

    `label` is the class whose share of rows is followed, None where the mean is.  low and high: the interval of the change.
    """

    target: str
    label: str | None
    of_labels: bool
    task: Task
    old: Floats
    now: Floats
    before: float
    after: float
    low: float
    high: float
    old_groups: Codes  # (N,)
    now_groups: Codes  # (n,)

    @property
    def clear(self) -> bool:
        """Whether the change is beyond chance, and large enough to be told: two points, or a tenth of a deviation."""
        least = 0.02 if self.label is not None else 0.1 * float(np.nanstd(self.old))
        return self.low * self.high > 0 and abs(self.after - self.before) >= least

    @property
    def subject(self) -> str:
        """What moves, as a sentence calls it."""
        known = "" if self.of_labels else "predicted "
        if self.label is None:
            return f"{known}mean {'change of ' if self.task == 'forecast' else ''}{self.target}"
        return f"{known}{self.target}" + ("" if self.label.casefold() in _YES else f" {quoted(self.label)}")

    @property
    def phrase(self) -> str:
        """The change as a clause."""
        return "{} {} from {} to {}".format(self.subject, verb(self.before, self.after), *self.shown(self.before, self.after))

    def shown(self, *values: float) -> tuple[str, ...]:
        """Shares in percent, means with few digits."""
        wide = max(max(values) - min(values), float(np.nanstd(self.old)) / 2)
        return figures(*values, spread=wide) if self.label is None else tuple(percent(value) for value in values)


def outcomes(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    prediction: str,
    target: str,
    task: Task,
    classes: Sequence[str],
    reference_groups: Groups | None,
    groups: Groups | None,
) -> Iterator[Outcome]:
    """The outcome by labels and by predictions, where both sides have any; of more than two classes the one that moved most."""
    old_groups, now_groups = _coded(reference_groups, len(reference)), _coded(groups, len(current))
    for column in (target, prediction):
        if column not in reference or column not in current:
            continue
        if task == "multiclass":
            x, y = categories(reference[column]), categories(current[column])
            shares = x.value_counts(normalize=True).subtract(y.value_counts(normalize=True), fill_value=0.0).abs()
            if not x.notna().any() or not y.notna().any():
                continue
            label: str | None = min(shares.index, key=lambda one: (-shares[one], one))
            old, now = (np.where(part.notna(), (part == label).astype(float), np.nan) for part in (x, y))
            tested = len(shares)
        else:
            label = (str(classes[1]) if len(classes) > 1 else "1") if task == "binary" else None
            old, now, tested = numbers(reference[column]), numbers(current[column]), 1
        if np.isnan(old).all() or np.isnan(now).all():
            continue
        (m0, v0, g0), (m1, v1, g1) = (
            tuple(part[0] for part in by_code(np.zeros(len(values), dtype=np.intp), values, codes, 1))
            for values, codes in ((old, old_groups), (now, now_groups))
        )
        reach = float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / tested, max(min(g0, g1) - 1, 1))) * math.sqrt(v0 + v1)
        low, high = float(m1 - m0 - reach), float(m1 - m0 + reach)
        yield Outcome(target, label, column == target, task, old, now, float(m0), float(m1), low, high, old_groups, now_groups)


def _coded(groups: Groups | None, rows: int) -> Codes:
    return np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.intp)


def by_code(codes: Codes, values: Floats, groups: Codes, size: int) -> tuple[Floats, Floats, Floats]:
    """Means of the known values by code, the means' variances with rows of a group dependent (Liang and Zeger 1986), and the
    numbers of groups, each (size,).

    A mean of nothing is NaN, a variance of fewer than two groups infinite; that of zeros and ones alone is never 0.
    """
    known = ~np.isnan(values)
    at, part, width = codes[known], values[known], int(groups.max(initial=0)) + 1
    rows = np.bincount(at, minlength=size).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(at, part, minlength=size) / rows
        cells, cell = np.unique(at * width + groups[known], return_inverse=True)  # a group within a code
        sums = np.bincount(cell, part - mean[at], minlength=len(cells))
        count = np.bincount(cells // width, minlength=size).astype(np.float64)
        variance = np.bincount(cells // width, sums**2, minlength=size) / rows**2 * count / (count - 1)
        if ((part == 0) | (part == 1)).all():
            share = (mean * rows + 1) / (rows + 2)
            variance = np.fmax(variance, share * (1 - share) / (rows + 2))
    return mean, np.where(count < 2, np.inf, variance), count


def outcome_sentence(both: Sequence[Outcome], moved: Outcome | None, target: str) -> list[str]:
    """Labels and predictions together, where one of them moved."""
    if moved is None:
        return []
    same = [one for one in both if one.label == moved.label]  # labels and predictions may differ in the class that moved most
    by_labels, by_model = (next((one for one in same if one.of_labels is wanted), None) for wanted in (True, False))
    if moved.label is None:
        told = []
        for one, words in ((by_labels, moved.subject.removeprefix("predicted ") + " is"), (by_model, "the model expects")):
            if one is not None:
                told.append("{} {} ({} before)".format(words, *one.shown(one.after, one.before)))
        return ["; ".join(told)]
    label = quoted(moved.label)
    told = [f"{target} is {label} in {percent(by_labels.after)} of rows ({percent(by_labels.before)} before)"] if by_labels else []
    if by_model:
        what = "it" if told else f"{target} {label}"
        told.append(f"the model expects {what} in {percent(by_model.after)} ({percent(by_model.before)} before)")
    return ["; ".join(told)]
