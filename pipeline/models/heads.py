"""Heads: what stands on the encoder's output, its loss, and what its numbers mean."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pipeline.data.fitted import Preprocessor, Target

FAR = 1e3

LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mean_squared_error"}


def head(x: Any, fitted: Preprocessor) -> Any:
    """Sigmoid, softmax or linear output in float32: (batch, width) -> (batch, 1) or (batch, classes)."""
    if fitted.task == "multiclass":
        return keras.layers.Dense(len(fitted.target.classes), "softmax", dtype="float32", name="output")(x)
    activation = "sigmoid" if fitted.task == "binary" else "linear"
    return keras.layers.Dense(1, activation, dtype="float32", name="output")(x)


def training_target(target: np.ndarray, fitted: Target) -> np.ndarray:
    """Class codes as they are; a regression's target as the network learns it, by train's statistics."""
    if fitted.classes:
        return target
    values = target.astype("float64")
    if fitted.transform == "log":
        values = (np.sign(values) * np.log1p(np.abs(values) / fitted.unit) - fitted.center) / fitted.scale
    elif fitted.transform == "standardize":
        values = (values - fitted.mean) / fitted.std
    return values.astype("float32")


def predictions(raw: np.ndarray, fitted: Preprocessor) -> np.ndarray:
    """A network's outputs as float64: P(second class) (rows,), class probabilities (rows, classes), or target units (rows,)."""
    raw = raw.astype("float64")
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
