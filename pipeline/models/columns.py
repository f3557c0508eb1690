"""Table columns as a network sees them: joined features (batch, features), or a token each (batch, columns, width)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from pipeline.config import ModelParams
from pipeline.data.fitted import GRID, Preprocessor
from pipeline.models.layers import ColumnEmbedding, OneHot, Periodic, PiecewiseLinear, Take

LARGE_WIDTH = 32  # of the embedding of a category column with more tokens than model.one_hot


def features(inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams) -> Any:
    """The columns as one vector: numbers by their encoding, categories as indicators or, with many tokens, as embeddings."""
    parts = []
    if "number" in inputs:
        x = _encoded_numbers(inputs["number"], fitted, model)
        parts.append(x if len(x.shape) == 2 else keras.layers.Flatten(name="numbers")(_embedded(x, model.embedding, "relu")))
    small = [at for at, category in enumerate(fitted.categories) if 0 < len(category.tokens) <= model.one_hot]
    large = [at for at, category in enumerate(fitted.categories) if len(category.tokens) > model.one_hot]
    if small:
        parts.append(OneHot(_sizes(fitted, small), name="one_hot")(_taken(inputs["category"], small, name="indicated")))
    if large:
        codes = _taken(inputs["category"], large, name="embedded")
        embedded = ColumnEmbedding(_sizes(fitted, large), LARGE_WIDTH, stddev=LARGE_WIDTH**-0.5, name="category_embedding")(codes)
        parts.append(keras.layers.Flatten(name="categories")(embedded))
    if not parts:  # a table of columns without a single frequent token
        return OneHot([1] * len(fitted.categories), name="one_hot")(inputs["category"])
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="columns")(parts)


def tokens(inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams, width: int) -> Any:
    """The columns as tokens (batch, columns, width): FT-Transformer, Gorishniy et al. 2021, section 3.3."""
    parts = []
    if "number" in inputs:
        x = _encoded_numbers(inputs["number"], fitted, model)
        if len(x.shape) == 2:
            x = keras.layers.Reshape((x.shape[1], 1), name="number_column")(x)
        parts.append(_embedded(x, width, None))
    if "category" in inputs:
        sizes = _sizes(fitted, range(len(fitted.categories)))
        parts.append(ColumnEmbedding(sizes, width, stddev=width**-0.5, name="category_embedding")(inputs["category"]))
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(axis=1, name="column_tokens")(parts)


def _encoded_numbers(numbers: Any, fitted: Preprocessor, model: ModelParams) -> Any:
    """(batch, features), or with an encoding (batch, features, values)."""
    if model.number_encoding == "none" or not model.bins:
        return numbers
    if model.number_encoding == "periodic":
        return Periodic(model.bins, scale=model.frequency_scale, dtype="float32", name="periodic")(numbers)
    grids = [edges(number.grid, model.bins) for number in fitted.numbers]
    return PiecewiseLinear(grids, dtype="float32", name="piecewise_linear")(numbers)  # half precision cannot tell narrow bins apart


def _embedded(x: Any, width: int, activation: str | None) -> Any:
    """A dense layer of its own for each column: (batch, features, values) -> (batch, features, width)."""
    bound = x.shape[-1] ** -0.5
    return keras.layers.EinsumDense(
        "bfk,fke->bfe",
        output_shape=(x.shape[1], width),
        bias_axes="fe",
        activation=activation,
        kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
        bias_initializer="zeros" if activation else keras.initializers.RandomUniform(-bound, bound),
        name="number_embedding",
    )(x)


def _sizes(fitted: Preprocessor, columns: Iterable[int]) -> list[int]:
    return [len(fitted.categories[at].tokens) for at in columns]


def _taken(codes: Any, columns: list[int], *, name: str) -> Any:
    """Some of the category columns."""
    return codes if len(columns) == codes.shape[1] else Take(columns, name=name)(codes)


def edges(grid: tuple[float, ...], bins: int) -> list[float]:
    """Distinct bin edges: every (GRID / bins)-th of a feature's train quantiles."""
    steps = np.unique(np.round(np.linspace(0, GRID, bins + 1)).astype(int))
    return np.unique(np.asarray(grid, "float32")[steps]).astype(float).tolist()
