"""Performance of a window without labels, from calibrated probabilities.

Confidence-based performance estimation (CBPE; NannyML's documentation, "How it works: estimation of performance of the
monitored model"): where a probability p is calibrated, a row is of class c with probability p_c, so the expected confusion
counts, losses and pairs of a window follow from its outputs alone.  It follows a change in what rows come (covariate
shift) as far as the probabilities stay calibrated where the new rows lie.  It cannot see a change in how the outcome
depends on the inputs (concept drift): the outputs know nothing of that.

Arguments `task`, `y`, `outputs` are as in `evaluation.metrics`; outputs are calibrated, binary (rows,) probabilities of
class 1, multiclass (rows, classes).  Rows whose outputs are not finite are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.fitted import Task
from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import Additive, Array, Decide, Evaluate, Floats, Ints, Metric
from pipeline.models.answers import FLOOR

CHUNK = 2**22  # weights evaluated at once, 32 MiB
CONCEPT = "it cannot see a change in how the outcome depends on the inputs"
NAMES = {"auc": "AUC", "auc_ovr": "AUC (one against the rest)", "log_loss": "log loss", "brier": "Brier score", "f1": "F1"}


@dataclass(frozen=True)
class Estimate:
    """The expected metric of a window, and the percentile interval of drawing its groups anew.

    The interval tells what another sample of such rows would give; how far the outcome itself strays is in `KnownError`.
    `low` and `high` are nan with fewer than two groups.
    """

    metric: str
    value: float
    low: float
    high: float
    rows: int
    groups: int
    confidence: float
    replicates: int


@dataclass(frozen=True)
class KnownError:
    """How far the estimate was off on windows of known labels: of |estimate - truth| the median and the 90% quantile.

    `bias` is the mean of estimate - truth.  `rows` is the size of a window, `windows` how many had a truth.
    """

    metric: str
    median: float
    ninth: float
    bias: float
    rows: int
    windows: int


def reason(task: Task, metric: str) -> str:
    """Why this metric has no estimate without labels, in one sentence; empty where it has one."""
    if task in ("regression", "forecast"):
        return (
            "the error of a number cannot be estimated without labels: the model gives no probability of it,"
            " and the width of its intervals does not move with the data"
        )
    if metric not in _EXPECTED and metric not in ("auc", "auc_ovr"):
        return f"{metric} is not estimated without labels"
    return ""


def estimate(
    task: Task,
    outputs: Array,
    *,
    metric: str | None = None,
    groups: Array,
    confidence: float = 0.95,
    seed: int,
    replicates: int = 500,
    decide: Decide | None = None,
) -> Estimate | None:
    """Estimate a metric of `metrics.METRICS[task]` (by default the main one) of rows whose labels are not known.

    groups: (rows,) of codes; rows with an equal code are drawn together.  decide: how classes are answered, for accuracy
    and F1 (`Answers.decide`; by default the most probable).  None where there is nothing to estimate: see `reason`, or
    no row, or a metric that is not defined.  ValueError for shapes that do not fit, probabilities beyond [0, 1] and
    unknown metrics.
    """
    measured = _metric(task, metric, decide)
    if reason(task, measured.name):
        return None
    groups = np.asarray(groups)
    probabilities = _checked(task, outputs, groups)
    known = _finite(probabilities)
    probabilities, groups = probabilities[known], groups[known]
    codes, units = np.unique(groups, return_inverse=True)
    if not len(codes):
        return None
    evaluate = _prepare(task, measured, probabilities, units, len(codes), decide)
    value = float(evaluate(np.ones((1, len(codes))))[0])
    if np.isnan(value):
        return None
    drawn = _in_chunks(evaluate, partial(_drawn, np.random.default_rng(seed), len(codes)), replicates if len(codes) > 1 else 0, len(known))
    low, high = _quantiles(drawn, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Estimate(measured.name, value, low, high, len(probabilities), len(codes), confidence, replicates)


def known_error(
    task: Task,
    y: Array,
    outputs: Array,
    groups: Array,
    *,
    metric: str | None = None,
    rows: int,
    seed: int,
    windows: int = 200,
    decide: Decide | None = None,
) -> KnownError | None:
    """Measure the estimate's error on windows of `rows` rows drawn from rows whose labels are known, whole groups together.

    y: (rows,) of class codes, nan where not known.  The rows should be ones on which neither the model nor its calibration
    was fitted.  Windows in which the truth is not defined (the AUC of one class) are left out.  None where the metric has
    no estimate, or no window has a truth.
    """
    measured = _metric(task, metric, decide)
    if reason(task, measured.name):
        return None
    groups, labels = np.asarray(groups), np.asarray(y, np.float64)
    probabilities = _checked(task, outputs, groups)
    known = _finite(probabilities) & ~np.isnan(labels)
    if not known.any():
        return None
    codes, probabilities = metrics.checked(task, labels[known].astype(np.intp), probabilities[known])
    _, units, sizes = np.unique(groups[known], return_inverse=True, return_counts=True)
    estimated = _prepare(task, measured, probabilities, units, len(sizes), decide)
    true = measured.prepare(codes, probabilities, units, len(sizes))

    def both(weights: Floats) -> Floats:
        return np.stack([estimated(weights), true(weights)], axis=1)

    found = _in_chunks(both, partial(_windows, np.random.default_rng(seed), sizes, rows), windows, len(known))
    off = found[:, 0] - found[:, 1] if len(found) else np.empty(0)
    off = off[~np.isnan(off)]
    if not len(off):
        return None
    median, ninth = _quantiles(np.abs(off), (0.5, 0.9))
    return KnownError(measured.name, median, ninth, float(off.mean()), rows, len(off))


def sentence(found: Estimate | None, *, task: Task, metric: str, test: float | None = None, error: KnownError | None = None) -> str:
    """What is estimated, in one line for a report, or why nothing is; test: the metric on the test rows."""
    if found is None:
        return reason(task, metric) or f"{NAMES.get(metric, metric)} cannot be estimated of these rows"
    told = f"{NAMES.get(found.metric, found.metric)} is estimated at {_figure(found.value)}"
    if not np.isnan(found.low):
        told += f" [{_figure(found.low)}, {_figure(found.high)}]"
    beside = [] if test is None else [f"test {_figure(test)}"]
    if error is not None:
        beside.append(f"on windows of known outcome the estimate was off by at most {_figure(error.ninth)} in 9 of 10")
    return f"{told} without labels{' (' + '; '.join(beside) + ')' if beside else ''}; {CONCEPT}"


def _figure(value: float) -> str:
    """Two decimals, or two digits of what is smaller."""
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"


def _metric(task: Task, name: str | None, decide: Decide | None) -> Metric:
    found = metrics.deciding(task, decide) if decide is not None and task in metrics.DECIDED else metrics.METRICS[task]
    for metric in found:
        if name is None or metric.name == name:
            return metric
    raise ValueError(f"{task} has no metric {name!r}, only {', '.join(one.name for one in found)}")


def _checked(task: Task, outputs: Array, groups: Array) -> Floats:
    """The outputs as float64; NaN passes."""
    found = np.asarray(outputs, np.float64)
    if found.ndim != (1 if task == "binary" else 2) or groups.shape != found.shape[:1]:
        raise ValueError(f"{task}: groups of shape {groups.shape} do not fit outputs of shape {found.shape}")
    if (found < -1e-6).any() or (found > 1 + 1e-6).any():
        raise ValueError(f"{task}: outputs that are no probabilities, below 0 or above 1")
    return np.clip(found, 0, 1)


def _finite(probabilities: Floats) -> NDArray[np.bool_]:
    finite: NDArray[np.bool_] = np.isfinite(probabilities if probabilities.ndim == 1 else probabilities.sum(axis=1))
    return finite


def _prepare(task: Task, metric: Metric, probabilities: Floats, units: Ints, n_units: int, decide: Decide | None) -> Evaluate:
    """The expected metric as a function of unit weights (replicates, units) -> (replicates,)."""
    if isinstance(metric, Additive):
        parts = _EXPECTED[metric.name](probabilities, decide or partial(metrics.predicted_class, task))
        sums = np.stack([np.bincount(units, column, minlength=n_units) for column in (np.ones(len(parts)), *parts.T)], axis=1)
        value = metric.value

        def evaluate(weights: Floats) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                return value(weights @ sums)

        return evaluate
    if probabilities.ndim == 1:
        return _expected_auc(probabilities, units)
    columns = [_expected_auc(np.ascontiguousarray(column), units) for column in probabilities.T]
    return lambda weights: np.mean([column(weights) for column in columns], axis=0)


def _expected_auc(p: Floats, units: Ints) -> Evaluate:
    """Expected pairs won over expected pairs: each row is a positive of weight p and a negative of weight 1 - p.

    Equal scores are a tie, one half.  A row is never paired with itself, as it can be of one class only.
    """
    order = np.argsort(p, kind="stable")
    sorted_p, of_row = p[order], units[order]
    starts = np.flatnonzero(np.diff(sorted_p, prepend=-1.0))  # the first row of each distinct score
    own = sorted_p * (1 - sorted_p)

    def evaluate(weights: Floats) -> Floats:
        weight = np.take(weights, of_row, axis=1)
        positive = np.add.reduceat(weight * sorted_p, starts, axis=1)
        negative = np.add.reduceat(weight * (1 - sorted_p), starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        itself = np.einsum("ri,ri,i->r", weight, weight, own)
        pairs = positive.sum(axis=1) * negative.sum(axis=1) - itself
        with np.errstate(divide="ignore", invalid="ignore"):
            auc: Floats = (np.einsum("rl,rl->r", positive, below) - itself / 2) / pairs
        return np.where(pairs > 1e-9, auc, np.nan)

    return evaluate


def _chosen(p: Floats, decide: Decide) -> tuple[Ints, Floats]:
    """The answered classes (rows,) and how probable each is."""
    answered = decide(p)
    return answered, np.where(answered == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(p)), answered]


def _log_loss(p: Floats, _decide: Decide) -> Floats:
    both = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    loss: Floats = -(both * np.log(np.maximum(both, FLOOR))).sum(axis=1, keepdims=True)
    return loss


def _brier(p: Floats, _decide: Decide) -> Floats:
    return (p * (1 - p))[:, None] if p.ndim == 1 else 1 - (p**2).sum(axis=1, keepdims=True)


def _accuracy(p: Floats, decide: Decide) -> Floats:
    return _chosen(p, decide)[1][:, None]


def _f1(p: Floats, decide: Decide) -> Floats:
    answered = decide(p)
    return np.stack([answered * p, answered + p], axis=1)


def _macro_f1(p: Floats, decide: Decide) -> Floats:
    """(rows, 2 * classes): expected hits, and expected rows of the class plus rows answered so."""
    answered, sure = _chosen(p, decide)
    hits, marks = np.zeros_like(p), p.copy()
    row = np.arange(len(p))
    hits[row, answered] = sure
    marks[row, answered] += 1
    return np.concatenate([hits, marks], axis=1)


_EXPECTED: Mapping[str, Callable[[Floats, Decide], Floats]] = {
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
}  # the expected parts (rows, k) of each additive metric


def _in_chunks(evaluate: Callable[[Floats], Floats], draw: Callable[[int], Floats], replicates: int, rows: int) -> Floats:
    """What `evaluate` gives for this many drawn weights, some at a time."""
    step = max(1, CHUNK // max(rows, 1))
    parts: list[Any] = [evaluate(draw(min(step, replicates - start))) for start in range(0, replicates, step)]
    return np.concatenate(parts) if parts else np.empty(0)


def _drawn(rng: np.random.Generator, n_units: int, replicates: int) -> Floats:
    """(replicates, units): how often each unit is drawn in as many draws as there are units."""
    return np.stack([np.bincount(rng.integers(n_units, size=n_units), minlength=n_units) for _ in range(replicates)]).astype(np.float64)


def _windows(rng: np.random.Generator, sizes: Ints, rows: int, windows: int) -> Floats:
    """(windows, units): how often each unit is drawn until a window holds `rows` rows."""
    weights = np.empty((windows, len(sizes)))
    for weight in weights:
        draw = rng.integers(0, len(sizes), max(rows, 1))  # each unit has a row or more, so `rows` units are enough
        draw = draw[: int(np.searchsorted(np.cumsum(sizes[draw]), rows)) + 1]
        weight[:] = np.bincount(draw, minlength=len(sizes))
    return weights


def _quantiles(values: Floats, at: tuple[float, float]) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    low, high = np.quantile(defined, at) if len(defined) else (np.nan, np.nan)
    return float(low), float(high)
