"""Which rows are refused and which are flagged, by what training had."""

import json

import numpy as np
import pyarrow as pa
import pytest

from pipeline.data.checking import Checker, Notes
from pipeline.data.fitted import Category, Number, Preprocessor, Target

SCHEMA = {"missing": ["NA"], "columns": [{"name": name, "missing": ["-"]} for name in ("age", "pay", "city", "flag")]}
SEEN = {
    "age": {"kind": "number", "missing": 0, "unreadable": 0, "low": 18, "high": 80},
    "pay": {"kind": "number", "missing": 9, "unreadable": 2, "low": 0, "high": 9},
    "city": {"kind": "category", "missing": 3, "unreadable": 0, "values": {"Oslo": 9, "Rome": 3}, "distinct": 2},
    "flag": {"kind": "boolean", "missing": 0, "unreadable": 0, "values": {"true": 7}, "distinct": 1},
}


@pytest.fixture
def look(tmp_path):
    def look(raw, clean, wrong=None, first=0, **changed):
        (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
        (tmp_path / "reference.json").write_text(json.dumps({"rows": 50, "columns": SEEN | changed}))
        keys = ("oslo", "rome") if "oslo" in changed.get("city", {}).get("values", {}) else ()
        numbers = tuple(Number(name, "value") for name in ("age", "pay", "flag"))
        fitted = Preprocessor("binary", Target("y", ("a", "b")), numbers, (Category("city", ("Oslo", "Rome"), keys),), {})
        usual = {"age": pa.array([30.0] * 3), "pay": pa.array([5.0] * 3), "city": pa.array(["Oslo"] * 3), "flag": pa.array([True] * 3)}
        notes = Notes()
        texts = {name: pa.array([str(value) for value in column.to_pylist()]) for name, column in usual.items()}
        Checker(tmp_path, fitted).look(pa.table(texts | raw), pa.RecordBatch.from_pydict(usual | clean), wrong or {}, notes, first=first)
        return notes

    return look


def test_usual_rows_have_no_notes(look):
    notes = look({}, {})
    assert (notes.refused, notes.flags) == ({}, {})
    assert notes.column(notes.refused, 3).tolist() == [None, None, None]


def test_missing_where_training_had_none_is_refused_and_else_answered(look):
    gone = pa.array([None, 30.0, None])
    notes = look({"age": pa.array([None, "30", " NA "])}, {"age": gone}, first=10)
    assert notes.refused == {at: ["age is missing, which it never was in training"] for at in (10, 12)}
    assert look({"pay": pa.array([None, "5", "-"])}, {"pay": gone}).refused == {}


def test_what_is_no_value_of_its_kind_is_refused_unless_training_met_such(look):
    notes = look({"age": pa.array(["30", "old", "30"])}, {"age": pa.array([30.0, None, 30.0])})
    assert notes.refused == {1: ["age: expected a number, got 'old'"]}
    notes = look({"pay": pa.array(["5", "much", "5"])}, {"pay": pa.array([5.0, None, 5.0])})
    assert (notes.refused, notes.flags) == ({}, {1: ["pay: expected a number, got 'much'"]})


def test_values_of_another_type_than_the_source_s_are_refused(look):
    notes = look({"flag": pa.array([True, None, None])}, {"flag": pa.array([True, None, None])}, {"flag": np.array([False, True, False])})
    assert notes.refused == {1: ["flag: expected true or false"], 2: ["flag is missing, which it never was in training"]}


def test_what_lies_outside_of_training_is_flagged(look):
    notes = look(
        {"city": pa.array(["Rome", "Bern", None])},
        {"age": pa.array([18.0, 81.5, 17.0]), "city": pa.array(["Rome", "Bern", None]), "flag": pa.array([True, True, False])},
        first=5,
    )
    assert notes.refused == {}
    assert notes.flags == {
        6: ["age 81.5 is outside of training's 18 to 80", "city 'Bern' is not in training"],
        7: ["age 17 is outside of training's 18 to 80", "flag 'false' is not in training"],
    }
    assert notes.column(notes.flags, 8)[6] == "age 81.5 is outside of training's 18 to 80; city 'Bern' is not in training"


def test_spellings_that_preprocessing_merges_are_one(look):
    merged = {"city": SEEN["city"] | {"values": {"oslo": 9, "rome": 1}}}
    assert look({}, {"city": pa.array(["OSLO", "Rome", "rome"])}, **merged).flags == {}


def test_of_many_values_only_the_frequent_ones_are_known(look):
    many = {"city": SEEN["city"] | {"distinct": 5000}}
    assert look({}, {"city": pa.array(["Oslo", "Bern", "Rome"])}, **many).flags == {
        1: ["city 'Bern' is not among training's most frequent values"]
    }
