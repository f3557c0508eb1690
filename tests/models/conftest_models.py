"""A tiny fitted preprocessing and sides of arrays to train on."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.arrays import Side
from pipeline.data.fitted import GRID, Category, Number, Preprocessor, Target


def preprocessor(task: str, numbers: int = 2, categories: int = 1) -> Preprocessor:
    """Numbers on a grid from -1 to 1, categories of two tokens each, and a target that fits the task."""
    grid = tuple(np.linspace(-1, 1, GRID + 1).tolist())
    classes = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}[task]
    return Preprocessor(
        task=task,
        target=Target("y", classes, mean=10.0, std=2.0),
        numbers=tuple(Number(f"x{at}", "value", grid=grid) for at in range(numbers)),
        categories=tuple(Category(f"k{at}", ("u", "v")) for at in range(categories)),
        set_aside={},
    )


def side(task: str, rows: int = 256, seed: int = 0, numbers: int = 2, categories: int = 1) -> Side:
    """Rows whose target follows from the first inputs, with a little noise."""
    rng = np.random.default_rng(seed)
    number = rng.uniform(-1, 1, (rows, numbers)).astype("float32")
    category = rng.integers(0, 3, (rows, categories)).astype("int32")
    score = (number[:, 0] if numbers else 0) + (category[:, 0] == 1 if categories else 0) + rng.normal(0, 0.1, rows)
    target = {
        "binary": (score > 0.3).astype("int32"),
        "multiclass": np.digitize(score, [0.0, 0.6]).astype("int32"),
        "regression": (10 + 2 * score).astype("float32"),
    }[task]
    return Side(number, category, target, np.arange(rows))


@pytest.fixture(params=["binary", "multiclass", "regression"])
def task(request: pytest.FixtureRequest) -> str:
    """Each task in turn."""
    return request.param
