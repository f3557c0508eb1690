"""Splits as a column says: the sides' names, own values, and what stands for no side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.config import SplitParams
from pipeline.data import splitting
from pipeline.data.engine import engine, with_row_id
from pipeline.data.schema import Schema
from pipeline.data.splitting import REASON, SIDE
from pipeline.errors import UserError

SCHEMA = Schema((), "y", "regression", None, ())


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def marked(backend, values, **given):
    frame = pd.DataFrame({"part": values, "x": np.arange(len(values)) / 1.0, "y": 1.0})
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    split = SplitParams(strategy="given", by="part", given=given)
    return backend.to_pandas(splitting.marked(table, SCHEMA, split, 1)).sort_values("x")


def test_usual_names_stand_for_the_sides(backend):
    names = {
        "train": ["train", "TRAINING", "trn"],
        "validation": ["valid", "Validation", "val", "dev"],
        "test": ["test", "t10k", "TST", "Testing"],
    }
    values = [value for several in names.values() for value in several]
    assert marked(backend, values)[SIDE].tolist() == [side for side, several in names.items() for _ in several]


def test_own_values_take_the_place_of_the_names(backend):
    found = marked(backend, ["A", "b", "c", "val"], train=("a", "B"), test=("c",))
    assert found[SIDE].tolist() == ["train", "train", "test", "validation"]


@pytest.mark.parametrize(
    ("values", "given"),
    [
        ([2019.0, 2020.0, 2021.0], {"train": (2019,), "validation": ("2020",), "test": (2021.0,)}),
        (
            list(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])),
            {"train": ("2024-01-01",), "validation": ("2024-01-02",), "test": ("2024-01-03",)},
        ),
    ],
)
def test_values_are_compared_in_the_columns_type(backend, values, given):
    assert marked(backend, values, **given)[SIDE].tolist() == ["train", "validation", "test"]


def test_a_share_of_train_becomes_validation_where_no_value_stands_for_it(backend):
    found = marked(backend, [True] * 500 + [False] * 1500, test=(True,), train=(False,))
    assert (found[SIDE][:500] == "test").all()
    assert set(found[SIDE][500:]) == {"train", "validation"}
    assert (found[SIDE][500:] == "validation").mean() == pytest.approx(0.15, abs=0.03)


def test_rows_without_a_value_are_on_no_side(backend):
    found = marked(backend, ["train", None, "test"])
    assert found[SIDE].isna().tolist() == [False, True, False]
    assert found[REASON].tolist()[1] == "part is missing"


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        (
            ["train", "test", "holdout", "holdout"],
            {},
            r"^split.given: 'holdout' \(2 rows\) of part stand for no side; known are train: train, training, trn; .*test: \[...\]",
        ),
        ([1.0, 2.0], {}, r"^split.given: 1 \(1 rows\), 2 \(1 rows\) of part stand for no side; known are none. Say what each stands for"),
        ([f"v{at:02d}" for at in range(30)], {}, r"'v09' \(1 rows\) and 20 more of part stand for no side"),
        (["a", "b"], {"train": ("a", "b"), "test": ("B",)}, "^split.given: 'B' stands for both train and test; name it once$"),
        ([1.0, 2.0], {"train": ("one",)}, r"^split.given.train: \['one'\] do not fit part: could not convert string to float: 'one'$"),
    ],
)
def test_what_stands_for_no_side_is_told(backend, values, given, message):
    with pytest.raises(UserError, match=message):
        marked(backend, values, **given)
