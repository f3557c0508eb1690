"""The gate: whether a new model may take the place of the registered champion, judged on the same held-out rows.

Whole groups are drawn for both models alike (`intervals.bootstrap`), so that their difference is known more closely than
either value.  A model that is only as good as the champion does not replace it: of many equal ones, some always look better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.data.fitted import Task
from pipeline.errors import UserError
from pipeline.evaluation import coding, intervals
from pipeline.evaluation.metrics import Array, Floats, Metric, losses, main_metric

Verdict = Literal["first", "same", "better", "equal", "worse", "unlike", "unknown"]
NOISE = 1e-6  # of the champion's value: as far apart may be the same model, computed in batches of other sizes
CLEARLY = 1.5  # times the size or the time: less may be the machine's
HARM = 0.1  # of the champion's loss on all rows: a part may lose so much more before it counts


@dataclass(frozen=True)
class Part:
    """Rows on which the new model is worse than the champion: mean loss of both, and how sure it is (corrected)."""

    column: str
    value: str
    rows: int
    new: float
    champion: float
    p: float


@dataclass(frozen=True)
class Judgement:
    """What the comparison found.

    first: there is no champion; same: it is the champion; better, equal, worse: by the main metric; unlike: the champion cannot
    answer for these rows; unknown: the store cannot be asked.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    """In words, for people."""
    metric: str = ""
    differences: Mapping[str, intervals.Interval] = field(default_factory=dict)
    """New less champion, each metric."""
    new: Mapping[str, float] = field(default_factory=dict)
    champion: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    """Of the rows, where the new model loses."""
    looked_at: int = 0
    """Parts."""
    aspects: Mapping[str, str] = field(default_factory=dict)
    """better, equal or worse overall, on parts of the rows, in calibration (of classes), size and latency; the first two decide."""
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """latency_ms of one row and size_mb of the package, of the new model and of the champion."""


def judge(
    task: Task,
    y: Array,
    new: Array,
    champion: Array,
    groups: Array,
    table: pd.DataFrame | None = None,
    *,
    metrics: Mapping[str, Sequence[Metric]] | None = None,
    replicates: int,
    confidence: float,
    seed: int,
) -> Judgement:
    """Compare two models' outputs for the same rows.

    Better, or worse, is a main metric whose interval of the difference leaves out 0; worse is also a model that loses
    much more than the champion on a part of `table` (the rows' columns as people know them).

    Args:
        y: (rows,), and outputs as `metrics.checked` takes them.
        groups: (rows,) of codes; rows with an equal code are drawn together.
        metrics: of "new" and of "champion", by how each answers classes; the task's where None; the first decides.
    """
    lead = metrics["new"][0] if metrics else main_metric(task)
    found = intervals.bootstrap(
        task, y, {"new": new, "champion": champion}, groups, replicates=replicates, confidence=confidence, seed=seed, metrics=metrics
    )
    differences = found.differences["champion"]
    gap, theirs = differences[lead.name], found.models["champion"]
    verdict = _verdict(gap, lead.higher_is_better, theirs[lead.name].value)
    aspects: dict[str, str] = {"overall": verdict}
    reasons = [f"{lead.name} {gap.value:+.4g} [{gap.low:+.4g}, {gap.high:+.4g}] against the champion on {found.rows:,} held-out rows"]
    parts, looked_at = ((), 0) if table is None else worse_parts(losses(task, y, new), losses(task, y, champion), groups, table)
    aspects |= {"parts": "worse" if parts else "equal"} if table is not None else {}
    aspects |= {"calibration": _verdict(differences["ece"], False, theirs["ece"].value)} if "ece" in differences else {}
    if parts:
        verdict = "worse"
        reasons += [f"worse where {s.column} is {s.value} ({s.rows:,} rows): loss {s.new:.3g} against {s.champion:.3g}" for s in parts[:5]]
    values = {model: {name: i.value for name, i in of.items()} for model, of in found.models.items()}
    return Judgement(verdict, tuple(reasons), lead.name, differences, values["new"], values["champion"], parts, looked_at, aspects)


