"""What suggests a split, and what only looks like it."""

import pandas as pd
import pytest

from pipeline.config import SplitParams
from pipeline.proposing import sides


def test_a_column_whose_values_are_names_of_sides():
    frame = pd.DataFrame({"part": ["train", "Test", "train"], "y": [1, 2, 3]})
    found = sides.given(frame, {"part": "category", "y": "number"}, "y")
    assert found.keys == {"strategy": "given", "by": "part", "validation": 0.15}
    assert found.params.by == "part"
    both = pd.DataFrame({"part": ["train", "test", "dev"]})
    assert "validation" not in sides.given(both, {"part": "category"}, "y").keys


@pytest.mark.parametrize("values", [["train", "test", "bus"], ["train", "train"], ["train", "test", None], ["test", "test"]])
def test_other_values_are_no_sides(values):
    assert sides.given(pd.DataFrame({"part": values}), {"part": "category"}, "y") is None


def test_the_target_is_never_the_side():
    assert sides.given(pd.DataFrame({"part": ["train", "test"]}), {"part": "category"}, "part") is None


@pytest.mark.parametrize("name", ["customer", "individual", "patient_id", "deviceId", "userID", "Store", "machine-no"])
def test_names_of_things(name):
    assert sides.called_key(name)


@pytest.mark.parametrize("name", ["grid", "paid", "humidity", "width", "price", "ID_free"[3:], "customers_total"])
def test_names_of_other_columns(name):
    assert not sides.called_key(name)


def test_values_that_return_a_few_times_each():
    assert sides.returning(200, 1000)
    assert not sides.returning(1000, 1000)  # an id of rows
    assert not sides.returning(25, 100_000)  # a class of things
    assert not sides.returning(3, 30)


def test_of_few_rows_more_is_held_out():
    assert sides.shares(500)["test"] > sides.shares(50_000)["test"]
    SplitParams(**sides.shares(10), strategy="random")
