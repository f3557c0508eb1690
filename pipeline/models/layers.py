"""Layers of our own for table columns, and by its imports all others: importing this file is enough to load any saved model.

The model package carries this file and what it imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

import pipeline.models.instance  # these three register their layers
import pipeline.models.members
import pipeline.models.steps  # noqa: F401


@keras.saving.register_keras_serializable("pipeline")
class PiecewiseLinear(keras.layers.Layer):
    """Encode each number by how far it reaches into each of its bins: (batch, features) -> (batch, features, bins).

    Bin t with edges [a, b] gives 0 below a, 1 above b and (x - a) / (b - a) between (Gorishniy et al. 2022, "On
    Embeddings for Numerical Features", section 3.1), here clipped at the outer edges too, so that a value outside
    train's range counts as the nearest seen.  Features with fewer bins than the most are padded with zeros.

    Args:
        edges: for each feature its increasing bin edges, at least one; a feature with a single edge encodes to zeros.
    """

    def __init__(self, edges: Sequence[Sequence[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges = [list(map(float, feature)) for feature in edges]
        bins = max(1, max(len(feature) for feature in self.edges) - 1)
        self._slope = np.zeros((len(self.edges), bins), "float32")
        self._offset = np.zeros_like(self._slope)
        for at, feature in enumerate(np.asarray(f, "float64") for f in self.edges):
            slope = 1.0 / np.diff(feature)
            self._slope[at, : len(slope)] = slope
            self._offset[at, : len(slope)] = feature[:-1] * slope

    def call(self, inputs: Any) -> Any:
        x = ops.expand_dims(inputs, -1)  # (batch, features, 1)
        return ops.clip(x * ops.cast(self._slope, x.dtype) - ops.cast(self._offset, x.dtype), 0.0, 1.0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self._slope.shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "edges": self.edges}


@keras.saving.register_keras_serializable("pipeline")
class OneHot(keras.layers.Layer):
    """Codes to joined indicators: (batch, columns) -> (batch, sum of sizes); code 0 (rare, unseen) lights none.

    Args:
        sizes: for each column its number of tokens; codes run from 1 to it.
    """

    def __init__(self, sizes: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = [int(size) for size in sizes]

    def call(self, inputs: Any) -> Any:
        columns = [ops.one_hot(inputs[:, at] - 1, size, dtype=self.compute_dtype) for at, size in enumerate(self.sizes)]
        return ops.concatenate(columns, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], sum(self.sizes))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sizes": self.sizes}


@keras.saving.register_keras_serializable("pipeline")
class Periodic(keras.layers.Layer):
    """Sines and cosines of learnt frequencies of each number: (batch, features) -> (batch, features, 2 * frequencies).

    sin(2 pi c x) and cos(2 pi c x), c drawn from a normal (Gorishniy et al. 2022, section 3.2).

    Args:
        scale: standard deviation of the frequencies c at the start.
    """

    def __init__(self, frequencies: int, *, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frequencies, self.scale = frequencies, scale

    def build(self, shape: tuple[int | None, ...]) -> None:
        start = keras.initializers.RandomNormal(stddev=self.scale)
        self.rates = self.add_weight((shape[-1], self.frequencies), initializer=start, name="frequencies")

    def call(self, inputs: Any) -> Any:
        angles = 2 * np.pi * ops.expand_dims(inputs, -1) * ops.cast(self.rates, inputs.dtype)
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, 2 * self.frequencies)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frequencies": self.frequencies, "scale": self.scale}


@keras.saving.register_keras_serializable("pipeline")
class ColumnEmbedding(keras.layers.Layer):
    """Codes to a learnt vector each: (batch, columns) -> (batch, columns, width); every column has its own, code 0 too.

    Args:
        sizes: for each column its number of tokens; codes run from 0 to it.
        stddev: of the vectors at the start.
    """

    def __init__(self, sizes: Sequence[int], width: int, *, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.width, self.stddev = [int(size) for size in sizes], width, stddev
        self._first = np.concatenate([[0], np.cumsum(np.asarray(self.sizes) + 1)[:-1]]).astype("int32")

    def build(self, shape: tuple[int | None, ...]) -> None:
        rows = sum(self.sizes) + len(self.sizes)
        start = keras.initializers.RandomNormal(stddev=self.stddev)
        self.embeddings = self.add_weight((rows, self.width), initializer=start, name="embeddings")

    def call(self, inputs: Any) -> Any:
        return ops.cast(ops.take(self.embeddings, inputs + self._first, axis=0), self.compute_dtype)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((*inputs.shape, self.width), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sizes": self.sizes, "width": self.width, "stddev": self.stddev}


@keras.saving.register_keras_serializable("pipeline")
class Take(keras.layers.Layer):
    """Some places of the last axis: (..., all) -> (..., places)."""

    def __init__(self, places: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.places = [int(place) for place in places]

    def call(self, inputs: Any) -> Any:
        return ops.take(inputs, np.asarray(self.places, "int32"), axis=-1)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((*inputs.shape[:-1], len(self.places)), dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "places": self.places}
