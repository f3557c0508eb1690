"""The metrics of each task, in a form that a bootstrap can evaluate a thousand times.

Arguments are the same everywhere.  `task` is "binary", "multiclass", "regression" or "forecast".  `y` is (rows,): the
class index (binary: 1 is the positive class), or the target in its own units.  `outputs` is (rows,) probabilities of
class 1, (rows, classes) probabilities, or (rows,) predictions in the target's units.  A forecast's rows are windows: `y`
and `outputs` are (windows, horizon, targets) in the targets' units, and `forecast_metrics` gives the metrics that need
to know the targets' scales.  `weight` is (rows,), not negative; an integer weight counts a row that often.

A value that is not defined (the AUC of one class, R2 of a constant target, anything of no rows) is nan.

To resample, rows are assigned to units (groups that are drawn together).  `Metric.prepare` does once what does not
depend on the weights of the units; what it returns maps weights (replicates, units) to values (replicates,):

- an `Additive` metric is a function of sums over rows, so each unit is reduced to its own sums and all replicates are
  one matrix product;
- a `Ranked` metric sorts the rows once, and a replicate costs cumulative sums of weights in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.fitted import Task
from pipeline.models.answers import FLOOR, Answers

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Decide = Callable[[Array], Ints]  # (rows,) or (rows, classes) of outputs -> (rows,) codes of answered classes
Evaluate = Callable[[Floats], Floats]  # (replicates, units) weights -> (replicates,) values

PROBABILITY_FLOOR = FLOOR  # log loss clips here, about the resolution of float32: one sure mistake costs 16.1, not infinity
BINS = 15  # of probabilities, equally wide (Guo et al. 2017)


@dataclass(frozen=True)
class Metric:
    """A metric: its name, its direction, and one sentence for the reader of a report.

    One of at least 0 is `biased` where it is larger on a resample than on the rows themselves.
    """

    name: str
    higher_is_better: bool
    definition: str
    biased: bool = field(default=False, kw_only=True)

    def prepare(self, y: Array, outputs: Array, units: Ints, n_units: int) -> Evaluate:
        """Returns the metric of these rows as a function of unit weights; `units` is (rows,), in [0, n_units)."""
        raise NotImplementedError

    def __call__(self, y: Array, outputs: Array, weight: Array | None = None) -> float:
        """Returns the metric of these rows, each with its weight (default 1)."""
        weights = np.ones((1, len(y))) if weight is None else np.asarray(weight, np.float64)[None, :]
        return float(self.prepare(y, outputs, np.arange(len(y)), len(y))(weights)[0])


@dataclass(frozen=True)
class Additive(Metric):
    """A metric that is a function of weighted sums over rows.

    `parts(y, outputs)` gives (rows, k) of any numeric type; `value(totals (..., 1 + k))` gives (...), where totals[...,
    0] is the sum of the weights and the others are the weighted sums of the parts.  `value` may divide 0 by 0: an
    undefined value is nan.
    """

    parts: Callable[[Array, Array], Array] = field(repr=False)
    value: Callable[[Floats], Floats] = field(repr=False)

    def prepare(self, y: Array, outputs: Array, units: Ints, n_units: int) -> Evaluate:
        parts = self.parts(y, outputs)
        sums = np.empty((n_units, 1 + parts.shape[1]))
        sums[:, 0] = np.bincount(units, minlength=n_units)
        for j in range(parts.shape[1]):
            sums[:, 1 + j] = np.bincount(units, weights=parts[:, j], minlength=n_units)

        def evaluate(weights: Floats) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                return self.value(weights @ sums)  # (replicates, 1 + k) -> (replicates,)

        return evaluate


@dataclass(frozen=True)
class Ranked(Metric):
    """A metric of the order of scores; with several columns of outputs, the mean over one-vs-rest columns.

    `curve(positive (rows,) bool, score (rows,), units (rows,))` gives the evaluator of one column.
    """

    curve: Callable[[Array, Array, Ints], Evaluate] = field(repr=False)

    def prepare(self, y: Array, outputs: Array, units: Ints, n_units: int) -> Evaluate:
        if outputs.ndim == 1:
            return self.curve(y == 1, outputs, units)
        columns = [self.curve(y == c, outputs[:, c], units) for c in range(outputs.shape[1])]
        return lambda weights: np.mean([column(weights) for column in columns], axis=0)


def _by_score(positive: Array, score: Array, units: Ints) -> tuple[Ints, Ints, Array, Array]:
    """Returns the units of positives and of negatives and their negated scores, highest score first."""
    rows = [np.flatnonzero(of_class) for of_class in (positive, ~positive)]
    pos, neg = (r[np.argsort(-score[r], kind="stable")] for r in rows)
    return units[pos], units[neg], -score[pos], -score[neg]


def _cumulative(weights: Floats, units: Ints) -> Floats:
    """Returns (replicates, rows + 1): entry i is the weight of the first i rows."""
    sums = np.zeros((len(weights), len(units) + 1))
    np.cumsum(np.take(weights, units, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _auc(positive: Array, score: Array, units: Ints) -> Evaluate:
    """Area under the ROC curve as the Mann-Whitney statistic (Hanley & McNeil 1982); a tie counts one half."""
    pos_units, neg_units, pos_score, neg_score = _by_score(positive, score, units)
    above = np.searchsorted(neg_score, pos_score, side="left")  # negatives scored higher than each positive
    at_least = np.searchsorted(neg_score, pos_score, side="right")  # ... or the same

    def evaluate(weights: Floats) -> Floats:
        pos = np.take(weights, pos_units, axis=1)
        neg = _cumulative(weights, neg_units)
        lost = np.einsum("rp,rp->r", pos, np.take(neg, above, axis=1) + np.take(neg, at_least, axis=1)) / 2
        with np.errstate(invalid="ignore"):
            auc: Floats = 1 - lost / (pos.sum(axis=1) * neg[:, -1])
        return auc

    return evaluate


def _average_precision(positive: Array, score: Array, units: Ints) -> Evaluate:
    """Mean over positives of the precision at their own score: the step-wise area that scikit-learn uses."""
    pos_units, neg_units, pos_score, neg_score = _by_score(positive, score, units)
    pos_at_least = np.searchsorted(pos_score, pos_score, side="right")
    neg_at_least = np.searchsorted(neg_score, pos_score, side="right")

    def evaluate(weights: Floats) -> Floats:
        pos = np.take(weights, pos_units, axis=1)
        true = np.take(_cumulative(weights, pos_units), pos_at_least, axis=1)
        found = true + np.take(_cumulative(weights, neg_units), neg_at_least, axis=1)
        # A positive of weight 0 with nothing above it has found = 0; its precision is not asked for.
        precision = np.divide(true, found, out=np.zeros_like(true), where=found > 0)
        with np.errstate(invalid="ignore"):
            mean: Floats = np.einsum("rp,rp->r", pos, precision) / pos.sum(axis=1)
        return mean

    return evaluate


def predicted_class(task: Task, outputs: Array) -> Ints:
    """Returns (rows,) classes: probability at least 0.5 (binary), or the most probable, the first among equals."""
    return Answers(task).decide(outputs)


def top_label(y: Array, outputs: Array) -> tuple[Array, Floats]:
    """Returns whether the most probable of several classes is the true one, and its probability: (rows,) both (Guo et al. 2017)."""
    return (outputs.argmax(axis=1) == y).astype(np.float64), outputs.max(axis=1)


def probability_bins(probability: Array) -> Ints:
    """Returns (rows,) codes of equally wide bins."""
    return np.minimum(np.asarray(probability * BINS).astype(np.intp), BINS - 1)


def confusion(y: Array, predicted: Array, classes: int) -> NDArray[np.int64]:
    """Returns (classes, classes) row counts: true class down, predicted class across."""
    cells = np.asarray(y, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _true_probability(y: Array, outputs: Array) -> Array:
    chosen: Array = np.where(y == 1, outputs, 1 - outputs) if outputs.ndim == 1 else outputs[np.arange(len(y)), y]
    return chosen


def _log_loss(y: Array, outputs: Array) -> Array:
    loss: Array = -np.log(np.maximum(_true_probability(y, outputs), PROBABILITY_FLOOR))
    return loss[:, None]


def _brier(y: Array, outputs: Array) -> Array:
    if outputs.ndim == 1:
        return ((outputs - y) ** 2)[:, None]
    # |p - e_y|^2 = |p|^2 - 2 p_y + 1, without a one-hot copy of y
    brier: Array = np.einsum("rc,rc->r", outputs, outputs) - 2 * _true_probability(y, outputs) + 1
    return brier[:, None]


def _bin_gaps(y: Array, outputs: Array) -> Array:
    """Returns (rows, bins): event less probability, in the column of the row's bin."""
    event, probability = (y, outputs) if outputs.ndim == 1 else top_label(y, outputs)
    gaps = np.zeros((len(y), BINS))
    gaps[np.arange(len(y)), probability_bins(probability)] = event - probability
    return gaps


