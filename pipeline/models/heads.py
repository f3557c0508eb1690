"""Heads: what stands on the encoders' output, its loss, and what its numbers mean.  The model package carries this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from pipeline.data.fitted import Preprocessor, Target
from pipeline.errors import UserError

FAR = 1e3
DISTANCES = {"mse": keras.losses.mean_squared_error, "mae": keras.losses.mean_absolute_error, "huber": keras.losses.huber}


class LossParams(Protocol):
    """What `loss` reads of the params; the sections themselves would bring pydantic into the package."""

    @property
    def loss(self) -> str: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def focal(self) -> float: ...


def head(x: Any, fitted: Preprocessor) -> Any:
    """Sigmoid, softmax or linear output in float32: (batch, width) -> (batch, 1) or (batch, classes).

    Where x has an axis of members, (batch, k, width), each has a head of its own: (batch, k, 1) or (batch, k, classes).
    """
    units = len(fitted.target.classes) if fitted.task == "multiclass" else 1
    activation = {"multiclass": "softmax", "binary": "sigmoid"}.get(fitted.task, "linear")
    if len(x.shape) == 2:
        return keras.layers.Dense(units, activation, dtype="float32", name="output")(x)
    made = keras.layers.EinsumDense(
        "bkf,kfo->bko",
        output_shape=(x.shape[1], units),
        bias_axes="ko",
        activation=activation,
        kernel_initializer=keras.initializers.VarianceScaling(x.shape[1], "fan_in"),  # Keras counts the members as fan-in too
        dtype="float32",
        name="output",
    )
    return made(x)


def loss(fitted: Preprocessor, train: LossParams) -> keras.losses.Loss:
    """The task's loss, one value a row: the mean over the members (each learns by itself), a forecast's steps and targets.

    Classes have cross-entropy, with `train.label_smoothing` (Szegedy et al. 2016) and `train.focal` (Lin et al. 2017);
    a regression mean squared error and a forecast Huber's (on ETTh1 it brings squared error too from 0.373 to 0.370), or what
    `train.loss` names, of the scaled target.

    Raises:
        UserError: the loss, smoothing or focal factor is for another kind of task.
    """
    classes = fitted.task in ("binary", "multiclass")
    if classes and train.loss != "auto":
        raise UserError(f"train.loss: {train.loss} is for numbers, but {fitted.target.column} has classes; set train.loss: auto")
    for key in ("label_smoothing", "focal") if not classes else ():
        if getattr(train, key):
            raise UserError(f"train.{key}: is for classes, but {fitted.task} predicts numbers; set it to 0")
    distance = DISTANCES[("huber" if fitted.forecast else "mse") if train.loss == "auto" else train.loss]
    return TaskLoss(fitted.task, len(fitted.target.classes), distance, train.label_smoothing, train.focal)


class TaskLoss(keras.losses.Loss):
    """See `loss`.  Classes come as codes (batch,) or (batch, 1), or as shares (batch, classes) where rows were mixed."""

    def __init__(self, task: str, classes: int, distance: Any, smoothing: float, focal: float) -> None:
        super().__init__(name="loss")
        self.task, self.classes, self.distance, self.smoothing, self.focal = task, classes, distance, smoothing, focal

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        steps = (*y_pred.shape[-2:],) if self.task == "forecast" else ()
        if self.task == "multiclass":
            shares = len(y_true.shape) == 2 and y_true.shape[-1] == self.classes
            y = y_true if shares else ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), self.classes, dtype=y_pred.dtype)
        else:
            y = ops.reshape(ops.cast(y_true, y_pred.dtype), (-1, *(steps or (1,))))
        if len(y_pred.shape) > len(y.shape):  # (batch, k, ...): every member has the same target
            y = ops.broadcast_to(ops.expand_dims(y, 1), ops.shape(y_pred))
        losses = self._losses(y, y_pred)
        return ops.mean(ops.reshape(losses, (-1, int(np.prod(losses.shape[1:])))), axis=1) if len(losses.shape) > 1 else losses

    def _losses(self, y: Any, p: Any) -> Any:
        if self.task == "binary":
            if self.focal:
                return keras.losses.binary_focal_crossentropy(y, p, gamma=self.focal, label_smoothing=self.smoothing)
            return keras.losses.binary_crossentropy(y, p, label_smoothing=self.smoothing)
        if self.task == "multiclass":
            if self.focal:
                return keras.losses.categorical_focal_crossentropy(y, p, alpha=1.0, gamma=self.focal, label_smoothing=self.smoothing)
            return keras.losses.categorical_crossentropy(y, p, label_smoothing=self.smoothing)
        return self.distance(y, p)


def training_target(target: np.ndarray, fitted: Target | Sequence[Target]) -> np.ndarray:
    """Class codes as they are; a regression's target as the network learns it, by train's statistics.

    Args:
        fitted: several for a forecast, one for each index of the last axis.
    """
    if not isinstance(fitted, Target):
        return np.stack([training_target(target[..., at], one) for at, one in enumerate(fitted)], axis=-1)
    if fitted.classes:
        return target
    values = target.astype("float64")
    if fitted.transform == "log":
        values = (np.sign(values) * np.log1p(np.abs(values) / fitted.unit) - fitted.center) / fitted.scale
    elif fitted.transform == "standardize":
        values = (values - fitted.mean) / fitted.std
    return values.astype("float32")


def predictions(raw: np.ndarray, fitted: Preprocessor) -> np.ndarray:
    """A network's outputs as float64, members averaged where there are several.

    Returns:
        P(second class) (rows,), class probabilities (rows, classes), or target units: (rows,), for a forecast
        (rows, horizon, targets).
    """
    raw = raw.astype("float64")
    if raw.ndim > (3 if fitted.forecast else 2):
        raw = raw.mean(axis=1)
    if fitted.forecast:
        return np.stack([units(raw[..., at], target) for at, target in enumerate(fitted.forecast.targets)], axis=-1)
    if fitted.task == "multiclass":
        return raw / raw.sum(axis=1, keepdims=True)
    return raw[:, 0] if fitted.task == "binary" else units(raw[:, 0], fitted.target)


def units(learnt: np.ndarray, fitted: Target) -> np.ndarray:
    """The inverse of `training_target` for a regression; after a logarithm no answer exceeds FAR times train's largest value."""
    if fitted.transform == "log":
        logs = learnt * fitted.scale + fitted.center
        most = np.log1p(FAR * fitted.largest / fitted.unit)
        return np.sign(logs) * np.expm1(np.minimum(np.abs(logs), most)) * fitted.unit
    return learnt * fitted.std + fitted.mean if fitted.transform == "standardize" else learnt
