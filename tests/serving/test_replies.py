"""Answers as MLflow writes them: valid JSON whatever stands in them, and floats to the last digit."""

from __future__ import annotations

import datetime
import io
import json
import math

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

from pipeline.serving.replies import MOST, NOTHING, predictions, problem, refusal, refusals


def strict(content: bytes) -> object:
    def never(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(content, parse_constant=never)


def as_mlflow_writes(answer: pd.DataFrame) -> object:
    written = io.StringIO()
    json.dump({"predictions": _get_jsonable_obj(answer, pandas_orient="records")}, written, cls=NumpyEncoder)
    return json.loads(written.getvalue())


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.none() | st.text(st.characters(exclude_categories=["Cs"])))))
def test_answers_are_what_mlflow_writes(rows):
    frame = pd.DataFrame({"prediction": [number for number, _ in rows], 'a "b"\n': pd.Series([text for _, text in rows], dtype=object)})
    found = strict(predictions(pa.Table.from_pandas(frame, preserve_index=False)))
    assert repr(found) == repr(as_mlflow_writes(frame))


def test_times_and_bytes_are_written_as_mlflow_does():
    times = pd.to_datetime(["2020-01-02 03:04:05.000006", "2020-01-01"], format="ISO8601")
    for unit in ("ns", "us"):
        frame = pd.DataFrame(
            {"week": times.astype(f"datetime64[{unit}]"), "day": [datetime.date(2020, 1, 1)] * 2, "raw": [b"\xff" * 90, b""]}
        )
        assert strict(predictions(pa.Table.from_pandas(frame))) == as_mlflow_writes(frame)


def test_what_json_has_no_word_for_is_null():
    answer = pa.table({
        "prediction": [math.nan, math.inf, -math.inf, None, 0.1], "small": pa.array([math.nan, 0.5, None, 1, 2], pa.float32()),
        "flags": pa.nulls(5), "when": pa.array([None] * 5, pa.timestamp("ns")), "some": [[math.nan, 1.0], None, [], [None], [2.0]],
    })  # fmt: skip
    found = strict(predictions(answer))["predictions"]
    assert [row["prediction"] for row in found] == [None, None, None, None, 0.1]
    assert [row["small"] for row in found] == [None, 0.5, None, 1.0, 2.0]
    assert [row["some"] for row in found] == [[None, 1.0], None, [], [None], [2.0]]
    assert {row["flags"] for row in found} == {row["when"] for row in found} == {None}


def test_other_types_are_written_too():
    answer = pa.table({"class": pa.array(["a", "b"]).dictionary_encode(), "many": [True, None], "large": [2**62, 1]})
    rows = [{"class": "a", "many": True, "large": 2**62}, {"class": "b", "many": None, "large": 1}]
    assert strict(predictions(answer)) == {"predictions": rows}


def test_no_rows_are_an_empty_list():
    assert predictions(pa.table({"prediction": pa.array([], pa.float64())})) == NOTHING


def test_a_problem_has_mlflows_names_and_takes_any_text():
    found = strict(problem("BAD_REQUEST", 'age: "\ud800\x00\n', rows=["a"]))
    assert found == {"error_code": "BAD_REQUEST", "message": 'age: "\ud800\x00\n', "rows": ["a"]}


@pytest.mark.parametrize(("refused", "last"), [(MOST, f"row {MOST}: age is missing"), (MOST + 1000, "and 1,000 more")])
def test_refused_rows_are_told_by_their_place(refused, last):
    answer = pa.table({"prediction": [None] * (refused + 1), "refused": [None] + ["age is missing"] * refused})
    assert refusals(answer)[0] == "row 1: age is missing"
    assert refusals(answer)[-1] == last
    assert len(refusals(answer)) == min(refused, MOST) + (refused > MOST)
    assert strict(refusal(answer))["message"].endswith(last)
    assert len(strict(refusal(answer))["predictions"]) == refused + 1
    assert refusals(pa.table({"prediction": [1]})) == refusals(pa.table({"refused": pa.nulls(3, pa.string())})) == []
