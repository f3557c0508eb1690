"""Whether whole groups carry the classes evenly, and the seed that is named where they do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.config import SplitParams
from pipeline.data import balance, sizes, splitting
from pipeline.data.engine import engine, with_row_id
from pipeline.data.schema import Schema

SCHEMA = Schema((), "y", "binary", None, ())
SPLIT = SplitParams(strategy="stratified_group", by="who", min_class_rows=0)


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def compare(backend, frame, split, seed):
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    sided = splitting.marked(table, SCHEMA, split, seed)
    sides = sizes.describe(backend, sided, SCHEMA, split)["sides"]
    return sides, balance.compare(backend, sided, SCHEMA, split, seed, sides)


def groups(count, each, seed=0):
    """Groups whose rows are mostly of one class."""
    rng = np.random.default_rng(seed)
    lean = rng.random(count).round()
    who = np.repeat(np.arange(count), each)
    frame = pd.DataFrame({"who": [f"G{g}" for g in who], "x": np.arange(len(who)) / 1.0})
    frame.loc[::97, "who"] = None
    return frame.assign(y=np.where(rng.random(len(who)) < 0.1 + 0.8 * lean[who], "yes", "no"))


def test_the_named_seed_gives_what_is_told_of_it(backend):
    frame = groups(40, 25)
    sides, told = next(found for seed in range(20) if "better_seed" in (found := compare(backend, frame, SPLIT, seed))[1])
    assert max(told["distance"].values()) > balance.EVEN
    counts = {side: row["classes"] for side, row in sides.items()}
    share = frame.y.eq("yes").mean()
    assert told["distance"]["test"] == pytest.approx(abs(counts["test"].get("yes", 0) / sides["test"]["rows"] - share), abs=1e-4)
    _, better = compare(backend, frame, SPLIT, told["better_seed"])
    assert better["distance"] == told["distance_with_it"]
    assert max(better["distance"].values()) < max(told["distance"].values())


def test_many_groups_are_even(backend):
    _, told = compare(backend, groups(4000, 2), SPLIT, 1)
    assert max(told["distance"].values()) <= balance.EVEN
    assert set(told) == {"distance"}


def test_other_strategies_are_not_compared(backend):
    assert compare(backend, groups(60, 20), SplitParams(strategy="group", by="who", min_class_rows=0), 1)[1] == {}


def test_distance_is_the_share_of_rows_that_would_have_to_change_class():
    counts = np.array([[60.0, 40.0], [5.0, 15.0], [0.0, 0.0]])
    overall = 65 / 120
    assert balance.distances(counts).tolist() == pytest.approx([0.6 - overall, overall - 0.25, 1.0])
