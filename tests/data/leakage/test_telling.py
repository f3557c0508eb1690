import numpy as np
import pandas as pd
import pytest

from pipeline.config import CleanParams, DataParams
from pipeline.data.engine import engine, with_row_id
from pipeline.data.inference import infer
from pipeline.data.leakage.telling import giveaways


def found(frame, task="auto", group=None, **overrides):
    with engine() as backend:
        table = with_row_id(backend.create_table("t", frame))
        schema = infer(backend, table, DataParams(source="t", target="y", task=task, columns=overrides, missing=("",)), CleanParams())
        return giveaways(backend, backend.create_table("u", table), schema, group=group)


def rows(seed, n=1000, classes=("no", "yes")):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, n, p=[0.7, 0.3] if len(classes) == 2 else None)
    return pd.DataFrame(
        {
            "helpful": (y == "yes") * 0.8 + rng.normal(size=n),
            "city": rng.choice(list("abcde"), n),
            "flag": rng.random(n) < 0.5,
            "name": [f"p{at}" for at in range(n)],  # an id is pure, and says nothing
            "y": y,
        }
    )


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_named_where_nothing_leaks(seed):
    assert found(rows(seed)) == {}


@pytest.mark.parametrize("seed", range(10))
def test_copies_of_the_target_are_named(seed):
    frame = rows(seed)
    frame["alive"] = np.where(frame["y"] == "yes", "survived", "lost")
    frame["score"] = np.where(frame["y"] == "yes", 2.0, 1.0) + np.random.default_rng(seed).random(len(frame)) * 0.9
    frame["mostly"] = np.where(np.random.default_rng(seed).random(len(frame)) < 0.002, "?", frame["y"])
    assert set(found(frame)) == {"alive", "score", "mostly"}


def test_a_column_that_is_ignored_or_groups_rows_is_not_named():
    frame = rows(0)
    frame["alive"] = frame["y"]
    assert found(frame, alive="ignore") == {}
    assert found(frame, group="alive") == {}


def test_several_classes():
    frame = rows(1, classes=("a", "b", "c"))
    frame["copy"] = frame["y"].str.upper()
    assert found(frame) == {"copy": 1.0}


def test_a_number_that_follows_the_target_of_a_regression_is_named():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    frame = pd.DataFrame(
        {"y": y, "copy": 3 * y + 1, "close": y + rng.normal(size=500), "constant": 1.0, "city": rng.choice(list("ab"), 500)}
    )
    assert found(frame, task="regression") == {"copy": 1.0}
