"""Evaluate: the network on the test split, beside baselines on the same rows.  Run: `python -m pipeline evaluate`."""

from __future__ import annotations

import logging
from dataclasses import asdict

import numpy as np

from pipeline import files, paths, tracking
from pipeline.config import EvaluateParams
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import device

log = logging.getLogger(__name__)


def run(seed: int, evaluate: EvaluateParams) -> None:
    """Write metrics with intervals, curves, figures and the network's outputs to reports/evaluate/; add them to train's run."""
    device.start()
    import keras

    import pipeline.models.layers  # noqa: F401  (what model.keras is made of)
    from pipeline.evaluation import figures, gallery, intervals, metrics
    from pipeline.evaluation.baselines import Arrays, fit_baselines
    from pipeline.models.fit import inputs, outputs

    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    train, test = arrays.load("train"), arrays.load("test")
    network = keras.models.load_model(paths.MODEL, compile=False)
    sizes = tuple(len(category.tokens) + 1 for category in fitted.categories)
    rows = {side: Arrays(blocks.number, blocks.category, sizes, blocks.target) for side, blocks in (("train", train), ("test", test))}
    baselines = fit_baselines(fitted.task, rows["train"], n_classes=len(fitted.target.classes), seed=seed)
    found = {"network": outputs(network, fitted, inputs(test, fitted))} | {
        name: predict(rows["test"]) for name, predict in baselines.items()
    }
    y = np.asarray(test.target)
    result = intervals.bootstrap(
        fitted.task, y, found, np.asarray(test.group), replicates=evaluate.replicates, confidence=evaluate.confidence, seed=seed
    )
    values = {model: {name: interval.value for name, interval in metrics.items()} for model, metrics in result.models.items()}
    main = metrics.main_metric(fitted.task).name
    with files.replaced(paths.METRICS.parent) as folder:
        shown = {"test": values["network"], "baseline": {model: {main: values[model][main]} for model in baselines}}
        files.write_json(folder / paths.METRICS.name, shown)
        files.write_json(folder / "intervals.json", asdict(result))
        np.save(folder / paths.OUTPUTS.name, found["network"])
        for name, table in gallery.curves(fitted.task, y, found["network"]).items():
            files.write_csv(folder / f"{name}.csv", [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)])
        for name, figure in gallery.drawn(fitted.task, y, found, fitted.target.classes).items():
            figures.save(figure, folder / f"{name}.png")
    tracked = tracking.Run(files.read_json(paths.RUN)["run_id"])
    tracked.metrics({f"test/{name}": value for name, value in values["network"].items()})
    tracked.metrics({f"test/{name}/{end}": getattr(i, end) for name, i in result.models["network"].items() for end in ("low", "high")})
    tracked.metrics({f"baseline/{model}/{main}": values[model][main] for model in baselines})
    tracked.files([paths.METRICS.parent])
    for name, i in result.models["network"].items():
        others = ", ".join(f"{model} {values[model][name]:.5g}" for model in baselines)
        log.info("%-18s %.5g [%.5g, %.5g]   (%s)", name, i.value, i.low, i.high, others)
