"""Fit: one training loop, used by tune and train alike.

Every epoch has its own order of rows, drawn from (seed, epoch), so that training resumed from a checkpoint ends with
the same bytes as an undisturbed one.  (Keras' own shuffling repeats one order in every epoch after
`set_random_seed`.)
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.config import ModelParams, TrainParams
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.evaluation import metrics
from pipeline.models import heads
from pipeline.models.build import build

PREDICT_ROWS = 8192
CHECKPOINT_SECONDS = 2.0  # a checkpoint at most this often

Epoch = Mapping[str, float]


@dataclass
class Fitted:
    """A trained network with its best weights, and one row of metrics per epoch (epoch counts from 0)."""

    model: keras.Model
    history: list[dict[str, float]]
    best_epoch: int

    @property
    def best(self) -> dict[str, float]:
        return self.history[self.best_epoch]


def fit(
    fitted: Preprocessor,
    train: Side,
    validation: Side,
    *,
    model: ModelParams,
    params: TrainParams,
    seed: int,
    on_epoch: Callable[[int, Epoch], None] = lambda epoch, row: None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Train until validation loss stops falling; the returned network has the weights of the best epoch.

    Args:
        on_epoch: called with each finished epoch; what it raises ends the training.
        checkpoint: file to resume from, and to write after epochs; removed by the caller once results are safe.

    Raises:
        UserError: the loss is not finite, Keras knows no such optimizer, or it refuses its settings.
    """
    network = build(fitted, model, seed)
    steps = math.ceil(len(train) / params.batch_size)
    network.compile(
        optimizer=optimizer(params, steps),
        loss=heads.LOSSES[fitted.task],
        steps_per_execution=min(16, steps),
    )
    network.optimizer.build(network.trainable_variables)
    progress = Progress() if checkpoint is None else Progress.read(checkpoint, network)
    y, truth = heads.training_target(np.asarray(train.target), fitted.target), np.asarray(validation.target)
    saved = time.monotonic()
    for epoch in range(len(progress.history), params.epochs):
        if params.early_stopping and epoch - progress.best_epoch > params.early_stopping:
            break
        started = time.monotonic()
        order = np.random.default_rng((seed, epoch)).permutation(len(train))
        shuffled = {name: np.asarray(block)[order] for name, block in inputs(train, fitted).items()}
        log = network.fit(shuffled, y[order], batch_size=params.batch_size, shuffle=False, verbose=0)
        loss, predicted = log.history["loss"][0], outputs(network, fitted, inputs(validation, fitted))
        if not (math.isfinite(loss) and np.isfinite(predicted).all()):
            raise UserError(f"train: the loss is not finite in epoch {epoch}: lower train.learning_rate (now {params.learning_rate:g})")
        row = {"train/loss": loss} | _measures(fitted, truth, predicted)
        progress.add(row | {"seconds": time.monotonic() - started}, network)
        on_epoch(epoch, progress.history[-1])
        if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
            progress.write(checkpoint, network)
            saved = time.monotonic()
    final = build(fitted, model, seed)
    final.set_weights(progress.best_weights)
    return Fitted(final, progress.history, progress.best_epoch)


def inputs(side: Side, fitted: Preprocessor) -> dict[str, np.ndarray]:
    """A side's arrays by the names of the network's inputs."""
    return ({"number": side.number} if fitted.numbers else {}) | ({"category": side.category} if fitted.categories else {})


def outputs(network: keras.Model, fitted: Preprocessor, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """The network's predictions for prepared inputs: see `heads.predictions` for shapes and units."""
    raw = network.predict({name: np.asarray(block) for name, block in blocks.items()}, batch_size=PREDICT_ROWS, verbose=0)
    return heads.predictions(raw, fitted)


def optimizer(params: TrainParams, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule over `steps` gradient steps an epoch; weight decay spares biases.

    Raises:
        UserError: Keras knows no such optimizer, or it refuses its settings.
    """
    rate: Any = params.learning_rate
    warmup = min(params.warmup_epochs, params.epochs - 1) * steps
    if params.schedule == "cosine":  # Loshchilov & Hutter 2017, without restarts
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, params.epochs * steps - warmup, warmup_target=rate if warmup else None, warmup_steps=warmup
        )
    settings = {"learning_rate": rate, "weight_decay": params.weight_decay or None, "clipnorm": params.clipnorm}
    try:
        made = keras.optimizers.get({"class_name": params.optimizer, "config": settings})
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"train.optimizer: {params.optimizer!r} cannot be made by Keras {keras.__version__}: {reason}") from None
    if params.weight_decay:
        made.exclude_from_weight_decay(var_names=["bias"])
    return made


def _measures(fitted: Preprocessor, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    found = metrics.compute(fitted.task, truth, predicted)
    loss = found["log_loss"] if "log_loss" in found else (found["rmse"] / fitted.target.std) ** 2
    return {"validation/loss": loss} | {f"validation/{name}": value for name, value in found.items()}


@dataclass
class Progress:
    """How far a training has come: everything that it needs to go on as if nothing had happened."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: list[np.ndarray] = field(default_factory=list)

    def add(self, row: dict[str, float], network: keras.Model) -> None:
        """Note an epoch; keep the weights if it is the best."""
        self.history.append(row)
        if len(self.history) == 1 or row["validation/loss"] < self.history[self.best_epoch]["validation/loss"]:
            self.best_epoch = len(self.history) - 1
            self.best_weights = network.get_weights()

    def write(self, file: Path, network: keras.Model) -> None:
        """Write the state of network, optimizer and random generators to `file`, in one step."""
        arrays = {f"state_{at}": np.asarray(variable) for at, variable in enumerate(_state(network))}
        arrays |= {f"best_{at}": weight for at, weight in enumerate(self.best_weights)}
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.stem}.new.npz")
        np.savez(fresh, allow_pickle=False, meta=json.dumps({"history": self.history, "best_epoch": self.best_epoch}), **arrays)
        os.replace(fresh, file)

    @classmethod
    def read(cls, file: Path, network: keras.Model) -> Progress:
        """The progress in `file`, its state put into `network`; none where there is no file."""
        if not file.exists():
            return cls()
        with np.load(file, allow_pickle=False) as saved:
            for at, variable in enumerate(_state(network)):
                variable.assign(saved[f"state_{at}"])
            best = [saved[f"best_{at}"] for at in range(len(network.weights))]
            return cls(**json.loads(str(saved["meta"])), best_weights=best)


def _state(network: keras.Model) -> list[Any]:
    """Weights, the optimizer's variables, and the random generators of dropout."""
    return [*network.variables, *network.optimizer.variables]
