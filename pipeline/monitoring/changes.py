"""What changed in a window, in words: a headline, a few sentences, and the numbers of small before-and-after pictures.

The reader is on call and has a minute.  So the outcome comes first, then what is broken, then what goes with it, then the
columns by the harm they do: `harmful` as the caller judged, weighed with the loss that permuting a column costs and with how
far its distance lies above the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import pandas as pd

from pipeline.data.fitted import Task
from pipeline.monitoring import embedding
from pipeline.monitoring.breaks import Break
from pipeline.monitoring.column_change import Told, tell_column
from pipeline.monitoring.drift import Kind
from pipeline.monitoring.outcome_change import Groups, outcome_sentence, outcomes
from pipeline.monitoring.pictures import Picture, picture
from pipeline.monitoring.segments import main_mix, moved_most
from pipeline.monitoring.wording import named

SENTENCES = 6
PICTURES = 6
_BREAKS = 3  # sentences about breaks
_LOOKED = 25  # columns whose mixes and segments are looked at


class Measure(Protocol):
    """One aspect ("values" or "missing") of one column in a window; `harmful` where its drift may hurt the model."""

    @property
    def column(self) -> str: ...
    @property
    def aspect(self) -> str: ...
    @property
    def observed(self) -> float | None: ...
    @property
    def threshold(self) -> float: ...
    @property
    def drifted(self) -> bool: ...
    @property
    def harmful(self) -> bool: ...


@dataclass(frozen=True)
class Described:
    """A window in words, none with a full stop; the sentences and the pictures have the most important first."""

    headline: str
    sentences: tuple[str, ...]
    pictures: tuple[Picture, ...]


def describe(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    kinds: Mapping[str, Kind],
    measures: Sequence[Measure],
    *,
    importance: Mapping[str, float],
    prediction: str,
    target: str,
    task: Task,
    classes: Sequence[str],
    breaks: Sequence[Break],
    dates: Collection[str] = (),
    reference_groups: Groups | None = None,
    groups: Groups | None = None,
) -> Described:
    """Returns what changed in a window, most important first.

    Args:
        reference: (N, columns) and current: (n, columns), as in `windows.Window.frame`.
        measures: the distances of all watched columns; of columns that did not drift nothing is told.
        importance: the loss that permuting a column costs; a column it lacks counts as the mean of the others.
        prediction: the column of predictions (of a binary task the probability of classes[1]).
        target: the column of labels (of a binary task 0, 1 or NaN); the outcome bears its name.
        breaks: as found by `breaks.find`.
        dates: columns whose numbers are days since 1970.
        reference_groups: (N,) and groups: (n,), rows with an equal code depend on each other; None where none do.
    """
    harm = _harm([one for one in measures if one.column not in (prediction, target)], importance, breaks)
    columns = [name for name in harm if name in reference]
    harmful = [name for name in columns if harm[name] > 0]
    unlike = embedding.among(harmful, list(reference))
    harmful = [name for name in harmful if name not in unlike[1:]]  # one sentence tells of them all
    broken = {name: one for one in breaks for name in one.columns}

    both = list(outcomes(reference, current, prediction, target, task, classes, reference_groups, groups))
    moved = next((one for one in both if one.clear), None)
    sound = [name for name in harmful if name not in broken or broken[name].kind == "new categories"]
    looked = [name for name in sound if name in current and name not in unlike][:_LOOKED]
    mix = main_mix(moved, reference, current, kinds, looked) if moved else None
    rest = [name for name in kinds if name in reference and name in current and not embedding.among([name], list(reference))]
    rest.sort(key=lambda name: -importance.get(name, 0.0))
    places = list(dict.fromkeys([*looked, *(name for name in rest if name not in broken and name not in (target, prediction))]))[:_LOOKED]
    segment = moved_most(moved or both[0], reference, current, kinds, places, dates=dates) if both else None

    ordered = sorted(breaks, key=lambda one: -max(harm.get(name, 0.0) for name in one.columns))
    faults = [one for one in ordered if any(harm.get(name, 1.0) > 0 for name in one.columns) or one.kind == "missing column"]

    @cache
    def tell(name: str) -> Told:
        if name in unlike:
            return Told(*[embedding.sentence(unlike, list(reference))] * 2)
        return tell_column(name, reference[name], current.get(name), kinds.get(name, "category"), date=name in dates)

    said = [_said(one, tell) for one in faults[:_BREAKS]]
    head = [*outcome_sentence(both, moved, target), *said, *([mix.sentence] if mix else []), *([segment.sentence] if segment else [])]
    plain = [name for name in harmful if name not in broken]
    room = max(SENTENCES - len(head) - 1, 0)
    full = [tell(name).full for name in plain[:room]]
    also = plain[room:]
    tail = [*([f"{named(also)} changed too"] if also else []), *_harmless([name for name in columns if harm[name] == 0], importance)]
    sentences = [*head, *full, *(["; ".join(tail)] if tail else [])]

    lead = ""
    if faults and (not plain or max(harm.get(name, 1.0) for name in faults[0].columns) >= harm[plain[0]]):
        lead = said[0]
    elif mix and mix.share >= 0.5:
        lead = tell(mix.column).short
    elif plain:
        lead = tell(plain[0]).short
    if moved:
        most = f", most where {segment.where}" if segment and not lead else ""
        headline = f"{moved.phrase}: {lead}" if lead else f"{moved.phrase}{most}, while no column changed that matters"
    else:
        headline = lead or (segment.sentence if segment else "; ".join(["nothing changed that matters", *tail]))
    shown = [*([prediction] if moved and prediction in reference and prediction in current else []), *columns]
    pictures = tuple(
        picture(name, reference[name], current.get(name), kinds.get(name, "category"), date=name in dates) for name in shown[:PICTURES]
    )
    return Described(headline, tuple(sentences[:SENTENCES]), pictures)


def _harm(measures: Sequence[Measure], importance: Mapping[str, float], breaks: Sequence[Break]) -> dict[str, float]:
    """The drifted and the broken columns with their harm, the worst first; 0 for drift that is harmless."""
    usual = max(float(np.mean(list(importance.values()))), 0.0) if importance else 1.0
    harm: dict[str, float] = {}
    for one in measures:
        if one.drifted:
            excess = min((one.observed or 0.0) / max(one.threshold, 1e-9), 10.0) if one.observed is not None else 10.0
            weight = max(importance.get(one.column, usual), 1e-3 * usual, 1e-9)
            harm[one.column] = max(harm.get(one.column, 0.0), excess * weight if one.harmful else 0.0)
    for fault in breaks:
        for name in fault.columns:
            harm.setdefault(name, 10 * usual or 1.0)
    return dict(sorted(harm.items(), key=lambda item: -item[1]))


def _said(fault: Break, tell: Callable[[str], Told]) -> str:
    """A break's sentence; of a column that holds one new category the change says more."""
    if fault.kind != "new categories":
        return fault.sentence
    change = tell(fault.columns[0]).full
    return change if change.startswith(f"{fault.columns[0]} is always ") else fault.sentence


def _harmless(names: Sequence[str], importance: Mapping[str, float]) -> list[str]:
    """Columns that drifted and do no harm, with the reason where it is known."""
    most = max(importance.values(), default=0.0)
    unused = [name for name in names if name in importance and importance[name] <= 0.01 * most]
    mild = [name for name in names if name not in unused]
    told = [f"{named(unused)} changed, which the model does not use"] if unused else []
    return told + ([f"{named(mild)} changed without harm"] if mild else [])
