"""Layers for an ensemble whose members share their kernels (TabM, Gorishniy et al. 2024, "Advancing Tabular Deep Learning
with Parameter-Efficient Ensembling").  Tensors have an axis of members: (batch, k, width).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class RandomSigns(keras.initializers.RandomUniform):
    """-1 or 1 with equal chances, so that members start as different networks (section 3.3)."""

    def __init__(self) -> None:
        super().__init__(-1.0, 1.0)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        drawn = super().__call__(shape, dtype)
        return ops.where(drawn < 0, -ops.ones_like(drawn), ops.ones_like(drawn))


@keras.saving.register_keras_serializable("pipeline")
class Members(keras.layers.Layer):
    """Gives each member its view of a row: (batch, width) -> (batch, k, width), times signs that are learnt from there on."""

    def __init__(self, members: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = members

    def build(self, shape: Any) -> None:
        self.input_scale = self.add_weight((self.members, shape[-1]), initializer=RandomSigns(), name="input_scale")

    def call(self, x: Any) -> Any:
        return x[:, None, :] * ops.cast(self.input_scale, x.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.members, shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members}


@keras.saving.register_keras_serializable("pipeline")
class MemberDense(keras.layers.Layer):
    """A dense layer of k networks: ((x * r) W) * s + b with one kernel W for all and r, s, b for each.

    (batch, k, width) -> (batch, k, units).  BatchEnsemble (Wen et al. 2020), whose scales all start at 1 but those of `Members`.

    Args:
        activation: applied at the end, any name that Keras knows.
    """

    def __init__(self, units: int, activation: str | None = None, *, kernel_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, shape: Any) -> None:
        members, width = shape[-2:]
        self.kernel = self.add_weight((width, self.units), initializer=self.kernel_initializer, name="kernel")
        self.input_scale = self.add_weight((members, width), initializer="ones", name="input_scale")
        self.output_scale = self.add_weight((members, self.units), initializer="ones", name="output_scale")
        self.bias = self.add_weight((members, self.units), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        members, width = x.shape[-2:]
        flat = ops.reshape(x * ops.cast(self.input_scale, x.dtype), (-1, width))  # one large product instead of k small ones
        made = ops.reshape(ops.matmul(flat, self.kernel), (-1, members, self.units))
        return self.activation(made * ops.cast(self.output_scale, x.dtype) + ops.cast(self.bias, x.dtype))

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        own = {"units": self.units, "activation": keras.activations.serialize(self.activation)}
        return {**super().get_config(), **own, "kernel_initializer": keras.initializers.serialize(self.kernel_initializer)}


@keras.saving.register_keras_serializable("pipeline")
class MemberMean(keras.layers.Layer):
    """The members' mean: (batch, k, ...) -> (batch, ...)."""

    def call(self, x: Any) -> Any:
        return ops.mean(x, axis=1)

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], *shape[2:])
