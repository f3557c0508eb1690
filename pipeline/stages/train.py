"""Train: one network or an ensemble, one MLflow run.  Run: `python -m pipeline train`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from ruamel.yaml import YAML

from pipeline import files, lineage, paths
from pipeline.config import ModelParams, NormalizeParams, SplitParams, TrainParams, override
from pipeline.data import arrays, prepared
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.history import origin
from pipeline.models import device, own_files
from pipeline.terminal.progress import SUMMARY, step
from pipeline.tracking import journal, runs

if TYPE_CHECKING:
    from pipeline.models.fit import Fitted
    from pipeline.training.crossvalidation import CrossValidated

log = logging.getLogger(__name__)
BEFORE = ("collect", "clean", "split", "normalize", "tune")


def run(seed: int, split: SplitParams, normalize: NormalizeParams, model: ModelParams, train: TrainParams) -> None:
    """Train with best.yaml's values over params.yaml's; write models/ (model.keras, preprocessor.json, run.json), reports/train/."""
    best = YAML(typ="safe").load(paths.BEST.read_text(encoding="utf-8"))
    now = override({"normalize": normalize, "model": model, "train": train}, best["params"])
    same = now["normalize"] == normalize
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8")) if same else prepared.refitted(split, now["normalize"])
    with prepared.sides(fitted, split, paths.SIDES[:2]) as sides:
        _train(seed, fitted, sides, now, best)


def _train(seed: int, fitted: Preprocessor, sides: Mapping[str, Side], now: dict[str, Any], best: Mapping[str, Any]) -> None:
    train = now["train"]
    with step("starting Keras"):
        computer = device.start(train.device, train.backend)
        import keras  # noqa: F401

    from pipeline.models.build import build, save, serving
    from pipeline.models.feeding import class_weights
    from pipeline.models.fit import actual, fit, measures, outputs
    from pipeline.training import ensembling, explain
    from pipeline.training.crossvalidation import cross_validate

    now["train"] = now["train"].model_copy(update={"batch_size": now["train"].batch(len(sides["train"]))})
    data = [
        *arrays.files(*sides),
        *([Path(train.start_from)] if train.start_from else []),
        *own_files.placed(now["model"].encoder).values(),
    ]
    environment = lineage.environment()
    params = {"seed": seed, "fitted": fitted.to_json(), "lock": environment.get("lock"), **now}
    key = lineage.fingerprint(code=Path(__file__), data=data, params=params)
    checkpoint = paths.state() / "checkpoints" / f"{key}.npz"
    kept = lambda part: checkpoint.with_stem(f"{key}-{part}")  # noqa: E731
    source = files.read_json(paths.SOURCE)
    name = Path(source["source"]).stem
    tags = {
        **lineage.commit(),
        **environment,
        **lineage.machine(),
        "stage": "train",
        "fingerprint": key,
        "study": best["from"].get("study", ""),
    }
    plan = explain.explain(network := build(fitted, now["model"], seed), fitted, now["train"].batch_size, now["model"])
    explain.require_memory(explain.explain(network, fitted, 1), computer)  # a larger batch goes through in parts
    log.info("%s", explain.sentence(plan))
    tags |= {"device": computer, "backend": train.backend, "family": "+".join(dict.fromkeys(plan["encoders"].values()))}

    origin.keep(paths.LINEAGE)
    if _made_meanwhile(key):
        log.info("the training that this one waited for has made it all")
        return
    with runs.training(name, checkpoint.with_suffix(".run"), tags) as tracked:
        tracked.params({"seed": seed, **now})
        tracked.files([paths.LINEAGE])
        columns = _columns()
        for side, rows in sides.items():
            digest = lineage.digest(arrays.files(side))
            tracked.inputs([runs.DataInput(name, str(source["source"]), digest, side, {"rows": len(rows)}, columns)])
        how: dict[str, Any] = {"model": now["model"], "params": now["train"]}
        results = []
        for at, one in enumerate(ensembling.seeds(seed, now["train"].ensemble)):
            prefix = f"network_{at}/" if at else ""

            def on_epoch(epoch: int, row: Mapping[str, float], prefix: str = prefix) -> None:
                tracked.metrics({f"{prefix}{name}": value for name, value in row.items()}, step=epoch)

            file = kept(f"network-{at}") if at else checkpoint
            results.append(fit(fitted, *sides.values(), **how, seed=one, on_epoch=on_epoch, checkpoint=file, diagnose=not at))
        network, final = ensembling.mean([serving(result.model) for result in results]), dict(results[0].best)
        if len(results) > 1:
            weights = class_weights(sides["train"].target, fitted, now["train"])
            final |= measures(fitted, actual(sides["validation"], fitted), outputs(network, fitted, sides["validation"]), weights)
        crossed = None
        if now["train"].cross_validation:
            crossed = cross_validate(fitted, *sides.values(), **how, seed=seed, checkpoint=lambda fold: kept(f"fold-{fold}"), on_fold=_tell)
            tracked.metrics({f"cross_validation/{key}/{k}": v for key, row in crossed.table().items() for k, v in row.items()})
        _report(results, final, crossed, plan)
        save(network, paths.MODEL)
        files.write_text(paths.FITTED, fitted.to_json())
        about = _about(name, plan, sides, results[0], final)
        tracked.tags({"mlflow.note.content": about})
        with step("telling MLflow"):
            run_id = tracked.settle()
        made = {
            "run": tracked.key,
            "about": about,
            "run_id": run_id,
            "experiment": name,
            "fingerprint": key,
            "tuned": best["params"],
            "encoders": own_files.described(now["model"].encoder),
        }
        head = tracked.journal.head
        files.write_json(paths.RUN, {**made, "started": head["started"], "ended": journal.now(), "tags": head["tags"]})
        tracked.metrics(_costs_before())  # late: MLflow's page compares runs by what was told first
        tracked.metrics({f"best/{k}": v for k, v in final.items() if k != "seconds"} | {"best/epoch": results[0].best_epoch})
        tracked.files([paths.REPORTS / "train", paths.MODEL, paths.FITTED, paths.PARAMS, paths.BEST])
        tracked.save(paths.REPORTS / "train")
    for file in checkpoint.parent.glob(f"{key}*.npz"):
        file.unlink()
    shown = ", ".join(f"{k} {v:.4f}" for k, v in final.items() if k.startswith(("train/loss", "validation/")))
    log.info("best of %d epochs: %d (%s)", len(results[0].history), results[0].best_epoch + 1, shown, extra=SUMMARY)


def _made_meanwhile(key: str) -> bool:
    """Whether a training that a killed dvc left behind made just this while this process waited for it."""
    made = (paths.RUN, paths.MODEL, paths.FITTED, paths.REPORTS / "train" / runs.TRACKED)
    began = psutil.Process().create_time()
    if not all(file.exists() and file.stat().st_mtime > began for file in made):
        return False
    found = files.read_json(paths.RUN)
    return found["fingerprint"] == key and journal.Journal(found["run"]).last("status") == "FINISHED"


def _columns() -> str:
    """The columns of the clean data with their kinds, as MLflow's page shows them."""
    kinds = {"number": "double", "datetime": "datetime", "boolean": "boolean"}
    columns = files.read_json(paths.SCHEMA)["columns"]
    return json.dumps({"mlflow_colspec": [{"name": c["name"], "type": kinds.get(c["kind"], "string"), "required": False} for c in columns]})


