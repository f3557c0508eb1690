"""The multi-layer perceptron for table columns: inputs -> (batch, width)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pipeline.config import ModelParams
from pipeline.data.fitted import GRID, Preprocessor
from pipeline.models.layers import OneHot, PiecewiseLinear


def encode(inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams) -> Any:
    """Join the encoded columns and send them through the hidden layers.

    Numbers pass through a piecewise-linear encoding on train quantiles and a small dense layer each (with bins: 0 as
    they are), categories as indicators.  `layers: 0` gives the encoded columns themselves: a linear model.
    """
    parts = []
    if "number" in inputs:
        parts.append(_numbers(inputs["number"], fitted, model))
    if sizes := [len(category.tokens) for category in fitted.categories if category.tokens]:
        known = [at for at, category in enumerate(fitted.categories) if category.tokens]
        codes = inputs["category"]
        if len(known) < len(fitted.categories):  # a column of rare values only has no indicator
            codes = keras.ops.take(codes, known, axis=1)
        parts.append(OneHot(sizes, name="one_hot")(codes))
    x = parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="columns")(parts)
    for at in range(1, model.layers + 1):
        x = keras.layers.Dense(model.width, model.activation, kernel_initializer=initializer(model.activation), name=f"hidden_{at}")(x)
        x = keras.layers.Dropout(model.dropout, name=f"dropout_{at}")(x)
    return x


def _numbers(numbers: Any, fitted: Preprocessor, model: ModelParams) -> Any:
    if not model.bins:
        return numbers
    encoding = PiecewiseLinear([edges(number.grid, model.bins) for number in fitted.numbers], name="piecewise_linear")
    x = encoding(numbers)  # (batch, features, bins)
    bound = x.shape[-1] ** -0.5
    x = keras.layers.EinsumDense(
        "bfk,fke->bfe",
        output_shape=(len(fitted.numbers), model.embedding),
        bias_axes="fe",
        activation="relu",
        kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
        name="number_embedding",
    )(x)
    return keras.layers.Flatten(name="numbers")(x)


def edges(grid: tuple[float, ...], bins: int) -> list[float]:
    """Distinct bin edges: every (GRID / bins)-th of a feature's train quantiles."""
    steps = np.unique(np.round(np.linspace(0, GRID, bins + 1)).astype(int))
    return np.unique(np.asarray(grid, "float32")[steps]).astype(float).tolist()


def initializer(activation: str) -> str:
    """The initialization that keeps the variance of signals through layers with this activation.

    He et al. 2015 for rectifiers and their smooth kin, LeCun for selu (Klambauer et al. 2017), Glorot & Bengio 2010 else.
    """
    if activation == "selu":
        return "lecun_normal"
    return "he_normal" if activation in ("relu", "leaky_relu", "elu", "gelu", "silu", "swish", "mish") else "glorot_uniform"
