"""Raw values to typed ones, row by row."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import DataParams
from pipeline.data import cleaning
from pipeline.data.engine import ROW_ID, engine, with_row_id
from pipeline.data.schema import Column, Schema

MISSING = DataParams(source="-", target="-").missing


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def one(raw, kind, form=None):
    return Schema((Column("x", raw, kind, "", form),), "x", "binary", None, MISSING)


def typed(backend, values, raw, kind, form=None):
    table = backend.create_table("rows", pa.table({"x": values}), overwrite=True)
    return backend.to_pyarrow(cleaning.clean(table, one(raw, kind, form)))["x"].to_pylist()


DAY = datetime.datetime(2020, 1, 31)


@pytest.mark.parametrize(
    ("raw", "kind", "values", "expected"),
    [
        ("text", "number", ["1", " 2.5 ", "-3e2", "NA", "x", None], [1.0, 2.5, -300.0, None, None, None]),
        ("text", "number", ["inf", "-Infinity", "nan", "1e400"], [None] * 4),
        ("text", "boolean", ["true", "F", " yes ", "N", "1", "0", "?", "maybe"], [True, False, True, False, True, False, None, None]),
        (
            "text",
            "datetime",
            ["2020-01-31", "2020-01-31 10:30:00", "-", "soon", "infinity"],
            [DAY, DAY.replace(hour=10, minute=30), None, None, None],
        ),
        ("text", "category", [" red ", "Red", "", "NA", "007"], ["red", "Red", None, None, "007"]),
        ("text", "text", [" two  words ", "NULL"], ["two  words", None]),
        ("text", "id", ["a1", None], ["a1", None]),
        ("number", "number", [1, 2, None], [1.0, 2.0, None]),
        ("number", "number", [1.5, float("inf"), float("-inf"), float("nan"), None], [1.5, None, None, None, None]),
        ("number", "category", [3.0, 3.5, float("nan"), None], ["3", "3.5", None, None]),
        ("number", "category", [3, -3, None], ["3", "-3", None]),
        ("number", "category", [1e300], ["1e+300"]),
        ("number", "category", [decimal.Decimal("3.00"), decimal.Decimal("3.50")], ["3", "3.5"]),
        ("number", "boolean", [1.0, 0.0, float("nan"), None], [True, False, None, None]),
        ("number", "boolean", [1, 0, None], [True, False, None]),
        ("boolean", "boolean", [True, False, None], [True, False, None]),
        ("boolean", "number", [True, False, None], [1.0, 0.0, None]),
        ("boolean", "category", [True, None], ["true", None]),
        ("datetime", "datetime", [DAY, None], [DAY, None]),
        ("datetime", "datetime", [DAY.date(), None], [DAY, None]),
        ("datetime", "category", [DAY.date()], ["2020-01-31 00:00:00"]),
        ("datetime", "category", [DAY], ["2020-01-31 00:00:00"]),
    ],
)
def test_values_become_exactly_their_kind(backend, raw, kind, values, expected):
    assert typed(backend, values, raw, kind) == expected


@pytest.mark.parametrize(("form", "text"), [("%d.%m.%Y", "31.01.2020"), ("%d/%m/%Y", "31/01/2020"), ("%m/%d/%Y", "01/31/2020")])
def test_dates_follow_the_format_of_the_schema(backend, form, text):
    assert typed(backend, [text, f" {text}", "2020-01-31", None], "text", "datetime", form) == [DAY, DAY, None, None]


def test_3_and_3_point_0_are_one_category_whatever_the_type(backend):
    kinds = [pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(25, 2)]
    assert [typed(backend, pa.array([3]).cast(kind), "number", "category") for kind in kinds] == [["3"]] * 6


def test_ignored_columns_are_left_out_and_absent_ones_are_no_error(backend):
    schema = Schema(
        tuple(Column(name, "text", kind, "") for name, kind in {"a": "number", "b": "ignore", "c": "category"}.items()),
        "c",
        "binary",
        None,
        (),
    )
    table = with_row_id(backend.create_table("rows", pa.table({"b": ["x"], "a": ["1"], "other": ["z"]}), overwrite=True))
    found = backend.to_pyarrow(cleaning.clean(table, schema))
    assert found.column_names == [ROW_ID, "a"]
    assert found["a"].to_pylist() == [1.0]


def test_column_names_that_are_words_of_the_code_pass(backend):
    names = ("self", "by", "having", "select", "order", "a b", 'c"d', "prénom")
    schema = Schema(tuple(Column(name, "text", "number", "") for name in names), "self", "regression", None, ())
    table = backend.create_table("rows", pa.table({name: [str(at)] for at, name in enumerate(names)}), overwrite=True)
    assert backend.to_pyarrow(cleaning.clean(table, schema)).to_pylist() == [{name: float(at) for at, name in enumerate(names)}]


def test_unreadable_values_are_counted_and_missing_ones_are_not(backend):
    kinds = {"n": "number", "b": "boolean", "d": "datetime", "c": "category"}
    schema = Schema(tuple(Column(name, "text", kind, "") for name, kind in kinds.items()), "c", "binary", None, MISSING)
    rows = {
        "n": ["1", "x", "inf", "NA", None],
        "b": ["t", "maybe", "?", "", "0"],
        "d": ["2020-01-31", "soon", "later", "now", ""],
        "c": list("abcde"),
    }
    table = backend.create_table("rows", pa.table(rows), overwrite=True)
    counts = cleaning.unreadable(table, schema)
    found = backend.to_pyarrow(table.aggregate([count.name(name) for name, count in counts.items()])).to_pylist()[0]
    assert found == {"n": 2, "b": 1, "d": 3}


CELL = st.one_of(
    st.none(), st.sampled_from(["1", " 2", "x", "", "NA", "true", "2020-01-31", "inf"]), st.text(alphabet="ab01 .-e\t'\"é", max_size=6)
)
NUMBER = st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float))


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.lists(st.tuples(CELL, NUMBER, st.booleans()), min_size=1, max_size=10))
def test_any_subset_of_rows_gets_the_same_values(rows):
    kinds = ("number", "boolean", "datetime", "category")
    columns = tuple(Column(f"t {kind}", "text", kind, "") for kind in kinds) + tuple(
        Column(f"n {k}", "number", k, "") for k in ("number", "category")
    )
    schema = Schema(columns, "t category", "multiclass", None, MISSING)

    def clean(some):
        texts, numbers = pa.array([row[0] for row in some], pa.string()), pa.array([row[1] for row in some], pa.float64())
        table = pa.table({c.name: texts if c.raw == "text" else numbers for c in columns})
        return backend.to_pyarrow(cleaning.clean(backend.create_table("rows", table, overwrite=True), schema)).to_pylist()

    with engine() as backend:
        whole = clean(rows)
        kept = [at for at, row in enumerate(rows) if row[2]]
        assert clean([rows[at] for at in kept]) == [whole[at] for at in kept]
        assert not any(isinstance(value, float) and not np.isfinite(value) for row in whole for value in row.values())


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("category", "New\u00a0York", "New York"),
        ("category", "New \t  York\n", "New York"),
        ("category", "\u200bRome\ufeff", "Rome"),
        ("category", "Cafe\u0301", "Café"),
        ("category", "\u3000", None),
        ("category", "N\u200b/A", None),
        ("text", " one\n  two\u00a0three\r\n", "one\n  two three"),
        ("id", " a  1 ", "a 1"),
        ("number", "\u22125,0".replace(",", "."), -5.0),
        ("number", "\u00a012\t", 12.0),
        ("datetime", " 2020-01-31\u00a0", DAY),
        ("boolean", "\u00a0True", True),
    ],
)
def test_white_space_and_unicode_are_made_alike(backend, kind, value, expected):
    assert typed(backend, [value], "text", kind) == [expected]


@pytest.mark.parametrize(
    ("decimal", "thousands", "sign", "values", "expected"),
    [
        (",", ".", None, ["1.234,5", "1,5", "1.2.3", "12.34,5", "x"], [1234.5, 1.5, None, None, None]),
        (".", ",", None, ["1,234.5", "1,2,3", "1,23"], [1234.5, None, None]),
        (".", "'", None, ["1'234", "1\u2019234.5"], [1234.0, 1234.5]),
        (",", " ", None, ["1\u202f234,5", "1 23"], [1234.5, None]),
        (".", "", "%", ["12 %", "12.5%", "7"], [12.0, 12.5, 7.0]),
        (".", ",", "$", ["$1,200.50", "-$3", "$ 4"], [1200.5, -3.0, 4.0]),
    ],
)
def test_number_forms(backend, decimal, thousands, sign, values, expected):
    column = Column("x", "text", "number", "", sign, decimal, thousands)
    table = backend.create_table("rows", pa.table({"x": values}), overwrite=True)
    schema = Schema((column,), "x", "regression", None, MISSING)
    assert backend.to_pyarrow(cleaning.clean(table, schema))["x"].to_pylist() == expected


def test_times_with_offsets_become_utc(backend):
    values = ["2020-01-31T02:00:00+02:00", "2020-01-31T00:00:00Z", "2020-01-31", "2020-01-30 19:00:00-05"]
    assert typed(backend, values, "text", "datetime", "%z") == [DAY] * 4


@pytest.mark.parametrize(
    ("mode", "expected"), [("missing", [None, 5, None]), ("clip", [0, 5, 10]), ("keep", [-1, 5, 11]), ("drop", [None, 5, None])]
)
def test_values_outside_their_range(backend, mode, expected):
    schema = Schema((Column("x", "text", "number", "", low=0, high=10),), "x", "regression", None, MISSING, out_of_range=mode)
    table = backend.create_table("rows", pa.table({"x": ["-1", "5", "11"]}), overwrite=True)
    assert backend.to_pyarrow(cleaning.clean(table, schema))["x"].to_pylist() == expected


def test_sequences_become_lists_of_float64_and_files_stay(backend):
    table = backend.create_table(
        "rows", pa.table({"s": pa.array([[1, 2], None]), "i": pa.array([b"\x89", None], pa.binary())}), overwrite=True
    )
    schema = Schema((Column("s", "list", "sequence", ""), Column("i", "binary", "image", "")), "s", "binary", None, MISSING)
    found = backend.to_pyarrow(cleaning.clean(table, schema))
    assert found["s"].type.value_type == pa.float64()
    assert found.to_pylist() == [{"s": [1.0, 2.0], "i": b"\x89"}, {"s": None, "i": None}]
