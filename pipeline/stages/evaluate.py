"""Evaluate: the network on the test split, beside baselines on the same rows.  Run: `python -m pipeline evaluate`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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

    from pipeline.evaluation.intervals import Intervals

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
        for name, figure in judged.figures.items():
            figures.save(figure, folder / f"{name}.png")
        for name, rows in judged.tables.items():
            files.write_csv(folder / f"{name}.csv", rows)
        files.write_json(folder / "slices.json", judged.parts)
    with runs.reopened(paths.RUN, "evaluate") as tracked:
        tracked.metrics({f"test/{name}": value for name, value in values["network"].items()})
        tracked.metrics({f"test/{name}/{end}": getattr(i, end) for name, i in models["network"].items() for end in ("low", "high")})
        tracked.metrics({f"baseline/{model}/{main}": values[model][main] for model in others})
        told = models["network"][main]
        interval = f" [{told.low:.4g}, {told.high:.4g}]" if told.low == told.low else ""
        tracked.tags({"mlflow.note.content": f"{tracked.about} Test {main} {told.value:.4g}{interval}."})
        tracked.files([paths.METRICS.parent])
        tracked.save(paths.METRICS.parent)
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
    parts: Mapping[str, Any] = field(default_factory=dict)
    """Of the rows, where the network is worse, and gaps between the categories of protected columns."""
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


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
    return Judged(result, curves, drawn, definitions, *_parts(fitted, y, found["network"], np.asarray(test.group), settings, evaluate))


def _parts(
    fitted: Preprocessor, y: np.ndarray, outputs: np.ndarray, groups: np.ndarray, settings: dict[str, Any], evaluate: EvaluateParams
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Parts of the test rows on which the network is worse than elsewhere, and its rates by category of the protected columns."""
    from pipeline.evaluation import slices

    there = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8")).compared()
    if unknown := [name for name in evaluate.protected if name not in there]:
        raise UserError(f"evaluate.protected: {', '.join(unknown)}: expected columns of numbers, categories or dates: {', '.join(there)}")
    table = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS, columns=there)
    found = slices.find(fitted.task, y, outputs, groups, table)
    told = {
        "worse": [slices.sentence(fitted.task, one) for one in found.worse],
        **{name: getattr(found, name) for name in ("looked_at", "too_small", "named", "explained", "loss")},
    }
    tables = {"slices": slices.slice_rows(found.worse or found.all_singles)}
    if evaluate.protected:
        fair = slices.fairness(fitted.task, y, outputs, table, evaluate.protected, groups, **settings)
        told["gaps"] = slices.gap_rows(fair)
        tables["fairness"] = slices.rate_rows(fair)
    for sentence in told["worse"][:3]:
        log.info("worse than elsewhere: %s", sentence)
    return told, tables


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
    result = intervals.bootstrap(
        "forecast",
        y,
        found,
        forecasting.blocks_of(test, block),
        metrics=metrics.forecast_metrics(scales.deviation, scales.naive),
        **settings,
    )
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
    return Judged(result, {"error_by_step": steps}, drawn, definitions)
