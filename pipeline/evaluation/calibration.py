"""What is learnt of a network's outputs on validation: calibration, the threshold of a class, intervals of numbers.

`y` and `outputs` are as in `metrics`; `groups` is (rows,) of codes, and rows with an equal code belong together.  Nothing here sees
a test row but `quality`, which measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline.data.fitted import Task
from pipeline.errors import UserError
from pipeline.evaluation import intervals
from pipeline.evaluation.metrics import DECIDED, METRICS, Additive, Array, Floats, Metric, deciding, losses, probability_bins, top_label
from pipeline.models.answers import Answers, tempered

FOLDS = 5
LEVEL = 0.05  # a calibration is kept where it lowers the loss of unseen validation rows this surely
CANDIDATES = 500  # thresholds that are tried, at most
BIN = 200  # rows of a bin of predicted numbers, at least: its tails are then known to some rows
BINS = 10
TEMPERATURES = (0.05, 20.0)


def fit(
    task: Task,
    y: Array,
    outputs: Array,
    groups: Array,
    *,
    calibration: str = "auto",
    threshold: float | str = "auto",
    costs: Sequence[Sequence[float]] = (),
    coverage: float = 0.9,
    seed: int = 0,
) -> Answers:
    """Returns what validation rows teach of the outputs.

    Args:
        calibration: "none", "temperature", "isotonic" (two classes), or "auto": the one of lowest loss in cross-validation over
            whole groups, if it surely lowers that of the outputs as they are, else none.
        threshold: of two classes, a probability, a metric of `DECIDED` that is best there, "cost", or "auto": by the costs, else 0.5.
        costs: of each true class (down) when each is answered (across).
        coverage: of the intervals of numbers.

    Raises:
        UserError: something is asked that the task has not.
    """
    if task in ("regression", "forecast"):
        _refuse(task, calibration, threshold, costs)
        learn = _forecast_reach if task == "forecast" else _reach
        return replace(Answers(task, coverage=coverage), **learn(y, outputs, coverage))
    answers = replace(_calibration(task, y, outputs, groups, calibration, seed), coverage=coverage, costs=tuple(map(tuple, costs)))
    if task == "multiclass":
        if threshold != "auto":
            raise UserError(f"evaluate.threshold: {threshold} is for two classes, here are {outputs.shape[1]}; set auto, or evaluate.costs")
        return answers
    if isinstance(threshold, float | int):
        return replace(answers, threshold=float(threshold))
    name = ("cost" if costs else None) if threshold == "auto" else threshold
    return answers if name is None or not len(y) else replace(answers, threshold=_best(name, y, answers.calibrated(outputs), costs))


def _refuse(task: Task, calibration: str, threshold: float | str, costs: Sequence[Any]) -> None:
    asked = {"calibration": calibration not in ("auto", "none"), "threshold": threshold != "auto", "costs": bool(costs)}
    if wrong := [f"evaluate.{key}" for key, is_set in asked.items() if is_set]:
        raise UserError(f"{', '.join(wrong)}: for classes, but {task} predicts numbers; leave it out")


# -- calibration


def _calibration(task: Task, y: Array, outputs: Array, groups: Array, asked: str, seed: int) -> Answers:
    plain, methods = Answers(task), _methods(task)
    if asked not in ("auto", "none", *methods):
        raise UserError(
            f"evaluate.calibration: {asked} is for two classes, here are {outputs.shape[1]}; expected auto, none or temperature"
        )
    if asked == "none" or len(np.unique(y)) < 2:
        return plain
    if asked != "auto":
        return methods[asked](task, y, outputs)
    folds = _folds(groups, seed)
    if folds is None:
        return plain
    before, after = losses(task, y, outputs), {}
    for name, learn in methods.items():
        after[name] = np.empty(len(y))
        for fold in range(FOLDS):
            held = folds == fold
            after[name][held] = losses(task, y[held], learn(task, y[~held], outputs[~held]).calibrated(outputs[held]))
    helps = {name: (p := intervals.above_zero(before - found, groups)) is not None and p < LEVEL for name, found in after.items()}
    best = min((name for name in methods if helps[name]), key=lambda name: float(after[name].mean()), default=None)
    return plain if best is None else methods[best](task, y, outputs)


def _methods(task: Task) -> dict[str, Callable[[Task, Array, Array], Answers]]:
    found: dict[str, Callable[[Task, Array, Array], Answers]] = {"temperature": _temperature}
    return found | ({"isotonic": _isotonic} if task == "binary" else {})


def _folds(groups: Array, seed: int) -> Array | None:
    """(rows,) fold of each row, whole groups together; None with too few groups."""
    codes, units = np.unique(groups, return_inverse=True)
    if len(codes) < intervals.FEWEST:
        return None
    return np.asarray((np.random.default_rng(seed).permutation(len(codes)) % FOLDS)[units])


def _temperature(task: Task, y: Array, outputs: Array) -> Answers:
    """The temperature of least log loss."""
    found = minimize_scalar(
        lambda log: float(losses(task, y, tempered(outputs, np.exp(log))).mean()), bounds=np.log(TEMPERATURES), method="bounded"
    )
    return Answers(task, "temperature", float(np.exp(found.x)))


def _isotonic(task: Task, y: Array, outputs: Array) -> Answers:
    """A rising line through the centers of the blocks that isotonic regression makes (Oron & Flournoy 2017).

    Its steps would make ties of rows in another order, which costs AUC; this line leaves the order as it is.  The ends keep the
    chance that one more row would be of the other class (Laplace).
    """
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(y) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit_transform(outputs, y)
    levels, block, rows = np.unique(fitted, return_inverse=True, return_counts=True)
    centers = np.bincount(block, weights=outputs) / rows
    inner = (centers > 0) & (centers < 1)
    knots, levels = np.concatenate([[0.0], centers[inner], [1.0]]), np.concatenate([[least / 2], levels[inner], [1 - least / 2]])
    return Answers(task, "isotonic", knots=tuple(knots.tolist()), levels=tuple(levels.tolist()))


# -- decisions


def cost_matrix(costs: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    """Returns costs of each true class (down) when each is answered (across); what is not named costs 1, a right answer 0.

    Raises:
        UserError: an unknown class.
    """
    if not costs:
        return ()
    named = {*costs, *(name for answered in costs.values() for name in answered)}
    if unknown := sorted(named - set(classes)):
        raise UserError(f"evaluate.costs: no class {', '.join(unknown)}; there are: {', '.join(classes)}")
    return tuple(tuple(float(costs.get(true, {}).get(told, true != told)) for told in classes) for true in classes)


def _best(name: str, y: Array, outputs: Array, costs: Sequence[Sequence[float]]) -> float:
    """The threshold at which a metric is best, in the middle of those that are as good."""
    if name not in DECIDED["binary"] and name != "cost":
        raise UserError(f"evaluate.threshold: expected auto, a probability, cost, {' or '.join(DECIDED['binary'])}, got {name}")
    if name == "cost" and not costs:
        raise UserError("evaluate.threshold: cost: evaluate.costs says what mistakes cost, and is empty")
    values = np.unique(outputs)
    if len(values) > CANDIDATES:
        values = np.unique(np.quantile(outputs, np.linspace(0, 1, CANDIDATES), method="nearest"))
    tried = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, [np.nextafter(values[-1], 2)]])  # all, ..., none are positive
    scores = np.array([_score(name, y, outputs, Answers("binary", threshold=float(at), costs=tuple(map(tuple, costs)))) for at in tried])
    best = np.flatnonzero(scores >= np.nanmax(scores) - 1e-12)
    run = best[: np.argmax(np.append(np.diff(best) > 1, True)) + 1]  # the first stretch
    return float(np.clip(tried[run[len(run) // 2]], 0, 1))


def _score(name: str, y: Array, outputs: Array, answers: Answers) -> float:
    metric = next(metric for metric in decided(answers) if metric.name == name)
    return metric(y, outputs) * (1 if metric.higher_is_better else -1)


def decided(answers: Answers, costs: Sequence[Sequence[float]] = ()) -> tuple[Metric, ...]:
    """Returns the metrics of a task where classes are answered so, and the mean cost where mistakes have one (by default the answers')."""
    if answers.task not in DECIDED:
        return tuple(METRICS[answers.task])
    found = deciding(answers.task, answers.decide)
    prices = np.asarray(costs or answers.costs)
    if not len(prices):
        return found
    told = "Mean cost of the answered classes, by evaluate.costs."
    parts = lambda y, outputs: prices[y, answers.decide(outputs)][:, None]  # noqa: E731
    return (*found, Additive("cost", False, told, parts, lambda totals: totals[..., 1] / totals[..., 0]))


# -- intervals of numbers


def _reach(y: Array, outputs: Array, coverage: float) -> dict[str, Any]:
    """Split conformal intervals (Vovk, Gammerman & Shafer 2005) in bins of the predicted number, each tail by itself.

    Each bin of at least BIN rows has its own quantiles of y - prediction, so that the interval is wide where errors are large
    (Mondrian; Romano et al. 2019 for the tails).
    """
    count = max(1, min(BINS, len(y) // BIN))
    edges = np.unique(np.quantile(outputs, np.arange(1, count) / count)) if len(y) else np.empty(0)
    bins = np.searchsorted(edges, outputs, side="right")
    ends = [_tails(y[bins == at] - outputs[bins == at], coverage) for at in range(len(edges) + 1)]
    if any(end is None for end in ends):
        edges, ends = np.empty(0), [_tails(y - outputs, coverage)]
    if ends[0] is None:
        return {}
    low, high = zip(*(end for end in ends if end is not None), strict=True)
    return {"edges": tuple(edges.tolist()), "low": low, "high": high}


def _forecast_reach(y: Array, outputs: Array, coverage: float) -> dict[str, Any]:
    """The same for each step and target of (windows, horizon, targets)."""
    residual = y - outputs
    steps, targets = residual.shape[1:]
    ends = [[_tails(residual[:, step, target], coverage) for target in range(targets)] for step in range(steps)]
    if any(end is None for row in ends for end in row):
        return {}
    low, high = (tuple([end[side] for end in row if end] for row in ends) for side in (0, 1))
    return {"low": low, "high": high}


def _tails(residual: Floats, coverage: float) -> tuple[float, float] | None:
    """The ends between which one more residual lies with this chance, if it is as likely to have any rank; None with too few."""
    ordered = np.sort(residual[np.isfinite(residual)])
    beyond = int((len(ordered) + 1) * (1 - coverage) / 2)  # residuals left out at either end
    return (float(ordered[beyond - 1]), float(ordered[-beyond])) if beyond >= 1 else None


# -- measuring


@dataclass(frozen=True)
class Quality:
    """How well probabilities agree with what happened: the expected calibration error, and the parts of the Brier score.

    Murphy 1973: brier = reliability - resolution + uncertainty, over the bins of `ece` (the small rest lies within bins).
    """

    ece: float
    brier: float
    reliability: float
    resolution: float
    uncertainty: float


def quality(y: Array, outputs: Array) -> Quality:
    """Returns the calibration of two classes, or that of the answered class where there are more."""
    event, probability = (np.asarray(y, np.float64), outputs) if outputs.ndim == 1 else top_label(y, outputs)
    bins = np.unique(probability_bins(probability), return_inverse=True)[1]
    rows = np.bincount(bins)
    predicted, observed = (np.bincount(bins, values) / rows for values in (probability, event))
    weight, base = rows / len(event), event.mean()
    return Quality(
        ece=float(weight @ np.abs(predicted - observed)),
        brier=float(np.mean((probability - event) ** 2)),
        reliability=float(weight @ (predicted - observed) ** 2),
        resolution=float(weight @ (observed - base) ** 2),
        uncertainty=float(base * (1 - base)),
    )
