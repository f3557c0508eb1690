"""How much a network loses on held-out rows that are disturbed as production disturbs them (see `disturbing`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.data.fitted import Preprocessor
from pipeline.evaluation.disturbing import DISTURBANCES, applicable, disturbed
from pipeline.evaluation.influence import Inputs, Predict
from pipeline.evaluation.intervals import bootstrap
from pipeline.evaluation.metrics import Array, Metric, checked, main_metric
from pipeline.evaluation.wording import capital, shown, word
from pipeline.terminal import progress

VALUES = 2**24  # of inputs disturbed at once, 64 MiB


@dataclass(frozen=True)
class Effect:
    """One kind at one severity: the metric of the disturbed rows, and how much it lies above that of the rows as they are.

    `low` and `high` are the paired difference's percentile interval, nan with fewer than two groups.
    """

    kind: str
    severity: float
    metric: str
    value: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Robustness:
    """What `robustness` found; `metric` leads, `value` is that of the rows as they are."""

    effects: tuple[Effect, ...]
    metric: str
    higher_is_better: bool
    value: float
    rows: int
    groups: int
    replicates: int
    confidence: float

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.kind for one in self.effects))

    def of(self, kind: str) -> tuple[Effect, ...]:
        """The leading metric's effects of one kind, the mildest first."""
        return tuple(one for one in self.effects if (one.kind, one.metric) == (kind, self.metric))

    @property
    def worst(self) -> tuple[Effect, ...]:
        """Each kind at its severest, what hurts most first; an undefined effect comes last."""
        sign = -1 if self.higher_is_better else 1
        ends = [self.of(kind)[-1] for kind in self.kinds]
        return tuple(sorted(ends, key=lambda one: -np.inf if np.isnan(one.difference) else sign * one.difference, reverse=True))

    def hurts(self, one: Effect) -> bool:
        """Whether the metric is worse, with an interval (where there is one) that leaves out 0."""
        nearest = one.high if self.higher_is_better else one.low
        known = one.difference if np.isnan(nearest) else nearest
        return bool(known < 0 if self.higher_is_better else known > 0)


def robustness(
    predict: Predict,
    fitted: Preprocessor,
    inputs: Inputs,
    y: Array,
    groups: Array,
    *,
    replicates: int,
    confidence: float,
    seed: int,
    metrics: Sequence[Metric] | None = None,
) -> Robustness:
    """Returns the metrics under each disturbance that applies to what was fitted, with paired intervals by group.

    `predict` is asked once for the rows as they are and once for each kind and severity, some rows at a time.  The result
    depends on the arguments alone; the arrays given are not changed.  Without a row there is no effect, and `value` is nan.

    Args:
        inputs: as `feeding.inputs` gives them; y and groups (rows,), and a forecast's y, are as `intervals.bootstrap` takes them.
        metrics: the leading one first; by default the task's main metric alone.

    Raises:
        ValueError: arguments that do not fit each other (see `intervals.bootstrap`).
    """
    measured = (main_metric(fitted.task),) if metrics is None else tuple(metrics)
    lead, rows, groups = measured[0], len(np.asarray(y)), np.asarray(groups)
    if groups.shape != (rows,):
        raise ValueError(f"groups of shape {groups.shape} do not fit targets of shape {np.shape(y)}")
    if not rows:
        return Robustness((), lead.name, lead.higher_is_better, np.nan, 0, 0, replicates, confidence)
    settings: dict[str, Any] = {"replicates": replicates, "confidence": confidence, "seed": seed, "metrics": measured}
    parts = list(_parts(inputs, rows))
    known = np.concatenate([predict(part) for part in parts])
    value = lead(*checked(fitted.task, y, known))
    effects = []
    kinds = applicable(fitted)
    for kind in progress.over(kinds, "disturbed rows", len(kinds)):
        severities = DISTURBANCES[kind].severities
        told: dict[float, list[Array]] = {severity: [] for severity in severities}
        for at, part in enumerate(parts):
            change = disturbed(kind, fitted, part, seed=(seed, at))
            for severity in severities:
                told[severity].append(predict(change(severity)))
        for severity in severities:
            both = {"disturbed": np.concatenate(told.pop(severity)), "as they are": known}
            found = bootstrap(fitted.task, y, both, groups, **settings)
            for name, gap in found.differences["as they are"].items():
                effects.append(Effect(kind, severity, name, found.models["disturbed"][name].value, gap.value, gap.low, gap.high))
    count = len(np.unique(groups))
    return Robustness(tuple(effects), lead.name, lead.higher_is_better, value, rows, count, replicates, confidence)


def rows_of(found: Robustness) -> list[dict[str, Any]]:
    """Returns one plain row an effect, for CSV or JSON: kind, severity, metric, value, difference, low, high."""
    return [asdict(one) for one in found.effects]


def sentence(found: Robustness) -> str:
    """Returns the severest of each kind in words, what hurts most first; nothing where no kind applies.

    "Half of the numbers missing costs most: 0.041 AUC [0.032, 0.050]; then noise of half a standard deviation on numbers: 0.010 [0.006,
    0.014]; no harm is told from 0 of half of the categories unseen."
    """
    if not found.effects:
        return ""
    worst, name = found.worst, word(found.metric)
    harmful = [one for one in worst if found.hurts(one)]
    if not harmful:
        return f"No disturbance's harm to {name} ({shown(found.metric, found.value)}) is told from 0."
    first, *others = harmful
    most = " most:" if len(worst) > 1 else ""
    costs, unit = (f"costs{most}", f" {name}") if found.higher_is_better else (f"raises {name}{most} by", "")
    told = [f"{phrase(first)} {costs} {_amount(found, first, unit)}"]
    told += [f"{'' if at else 'then '}{phrase(one)}: {_amount(found, one)}" for at, one in enumerate(others)]
    if harmless := [phrase(one) for one in worst if one not in harmful]:
        told.append(f"no harm is told from 0 of {', '.join(harmless)}")
    text = "; ".join(told)
    return f"{capital(text)}."


def phrase(one: Effect) -> str:
    """Returns a disturbance in words: "half of the numbers missing"."""
    kind = DISTURBANCES[one.kind]
    if kind.unit == "share":
        return kind.phrase.format("half" if one.severity == 0.5 else f"{one.severity:.0%}")
    return kind.phrase.format("half a standard deviation" if one.severity == 0.5 else f"{one.severity:g} standard deviations")


def _amount(found: Robustness, one: Effect, unit: str = "") -> str:
    """Returns the harm and its interval, above 0 where it is one."""
    sign = -1 if found.higher_is_better else 1
    low, high = sorted((sign * one.low, sign * one.high))
    between = "" if np.isnan(one.low) else f" [{shown(found.metric, low)}, {shown(found.metric, high)}]"
    return f"{shown(found.metric, sign * one.difference)}{unit}{between}"


def _parts(inputs: Inputs, rows: int) -> Iterator[dict[str, Array]]:
    """Yields the inputs of some rows at a time, so that few are held disturbed."""
    width = max(1, sum(block.size for block in inputs.values()) // rows)
    step = max(1, VALUES // width)
    for at in range(0, rows, step):
        yield {name: block[at : at + step] for name, block in inputs.items()}
