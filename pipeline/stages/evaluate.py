"""Evaluate: the network on the test split, beside baselines on the same rows.  Run: `python -m pipeline evaluate`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline import files, paths
from pipeline.config import EvaluateParams, ModelParams, NormalizeParams, SplitParams, TrainParams, override
from pipeline.data import prepared
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.data.schema import Schema
from pipeline.errors import UserError
from pipeline.models import device
from pipeline.terminal import progress
from pipeline.terminal.progress import SUMMARY
from pipeline.tracking import runs

if TYPE_CHECKING:
    from pipeline.evaluation.explaining import Explained
    from pipeline.evaluation.measuring import Measured

log = logging.getLogger(__name__)


def run(
    seed: int, split: SplitParams, normalize: NormalizeParams, model: ModelParams, train: TrainParams, evaluate: EvaluateParams
) -> None:
    """Write metrics with intervals, curves, figures and the network's outputs to reports/evaluate/; add them to train's run.

    What is learnt of its outputs (calibration, threshold, intervals) is learnt on validation, and goes into the package.
    """
    now = override({"normalize": normalize, "model": model, "train": train}, files.read_json(paths.RUN)["tuned"])
    with progress.step("starting Keras"):
        device.start(*(now["train"].device, now["train"].backend) if evaluate.shares else ())
        import keras

    import pipeline.models.layers  # noqa: F401  (what model.keras is made of)
    from pipeline.evaluation.measuring import measure
    from pipeline.models import own
    from pipeline.models.feeding import inputs
    from pipeline.models.fit import outputs
    from pipeline.monitoring import embedding

    fitted = Preprocessor.from_json(paths.FITTED.read_text(encoding="utf-8"))
    own.register_trained(files.read_json(paths.RUN).get("encoders", {}))
    network = keras.models.load_model(paths.MODEL, compile=False, safe_mode=True)
    asked = lambda given: outputs(network, fitted, given)  # noqa: E731
    with prepared.sides(fitted, split, ("train", "validation", "test")) as sides:
        with progress.step("network and baselines"):
            measured = measure(fitted, sides, asked, evaluate, seed)
        calibrated = lambda given: measured.answers.calibrated(asked(given))  # noqa: E731
        explained = _explained(fitted, sides["test"], measured, calibrated, seed, evaluate) | _attributed(
            network, fitted, sides["test"], measured
        )
        explained |= _shared(fitted, sides, measured, seed, evaluate, {"model": now["model"], "params": now["train"]})
        held = [sides[name] for name in ("validation", "test")]
        read = lambda side, rows: inputs(side, fitted, rows)  # noqa: E731
        watched = embedding.of_sides(network, held, read) if embedding.worth(fitted) else None
    _write(measured, explained, watched)
    for sentence in explained.parts.get("worse", [])[:3]:
        log.info("worse than elsewhere: %s", sentence)
    if sentence := explained.parts.get("disturbed"):
        log.info("disturbed: %s", sentence)
    if sentence := explained.parts.get("more_rows"):
        log.info("more rows: %s", sentence)
    models = measured.intervals.models
    others = [model for model in models if model != "network"]
    for name, i in models["network"].items():
        beside = ", ".join(f"{model} {models[model][name].value:.5g}" for model in others)
        log.info(
            "%-18s %.5g [%.5g, %.5g]   (%s)",
            name,
            i.value,
            i.low,
            i.high,
            beside,
            extra=SUMMARY if name == next(iter(models["network"])) else None,
        )


def _write(measured: Measured, explained: Explained, embeddings: np.ndarray | None) -> None:
    """Everything into reports/evaluate/, and into train's run."""
    from pipeline.evaluation import figures

    models = measured.intervals.models
    main, *_ = models["network"]
    values = {model: {name: interval.value for name, interval in of.items()} for model, of in models.items()}
    baselines = {model: {main: values[model][main]} for model in models if model != "network"}
    facts = {"definitions": measured.definitions, "higher_is_better": {metric.name: metric.higher_is_better for metric in measured.metrics}}
    facts["meanings"] = {metric.name: metric.definition for metric in measured.metrics}
    with files.replaced(paths.METRICS.parent) as folder:
        files.write_json(folder / paths.METRICS.name, {"test": values["network"], "baseline": baselines})
        files.write_json(folder / "intervals.json", asdict(measured.intervals) | facts)
        files.write_text(folder / paths.ANSWERS.name, measured.answers.to_json())
        np.save(folder / paths.OUTPUTS.name, measured.outputs)
        np.save(folder / paths.VALIDATION_OUTPUTS.name, measured.validation)
        if embeddings is not None:
            np.save(folder / paths.EMBEDDINGS.name, embeddings)
        for name, table in measured.curves.items():
            files.write_csv(folder / f"{name}.csv", [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)])
        for name, figure in {**measured.figures, **explained.figures}.items():
            figures.save(figure, folder / f"{name}.png")
        for name, rows in explained.tables.items():
            files.write_csv(folder / f"{name}.csv", rows)
        files.write_json(folder / "slices.json", explained.parts)
        files.write_json(folder / "quality.json", measured.quality)
    with runs.reopened(paths.RUN, "evaluate") as tracked:
        tracked.metrics({f"test/{name}": value for name, value in values["network"].items()})
        tracked.metrics({f"test/{name}/{end}": getattr(i, end) for name, i in models["network"].items() for end in ("low", "high")})
        tracked.metrics({f"baseline/{model}/{main}": of[main] for model, of in baselines.items()})
        told = models["network"][main]
        interval = f" [{told.low:.4g}, {told.high:.4g}]" if told.low == told.low else ""
        tracked.tags({"mlflow.note.content": f"{tracked.about} Test {main} {told.value:.4g}{interval}."})
        tracked.files([paths.METRICS.parent])
        tracked.save(paths.METRICS.parent)


