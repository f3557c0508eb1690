"""Bootstrap intervals of metrics, and of the paired differences between models.

Whole groups are resampled (Efron & Tibshirani 1993, sections 8.3 and 13.3): rows of one person, day or machine are not
independent, and intervals that pretend so are too narrow.  All models and metrics are evaluated on the same replicates,
so the difference of two models is compared row by row and is known more closely than either value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from pipeline.data.fitted import Task
from pipeline.evaluation.metrics import METRICS, Additive, Array, Floats, Ints, Metric, checked
from pipeline.terminal import progress

MAX_UNITS = 20_000  # more groups are merged, which gives the standard error a noise of 1 / sqrt(2 * 20,000) = 0.5%
FEWEST = 30  # groups, below which a mean over them is hardly known
CHUNK = 2**22  # weights evaluated at once, 32 MiB


@dataclass(frozen=True)
class Interval:
    """A value on all rows, its percentile interval, and the number of replicates left out as undefined.

    `low` and `high` are nan with fewer than two groups, or when no replicate has a value.
    """

    value: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True)
class Intervals:
    """What `bootstrap` found.

    `models[model][metric]` is the metric of a model; `differences[other][metric]` is that of the first model minus the
    other's.
    """

    models: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Interval]]
    rows: int
    groups: int
    replicates: int
    confidence: float


def bootstrap(
    task: Task,
    y: Array,
    outputs_by_model: Mapping[str, Array],
    groups: Array,
    *,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int,
    metrics: Sequence[Metric] | Mapping[str, Sequence[Metric]] | None = None,
) -> Intervals:
    """Returns percentile intervals of every metric (the task's where None) for every model, and of the first less each other.

    Models that answer classes differently have metrics of their own, of equal names in equal order.

    `groups` is (rows,) of codes; rows with an equal code are drawn together.  Each replicate draws as many groups as
    there are, with replacement.  The result depends on the arguments alone.  With few groups (below some twenty)
    percentile intervals are too narrow: a bootstrap cannot see what it has no groups for.  Of a metric that is `biased` the
    replicates are shifted to have the value as their mean (Efron & Tibshirani 1993, section 10.2), a model's not below 0.

    More than 20,000 groups are first merged at random into 20,000 units of nearly equal numbers of groups (the random
    groups of Wolter, Introduction to Variance Estimation, 2007), which leaves the expected variance as it is; then
    memory grows with rows and models alone, and a replicate needs no pass over the rows but for the metrics that rank
    them.

    Raises ValueError for arguments that do not fit each other (see `checked`), and for no model.
    """
    if not outputs_by_model:
        raise ValueError("no model to evaluate")
    own = metrics if isinstance(metrics, Mapping) else dict.fromkeys(outputs_by_model, METRICS[task] if metrics is None else metrics)
    measured = own[next(iter(outputs_by_model))]
    groups = np.asarray(groups)
    if groups.shape != np.shape(y)[:1]:
        raise ValueError(f"groups of shape {groups.shape} do not fit targets of shape {np.shape(y)}")
    rng = np.random.default_rng(seed)
    units, n_groups, n_units = _units(groups, rng)

    evaluators = {}
    for model, outputs in outputs_by_model.items():
        y_checked, outputs = checked(task, y, outputs)
        for metric in own[model]:
            evaluators[model, metric.name] = metric.prepare(y_checked, outputs, units, n_units)
    values = {key: float(evaluate(np.ones((1, n_units)))[0]) for key, evaluate in evaluators.items()}
    drawn = replicates if n_units >= 2 else 0
    draws = {key: np.empty(drawn) for key in evaluators}
    step = max(1, CHUNK // max(len(groups), 1))
    for start in progress.over(range(0, drawn, step), "bootstrap", -(-drawn // step)):
        weights = _draw(rng, n_units, min(step, drawn - start))
        for key, evaluate in evaluators.items():
            draws[key][start : start + step] = evaluate(weights)

    def summary(model: str, other: str | None = None) -> dict[str, Interval]:
        found = {}
        for metric in measured:
            value, drawn_values = values[model, metric.name], draws[model, metric.name]
            if other is not None:
                value = value - values[other, metric.name]
                drawn_values = drawn_values - draws[other, metric.name]
            if metric.biased and not np.isnan(drawn_values).all():
                drawn_values = drawn_values - (np.nanmean(drawn_values) - value)
                drawn_values = np.maximum(drawn_values, 0) if other is None else drawn_values
            found[metric.name] = _interval(value, drawn_values, confidence)
        return found

    first, *others = outputs_by_model
    return Intervals(
        models={model: summary(model) for model in outputs_by_model},
        differences={other: summary(first, other) for other in others},
        rows=len(groups),
        groups=n_groups,
        replicates=replicates,
        confidence=confidence,
    )


def means(values: Mapping[str, Array], groups: Array, **settings: Any) -> dict[str, Interval]:
    """Returns the mean of each (rows,) of values, with intervals as `bootstrap` makes them by its settings."""
    told = Additive("mean", True, "", lambda y, outputs: outputs[:, None], lambda totals: totals[..., 1] / totals[..., 0])
    nothing = np.zeros(len(groups))
    found = bootstrap("regression", nothing, values, groups, metrics=[told], **settings)
    return {name: of["mean"] for name, of in found.models.items()}


def above_zero(values: Array, groups: Array) -> float | None:
    """Returns the p value of a mean of (rows,) values above 0: one-sided, t, by sums over groups; None with fewer than 30 of them."""
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < FEWEST:
        return None
    mean = values.mean()
    residual = np.bincount(codes, values) - mean * counts
    error = np.sqrt(len(counts) / (len(counts) - 1) * np.sum(residual**2)) / len(values)
    return float(stats.t.sf(mean / error, len(counts) - 1)) if error > 0 else float(mean <= 0)


def _units(groups: Array, rng: np.random.Generator) -> tuple[Ints, int, int]:
    """Returns the resampled unit of each row, the number of groups and the number of units."""
    codes, units = np.unique(groups, return_inverse=True)
    n_units = min(len(codes), MAX_UNITS)
    if n_units < len(codes):
        units = rng.permutation(len(codes))[units] % n_units
    return units.astype(np.uint16), len(codes), n_units  # 2 bytes: a ranked metric keeps a sorted copy for every class


def _draw(rng: np.random.Generator, n_units: int, replicates: int) -> Floats:
    """Returns (replicates, n_units): how often each unit was drawn, n_units draws a replicate."""
    weights = np.empty((replicates, n_units))
    for row in weights:
        row[:] = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
    return weights


def _interval(value: float, drawn: Floats, confidence: float) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(defined, tails) if len(defined) else (np.nan, np.nan)
    return Interval(value, float(low), float(high), len(drawn) - len(defined))
