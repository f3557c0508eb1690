"""Evaluate: the network on the test split, beside baselines on the same rows.  Run: `python -m pipeline evaluate`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline import files, paths
from pipeline.config import EvaluateParams, SplitParams
from pipeline.data import prepared
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.data.schema import Schema
from pipeline.errors import UserError
from pipeline.models import device
from pipeline.tracking import runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.evaluation.explaining import Explained
    from pipeline.evaluation.influence import Predict
    from pipeline.evaluation.intervals import Intervals
    from pipeline.evaluation.metrics import Additive

log = logging.getLogger(__name__)


def run(seed: int, split: SplitParams, evaluate: EvaluateParams) -> None:
    """Write metrics with intervals, curves, figures and the network's outputs to reports/evaluate/; add them to train's run."""
    device.start()
    import keras

    import pipeline.models.layers  # noqa: F401  (what model.keras is made of)
    from pipeline.evaluation import figures
    from pipeline.models.fit import outputs

    fitted = Preprocessor.from_json(paths.FITTED.read_text(encoding="utf-8"))
    network = keras.models.load_model(paths.MODEL, compile=False, safe_mode=True)
    judge = _forecasts if fitted.forecast else _rows
    with prepared.sides(fitted, split, ("train", "test")) as sides:
        found = {"network": outputs(network, fitted, sides["test"])}
        judged = judge(fitted, sides["train"], sides["test"], found, seed, evaluate)
        explained = _explained(
            fitted, sides["test"], judged, found["network"], lambda given: outputs(network, fitted, given), seed, evaluate
        )
    result, models = judged.intervals, judged.intervals.models
    main = next(iter(models["network"]))
    values = {model: {name: interval.value for name, interval in measured.items()} for model, measured in models.items()}
    others = [model for model in models if model != "network"]
    with files.replaced(paths.METRICS.parent) as folder:
        shown = {"test": values["network"], "baseline": {model: {main: values[model][main]} for model in others}}
        files.write_json(folder / paths.METRICS.name, shown)
        files.write_json(folder / "intervals.json", asdict(result) | {"definitions": judged.definitions})
        np.save(folder / paths.OUTPUTS.name, found["network"])
        for name, table in judged.curves.items():
            files.write_csv(folder / f"{name}.csv", [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)])
        for name, figure in {**judged.figures, **explained.figures}.items():
            figures.save(figure, folder / f"{name}.png")
        for name, rows in explained.tables.items():
            files.write_csv(folder / f"{name}.csv", rows)
        files.write_json(folder / "slices.json", explained.parts)
    with runs.reopened(paths.RUN, "evaluate") as tracked:
        tracked.metrics({f"test/{name}": value for name, value in values["network"].items()})
        tracked.metrics({f"test/{name}/{end}": getattr(i, end) for name, i in models["network"].items() for end in ("low", "high")})
        tracked.metrics({f"baseline/{model}/{main}": values[model][main] for model in others})
        told = models["network"][main]
        interval = f" [{told.low:.4g}, {told.high:.4g}]" if told.low == told.low else ""
        tracked.tags({"mlflow.note.content": f"{tracked.about} Test {main} {told.value:.4g}{interval}."})
        tracked.files([paths.METRICS.parent])
        tracked.save(paths.METRICS.parent)
    for sentence in explained.parts.get("worse", [])[:3]:
        log.info("worse than elsewhere: %s", sentence)
    for name, i in models["network"].items():
        beside = ", ".join(f"{model} {values[model][name]:.5g}" for model in others)
        log.info("%-18s %.5g [%.5g, %.5g]   (%s)", name, i.value, i.low, i.high, beside)


@dataclass(frozen=True)
class Judged:
    """Intervals of network and baselines, tables of curves, figures, and what the baselines are, in words."""

    intervals: Intervals
    curves: Mapping[str, Mapping[str, np.ndarray]]
    figures: Mapping[str, Figure]
    definitions: Mapping[str, str]
    truth: np.ndarray
    """What the rows turned out to be."""
    groups: np.ndarray
    """Rows that are drawn together."""
    metric: Additive | None = None
    """Of a forecast, the one that leads."""


def _rows(fitted: Preprocessor, train: Side, test: Side, found: dict[str, np.ndarray], seed: int, evaluate: EvaluateParams) -> Judged:
    """The network's outputs, to which those of the baselines are added, for rows that are independent or grouped."""
    from pipeline.evaluation import baselines, gallery, intervals

    sizes = tuple(len(category.tokens) + 1 for category in fitted.categories)
    media = [name for name in train.more if name != "fold"]

    def rows(side: Side) -> baselines.Arrays:
        return baselines.Arrays(side.number, side.category, sizes, side.target, {name: side.more[name] for name in media})

    models = baselines.fit_baselines(fitted.task, rows(train), n_classes=len(fitted.target.classes), seed=seed)
    found |= {name: predict(rows(test)) for name, predict in models.items()}
    y = np.asarray(test.target)
    settings: dict[str, Any] = {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
    result = intervals.bootstrap(fitted.task, y, found, np.asarray(test.group), **settings)
    drawn = gallery.drawn(fitted.task, y, found, fitted.target.classes)
    definitions = dict(baselines.DEFINITIONS) | ({"media": baselines.MEDIA} if media else {})
    curves = gallery.curves(fitted.task, y, found["network"])
    return Judged(result, curves, drawn, definitions, y, np.asarray(test.group))


def _explained(
    fitted: Preprocessor, test: Side, judged: Judged, answers: np.ndarray, predict: Predict, seed: int, evaluate: EvaluateParams
) -> Explained:
    """Parts of the test rows on which the network is worse, its errors, and what it answers by."""
    from pipeline.evaluation import explaining, influence
    from pipeline.models.feeding import inputs

    settings: dict[str, Any] = {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
    some = influence.sampled(fitted, len(judged.truth), seed=seed)
    asked = predict, inputs(test, fitted, some), judged.truth[some], judged.groups[some]
    if fitted.forecast:
        return explaining.why(fitted, *asked, None, **settings, metric=judged.metric)
    there = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8")).compared()
    if unknown := [name for name in evaluate.protected if name not in there]:
        raise UserError(f"evaluate.protected: {', '.join(unknown)}: expected columns of numbers, categories or dates: {', '.join(there)}")
    table = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS, columns=there)
    why = explaining.why(fitted, *asked, table.iloc[some].reset_index(drop=True), **settings)
    rows = explaining.rows(fitted, judged.truth, answers, judged.groups, table, protected=evaluate.protected, **settings)
    return explaining.Explained(rows.parts, {**rows.tables, **why.tables}, why.figures)


def _forecasts(fitted: Preprocessor, train: Side, test: Side, found: dict[str, np.ndarray], seed: int, evaluate: EvaluateParams) -> Judged:
    """The same for windows, which overlap: blocks of them are drawn together."""
    from pipeline.evaluation import forecast_figures, forecasting, intervals, metrics

    forecast = fitted.forecast
    assert forecast is not None
    scales = forecasting.scales(train, forecast)
    found |= {name: predict(test) for name, predict in forecasting.fit_forecasts(train, forecast, scales).items()}
    y = forecasting.future(test, forecast)
    block = evaluate.block or 2 * forecast.horizon
    settings: dict[str, Any] = {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
    measured, groups = metrics.forecast_metrics(scales.deviation, scales.naive), forecasting.blocks_of(test, block)
    lead = measured[0]
    assert isinstance(lead, metrics.Additive)
    result = intervals.bootstrap("forecast", y, found, groups, metrics=measured, **settings)
    steps = forecasting.by_step(y, found, scales)
    seen = min(forecast.look_back, forecast_figures.SEEN * forecast.horizon)
    some = np.linspace(0, len(y) - 1, min(len(y), forecast_figures.PANELS)).astype(int)
    past = forecasting.past(test, forecast, some, scales.mean)[:, -seen:]
    shown = {name: outputs[some] for name, outputs in found.items()}
    names = [target.column for target in forecast.targets]
    drawn = {
        "forecast": forecast_figures.examples(past, y[some], shown, names, windows=some, of=len(y)),
        "error_by_step": forecast_figures.error_by_step(steps),
    }
    definitions = {**forecasting.DEFINITIONS, "season": f"{scales.season} steps", "block": f"{block} steps are drawn together"}
    return Judged(result, {"error_by_step": steps}, drawn, definitions, y, groups, lead)
