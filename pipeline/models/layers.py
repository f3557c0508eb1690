"""Layers of our own, for inputs that Keras has no layer for.  The model package carries this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


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
