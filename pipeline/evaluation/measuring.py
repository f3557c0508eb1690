"""The network's and the baselines' answers for the test rows, measured side by side.

What turns outputs into answers (calibration, thresholds, intervals) is learnt on validation, for the baselines by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.evaluation import baselines, calibration, forecast_figures, forecasting, gallery, intervals, metrics, own
from pipeline.evaluation.metrics import Additive, Array, Metric
from pipeline.models.answers import Answers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.config import EvaluateParams

Outputs = Callable[[Side], Array]
NETWORK = "network"


@dataclass(frozen=True)
class Measured:
    """What was found of the network (called so) and of the baselines.

    outputs: the network's, calibrated; validation: the same for its rows.  truth and groups: (rows,) what the rows turned out to
    be, and which are drawn together.
    metric: of a forecast, the one that leads.  quality: calibration before and after, and coverage of intervals, as JSON has them.
    """

    answers: Answers
    intervals: intervals.Intervals
    metrics: tuple[Metric, ...]
    outputs: Array
    validation: Array
    truth: Array
    groups: Array
    curves: Mapping[str, Mapping[str, Array]]
    figures: Mapping[str, Figure]
    definitions: Mapping[str, str]
    quality: Mapping[str, Any] = field(default_factory=dict)
    metric: Additive | None = None

    @property
    def own(self) -> tuple[Metric, ...]:
        """Those of the metrics that are the user's."""
        return tuple(metric for metric in self.metrics if isinstance(metric, own.Measured))


def measure(fitted: Preprocessor, sides: Mapping[str, Side], outputs: Outputs, evaluate: EvaluateParams, seed: int) -> Measured:
    """Returns what the test rows say of a network.

    Args:
        sides: train, validation, test; outputs: the network's for one of them.

    Raises:
        UserError: evaluate's settings do not fit the task.
    """
    return (_windows if fitted.forecast else _rows)(fitted, sides, outputs, evaluate, seed)


def _rows(fitted: Preprocessor, sides: Mapping[str, Side], outputs: Outputs, evaluate: EvaluateParams, seed: int) -> Measured:
    sizes = tuple(len(category.tokens) + 1 for category in fitted.categories)
    owned, classes = own.load(evaluate.metrics, fitted.task), fitted.target.classes
    media = [name for name in sides["train"].more if name != "fold"]

    def rows(side: Side) -> baselines.Arrays:
        return baselines.Arrays(side.number, side.category, sizes, side.target, {name: side.more[name] for name in media})

    models = baselines.fit_baselines(fitted.task, rows(sides["train"]), n_classes=len(fitted.target.classes), seed=seed)
    (known, known_groups), (y, groups) = ((np.asarray(one.target), np.asarray(one.group)) for one in (sides["validation"], sides["test"]))
    learn = partial(learnt, fitted, known, known_groups, evaluate, seed)
    raw = outputs(sides["test"])
    before = outputs(sides["validation"])
    answers = {NETWORK: learn(before)}
    found = {NETWORK: answers[NETWORK].calibrated(raw)}
    for name, predict in models.items():
        answers[name] = learn(predict(rows(sides["validation"])))
        found[name] = answers[name].calibrated(predict(rows(sides["test"])))
    measured = {name: (*calibration.decided(one), *(each.of(one, classes) for each in owned)) for name, one in answers.items()}
    result = intervals.bootstrap(fitted.task, y, found, groups, metrics=measured, **_settings(evaluate, seed))
    mine = answers[NETWORK]
    uncalibrated = {} if mine.method == "none" else {"before calibration": raw}
    drawn = gallery.drawn(fitted.task, y, found, classes, mine.decide, uncalibrated)
    definitions = dict(baselines.DEFINITIONS) | ({"media": baselines.MEDIA} if media else {})
    quality = _quality(mine, y, raw, found[NETWORK], groups, evaluate, seed)
    curves = gallery.curves(fitted.task, y, found[NETWORK], mine.decide)
    validation = mine.calibrated(before)
    return Measured(mine, result, measured[NETWORK], found[NETWORK], validation, y, groups, curves, drawn, definitions, quality)


