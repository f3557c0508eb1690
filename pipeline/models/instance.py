"""Layers that free a forecast from the level of its window, and give the level back to what is predicted.

A shift of level is what most forecasts break on; a window less its last step (NLinear, Zeng et al. 2023, "Are
Transformers Effective for Time Series Forecasting?"), or less its mean and over its deviation (RevIN, Kim et al. 2022),
does not know it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

EPSILON = 1e-5


@keras.saving.register_keras_serializable("pipeline")
class ToTarget(keras.layers.Layer):
    """Channels of targets from the scale of inputs to the scale of targets: (batch, steps, channels) -> (batch, steps, targets).

    Inputs and targets are scaled each by what was fitted on train; the same value has another number in each.

    Args:
        scales: for each target the channel that holds its past (`at`), the input's center, scale, log, knots and ranks, and the
            target's transform, mean, std, unit, center and scale as `to_center` and `to_scale`.
    """

    def __init__(self, scales: Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})  # levels need all digits
        self.scales = [dict(scale) for scale in scales]

    def call(self, x: Any) -> Any:
        return ops.stack([self._scaled(x[:, :, scale["at"]], scale) for scale in self.scales], axis=-1)

    def _scaled(self, z: Any, scale: Mapping[str, Any]) -> Any:
        """One channel (batch, steps): back to units, then to the target's scale; in one step where both are linear."""
        transform, log = scale["transform"], scale["log"]
        center, spread = {
            "standardize": (scale["mean"], scale["std"]),
            "log": (scale["to_center"], scale["to_scale"]),
            "none": (0.0, 1.0),
        }[transform]
        straight = not scale["knots"]
        if straight and (log == scale["unit"] if transform == "log" else not log):  # both linear, or the same logarithm
            return z * (scale["scale"] / spread) + (scale["center"] - center) / spread
        if straight:
            y = z * scale["scale"] + scale["center"]
            y = ops.sign(y) * ops.expm1(ops.minimum(ops.abs(y), 80.0)) * log if log else y
        else:
            y = _interpolated(z, np.asarray(scale["ranks"], "float32"), np.asarray(scale["knots"], "float32"))
        y = ops.sign(y) * ops.log1p(ops.abs(y) / scale["unit"]) if transform == "log" else y
        return (y - center) / spread

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], len(self.scales))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scales": self.scales}


def _interpolated(x: Any, knots: np.ndarray, values: np.ndarray) -> Any:
    """The line through (knots, values) at x, flat beyond its ends."""
    at = ops.clip(ops.searchsorted(ops.convert_to_tensor(knots), ops.reshape(x, (-1,))), 1, len(knots) - 1)
    at = ops.reshape(at, ops.shape(x))
    low, high = (ops.take(ops.convert_to_tensor(knots), at - step) for step in (1, 0))
    left, right = (ops.take(ops.convert_to_tensor(values), at - step) for step in (1, 0))
    return left + (right - left) * ops.clip((x - low) / (high - low), 0.0, 1.0)


@keras.saving.register_keras_serializable("pipeline")
class Level(keras.layers.Layer):
    """The level of each channel of a window, (batch, steps, channels) -> (batch, 1, channels), and its spread of the same shape.

    Args:
        kind: last: the last step, spread 1; mean: the mean, spread 1; standardize: the mean, and the deviation; none: 0 and 1.
    """

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.kind = kind

    def call(self, x: Any) -> Any:
        level = {"last": lambda: x[:, -1:], "none": lambda: ops.zeros_like(x[:, -1:])}.get(
            self.kind, lambda: ops.mean(x, axis=1, keepdims=True)
        )()
        spread = ops.sqrt(ops.var(x, axis=1, keepdims=True) + EPSILON) if self.kind == "standardize" else ops.ones_like(level)
        return level, spread

    def compute_output_shape(self, shape: Any) -> Any:
        return [(shape[0], 1, shape[2])] * 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


@keras.saving.register_keras_serializable("pipeline")
class Freed(keras.layers.Layer):
    """A window freed from its level: (x - level) / spread."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, x: Any, level: Any, spread: Any) -> Any:
        return (x - level) / spread

    def compute_output_spec(self, x: Any, level: Any, spread: Any) -> Any:
        return keras.KerasTensor(x.shape, dtype="float32")


@keras.saving.register_keras_serializable("pipeline")
class Restored(keras.layers.Layer):
    """A prediction with its level given back: y * spread + level, (batch, [k,] horizon, targets)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, y: Any, level: Any, spread: Any) -> Any:
        if len(y.shape) > len(level.shape):  # members
            level, spread = level[:, None], spread[:, None]
        return y * spread + level

    def compute_output_spec(self, y: Any, level: Any, spread: Any) -> Any:
        return keras.KerasTensor(y.shape, dtype="float32")


@keras.saving.register_keras_serializable("pipeline")
class ToRows(keras.layers.Layer):
    """Each channel as a row of its own, others beside it: (batch, steps, c) and (batch, steps, m) -> (batch * c, steps, 1 + m)."""

    def call(self, x: Any, beside: Any = None) -> Any:
        steps, channels = x.shape[1:]
        rows = ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, steps, 1))
        if beside is None:
            return rows
        many = ops.reshape(ops.repeat(beside[:, None], channels, axis=1), (-1, *beside.shape[1:]))
        return ops.concatenate([rows, ops.cast(many, rows.dtype)], axis=-1)

    def compute_output_spec(self, x: Any, beside: Any = None) -> Any:
        return keras.KerasTensor((None, x.shape[1], 1 + (0 if beside is None else beside.shape[2])), dtype=x.dtype)


@keras.saving.register_keras_serializable("pipeline")
class FromRows(keras.layers.Layer):
    """The rows of `ToRows` as channels again: (batch * c, [k,] steps) -> (batch, [k,] steps, c)."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, x: Any) -> Any:
        inner = x.shape[1:]
        return ops.moveaxis(ops.reshape(x, (-1, self.channels, *inner)), 1, -1)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, *x.shape[1:], self.channels), dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}
