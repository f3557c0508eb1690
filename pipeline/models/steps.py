"""Layers over steps in order: which of them are there, where they stand, and how they become one vector.

Masks go from layer to layer as tensors (batch, steps) of bool, never by Keras' implicit mask, which joins and reshapes
lose.  A mask is True from the first step to the last one that is there, and always True at the first: cuDNN takes
nothing else, and a row without any step is answered too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

LOW = -1e4  # below all activations, within half precision


def _no_implicit_mask(self: Any, *args: Any, **kwargs: Any) -> None:
    """What Keras attaches to outputs beside the tensors that it is given; here nothing."""


@keras.saving.register_keras_serializable("pipeline")
class StepNormalization(keras.layers.BatchNormalization):
    """Batch normalization whose statistics are of the steps in a mask, and which attaches no mask to its output."""

    compute_mask = _no_implicit_mask


@keras.saving.register_keras_serializable("pipeline")
class LengthMask(keras.layers.Layer):
    """Lengths (batch,) to a mask (batch, steps), where each step stands for `stride` of those that are counted."""

    def __init__(self, steps: int, *, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps, self.stride = steps, stride

    def call(self, lengths: Any) -> Any:
        lengths = ops.reshape(ops.cast(lengths, "int32"), (-1, 1))
        return ops.arange(self.steps, dtype="int32")[None, :] * self.stride < ops.maximum(lengths, 1)

    def compute_output_spec(self, lengths: Any) -> Any:
        return keras.KerasTensor((lengths.shape[0], self.steps), dtype="bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps, "stride": self.stride}


@keras.saving.register_keras_serializable("pipeline")
class TokenMask(keras.layers.Layer):
    """Token ids (batch, tokens) to a mask of the same shape that ends at the last id other than 0, the padding."""

    def call(self, ids: Any) -> Any:
        at = ops.arange(1, ids.shape[1] + 1, dtype="int32")[None, :]
        last = ops.max(ops.where(ops.not_equal(ids, 0), at, 1), axis=1, keepdims=True)
        return at <= last

    def compute_output_spec(self, ids: Any) -> Any:
        return keras.KerasTensor(ids.shape, dtype="bool")


@keras.saving.register_keras_serializable("pipeline")
class Masked(keras.layers.Layer):
    """Zeros where there is no step: (batch, steps, width) and its mask -> (batch, steps, width).

    Args:
        low: put a number below all activations there instead, for a maximum to follow.
    """

    def __init__(self, *, low: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low = low

    def call(self, x: Any, there: Any) -> Any:
        return ops.where(there[:, :, None], x, ops.cast(LOW if self.low else 0.0, x.dtype))

    def compute_output_spec(self, x: Any, there: Any) -> Any:
        return keras.KerasTensor(x.shape, dtype=x.dtype)

    compute_mask = _no_implicit_mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "low": self.low}


@keras.saving.register_keras_serializable("pipeline")
class Pool(keras.layers.Layer):
    """The steps that are there as one vector: (batch, steps, width) -> (batch, width * number of kinds).

    Args:
        kinds: mean and max over the steps, or last, the last step that is there.
    """

    def __init__(self, kinds: Sequence[str] = ("mean",), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = list(kinds)

    def call(self, x: Any, there: Any = None) -> Any:
        there = ops.ones(ops.shape(x)[:2], "bool") if there is None else there
        there = there[:, :, None]  # (batch, steps, 1)
        made = {"mean": self._mean, "max": self._max, "last": self._last}
        return ops.concatenate([made[kind](x, there) for kind in self.kinds], axis=-1)

    def _mean(self, x: Any, there: Any) -> Any:
        count = ops.maximum(ops.sum(ops.cast(there, "float32"), axis=1), 1.0)
        total = ops.sum(ops.where(there, x, ops.zeros((), x.dtype)), axis=1)
        return total / ops.cast(count, x.dtype)

    def _max(self, x: Any, there: Any) -> Any:
        return ops.max(ops.where(there, x, ops.cast(LOW, x.dtype)), axis=1)

    def _last(self, x: Any, there: Any) -> Any:
        last = ops.sum(ops.cast(there, "int32"), axis=1, keepdims=True) - 1  # (batch, 1, 1)
        return ops.take_along_axis(x, ops.broadcast_to(last, (ops.shape(x)[0], 1, x.shape[2])), axis=1)[:, 0]

    def compute_output_spec(self, x: Any, there: Any = None) -> Any:
        return keras.KerasTensor((x.shape[0], x.shape[2] * len(self.kinds)), dtype=x.dtype)

    compute_mask = _no_implicit_mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kinds": self.kinds}


@keras.saving.register_keras_serializable("pipeline")
class Positions(keras.layers.Layer):
    """Adds to each token a vector of its place: (batch, tokens, width) -> the same.

    Learnt ones start small; sinusoidal ones are those of Vaswani et al. 2017, section 3.5.
    """

    def __init__(self, kind: str = "learned", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind

    def build(self, shape: Any) -> None:
        if self.kind == "learned":
            self.places = self.add_weight((shape[-2], shape[-1]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="places")
        else:
            self.places = sinusoids(shape[-2], shape[-1])

    def call(self, x: Any) -> Any:
        return x + ops.cast(self.places, x.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


def sinusoids(steps: int, width: int) -> np.ndarray:
    """Sines and cosines of falling frequency: (steps, width) float32, sines first."""
    half = (width + 1) // 2
    angles = np.arange(steps)[:, None] / 10_000 ** (np.arange(half) / max(half, 1))[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :width].astype("float32")


@keras.saving.register_keras_serializable("pipeline")
class ClassToken(keras.layers.Layer):
    """Puts a learnt token first, where attention gathers the row: (batch, tokens, width) -> (batch, tokens + 1, width)."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight((shape[-1],), initializer=keras.initializers.RandomNormal(stddev=0.02), name="token")

    def call(self, x: Any) -> Any:
        token = ops.broadcast_to(ops.cast(self.token, x.dtype), (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1)

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], shape[1] + 1, shape[2])