def _costs_before() -> dict[str, float]:
    """What the stages before this one took here; those whose outputs came from DVC's cache took nothing."""
    before = files.read_json(paths.costs()) if paths.costs().exists() else {}
    return {f"system/cost/{stage}/{key}": value for stage in BEFORE if stage in before for key, value in before[stage].items()}


def _about(name: str, plan: Mapping[str, Any], sides: Mapping[str, Side], first: Fitted, final: Mapping[str, float]) -> str:
    """The run in a sentence, for a colleague."""
    read = " and ".join(dict.fromkeys(plan["encoders"].values()))
    learnt = f"learnt from {len(sides['train']):,} rows of {name}, stopped by {len(sides['validation']):,}"
    best = f"best after {first.best_epoch + 1} of {len(first.history)} epochs, validation loss {final['validation/loss']:.4f}"
    return f"{read} with {plan['parameters']:,} parameters, {learnt}; {best}."


def _report(results: list[Fitted], final: Mapping[str, float], crossed: CrossValidated | None, plan: Mapping[str, Any]) -> None:
    """Write reports/train: the network in figures, the course of training, its diagnosis, and what cross-validation found."""
    from pipeline.evaluation import figures
    from pipeline.models import diagnosis

    first = results[0]
    with files.replaced(paths.REPORTS / "train") as folder:
        for at, result in enumerate(results):
            rows = [{"epoch": epoch, **row} for epoch, row in enumerate(result.history)]
            file = folder / (f"history_network_{at}.csv" if at else "history.csv")
            files.write_csv(file, [{k: v for k, v in row.items() if k != "seconds"} for row in rows])
        curves = {"loss": [row["train/loss"] for row in first.history], "val_loss": [row["validation/loss"] for row in first.history]}
        figures.save(figures.learning_curves(curves), folder / "learning_curves.png")
        shown = {"epochs": len(first.history), "best_epoch": first.best_epoch, "train_loss": final["train/loss"]}
        files.write_json(folder / "metrics.json", {**shown, "validation_loss": final["validation/loss"]})
        files.write_json(folder / "network.json", {key: value for key, value in plan.items() if key != "summary"})
        files.write_text(folder / "network.txt", plan["summary"] + "\n")
        words = diagnosis.words(first.looks)
        files.write_json(folder / "diagnosis.json", {"words": words, "epochs": first.looks})
        if crossed is not None:
            files.write_json(folder / "cross_validation.json", {"metrics": crossed.table(), "folds": crossed.folds})
            (folder / "out_of_fold").mkdir()
            for side in paths.SIDES[:2]:
                np.save(folder / "out_of_fold" / f"{side}.npy", getattr(crossed, side))
    for line in words:
        log.warning("%s", line)


def _tell(fold: int, row: Mapping[str, float]) -> None:
    log.info("fold %d: %s", fold, ", ".join(f"{k} {v:.4f}" for k, v in row.items()))