def _bin_error(totals: Floats) -> Floats:
    error: Floats = np.abs(totals[..., 1:]).sum(axis=-1) / totals[..., 0]
    return error


def _correct(y: Array, outputs: Array, decide: Decide) -> Array:
    correct: Array = decide(outputs) == y
    return correct[:, None]


def _f1_counts(y: Array, outputs: Array, decide: Decide) -> Array:
    """Returns (rows, 2): true positive, and positive in truth plus positive in prediction (2 TP + FP + FN in sum)."""
    predicted = decide(outputs)
    return np.stack([predicted * y, predicted + y], axis=1)


def _f1(totals: Floats) -> Floats:
    f1: Floats = 2 * totals[..., 1] / totals[..., 2]
    return f1


def _macro_f1_counts(y: Array, outputs: Array, decide: Decide) -> Array:
    """Returns (rows, 2 * classes) in bytes: the two counts of `_f1_counts` for each class."""
    rows, classes = outputs.shape
    predicted, row = decide(outputs), np.arange(rows)
    counts = np.zeros((rows, 2 * classes), np.uint8)
    counts[row, y] = predicted == y
    counts[row, classes + y] += 1
    counts[row, classes + predicted] += 1
    return counts


def _macro_f1(totals: Floats) -> Floats:
    hits, marks = np.split(totals[..., 1:], 2, axis=-1)
    f1 = np.divide(2 * hits, marks, out=np.zeros_like(hits), where=marks > 0)
    mean: Floats = f1.sum(axis=-1) / (marks > 0).sum(axis=-1)
    return mean


