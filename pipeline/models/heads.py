"""Heads: what stands on the encoder's output, its loss, and what its numbers mean."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pipeline.data.fitted import Preprocessor, Target

LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mean_squared_error"}


def head(x: Any, fitted: Preprocessor) -> Any:
    """Sigmoid, softmax or linear output in float32: (batch, width) -> (batch, 1) or (batch, classes)."""
    if fitted.task == "multiclass":
        return keras.layers.Dense(len(fitted.target.classes), "softmax", dtype="float32", name="output")(x)
    activation = "sigmoid" if fitted.task == "binary" else "linear"
    return keras.layers.Dense(1, activation, dtype="float32", name="output")(x)


def training_target(target: np.ndarray, fitted: Target) -> np.ndarray:
    """Class codes as they are; a regression's target standardized by train's mean and deviation."""
    return target if fitted.classes else ((target - fitted.mean) / fitted.std).astype("float32")


def predictions(raw: np.ndarray, fitted: Preprocessor) -> np.ndarray:
    """A network's outputs as float64: P(second class) (rows,), class probabilities (rows, classes), or target units (rows,)."""
    raw = raw.astype("float64")
    if fitted.task == "multiclass":
        return raw / raw.sum(axis=1, keepdims=True)
    return raw[:, 0] if fitted.task == "binary" else raw[:, 0] * fitted.target.std + fitted.target.mean
