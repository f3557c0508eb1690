"""Spellings of a class: which one stays, and that nothing else changes."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.data import spelling
from pipeline.data.engine import ROW_ID, engine
from pipeline.data.schema import Schema
from pipeline.data.splitting import SIDE

SCHEMA = Schema((), "y", "multiclass", None, ())


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def merged(backend, rows, schema=SCHEMA):
    """What each row's target becomes, and the spellings that were merged; rows are (side, target)."""
    frame = pd.DataFrame(rows, columns=[SIDE, "y"]).assign(**{ROW_ID: [f"{at:04d}-0" for at in range(len(rows))]})
    table, others = spelling.merged(backend, backend.create_table("rows", frame, overwrite=True), schema)
    return backend.to_pandas(table.order_by(ROW_ID))["y"].tolist(), others


def test_the_commonest_spelling_of_train_stays(backend):
    rows = [("train", "Yes"), ("train", "Yes"), ("train", "yes"), ("train", "no"), *[("test", "yes")] * 9, ("production", "YES")]
    assert merged(backend, rows) == (["Yes"] * 3 + ["no"] + ["Yes"] * 10, {"Yes": ["yes", "YES"]})


def test_among_equals_the_first_in_order_stays_whatever_the_order_of_rows(backend):
    rows = [("train", "b"), ("train", "B"), ("test", "b"), ("test", "c")]
    assert merged(backend, rows)[1] == {"b": ["B"]}  # as common in train, commoner in all
    even = [("train", "b"), ("train", "B"), ("test", "c")]
    assert merged(backend, even)[1] == merged(backend, even[::-1])[1] == {"B": ["b"]}


def test_white_space_tells_no_classes_apart_and_missing_stays(backend):
    found, others = merged(backend, [("train", "at home"), ("train", "at home"), ("test", " At  home"), ("test", None), ("test", "athome")])
    assert others == {"at home": [" At  home"]}
    assert found[:3] == ["at home"] * 3
    assert pd.isna(found[3])
    assert found[4] == "athome"


def test_a_class_that_train_lacks_takes_its_commonest_spelling(backend):
    assert merged(backend, [("train", "a"), ("test", "Z"), ("test", "z"), ("production", "z")])[1] == {"z": ["Z"]}


def test_numbers_and_single_spellings_stay_as_they_are(backend):
    assert merged(backend, [("train", 1.0), ("test", 2.0)], Schema((), "y", "regression", None, ())) == ([1.0, 2.0], {})
    assert merged(backend, [("train", "a"), ("test", "b")]) == (["a", "b"], {})