def _moments(y: Array, outputs: Array) -> Array:
    """Returns (rows, 3): squared error, target, squared target; centred, or the variance is lost to cancellation."""
    centred = y - (y.mean() if len(y) else 0.0)
    return np.stack([(y - outputs) ** 2, centred, centred**2], axis=1)


def _r2(totals: Floats) -> Floats:
    weight, residual, first, second = np.moveaxis(totals, -1, 0)
    spread = second - first**2 / weight
    return np.where(spread > 1e-12 * second, 1 - residual / spread, np.nan)  # below it, a constant target and rounding


def _mean(totals: Floats) -> Floats:
    mean: Floats = totals[..., 1] / totals[..., 0]
    return mean


def _root_mean(totals: Floats) -> Floats:
    return np.sqrt(_mean(totals))


def _squared_error(y: Array, outputs: Array) -> Array:
    return ((y - outputs) ** 2)[:, None]


def _absolute_error(y: Array, outputs: Array) -> Array:
    error: Array = np.abs(y - outputs)
    return error[:, None]


def _steps_mean(error: Array) -> Array:
    """Returns (windows, 1): the mean over steps and targets of (windows, horizon, targets)."""
    mean: Array = error.mean(axis=tuple(range(1, error.ndim)), dtype=np.float64)
    return mean[:, None]


def _squared_steps(y: Array, outputs: Array) -> Array:
    return _steps_mean((y - outputs) ** 2)


def _absolute_steps(y: Array, outputs: Array) -> Array:
    return _steps_mean(np.abs(y - outputs))


DECIDED: Mapping[Task, Mapping[str, Callable[..., Array]]] = {
    "binary": {"accuracy": _correct, "f1": _f1_counts},
    "multiclass": {"accuracy": _correct, "macro_f1": _macro_f1_counts},
}  # metrics of answered classes: what their parts are, by who decides
_CALIBRATION = "Mean distance of probability and frequency, over 15 equally wide bins of the {} probability (expected calibration error)."
_SURPRISE = "Mean of minus the natural logarithm of the probability given to the true class (at least 1e-7)."
_LOG_LOSS = Additive("log_loss", False, _SURPRISE, _log_loss, _mean)


def _decided(task: Task, name: str, definition: str, value: Callable[[Floats], Floats]) -> Additive:
    return Additive(name, True, definition, partial(DECIDED[task][name], decide=partial(predicted_class, task)), value)


METRICS: Mapping[Task, tuple[Metric, ...]] = {
    "binary": (
        Ranked("auc", True, "Probability that a random positive row is scored above a random negative one.", _auc),
        _LOG_LOSS,
        Additive("brier", False, "Mean squared difference of probability and outcome (0 or 1).", _brier, _mean),
        _decided("binary", "accuracy", "Share of rows whose answered class is the true one.", _mean),
        _decided("binary", "f1", "Harmonic mean of precision and recall of the answered class.", _f1),
        Ranked("average_precision", True, "Mean precision at the scores of the positive rows.", _average_precision),
        Additive("ece", False, _CALIBRATION.format("second class's"), _bin_gaps, _bin_error, biased=True),
    ),
    "multiclass": (
        _LOG_LOSS,
        Additive("brier", False, "Mean squared differences summed over classes, 0 to 2.", _brier, _mean),
        _decided("multiclass", "accuracy", "Share of rows whose answered class is the true one.", _mean),
        _decided("multiclass", "macro_f1", "Mean F1 of the classes in truth or answer.", _macro_f1),
        Ranked("auc_ovr", True, "Mean AUC of each class against the rest; undefined if a class has no row.", _auc),
        Additive("ece", False, _CALIBRATION.format("most probable class's"), _bin_gaps, _bin_error, biased=True),
    ),
    "regression": (
        Additive("rmse", False, "Root of the mean squared error, in the target's units.", _squared_error, _root_mean),
        Additive("mae", False, "Mean absolute error, in the target's units.", _absolute_error, _mean),
        Additive("r2", True, "One minus the squared error over that of the rows' own mean.", _moments, _r2),
    ),
    "forecast": (
        Additive(
            "rmse", False, "Root of the squared error's mean over windows, steps and targets, in their units.", _squared_steps, _root_mean
        ),
        Additive("mae", False, "Mean absolute error over windows, steps and targets, in their units.", _absolute_steps, _mean),
    ),
}


