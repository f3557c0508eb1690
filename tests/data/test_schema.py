"""What each column is taken for, and what the target asks for."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import DataParams
from pipeline.data import schema
from pipeline.data.engine import engine, with_row_id
from pipeline.errors import UserError

MISSING = DataParams(source="-", target="-").missing


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def infer(backend, columns, *, target="y", task="auto", positive=None, overrides=(), missing=MISSING):
    rows = len(next(iter(columns.values())))
    table = pa.table({**columns, **({} if "y" in columns or target != "y" else {"y": (["no", "yes"] * rows)[:rows]})})
    keyed = with_row_id(backend.create_table("rows", table, overwrite=True))
    return schema.infer(backend, keyed, target=target, task=task, positive=positive, overrides=dict(overrides), missing=missing)


def column(backend, values, override=None):
    return infer(backend, {"x": values}, overrides={"x": override} if override else {}).column("x")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "-3e2", " 4 "], "number"),
        (["1", "inf", "-Infinity"], "number"),
        (["0", "1"], "number"),
        (["2019", "2020"], "number"),
        (["true", "FALSE", "T", "f"], "boolean"),
        (["yes", "no"], "category"),
        (["red", "blue"], "category"),
        (["1", "two"], "category"),
        (["1,5", "2,5"], "category"),
        (["2020-01-31", "2020-02-01 10:30:00"], "datetime"),
        (["31.01.2020", "1.2.2020"], "datetime"),
        (["31.01.2020 10:30", "01.02.2020 11:00"], "datetime"),
        (["22/01/2020", "03/04/2020"], "datetime"),
        (["01/22/2020", "03/04/2020"], "datetime"),
        (["12:30:00", "12:31:00"], "category"),
        (["2020-01-31", "infinity"], "category"),
        ([1, 2], "number"),
        ([1.5, None], "number"),
        ([True, None], "boolean"),
        ([datetime.datetime(2020, 1, 1), None], "datetime"),
        ([datetime.date(2020, 1, 1), None], "datetime"),
    ],
)
def test_kind_follows_the_way_values_are_written(backend, values, kind):
    assert column(backend, values).kind == kind


@pytest.mark.parametrize("token", MISSING)
def test_missing_tokens_do_not_make_numbers_text(backend, token):
    assert column(backend, ["1", token, f" {token} ", None]).kind == "number"
    assert column(backend, [token, None]).kind == "ignore"


def test_missing_tokens_can_be_set(backend):
    columns = {"x": ["1", "none"]}
    assert infer(backend, columns).column("x").kind == "category"
    assert infer(backend, columns, missing=("none",)).column("x").kind == "number"


@pytest.mark.parametrize("values", [["", "NA"], pa.array([None, None], pa.float64()), np.array([np.nan, np.nan])])
def test_column_without_values_is_ignored(backend, values):
    found = column(backend, values)
    assert (found.kind, found.reason) == ("ignore", "every value is missing")


def test_reasons_say_why(backend):
    assert column(backend, ["1", "2", ""]).reason == "all 2 values read as number"
    assert column(backend, ["1", "2", "x"]).reason == "text, 2 of 3 values read as numbers"
    assert column(backend, ["a", "b"]).reason == "text"
    assert column(backend, [1, 2]).reason == "the source types it as number"
    assert column(backend, ["a", "b"], "id").reason == "set in data.columns"


def test_date_format_is_kept(backend):
    assert column(backend, ["31.01.2020", "01.02.2020"]).format == "%d.%m.%Y"
    assert column(backend, ["22/01/2020", "03/04/2020"]).format == "%d/%m/%Y"
    assert column(backend, ["01/22/2020", "03/04/2020"]).format == "%m/%d/%Y"
    assert column(backend, ["2020-01-31"] * 2).format is None


def test_ambiguous_dates_stay_categories_and_name_the_remedy(backend):
    values = ["01/02/2020", "03/04/2020"]
    found = column(backend, values)
    assert found.kind == "category"
    assert found.reason == "dates, but %d/%m/%Y and %m/%d/%Y both fit: set data.columns.x: datetime to take the first"
    forced = column(backend, values, "datetime")
    assert (forced.kind, forced.format) == ("datetime", "%d/%m/%Y")


def test_datetime_override_takes_the_format_that_most_values_fit(backend):
    assert column(backend, ["31.01.2020", "soon"], "datetime").format == "%d.%m.%Y"
    assert column(backend, ["2020-01-31", "soon"], "datetime").format is None


@pytest.mark.parametrize("kind", ["number", "category", "boolean", "datetime", "text", "id", "ignore"])
def test_override_wins_over_inference(backend, kind):
    assert column(backend, ["1", "2"], kind).kind == kind


@pytest.mark.parametrize(
    ("values", "kind", "raw"),
    [
        ([datetime.datetime(2020, 1, 1)] * 2, "number", "datetime"),
        ([1.5, 2.0], "datetime", "number"),
        ([True, False], "datetime", "boolean"),
    ],
)
def test_override_that_cannot_fit_the_source_is_refused(backend, values, kind, raw):
    with pytest.raises(UserError, match=f"^data.columns.x: {kind} does not fit: the source types it as {raw}$"):
        column(backend, values, kind)


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["0", "1", "1"], "binary", "category"),
        ([0, 1, 1], "binary", "category"),
        (["yes", "no", "NA"], "binary", "category"),
        ([True, False, None], "binary", "category"),
        (["1.5", "2.5"], "binary", "category"),
        (np.array([0, 1, np.nan]), "binary", "category"),
        (["a", "b", "c"], "multiclass", "category"),
        ([str(k) for k in range(10)], "multiclass", "category"),
        ([str(k) for k in range(11)], "regression", "number"),
        (["1.5", "2", "3"], "regression", "number"),
        (["1.5", "2", "inf"], "regression", "number"),
        (np.array([1.5, 2, 3, np.nan]), "regression", "number"),
        ([1e19, 2e19, 3e19, 4.5], "regression", "number"),
    ],
)
def test_task_is_inferred_from_the_target(backend, values, task, kind):
    found = infer(backend, {"y": values})
    assert (found.task, found.column("y").kind) == (task, kind)


def test_task_can_be_set(backend):
    assert infer(backend, {"y": ["1", "2", "3"]}, task="regression").column("y").kind == "number"
    assert infer(backend, {"y": [str(k) for k in range(11)]}, task="multiclass").task == "multiclass"
    assert infer(backend, {"y": [str(k) for k in range(11)]}, overrides={"y": "category"}).task == "multiclass"


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (["a", "b"], {"target": "z"}, "^data.target: 'z' is no column of the source; columns are y$"),
        (["a", "a", ""], {}, "^data.target: 'y' is constant: there is nothing to predict$"),
        (np.array([1, np.nan]), {}, "^data.target: 'y' is constant"),
        (["", "NA"], {}, "^data.target: 'y' has no value in any row$"),
        (np.array([np.nan, np.nan]), {}, "^data.target: 'y' has no value in any row$"),
        (["a", "b", "c"], {"task": "binary"}, "^data.target: 'y': a binary task needs two classes, found 3 values$"),
        (["a", "b", "3"], {"task": "regression"}, "^data.target: 'y': regression needs numbers, but text, 1 of 3 values read as numbers$"),
        ([f"c{k}" for k in range(1001)], {}, "^data.target: 'y': 1001 classes; for numbers set data.task: regression$"),
        (["a", "b"], {"overrides": {"y": "id"}}, "^data.columns.y: the target must be number, category or boolean, got id$"),
        (["a", "b", "c"], {"positive": "a"}, "^data.positive: only a binary task has a positive class, this one is multiclass$"),
    ],
)
def test_target_that_does_not_fit_is_told(backend, values, options, message):
    with pytest.raises(UserError, match=message):
        infer(backend, {"y": values}, **options)


def test_all_absent_columns_are_told_at_once(backend):
    with pytest.raises(UserError) as caught:
        infer(backend, {"x": ["1"]}, target="z", overrides={"v": "id", "w": "id"})
    assert caught.value.messages == (
        "data.target: 'z' is no column of the source; columns are x",
        "data.columns.v: no such column; columns are x",
        "data.columns.w: no such column; columns are x",
    )


CELL = st.sampled_from(["1", "2.5", "", "NA", "true", "x", "2020-01-01", "01/02/2020", "31.01.2020", "inf", None])


@settings(derandomize=True, max_examples=10, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=2, max_size=8).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_inference_does_not_depend_on_the_order_of_rows(orders):
    found = []
    with engine() as backend:
        for rows in orders:
            columns = {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate("ab")}
            labels = pa.array(["yes" if row == min(rows, key=str) else "no" for row in rows])
            try:
                found.append(infer(backend, {**columns, "y": labels}).to_json())
            except UserError as error:  # all rows alike: one class
                found.append(str(error))
    assert found[0] == found[1]


def test_json_round_trip(backend):
    found = infer(backend, {"x": ["31.01.2020", "01.02.2020"], "é": ["a", "b"]}, positive="yes")
    assert schema.Schema.from_json(found.to_json()) == found
    assert '"é"' in found.to_json()
