"""Tables to split, and what a split makes of them, for the tests of splitting and of its sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.config import ProductionParams
from pipeline.data import sizes, splitting
from pipeline.data.engine import with_row_id
from pipeline.data.schema import Schema

REGRESSION = Schema((), "y", "regression", None, ())
CLASSES = Schema((), "y", "multiclass", None, ())


def held(column, *values):
    return ProductionParams.model_validate({"column": column, "in": values})


def rows(count=2000, customers=400, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer": [f"C{c}" for c in rng.integers(0, customers, count)],
            "plan": rng.choice(["a", "b", "c"], count),
            "x": np.arange(count, dtype=float),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, count), "D"),
            "side": rng.choice(["train", "Training", "val", "test"], count, p=[0.35, 0.35, 0.15, 0.15]),
            "y": rng.choice(["no", "yes", "maybe"], count, p=[0.7, 0.25, 0.05]),
        }
    )


def assign(backend, frame, split, schema=CLASSES, seed=1):
    """The rows with their ids and sides."""
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    return backend.to_pandas(splitting.assign(table, schema, split, seed))


def describe(backend, frame, split, schema=CLASSES, seed=1):
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    split = splitting.settled(table, schema, split)
    sided = backend.create_table("sided", splitting.marked(table, schema, split, seed), overwrite=True)
    return sizes.describe(backend, sided, schema, split)
