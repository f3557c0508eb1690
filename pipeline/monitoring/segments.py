"""What is behind a change of the outcome: the column whose new mix explains most of it, and the segment that moved most."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.monitoring.drift import Codes, Kind
from pipeline.monitoring.outcome_change import CONFIDENCE, Outcome, by_code
from pipeline.monitoring.wording import categories, days, figures, named, numbers, quoted, verb

FEWEST = 30  # groups in a segment, of the reference and of the window
_FRACTIONS = {0.25: "a quarter", 1 / 3: "a third", 0.5: "half", 2 / 3: "two thirds", 0.75: "three quarters", 1.0: "nearly all"}


@dataclass(frozen=True)
class Segments:
    """Rows of both sides by what they hold in one column; `names` (k,), codes in [0, k), where the last is of values never seen."""

    old: Codes
    now: Codes
    names: tuple[str, ...]


def segments(name: str, old: pd.Series, now: pd.Series, kind: Kind, *, date: bool = False) -> Segments | None:
    """Categories, or fifths of the reference's numbers (its values where there are five or fewer), and the missing."""
    if kind == "category":
        x, y = categories(old).fillna("missing"), categories(now).fillna("missing")
        top = [str(label) for label in x.value_counts().index[:30]]
        usual = {label: at for at, label in enumerate(top)}
        known = dict.fromkeys(x.unique(), len(top)) | usual
        codes = [part.map(known).fillna(len(top) + 1).to_numpy(dtype=np.intp) for part in (x, y)]
        return Segments(codes[0], codes[1], (*(f"{name} is {quoted(label)}" for label in top), f"{name} is rare", f"{name} is new"))
    a, b = numbers(old), numbers(now)
    values = np.unique(a[~np.isnan(a)])
    if len(values) < 2:
        return None
    cuts = np.unique(np.nanquantile(a, [0.2, 0.4, 0.6, 0.8]))
    cuts = cuts[cuts > values[0]]
    single = len(values) <= 5
    if single:
        cuts = (values[1:] + values[:-1]) / 2
    at = [np.where(np.isnan(part), len(cuts) + 1, np.searchsorted(cuts, part, side="right")).astype(np.intp) for part in (a, b)]
    shown = (days if date else figures)(*(values if single else np.append(cuts, values[0])).tolist())
    if single:
        names = [f"{name} is {value}" for value in shown]
    else:
        middle = [f"{name} is {low} to {high}" for low, high in pairwise(shown[:-1])]
        names = [f"{name} is below {shown[0]}", *middle, f"{name} is {shown[-2]} or more"] if len(cuts) else [f"{name} is any"]
    return Segments(at[0], at[1], (*names, f"{name} is missing", f"{name} is new"))


@dataclass(frozen=True)
class Mix:
    """A column whose new mix goes with a change of the outcome, and what is told of it."""

    column: str
    share: float  # of the outcome's change that goes with the column's new mix
    sentence: str


def main_mix(moved: Outcome, reference: pd.DataFrame, current: pd.DataFrame, kinds: Mapping[str, Kind], names: Sequence[str]) -> Mix | None:
    """The column whose new mix explains most: the reference's outcome with its rows reweighted (Kitagawa 1955, rates at base).

    None where no column of `names` explains a fifth, and none holds a fifth of values never seen.
    """
    found: list[tuple[float, str]] = []
    strange: list[str] = []
    known = ~np.isnan(moved.old), ~np.isnan(moved.now)
    for name in names:
        cells = segments(name, reference[name], current[name], kinds.get(name, "category"))
        if cells is None:
            continue
        size = len(cells.names)
        old, now = (np.bincount(codes[side], minlength=size) for codes, side in zip((cells.old, cells.now), known, strict=True))
        if now[-1] / now.sum() >= 0.2:
            strange.append(name)
            continue
        sums = np.bincount(cells.old[known[0]], moved.old[known[0]], minlength=size)
        means = np.where(old >= 10, sums / np.maximum(old, 1), moved.before)
        share = float(((now / now.sum() - old / old.sum()) * means).sum()) / (moved.after - moved.before)
        found.append((share, name))
    share, name = max(found, default=(0.0, ""))
    told = []
    if share >= 0.2:
        words = "more than all" if share > 1.25 else _FRACTIONS[min(_FRACTIONS, key=lambda one: abs(one - share))]
        about = "" if words.endswith("all") else "about "
        told.append(f"{about}{words} of this change of {moved.subject} goes with the new mix of {name}")
    if strange:
        told.append(f"the part of {named(strange)} in it is not known, since the reference has no such rows")
        told[-1] = told[-1] if share >= 0.2 else told[-1].replace("in it", f"in the change of {moved.subject}")
    return Mix(name, share, "; ".join(told)) if told else None


@dataclass(frozen=True)
class Most:
    """The segment whose outcome moved most."""

    where: str
    sentence: str


def moved_most(
    outcome: Outcome,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    kinds: Mapping[str, Kind],
    names: Sequence[str],
    *,
    dates: Collection[str] = (),
) -> Most | None:
    """The segment whose outcome moved most, if clearly more than that of all rows; None where there is none."""
    found: list[tuple[float, float, str, float, float]] = []
    for name in names:
        cells = segments(name, reference[name], current[name], kinds.get(name, "category"), date=name in dates)
        if cells is None:
            continue
        size = len(cells.names)
        m0, v0, g0 = by_code(cells.old, outcome.old, outcome.old_groups, size)
        m1, v1, g1 = by_code(cells.now, outcome.now, outcome.now_groups, size)
        found += [
            (abs(m1[at] - m0[at]), math.sqrt(v0[at] + v1[at]), cells.names[at], float(m0[at]), float(m1[at]))
            for at in np.flatnonzero((g0 >= FEWEST) & (g1 >= FEWEST))
        ]
    gap = outcome.after - outcome.before
    reach = float(stats.norm.ppf(1 - (1 - CONFIDENCE) / 2 / max(len(found), 1)))
    least = 0.05 if outcome.label is not None else 0.2 * float(np.nanstd(outcome.old))
    sure = [one for one in found if abs(one[4] - one[3] - gap) > max(reach * one[1], least) and one[0] > max(abs(gap), least)]
    if not sure:
        return None
    _, _, where, before, after = max(sure, key=lambda one: one[0])
    most = " most:" if outcome.clear else ""
    return Most(
        where, "where {}, {} {}{} from {} to {}".format(where, outcome.subject, verb(before, after), most, *outcome.shown(before, after))
    )