def _windows(fitted: Preprocessor, sides: Mapping[str, Side], outputs: Outputs, evaluate: EvaluateParams, seed: int) -> Measured:
    """The same for windows, which overlap: blocks of them are drawn together."""
    forecast = fitted.forecast
    assert forecast is not None
    owned = own.load(evaluate.metrics, "forecast")
    train, validation, test = (sides[name] for name in ("train", "validation", "test"))
    scales = forecasting.scales(train, forecast)
    before = outputs(validation)
    answers = learnt(fitted, forecasting.future(validation, forecast), np.empty(0), evaluate, seed, before)
    found = {NETWORK: outputs(test)}
    found |= {name: predict(test) for name, predict in forecasting.fit_forecasts(train, forecast, scales).items()}
    y = forecasting.future(test, forecast)
    block = evaluate.block or 2 * forecast.horizon
    measured, groups = metrics.forecast_metrics(scales.deviation, scales.naive), forecasting.blocks_of(test, block)
    lead = measured[0]
    measured = (*measured, *(each.of(answers, ()) for each in owned))
    assert isinstance(lead, Additive)
    result = intervals.bootstrap("forecast", y, found, groups, metrics=measured, **_settings(evaluate, seed))
    steps = forecasting.by_step(y, found, scales)
    seen = min(forecast.look_back, forecast_figures.SEEN * forecast.horizon)
    some = np.linspace(0, len(y) - 1, min(len(y), forecast_figures.PANELS)).astype(int)
    past = forecasting.past(test, forecast, some, scales.mean)[:, -seen:]
    shown = {name: one[some] for name, one in found.items()}
    names = [target.column for target in forecast.targets]
    drawn = {
        "forecast": forecast_figures.examples(past, y[some], shown, names, windows=some, of=len(y)),
        "error_by_step": forecast_figures.error_by_step(steps),
    }
    definitions = {**forecasting.DEFINITIONS, "season": f"{scales.season} steps", "block": f"{block} steps are drawn together"}
    quality = _quality(answers, y, found[NETWORK], found[NETWORK], groups, evaluate, seed)
    curves = {"error_by_step": steps}
    return Measured(answers, result, measured, found[NETWORK], before, y, groups, curves, drawn, definitions, quality, lead)


def learnt(fitted: Preprocessor, y: Array, groups: Array, evaluate: EvaluateParams, seed: int, outputs: Array) -> Answers:
    """What outputs for validation rows, their truth and their groups, teach: calibration, threshold, intervals."""
    classes = fitted.target.classes
    costs: Any = calibration.cost_matrix(evaluate.costs, classes) if classes else tuple(evaluate.costs)  # which `fit` refuses for numbers
    settings: dict[str, Any] = {"calibration": evaluate.calibration, "threshold": evaluate.threshold, "coverage": evaluate.coverage}
    return calibration.fit(fitted.task, y, outputs, groups, **settings, costs=costs, seed=seed)


def _quality(answers: Answers, y: Array, raw: Array, outputs: Array, groups: Array, evaluate: EvaluateParams, seed: int) -> dict[str, Any]:
    """Calibration of the outputs before and after, or the share of test values inside their intervals and the intervals' width."""
    if answers.task in ("binary", "multiclass"):
        probabilities = {name: asdict(calibration.quality(y, one)) for name, one in (("before", raw), ("after", outputs))}
        return {"method": answers.method, "temperature": answers.temperature, "threshold": answers.threshold, **probabilities}
    ends = answers.between(outputs)
    if ends is None:
        return {"coverage": None}
    facts = {"coverage": (ends[0] <= y) & (y <= ends[1]), "width": ends[1] - ends[0]}
    found = {name: np.asarray(values, np.float64).reshape(len(y), -1).mean(axis=1) for name, values in facts.items()}
    measured = intervals.means(found, groups, **_settings(evaluate, seed))
    return {"asked": evaluate.coverage} | {name: asdict(one) for name, one in measured.items()}


def _settings(evaluate: EvaluateParams, seed: int) -> dict[str, Any]:
    return {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
