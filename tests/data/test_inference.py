"""What each column is taken for, and what the target asks for."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import CleanParams, CsvParams, DataParams, ForecastParams
from pipeline.data import cleaning, inference, look
from pipeline.data.engine import engine, with_row_id
from pipeline.errors import UserError

MISSING = DataParams(source="-", target="-").missing


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def infer(backend, columns, *, target="y", task="auto", positive=None, overrides=(), missing=MISSING, ranges=(), **data):
    rows = len(next(iter(columns.values())))
    table = pa.table({**columns, **({} if "y" in columns or target != "y" else {"y": (["no", "yes"] * rows)[:rows]})})
    keyed = with_row_id(backend.create_table("rows", table, overwrite=True))
    given = DataParams(source="-", target=target, task=task, positive=positive, columns=dict(overrides), missing=missing, **data)
    return inference.infer(backend, keyed, given, CleanParams(ranges=dict(ranges)))


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
        (["1,5", "2,5"], "number"),
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


@pytest.mark.parametrize(
    ("values", "decimal", "thousands", "read"),
    [
        (["1.234,5", "2,5", "12.345.678,25"], ",", ".", [1234.5, 2.5, 12345678.25]),
        (["1,234.5", "2.5", "12,345,678"], ".", ",", [1234.5, 2.5, 12345678.0]),
        (["1 234,5", "1\u00a0234", "-7"], ",", " ", [1234.5, 1234.0, -7.0]),
        (["1'234.5", "1\u2019234", "0.5"], ".", "'", [1234.5, 1234.0, 0.5]),
        (["0,5", "12,75", "3"], ",", "", [0.5, 12.75, 3.0]),
        (["1.5", "-2", "3e2"], ".", "", [1.5, -2.0, 300.0]),
        (["\u22125", " 7\t", "1\u00a0"], ".", "", [-5.0, 7.0, 1.0]),
    ],
)
def test_number_form_is_the_one_that_all_values_fit(backend, values, decimal, thousands, read):
    found = column(backend, values)
    assert (found.kind, found.decimal, found.thousands) == ("number", decimal, thousands)
    table = backend.create_table("rows", pa.table({"x": values}), overwrite=True)
    assert backend.to_pyarrow(cleaning.typed(table.x, found, MISSING).name("x").as_table())["x"].to_pylist() == read


def test_number_that_reads_in_two_ways_follows_the_other_columns(backend):
    doubtful = ["1,234", "5,678", "9,012"]
    alone = column(backend, doubtful)
    assert (alone.decimal, alone.thousands) == (".", ",")
    assert alone.notes == (
        "numbers such as '1,234' read in two ways; decimal mark '.' taken, "
        "a guess: set data.csv.decimal or data.csv.thousands if it is wrong",
    )
    comma = infer(backend, {"x": doubtful, "z": ["1,5", "2,25", "3,0"]}).column("x")
    assert (comma.decimal, comma.thousands) == (",", "")
    assert comma.notes[0].endswith("decimal mark ',' taken, as in the other columns")
    point = infer(backend, {"x": doubtful, "z": ["1.5", "2.25", "3.0"]}).column("x")
    assert (point.decimal, point.thousands) == (".", ",")
    dotted = infer(backend, {"x": ["1.234", "5.678", "9.012"], "z": ["1,5", "2,25", "3,0"]}).column("x")
    assert (dotted.decimal, dotted.thousands) == (",", ".")


def test_number_form_can_be_set(backend):
    csv = CsvParams(decimal=",")
    assert infer(backend, {"x": ["1,234", "5,678"]}, csv=csv).column("x").decimal == ","
    assert infer(backend, {"x": ["1.5", "2.5"]}, csv=csv).column("x").kind == "category"


@pytest.mark.parametrize("values", [["12%", "7.5 %", "3%"], ["$1,200", "$3", "$4.50"], ["-$5", "$6", "$7"], ["5 €", "6 €", "7,5 €"]])
def test_sign_beside_numbers_is_left_out_and_told(backend, values):
    found = column(backend, values)
    assert found.kind == "number"
    assert found.format in values[0]
    assert "is left out" in found.notes[-1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["00123", "04109", "80331"], "digits with leading zeros (2 of 3): codes, not amounts"),
        (["12345678901234567", "12345678901234568"], "whole numbers of 17 digits and more: codes, not amounts"),
        (["1_000", "2_000"], "digits with underscores: codes, not amounts"),
    ],
)
def test_codes_are_no_numbers(backend, values, reason):
    assert (column(backend, values).kind, column(backend, values).reason) == ("category", reason)


@pytest.mark.parametrize("values", [["0", "10", "200"], ["0.5", "0.25"], ["01", "12"], ["007", "12", "3000", "45"]])
def test_zeros_alone_make_no_codes(backend, values):
    assert column(backend, values).kind == "number"


@pytest.mark.parametrize(
    ("rows", "odd", "kind"), [(19, 1, "category"), (20, 1, "number"), (100, 2, "category"), (300, 3, "number"), (300, 4, "category")]
)
def test_few_unreadable_values_do_not_make_text_of_numbers(backend, rows, odd, kind):
    found = column(backend, [str(k) for k in range(rows - odd)] + ["broken"] * odd)
    assert found.kind == kind
    if kind == "number":
        assert found.unreadable == odd
        assert found.notes == (f"{odd} values do not read as number and become missing: 'broken' ({odd})",)
        assert found.reason == f"{rows - odd} of {rows} values read as number"


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["5-Jan-2020", "13-Feb-2021"], "%d-%b-%Y"),
        (["Jan 5, 2020", "Feb 13, 2021"], "%b %d, %Y"),
        (["2020/01/05", "2020/02/13"], None),
        (["13.02.20", "01.03.21"], "%d.%m.%y"),
        (["1/22/2020 5:07 PM", "3/4/2020 11:00 AM"], "%m/%d/%Y %I:%M %p"),
        (["22.01.2020 10:30:05", "03.04.2020 00:00:00"], "%d.%m.%Y %H:%M:%S"),
        (["2020-01-05T10:00:00+02:00", "2020-01-05T10:00:00+01:00"], "%z"),
        (["2020-01-05T10:00:00Z", "2020-01-05T11:00:00Z"], None),
    ],
)
def test_date_formats(backend, values, form):
    found = column(backend, values)
    assert (found.kind, found.format) == ("datetime", form)


def test_ambiguous_dates_follow_the_other_columns(backend):
    found = infer(backend, {"x": ["01/02/2020", "03/04/2020"], "z": ["22/01/2020", "03/04/2020"]}).column("x")
    assert (found.kind, found.format) == ("datetime", "%d/%m/%Y")
    assert found.notes == ("%d/%m/%Y and %m/%d/%Y both fit; %d/%m/%Y taken, as in the other columns",)


def test_sample_excludes_only_what_few_values_fit(backend):
    rows = look.SAMPLE + 5000  # one value in 200 does not read: less than the tolerance, and past the sample too
    values = [str(k) if k % 200 else "odd" for k in range(rows)]
    found = infer(backend, {"x": values, "w": [f"w{k % 7}" for k in range(rows)]})
    assert (found.column("x").kind, found.column("x").unreadable) == ("number", rows // 200)
    assert found.column("w").reason == "text"


def test_missing_values_of_one_column(backend):
    columns = {"x": ["1", "-200", "-200.0"], "z": ["a", "None", "b"], "n": [1.5, -200, 3], "w": ["-200", "1", "2"]}
    missing_in = {"x": ("-200",), "z": ("None",), "n": ("-200",)}
    schema = infer(backend, columns, missing_in=missing_in)
    clean = backend.to_pyarrow(cleaning.clean(backend.create_table("rows", pa.table(columns), overwrite=True), schema)).to_pydict()
    assert clean == {"x": [1, None, None], "z": ["a", None, "b"], "n": [1.5, None, 3], "w": [-200, 1, 2]}


PNG, WAV = b"\x89PNG\r\n\x1a\n....", b"RIFF\x00\x00\x00\x00WAVEfmt "


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([PNG, PNG, None], "image"),
        ([b"\xff\xd8\xff\xe0", b"GIF89a.."], "image"),
        ([WAV, b"fLaC...."], "audio"),
        ([b"zip", b"tar"], "ignore"),
    ],
)
def test_files_are_told_by_their_first_bytes(backend, values, kind):
    assert column(backend, pa.array(values, pa.binary())).kind == kind


def test_lists_of_numbers_are_sequences(backend):
    found = column(backend, pa.array([[1, 2], None]))
    assert (found.raw, found.kind) == ("list", "sequence")


@pytest.mark.parametrize(("values", "kind"), [(["a"], "image"), (["a"], "sequence"), ([1.0], "audio")])
def test_kinds_that_need_a_source_of_their_own(backend, values, kind):
    with pytest.raises(UserError, match=f"^data.columns.x: {kind} does not fit: the source types it as "):
        column(backend, values, kind)


def test_ranges_stand_in_the_schema_and_need_numbers(backend):
    found = infer(backend, {"x": ["1", "2"]}, ranges={"x": (0, None)})
    assert (found.column("x").low, found.column("x").high, found.out_of_range) == (0, None, "missing")
    with pytest.raises(UserError, match=r"^clean.ranges.x: expected a number column, but it is category \(text\)"):
        infer(backend, {"x": ["a", "b"]}, ranges={"x": (0, 1)})
    with pytest.raises(UserError, match=r"^clean.ranges.z: no such column; columns are x, y$"):
        infer(backend, {"x": ["1"], "y": ["a"]}, ranges={"z": (0, 1)})
    with pytest.raises(UserError, match=r"^clean.ranges.x: expected \[low, high\] with low at most high, got \[2, 1\]$"):
        infer(backend, {"x": ["1", "2"]}, ranges={"x": (2, 1)})


def test_classes_that_differ_in_case_alone_are_one(backend):
    assert infer(backend, {"y": ["Yes", "yes", "no", "NO"]}).task == "binary"


SERIES = {"t": ["2020-01-01", "2020-01-02", "2020-01-03"], "a": ["1,5", "2,5", "3,5"], "b": [1, 2, 3], "s": ["1", "1", "2"]}


def test_forecast(backend):
    found = infer(backend, SERIES, target=("a", "b"), forecast=ForecastParams(look_back=2, horizon=1, series="s"))
    assert (found.task, found.target, found.targets) == ("forecast", "a", ("a", "b"))
    assert found.forecast == {"time": "t", "series": "s", "look_back": 2, "horizon": 1}
    assert [found.column(name).kind for name in "tabs"] == ["datetime", "number", "number", "category"]
    numbered = infer(backend, SERIES, target="a", forecast=ForecastParams(look_back=2, horizon=1, time="b"))
    assert numbered.forecast["time"] == "b"


@pytest.mark.parametrize(
    ("columns", "target", "given", "message"),
    [
        ({"c": ["x", "y", "z"]}, "c", {}, "^data.target: 'c': a forecast needs numbers, but text"),
        ({"t": ["a", "b", "c"]}, "a", {}, "^data.forecast.time: expected one datetime column, found none"),
        ({"u": SERIES["t"]}, "a", {}, "^data.forecast.time: expected one datetime column, found t, u"),
        ({"a": ["1", "1", "1"]}, "a", {}, "^data.target: 'a' is constant"),
        ({}, "a", {"time": "q"}, "^data.forecast.time: 'q' is no column of the source"),
        ({"c": ["x", "y", "z"]}, "a", {"time": "c"}, "^data.forecast.time: 'c' must be a datetime or a number, but it is category"),
        ({}, "b", {"time": "b"}, "^data.target: b cannot be both target and time or series of the forecast$"),
    ],
)
def test_forecast_that_does_not_fit_is_told(backend, columns, target, given, message):
    with pytest.raises(UserError, match=message):
        infer(backend, SERIES | columns, target=target, forecast=ForecastParams(look_back=1, horizon=1, **given))