def _explained(
    fitted: Preprocessor, test: Side, measured: Measured, predict: Callable[[Any], np.ndarray], seed: int, evaluate: EvaluateParams
) -> Explained:
    """Parts of the test rows on which the network is worse, its errors, and what it answers by."""
    from pipeline.evaluation import explaining, influence
    from pipeline.models.feeding import inputs

    settings: dict[str, Any] = {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
    some = influence.sampled(fitted, len(measured.truth), seed=seed)
    asked = predict, inputs(test, fitted, some), measured.truth[some], measured.groups[some]
    hard = explaining.disturbed(fitted, *asked, **settings, metric=measured.metrics[0])
    if fitted.forecast:
        return hard | explaining.why(fitted, *asked, None, **settings, metric=measured.metric)
    there = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8")).compared()
    if unknown := [name for name in evaluate.protected if name not in there]:
        raise UserError(f"evaluate.protected: {', '.join(unknown)}: expected columns of numbers, categories or dates: {', '.join(there)}")
    table = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS, columns=there)
    why = explaining.why(fitted, *asked, table.iloc[some].reset_index(drop=True), **settings)
    told = measured.truth, measured.outputs, measured.groups, table
    rows = explaining.rows(fitted, *told, answers=measured.answers, protected=evaluate.protected, own=measured.own, **settings)
    return rows | why | hard


def _shared(
    fitted: Preprocessor, sides: Mapping[str, Side], measured: Measured, seed: int, evaluate: EvaluateParams, how: Mapping[str, Any]
) -> Explained:
    """What parts of train would have given, and so whether more rows would help; nothing where evaluate.shares names none."""
    from pipeline.evaluation import data_curve_figures, measuring
    from pipeline.evaluation.explaining import Explained
    from pipeline.models.fit import actual
    from pipeline.training import data_curve

    if not evaluate.shares:
        return Explained()
    train, validation, test = (sides[name] for name in paths.SIDES[:3])
    tell = lambda share, rows, result: log.info("%d rows: validation loss %.4f", rows, result.best["validation/loss"])  # noqa: E731
    raw = data_curve.networks(fitted, train, validation, test, evaluate.shares, **how, seed=seed, on_part=tell)
    known, groups = actual(validation, fitted), np.asarray(validation.group)
    parts = data_curve.calibrated(raw, lambda outputs: measuring.learnt(fitted, known, groups, evaluate, seed, outputs))
    settings: dict[str, Any] = {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
    asked = measured.truth, parts, measured.outputs, measured.groups
    found = data_curve.curve(fitted.task, *asked, train=train, metric=measured.metrics[0], **settings)
    told, figure = data_curve.rows_of(found), data_curve_figures.data_curve(found)
    return Explained({"more_rows": data_curve.sentence(found)}, {"data_curve": told}, {"data_curve": figure})


def _attributed(network: Any, fitted: Preprocessor, test: Side, measured: Measured) -> Explained:
    """What the answers for a few test rows rest on; nothing for tables and sounds."""
    from pipeline.evaluation import attribution, attribution_figures
    from pipeline.evaluation.explaining import Explained
    from pipeline.models.feeding import inputs

    rows = attribution.chosen(fitted, measured.truth, measured.outputs, measured.groups)
    given = inputs(test, fitted, rows)
    found = attribution.attribute(network, fitted, given, measured.truth[rows], measured.outputs[rows], rows)
    if not found:
        return Explained()
    return Explained({}, {"attribution": attribution.rows_of(found)}, {"attribution": attribution_figures.attribution(found)})
