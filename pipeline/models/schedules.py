"""Schedules: the learning rate as a function of the step, so that a training resumed anywhere goes on at the same rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.config import TrainParams

RISE, START, END = 0.3, 1 / 25, 1e-4  # one_cycle: share of the steps going up, first and last rate over the peak
DROP = 0.5  # plateau: factor on the rate


def rates(params: TrainParams, *, epoch: int, steps: int, losses: Sequence[float] = ()) -> np.ndarray:
    """The learning rates (steps,) float32 of an epoch (from 0) of `steps` steps.

    Args:
        losses: validation losses of the epochs before it, which schedule plateau looks at.
    """
    step, total = np.arange(epoch * steps, (epoch + 1) * steps, dtype="float64"), params.epochs * steps
    if params.schedule == "one_cycle":  # Smith & Topin 2019, "Super-Convergence", along cosines
        up, down = max(RISE * total, 1.0), max((1 - RISE) * total, 1.0)
        share = np.where(step < up, _cosine(1 - step / up, START), _cosine((step - up) / down, END))
        return (params.learning_rate * share).astype("float32")
    warmup = min(params.warmup_epochs, params.epochs - 1) * steps
    share = np.minimum(1.0, (step + 1) / warmup) if warmup else np.ones(steps)
    if params.schedule == "cosine":  # Loshchilov & Hutter 2017, without restarts
        share = share * _cosine(np.maximum(step - warmup, 0) / (total - warmup), 0.0)
    if params.schedule == "plateau":
        share = share * DROP ** plateaus(losses, params.patience)
    return (params.learning_rate * share).astype("float32")


def _cosine(part: np.ndarray, low: float) -> np.ndarray:
    """From 1 at part 0 down to `low` at part 1."""
    return low + (1 - low) * (1 + np.cos(np.pi * np.clip(part, 0, 1))) / 2


def plateaus(losses: Sequence[float], patience: int) -> int:
    """How often the best loss stood for `patience` epochs; each time the count starts anew."""
    found, best, since = 0, np.inf, 0
    for loss in losses:
        since = 0 if loss < best else since + 1
        best = min(best, loss)
        if since >= patience:
            found, since = found + 1, 0
    return found