def _verdict(gap: intervals.Interval, higher_is_better: bool, champion: float) -> Literal["better", "equal", "worse"]:
    """By the interval of the difference, which counts as none where it may be rounding."""
    if not gap.low <= gap.high or abs(gap.value) <= NOISE * abs(champion):  # without an interval nothing is sure
        return "equal"
    ahead, behind = (gap.low > 0, gap.high < 0) if higher_is_better else (gap.high < 0, gap.low > 0)
    return "better" if ahead else "worse" if behind else "equal"


def weighed(found: Judgement, costs: Mapping[str, Mapping[str, float]]) -> Judgement:
    """The judgement with what both models take, told and not decided by.

    Args:
        costs: `latency_ms` and `size_mb`, each of "new" and "champion".
    """
    words, aspects = [], dict(found.aspects)
    for name, told in (
        ("latency_ms", "one row takes {:.3g} ms against {:.3g} ms"),
        ("size_mb", "the package is {:.3g} MB against {:.3g} MB"),
    ):
        new, champion = costs[name]["new"], costs[name]["champion"]
        aspects[name.partition("_")[0]] = "worse" if new > CLEARLY * champion else "better" if champion > CLEARLY * new else "equal"
        words.append(told.format(new, champion))
    return replace(found, aspects=aspects, costs=costs, reasons=(*found.reasons, ", ".join(words)))


def worse_parts(new: Floats, champion: Floats, groups: Array, table: pd.DataFrame, *, level: float = 0.05) -> tuple[tuple[Part, ...], int]:
    """Parts of the rows on which the new losses are larger, and how many were looked at.

    A part is a category, one of four quantile bins of a number or a date, or where a value is missing.  One-sided t tests
    on the groups' sums (their rows are not independent), corrected by Holm (1979): at most `level` of comparisons of equal
    models name any part.  Named is what also loses a tenth of the champion's mean loss.
    """
    difference = new - champion
    _, groups = np.unique(np.asarray(groups), return_inverse=True)
    found: list[Part] = []
    for column in table.columns:
        coded = coding.coded(str(column), table[column], intervals.FEWEST)
        for code, name in enumerate(coded.values):
            rows = np.flatnonzero(coded.codes == code)
            if (p := intervals.above_zero(difference[rows], groups[rows])) is not None:
                found.append(Part(str(column), name, len(rows), float(new[rows].mean()), float(champion[rows].mean()), p))
    found.sort(key=lambda one: one.p)
    least, kept, corrected = HARM * float(champion.mean()), [], 0.0
    for at, one in enumerate(found):
        corrected = max(corrected, min(1.0, one.p * (len(found) - at)))
        if corrected <= level and one.new - one.champion > least:
            kept.append(Part(one.column, one.value, one.rows, one.new, one.champion, corrected))
    return tuple(kept), len(found)


def unmet(
    require: Mapping[str, float], beats: str | None, measured: Mapping[str, Any], differences: Mapping[str, Any], better: Mapping[str, bool]
) -> list[str]:
    """What a model lacks to be champion, in words.

    Args:
        require: bounds of test metrics, the least or the most by the metric's direction.
        beats: a baseline that it must surely be better than, in the first metric.
        measured: metric to value on test; differences: baseline to metric to interval, model less baseline, as evaluate writes them.
        better: metric to whether higher is better.

    Raises:
        UserError: evaluate knows no such metric or baseline.
    """
    if unknown := [name for name in require if name not in measured]:
        raise UserError(f"register.require: no test metric {', '.join(unknown)}; there are: {', '.join(measured)}")
    if beats is not None and beats not in differences:
        raise UserError(f"register.beats: no baseline {beats}; there are: {', '.join(differences)}")
    found = []
    for name, bound in require.items():
        value = measured[name]
        if value is None or (value < bound if better[name] else value > bound):
            shown = "undefined" if value is None else f"{value:.4g}"
            found.append(f"test {name} is {shown}, required is at {'least' if better[name] else 'most'} {bound:g}")
    if beats is not None:
        lead, gap = next(iter(differences[beats].items()))
        sure = gap["low"] is not None and (gap["low"] > 0 if better[lead] else gap["high"] < 0)
        if not sure:
            found.append(f"not surely better than {beats}: {lead} {gap['value']:+.4g}")
    return found
