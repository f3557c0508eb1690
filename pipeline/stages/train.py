"""Train: one network, one MLflow run.  Run: `python -m pipeline train`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ruamel.yaml import YAML
from tqdm import tqdm

from pipeline import files, lineage, paths, tracking
from pipeline.config import ModelParams, TrainParams, override
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import device

log = logging.getLogger(__name__)


def run(seed: int, model: ModelParams, train: TrainParams) -> None:
    """Train with best.yaml's values over params.yaml's; write models/model.keras, models/run.json, reports/train/."""
    computer = device.start(train.device)
    from pipeline.evaluation import figures
    from pipeline.models.build import save
    from pipeline.models.fit import fit

    best = YAML(typ="safe").load(paths.BEST.read_text(encoding="utf-8"))
    now = override({"model": model, "train": train}, best["params"])
    sides = {side: arrays.load(side) for side in paths.SIDES[:2]}
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    key = lineage.fingerprint(code=Path(__file__), data=arrays.files(*sides), params={"seed": seed, **now})
    checkpoint = paths.state() / "checkpoints" / f"{key}.npz"
    name = Path(files.read_json(paths.SOURCE)["source"]).stem
    tags = {**lineage.commit(), **lineage.environment(), "stage": "train", "fingerprint": key, "study": best["from"].get("study", "")}
    tags |= {"device": computer, "family": "mlp"}

    with tracking.training(name, checkpoint.with_suffix(".run"), tags) as tracked:
        tracked.params({"seed": seed, **now})
        tracked.inputs(tracking.DataInput(name, f"data/split/{s}", lineage.digest(arrays.files(s)), len(sides[s]), s) for s in sides)
        show = _progress(now["train"].epochs)

        def on_epoch(epoch: int, row: Mapping[str, float]) -> None:
            show(epoch, row)
            tracked.metrics(row, step=epoch)

        result = fit(fitted, *sides.values(), model=now["model"], params=now["train"], seed=seed, on_epoch=on_epoch, checkpoint=checkpoint)
        final = {k: v for k, v in result.best.items() if k != "seconds"}
        with files.replaced(paths.REPORTS / "train") as folder:
            rows = [{"epoch": at, **row} for at, row in enumerate(result.history)]
            files.write_csv(folder / "history.csv", [{k: v for k, v in row.items() if k != "seconds"} for row in rows])
            curves = {"loss": [row["train/loss"] for row in result.history], "val_loss": [row["validation/loss"] for row in result.history]}
            figures.save(figures.learning_curves(curves), folder / "learning_curves.png")
            shown = {"epochs": len(result.history), "best_epoch": result.best_epoch, "train_loss": final["train/loss"]}
            files.write_json(folder / "metrics.json", {**shown, "validation_loss": final["validation/loss"]})
        paths.MODELS.mkdir(exist_ok=True)
        save(result.model, paths.MODEL)
        files.write_json(paths.RUN, {"run_id": tracked.id, "experiment": name, "fingerprint": key, "tuned": best["params"]})
        tracked.metrics({f"best/{k}": v for k, v in final.items()} | {"best/epoch": result.best_epoch})
        tracked.files([paths.REPORTS / "train", paths.MODEL, paths.PREPROCESSOR, paths.PARAMS, paths.BEST])
    checkpoint.unlink(missing_ok=True)
    log.info("best of %d epochs: %d (%s)", len(result.history), result.best_epoch + 1, ", ".join(f"{k} {v:.4f}" for k, v in final.items()))


def _progress(epochs: int) -> Callable[[int, Mapping[str, float]], None]:
    """A bar on a terminal, a line every few seconds elsewhere."""
    bar = tqdm(total=epochs, unit="epoch", disable=None, leave=False)
    shown = time.monotonic()

    def show(epoch: int, row: Mapping[str, float]) -> None:
        nonlocal shown
        bar.update(epoch + 1 - bar.n)
        bar.set_postfix(loss=f"{row['train/loss']:.4f}", validation=f"{row['validation/loss']:.4f}")
        if bar.disable and time.monotonic() - shown > 5:
            log.info("epoch %d of %d: loss %.4f, validation loss %.4f", epoch + 1, epochs, row["train/loss"], row["validation/loss"])
            shown = time.monotonic()

    return show
