"""Tune: a sweep finds the values that validation likes best.  Run: `python -m pipeline tune`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import files, lineage, paths, tracking
from pipeline.config import ModelParams, Scalar, TrainParams, TuneParams, override
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import device

log = logging.getLogger(__name__)


def run(seed: int, model: ModelParams, train: TrainParams, tune: TuneParams) -> None:
    """Search tune.space on train and validation; write best.yaml and trials.csv to reports/tune/."""
    with files.replaced(paths.BEST.parent) as folder:
        provenance: dict[str, Any] = {"trials": tune.trials}
        chosen: dict[str, Scalar] = {}
        trials: list[dict[str, Any]] = []
        if tune.trials:
            chosen, trials, provenance = _search(seed, model, train, tune)
        with (folder / paths.BEST.name).open("w", encoding="utf-8") as out:
            YAML().dump({"params": chosen, "from": provenance}, out)
        shown = ("number", "state", "value", "epochs")
        files.write_csv(folder / "trials.csv", [{k: t[k] for k in shown} | t["params"] for t in trials])
    if trials:
        source = Path(files.read_json(paths.SOURCE)["source"]).stem
        written = [paths.BEST, paths.BEST.with_name("trials.csv")]
        tracking.log_study(source, provenance["study"], trials, {"value": provenance["validation_loss"], "params": chosen}, written)


def _search(
    seed: int, model: ModelParams, train: TrainParams, tune: TuneParams
) -> tuple[dict[str, Scalar], list[dict[str, Any]], dict[str, Any]]:
    """The best values, all trials, and what best.yaml says of where its values come from."""
    device.start(train.device, train.backend)
    from pipeline import tuning
    from pipeline.models.fit import fit

    sections = {"model": model, "train": train}
    train_side, validation = (arrays.load(side) for side in paths.SIDES[:2])
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    study = lineage.fingerprint(
        code=Path(__file__),
        data=[*arrays.files(*paths.SIDES[:2]), *([Path(train.start_from)] if train.start_from else [])],
        params={"seed": seed, **sections, "tune": tune.model_dump(exclude={"trials"})},  # more trials continue the study
    )

    def objective(values: Mapping[str, Scalar], report: tuning.Report) -> float:
        now = override(sections, values)
        on_epoch = lambda epoch, row: report(epoch, row["validation/loss"])  # noqa: E731
        return fit(fitted, train_side, validation, model=now["model"], params=now["train"], seed=seed, on_epoch=on_epoch).best[
            "validation/loss"
        ]

    def on_trial(trial: Any) -> None:
        outcome = f"{trial.value:.4f}" if trial.state.name == "COMPLETE" else trial.state.name.lower()
        shown = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
        log.info("trial %d of %d: %s after %d epochs (%s)", trial.number, tune.trials, outcome, len(trial.intermediate_values), shown)

    result = tuning.sweep(
        objective,
        tune,
        defaults={key: getattr(sections[(part := key.split("."))[0]], part[1]) for key in tune.space},
        epochs=train.epochs,
        seed=seed,
        journal=paths.state() / "studies" / f"{study}.log",
        on_trial=on_trial,
    )
    log.info("best: trial %d of %d, validation loss %.4f", result.best_trial.number, tune.trials, result.best_value)
    found = {"study": study, "trials": tune.trials, "best_trial": result.best_trial.number, "validation_loss": result.best_value}
    return tuning.best(result), tuning.table(result), found
