"""The toys as sides: what `normalize` would have written of them."""

from __future__ import annotations

import numpy as np
import toys

from pipeline.data.arrays import Side

KINDS = ("table", "text", "image", "audio", "sequence", "mixed", "series")


def task_of(kind: str) -> str:
    return "forecast" if kind == "series" else "binary"


def side(kind: str, rows: int = 64, seed: int = 0) -> Side:
    """Rows of a kind; for a forecast windows that do not overlap, one after the other."""
    made, target = toys.rows(kind, task_of(kind), rows, seed)
    empty = np.empty((rows, 0))
    if kind == "series":
        length = toys.STEPS + toys.HORIZON
        series = np.concatenate([made["series"], np.zeros((rows, toys.HORIZON, made["series"].shape[2]), "float32")], axis=1)
        values = np.concatenate([np.full((rows, toys.STEPS, target.shape[2]), np.nan, "float32"), target], axis=1)
        more = {"series": series.reshape(rows * length, -1), "start": np.arange(rows) * length}
        return Side(empty.astype("float32"), empty.astype("int32"), values.reshape(rows * length, -1), np.arange(rows), more)
    number, category = made.pop("number", empty.astype("float32")), made.pop("category", empty.astype("int32"))
    return Side(number, category, target, np.arange(rows), made)