def deciding(task: Task, decide: Decide) -> tuple[Metric, ...]:
    """Returns the metrics of a task of classes, those of answered classes by this decision."""
    parts = DECIDED[task]
    return tuple(
        replace(metric, parts=partial(parts[metric.name], decide=decide))
        if isinstance(metric, Additive) and metric.name in parts
        else metric
        for metric in METRICS[task]
    )


def forecast_metrics(deviation: Floats, naive: Floats) -> tuple[Metric, ...]:
    """Returns the metrics of a forecast; of several targets those first that do not depend on units, so that all count alike.

    Args:
        deviation: (targets,) each target's standard deviation in train: the scale of the benchmarks of Zhou et al. 2021.
        naive: (targets,) mean absolute error of the seasonal naive forecast one step ahead in train (Hyndman & Koehler 2006).
    """

    def scaled(y: Array, outputs: Array) -> Array:
        return _squared_steps(y / deviation, outputs / deviation)

    def scaled_absolute(y: Array, outputs: Array) -> Array:
        return _absolute_steps(y / deviation, outputs / deviation)

    def absolute_scaled(y: Array, outputs: Array) -> Array:
        return _absolute_steps(y / naive, outputs / naive)

    mase = "Mean absolute error in units of that of the seasonal naive forecast one step ahead in train."
    free = (
        Additive("mse_scaled", False, "Mean squared error with each target in standard deviations of train.", scaled, _mean),
        Additive("mae_scaled", False, "Mean absolute error with each target in standard deviations of train.", scaled_absolute, _mean),
        Additive("mase", False, mase, absolute_scaled, _mean),
    )
    return (*METRICS["forecast"], *free) if len(deviation) == 1 else (*free, *METRICS["forecast"])


def main_metric(task: Task) -> Metric:
    """Returns the metric that leads a report and decides a comparison: auc, log_loss or rmse."""
    return METRICS[task][0]


LOSS: Mapping[Task, str] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse", "forecast": "rmse"}


def loss_metric(task: Task) -> Additive:
    """Returns the metric whose first part is the loss of a row."""
    found = next(metric for metric in METRICS[task] if metric.name == LOSS[task])
    assert isinstance(found, Additive)
    return found


def losses(task: Task, y: Array, outputs: Array, *, metric: Additive | None = None) -> Floats:
    """Returns (rows,) log loss in nats, or squared error in the target's units (of a forecast, its mean over steps and targets).

    Args:
        metric: whose first part is taken instead.
    """
    return np.asarray((metric or loss_metric(task)).parts(y, outputs)[:, 0], np.float64)


def checked(task: Task, y: Array, outputs: Array) -> tuple[Array, Array]:
    """Returns `y` as indices or float64 and `outputs` as float64.

    Raises ValueError for shapes that do not fit each other and the task, for values that are not finite and for unknown
    classes.
    """
    outputs = np.asarray(outputs, np.float64)
    numbers = task in ("regression", "forecast")
    y = np.asarray(y, np.float64 if numbers else np.intp)
    fits = y.shape == outputs.shape if task == "forecast" else y.ndim == 1 and len(y) == len(outputs)
    if outputs.ndim != {"multiclass": 2, "forecast": 3}.get(task, 1) or not fits:
        raise ValueError(f"{task}: targets of shape {y.shape} do not fit outputs of shape {outputs.shape}")
    if not np.isfinite(outputs).all() or not np.isfinite(y).all():
        raise ValueError(f"{task}: targets or outputs that are not finite")
    classes = outputs.shape[1] if task == "multiclass" else 2
    if not numbers and len(y) and not 0 <= y.min() <= y.max() < classes:
        raise ValueError(f"{task}: classes {y.min()} to {y.max()} where 0 to {classes - 1} were expected")
    return y, outputs


def compute(task: Task, y: Array, outputs: Array, weight: Array | None = None) -> dict[str, float]:
    """Returns every metric of the task by name, nan where undefined.  Raises ValueError as `checked` does."""
    y, outputs = checked(task, y, outputs)
    return {metric.name: metric(y, outputs, weight) for metric in METRICS[task]}
