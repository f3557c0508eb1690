"""Fit: one training loop, used by tune and train alike.

Everything random in an epoch is drawn from (seed, epoch), so that training resumed from a checkpoint ends with the same
bytes as an undisturbed one.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.config import ModelParams, TrainParams
from pipeline.data.arrays import Side, windowed
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.evaluation import metrics
from pipeline.models import device, heads, transfer
from pipeline.models.build import build
from pipeline.models.compiled import Compiled, Shelf, key, living
from pipeline.models.diagnosis import Diagnosis, Look, summary
from pipeline.models.feeding import Feed, ahead, chunks, feed, inputs
from pipeline.models.live import Live
from pipeline.models.optimization import optimizer, penalize
from pipeline.models.progress import Progress
from pipeline.models.schedules import rates
from pipeline.models.stepping import stepper
from pipeline.terminal.progress import step

log = logging.getLogger(__name__)
PREDICT_ROWS, FEWEST_ROWS = 8192, 32  # of a prediction's batch
PREDICT_VALUES = 2**20  # of its inputs, at most
CHECKPOINT_SECONDS = 2.0  # a checkpoint at most this often

Epoch = Mapping[str, float]


@dataclass
class Fitted:
    """A trained network with its best weights, and one row of metrics and one look at it per epoch (epoch counts from 0)."""

    model: keras.Model
    history: list[dict[str, float]]
    best_epoch: int
    looks: list[Look] = field(default_factory=list)

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
    diagnose: bool = False,
    shelf: Shelf | None = None,
) -> Fitted:
    """Train until validation loss stops falling; the returned network has the weights of the best epoch.

    A batch that is too large for the device's memory goes through it in pieces, with a warning; the step is the same.

    Args:
        on_epoch: called with each finished epoch; what it raises ends the training.
        checkpoint: file to resume from, and to write after epochs and at the end; removed by the caller once results are safe.
        diagnose: whether to look at gradients, updates and dead units after every epoch; the result is the same.
        shelf: compiled networks of earlier calls to go on with; what this call returns holds until a later one takes the same network.

    Raises:
        UserError: the loss is not finite, Keras knows no such optimizer, or it refuses its settings, or the device's memory
            does not hold a single row.
    """
    parts, told = 1, 0
    rows = feed(train, fitted, params)

    with step("epochs", params.epochs) as shown:

        def tell(epoch: int, row: Epoch) -> None:
            nonlocal told
            if not told:
                shown.before = epoch  # of a checkpoint
            shown.at(epoch + 1, f"loss {row['train/loss']:.4f}, validation loss {row['validation/loss']:.4f}")
            if epoch >= told:  # not again after a new start
                told = epoch + 1
                on_epoch(epoch, row)

        while True:
            make = lambda parts=parts: _compiled(fitted, model, params, seed=seed, batch=rows.batch, parts=parts, live=shelf is not None)  # noqa: E731
            made = shelf.take(key(fitted, model, params, seed=seed, batch=rows.batch, parts=parts), make) if shelf is not None else make()
            if made.live:
                made.live.set(model, params)
            try:
                progress = _train(made, rows, validation, params=params, seed=seed, tell=tell, checkpoint=checkpoint, diagnose=diagnose)
            except Exception as error:
                if not device.out_of_memory(error):
                    raise
                if parts >= rows.batch:
                    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                    raise UserError(f"train: the device's memory does not hold a single row in training ({reason})") from None
            else:
                made.plain.set_weights(progress.best_weights)
                return Fitted(made.plain, progress.history, progress.best_epoch, progress.looks)
            del made  # its memory is needed
            if shelf is not None:
                shelf.clear()
            parts *= 2
            log.warning("a batch of %d rows is too large for the device's memory: it is taken in %d parts", rows.batch, parts)


def _compiled(fitted: Preprocessor, model: ModelParams, params: TrainParams, *, seed: int, batch: int, parts: int, live: bool) -> Compiled:
    with device.precision(params.precision, heavy=bool(fitted.images or fitted.audios or fitted.texts)):
        network = build(fitted, model, seed)
    transfer.prepare(network, params)
    penalize(network, params)
    made = optimizer(params, network)
    steps = stepper(network, heads.loss(fitted, params), made, batch=batch, parts=parts)
    return Compiled(network, build(fitted, model, seed), made, steps, Live(network, made) if live and living() else None)


def _train(
    compiled: Compiled,
    rows: Feed,
    validation: Side,
    *,
    params: TrainParams,
    seed: int,
    tell: Callable[[int, Epoch], None],
    checkpoint: Path | None,
    diagnose: bool,
) -> Progress:
    fitted, truth, state = rows.fitted, actual(validation, rows.fitted), compiled.state
    network, plain, made, steps = compiled.network, compiled.plain, compiled.optimizer, compiled.steps
    progress = Progress.read(checkpoint, state)
    diagnosis = Diagnosis(network, steps, rows, seed=seed) if diagnose else None
    count, saved, written = math.ceil(len(rows) / rows.batch), time.monotonic(), len(progress.history)
    for epoch in range(len(progress.history), params.epochs):
        if params.early_stopping and epoch - progress.best_epoch > params.early_stopping:
            break
        started, total, step = time.monotonic(), 0.0, 0
        rate = rates(params, epoch=epoch, steps=count, losses=progress.losses)
        for chunk in ahead(chunks(rows, params, seed=seed, epoch=epoch)):
            taken = math.ceil(len(chunk) / rows.batch)
            total += steps.run(chunk.x, chunk.y, chunk.weight, rate[step : step + taken])
            step += taken
        look = diagnosis.look() if diagnosis else {}
        with _averaged(network, made, params):
            predicted = outputs(network, fitted, validation)
            if not (math.isfinite(total) and np.isfinite(predicted).all()):
                raise UserError(f"train: the loss is not finite in epoch {epoch}: lower train.learning_rate (now {params.learning_rate:g})")
            row = (
                {"train/loss": total / len(rows)}
                | measures(fitted, truth, predicted, rows.class_weights)
                | {"train/learning_rate": float(rate[-1])}
            )
            row |= summary(look) | {"seconds": time.monotonic() - started}
            progress.add(row, lambda: transfer.weights(network, plain))
        progress.looks += [look] if diagnosis else []
        tell(epoch, row)
        if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
            progress.write(checkpoint, state)
            saved, written = time.monotonic(), len(progress.history)
    if checkpoint is not None and written < len(progress.history):
        progress.write(checkpoint, state)
    return progress


def actual(side: Side, fitted: Preprocessor) -> np.ndarray:
    """What a side's rows turned out to be, in the form of `outputs`: class codes, or values in the target's units."""
    if fitted.forecast:
        return windowed(side.target, side.more["start"], fitted.forecast.look_back, fitted.forecast.horizon)
    return np.asarray(side.target)


def measures(fitted: Preprocessor, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """The task's metrics, and the loss by which epochs and trials are compared: log loss, or squared error as the network learns it.

    Args:
        weights: of the classes, in the loss alone.
    """
    found = metrics.compute(fitted.task, truth, predicted)
    if weights is not None:
        loss = metrics.compute(fitted.task, truth, predicted, weights[truth])["log_loss"]
    elif "log_loss" in found:
        loss = found["log_loss"]
    else:
        scale = fitted.forecast.targets if fitted.forecast else fitted.target
        loss = _squared(*(heads.training_target(values, scale) for values in (truth, predicted)))
    return {"validation/loss": loss} | {f"validation/{name}": value for name, value in found.items()}


def _squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype("float64") - b) ** 2))


@contextmanager
def _averaged(network: keras.Model, made: Any, params: TrainParams) -> Iterator[None]:
    """Inside the block the network has the moving average of its weights, where train.ema keeps one."""
    if not params.ema:
        yield
        return
    variables, copies = network.trainable_variables, lambda some: [np.array(keras.ops.convert_to_numpy(v)) for v in some]
    kept = copies(variables)
    # not by finalize_variable_values: on JAX it would let two variables share a buffer, and the next assignment frees it for both
    for variable, value in zip(variables, copies(getattr(made, "inner_optimizer", made)._model_variables_moving_average), strict=True):
        variable.assign(value)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def outputs(network: keras.Model, fitted: Preprocessor, source: Side | Mapping[str, np.ndarray]) -> np.ndarray:
    """The network's predictions for a side, or for inputs by name: see `heads.predictions` for shapes and units.

    Rows are read and answered batch by batch, so that a forecast's windows are never held all at once.
    """

    def take(rows: slice) -> dict[str, np.ndarray]:
        return (
            inputs(source, fitted, rows) if isinstance(source, Side) else {name: np.asarray(block[rows]) for name, block in source.items()}
        )

    values = sum(block.size for block in take(slice(0, 1)).values())
    size = max(FEWEST_ROWS, min(PREDICT_ROWS, PREDICT_VALUES // max(1, values)))
    total = len(source) if isinstance(source, Side) else len(next(iter(source.values())))
    begins = range(0, total, size)
    return np.concatenate([heads.predictions(network.predict_on_batch(take(slice(at, at + size))), fitted) for at in begins])
