"""What is learnt from train, by hand, and that the frozen SQL gives the same inputs."""

from __future__ import annotations

import datetime
import json
import math

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.config import CleanParams, DataParams, NormalizeParams
from pipeline.data import cleaning, inference, preprocessing
from pipeline.data.encoding import Encoder
from pipeline.data.engine import engine, with_row_id, write
from pipeline.data.fitted import GRID, Category, Preprocessor
from pipeline.errors import UserError


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def fit(backend, columns, *, group=None, time=None, overrides=None, positive=None, **normalize):
    """Schema, clean table and what was fitted on raw columns; the target is `y`, alternating where it is not given."""
    columns = dict(columns) if not isinstance(columns, pa.Table) else dict(zip(columns.column_names, columns.columns, strict=True))
    count = len(next(iter(columns.values())))
    columns.setdefault("y", (["no", "yes"] * count)[:count])
    raw = with_row_id(backend.create_table("raw", pa.table(columns), overwrite=True))
    data = DataParams(source="-", target="y", positive=positive, columns=overrides or {})
    schema = inference.infer(backend, raw, data, CleanParams())
    clean = cleaning.clean(raw, schema)
    params = NormalizeParams(**{"rare_category": 1, **normalize})
    return schema, clean, preprocessing.fit(backend, clean, schema, params, group=group, time=time)


def encoded(table, fitted):
    """The inputs of a table of prepared columns, by name."""
    blocks = Encoder(fitted).blocks(table.combine_chunks().to_batches()[0])
    named = {number.name: blocks["number"][:, at] for at, number in enumerate(fitted.numbers)}
    named |= {category.column: blocks["category"][:, at].tolist() for at, category in enumerate(fitted.categories)}
    return named | {name: block for name, block in blocks.items() if name not in ("number", "category")}


def inputs(backend, columns, **options):
    """The inputs of train in the order of the column `order`, by name."""
    columns = {**columns, "order": [k + 0.5 for k in range(len(next(iter(columns.values()))))]}
    _, clean, fitted = fit(backend, columns, **options)
    return encoded(backend.to_pyarrow(preprocessing.input_columns(clean, fitted, order=clean["order"]).order_by("__order__")), fitted)


X = [1.0, 2.0, 3.0, 4.5, 100.0, None]


def test_robust_statistics_and_smooth_clip_by_hand(backend):
    _, _, fitted = fit(backend, {"x": X}, numeric="robust")
    number = fitted.numbers[0]
    assert (number.center, number.scale, number.smooth_clip) == (3.0, 4.5 - 2.0, True)
    z = (np.array(X[:5]) - 3) / 2.5
    expected = [*(z / np.sqrt(1 + (z / 3) ** 2)), 0.0]
    assert inputs(backend, {"x": X})["x"] == pytest.approx(expected, rel=1e-6)
    assert max(inputs(backend, {"x": X})["x"]) < 3


def test_standard_statistics_by_hand(backend):
    _, _, fitted = fit(backend, {"x": X}, numeric="standard")
    present = np.array(X[:5])
    assert (fitted.numbers[0].center, fitted.numbers[0].scale) == pytest.approx((present.mean(), present.std()), rel=1e-6)
    expected = [*((present - present.mean()) / present.std()), 0.0]
    assert inputs(backend, {"x": X}, numeric="standard")["x"] == pytest.approx(expected, rel=1e-5)


def test_no_scaling_keeps_the_values(backend):
    assert inputs(backend, {"x": X}, numeric="none")["x"].tolist() == [*X[:5], 0.0]


def test_spread_falls_back_to_half_the_range_where_the_quartiles_coincide(backend):
    _, _, fitted = fit(backend, {"x": [5.0] * 9 + [9.0]})
    assert (fitted.numbers[0].center, fitted.numbers[0].scale) == (5.0, 2.0)


def test_missing_values_get_an_input_of_their_own_only_where_train_has_some(backend):
    found = inputs(backend, {"x": X, "full": [1.0, 2.0, 2.0, 7.0, 8.0, 9.0]})
    assert found["x (missing)"].tolist() == [0, 0, 0, 0, 0, 1]
    assert "full (missing)" not in found


@pytest.mark.parametrize("method", ["robust", "standard", "none"])
def test_grid_holds_the_quantiles_of_the_scaled_values(backend, method):
    values = np.random.default_rng(0).normal(size=700).tolist()
    scaled = inputs(backend, {"x": values}, numeric=method)["x"].astype(np.float64)
    _, _, fitted = fit(backend, {"x": values}, numeric=method)
    assert len(fitted.numbers[0].grid) == GRID + 1
    assert fitted.numbers[0].grid == pytest.approx(np.quantile(scaled, np.arange(GRID + 1) / GRID), rel=1e-5, abs=1e-6)


def test_huge_numbers_pass(backend):
    """Beyond 64-bit integers."""
    assert inputs(backend, {"x": [1e30, -1e30, 2e19, 4.0]}, numeric="none")["x"].tolist() == np.float32([1e30, -1e30, 2e19, 4]).tolist()
    _, _, fitted = fit(backend, {"x": [1e19, 2e19, 3e19, 4e19]})
    assert fitted.numbers[0].center == 2.5e19


def test_vocabulary_is_by_frequency_then_alphabet_and_missing_is_a_token(backend):
    values = ["b"] * 3 + ["c"] * 2 + ["a"] * 2 + [None] * 4 + ["z"]
    _, _, fitted = fit(backend, {"k": values}, rare_category=2, merge_case=False)
    assert fitted.categories == (Category("k", (None, "b", "a", "c")),)
    assert inputs(backend, {"k": values}, rare_category=2)["k"] == [2] * 3 + [4] * 2 + [3] * 2 + [1] * 4 + [0]


def test_missing_is_code_0_where_it_is_rare(backend):
    assert inputs(backend, {"k": ["a", "a", "b", "b", None]}, rare_category=2)["k"] == [1, 1, 2, 2, 0]


def test_spellings_that_differ_in_case_share_a_code_and_the_commonest_is_shown(backend):
    values = ["Oslo"] * 3 + ["OSLO"] * 2 + ["oslo"] * 2 + ["Rome"] * 6 + ["rOME"]
    _, _, fitted = fit(backend, {"k": values})
    assert fitted.categories == (Category("k", ("Oslo", "Rome"), ("oslo", "rome")),)
    assert inputs(backend, {"k": values})["k"] == [1] * 7 + [2] * 7
    _, _, apart = fit(backend, {"k": values}, merge_case=False)
    assert set(apart.categories[0].tokens) == set(values)


def test_vocabulary_is_cut_at_the_most_frequent(backend):
    _, _, fitted = fit(backend, {"k": ["a"] * 2 + ["b"] * 4 + ["c"] * 3}, max_categories=2)
    assert fitted.categories[0].tokens == ("b", "c")


def test_all_categories_rare_gives_code_0(backend):
    assert inputs(backend, {"k": ["a", "b", "c"]}, rare_category=5)["k"] == [0, 0, 0]


def test_booleans_are_0_and_1(backend):
    assert inputs(backend, {"b": ["true", "f", "T"]})["b"].tolist() == [1, 0, 1]
    assert inputs(backend, {"b": [True, False, None]})["b (missing)"].tolist() == [0, 0, 1]


MOMENTS = ["2020-01-06 00:00:00", "2020-01-07 12:00:00", "2020-02-09 06:00:00", ""]  # a Monday, a Tuesday, a Sunday


def test_dates_give_days_and_plain_parts(backend):
    found = inputs(backend, {"d": MOMENTS}, dates="parts")
    assert found["d (days)"] == pytest.approx([0, 1.5 / 34.25, 1, 0], rel=1e-6)
    assert found["d (month)"].tolist() == [1, 1, 2, 0]
    assert found["d (weekday)"].tolist() == [0, 1, 6, 0]
    assert found["d (hour)"].tolist() == [0, 12, 6, 0]
    assert found["d (missing)"].tolist() == [0, 0, 0, 1]


def test_dates_give_days_and_places_on_circles(backend):
    found = inputs(backend, {"d": MOMENTS})
    assert [name for name in found if name != "order"] == [
        "d (days)", "d (month sine)", "d (month cosine)", "d (weekday sine)", "d (weekday cosine)", "d (hour sine)", "d (hour cosine)",
        "d (missing)",
    ]  # fmt: skip
    turn = 2 * np.pi
    assert found["d (month sine)"] == pytest.approx([0, 0, np.sin(turn / 12), 0], abs=1e-6)
    assert found["d (weekday cosine)"] == pytest.approx([1, np.cos(turn / 7), np.cos(turn * 6 / 7), 0], abs=1e-6)
    assert found["d (hour sine)"] == pytest.approx([0, 0, 1, 0], abs=1e-6)
    assert found["d (hour cosine)"] == pytest.approx([1, -1, 0, 0], abs=1e-6)


def test_the_column_that_orders_a_time_split_keeps_its_cycles_alone(backend):
    _, _, fitted = fit(backend, {"d": MOMENTS[:3], "x": [1.0, 2.0, 4.5]}, time="d")
    assert fitted.set_aside == {"d (days)": "orders the split: its values never return"}
    assert {number.part.split()[0] for number in fitted.numbers if number.column == "d"} == {"month", "weekday", "hour"}


def test_parts_of_a_date_that_never_change_are_no_input(backend):
    assert list(inputs(backend, {"d": ["2020-01-06", "2020-01-13"]})) == ["d (days)", "order"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["5"] * 60, "constant in train"),
        (["a"] * 60, "constant in train"),
        (["NA"] * 60, "every value is missing"),
        ([f"u{k}" for k in range(60)], "id: 60 distinct values in 60 train rows"),
        ([str(k) for k in range(100, 160)], "running number: 60 distinct whole numbers in 60 train rows"),
        ([str(2 * k) for k in range(60)], "running number: 60 distinct whole numbers in 60 train rows"),
    ],
)
def test_useless_columns_are_set_aside_with_the_reason(backend, values, reason):
    _, _, fitted = fit(backend, {"u": values, "x": np.sqrt(np.arange(60))})
    assert fitted.set_aside == {"u": reason}
    assert fitted.columns == ("x",)


@pytest.mark.parametrize(
    "values",
    [
        [k + 0.5 for k in range(60)],
        [k * k for k in range(60)],
        [k // 2 for k in range(60)],
        ["a"] * 30 + [None] * 30,
        [f"k{k % 20}" for k in range(60)],
    ],
)
def test_columns_that_only_look_useless_are_kept(backend, values):
    _, _, fitted = fit(backend, {"u": values})
    assert fitted.set_aside == {}


def test_group_and_ids_are_set_aside(backend):
    columns = {"g": ["p", "p", "q", "q"], "i": ["1", "2", "1", "2"], "v": ["1", "2", "1", "2"], "x": [1.0, 2.0, 4.0, 8.0]}
    _, _, fitted = fit(backend, columns, group="g", overrides={"i": "id", "v": "ignore"})
    assert fitted.columns == ("x",)
    assert fitted.set_aside == {
        "v": "set in data.columns",
        "g": "keeps groups together in the split",
        "i": "id column: its values never return",
    }


def test_free_text_and_columns_said_to_be_text_become_tokens(backend):
    sentences = [f"this is sentence {k}" for k in range(60)]
    columns = {"s": sentences, "t": ["Good", "bad"] * 30, "x": np.sqrt(np.arange(60))}
    _, clean, fitted = fit(backend, columns, overrides={"t": "text"}, text={"vocabulary": 64})
    assert [state.column for state in fitted.texts] == ["s", "t"]
    assert (fitted.columns, fitted.all_columns) == (("x",), ("x", "s", "t"))
    found = encoded(backend.to_pyarrow(preprocessing.input_columns(clean, fitted)), fitted)
    assert found["text_0"].shape == (60, fitted.texts[0].length)
    assert len(np.unique(found["text_1"], axis=0)) == 2


def test_numbers_in_groups_of_digits_are_ids_and_no_free_text(backend):
    columns = {
        "phone": [f"+49 171 {k * 7919 % 10**7:07d}" for k in range(60)],
        "iban": [f"DE{k % 90 + 10} 3705 {k * 31 % 10**4:04d} {k:04d}" for k in range(60)],
        "street": [f"{k} Main Street" for k in range(60)],
        "x": np.sqrt(np.arange(60)),
    }
    _, _, fitted = fit(backend, columns, text={"vocabulary": 64})
    assert [state.column for state in fitted.texts] == ["street"]
    assert fitted.set_aside == dict.fromkeys(("phone", "iban"), "id: 60 distinct values in 60 train rows")


def test_nothing_left_to_learn_from_is_told_with_every_reason(backend):
    with pytest.raises(UserError) as caught:
        fit(backend, {"a": ["1", "1"], "b": ["", ""]})
    assert caught.value.messages == ("normalize: no column is left to learn from:", "  b: every value is missing", "  a: constant in train")


def test_target_is_never_an_input(backend):
    _, _, fitted = fit(backend, {"x": X, "y": ["1", "0", "1", "0", "1", "0"]})
    assert fitted.columns == ("x",)


def test_classes_are_in_order_and_the_positive_one_last(backend):
    assert fit(backend, {"x": X})[2].target.classes == ("no", "yes")
    assert fit(backend, {"x": X}, positive="no")[2].target.classes == ("yes", "no")
    with pytest.raises(UserError, match=r"^data.positive: 'ja' is no class of y; classes are no, yes$"):
        fit(backend, {"x": X}, positive="ja")


def test_regression_target_has_mean_and_deviation(backend):
    y = [1.5, 2.0, 4.0, 8.0, 16.0, 32.0]
    target = fit(backend, {"x": X, "y": y})[2].target
    assert (target.classes, target.mean, target.std) == ((), pytest.approx(np.mean(y), rel=1e-6), pytest.approx(np.std(y), rel=1e-6))


def mixed(rows=300, seed=0):
    """Raw columns of every kind, as text and typed, with missing, odd and unreadable values."""
    rng = np.random.default_rng(seed)
    moments = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 5_000_000, rows), "min")
    gone = rng.random((7, rows)) < 0.1
    names = rng.choice(["Rome", "it's", 'say "hi"', "München", "  Oslo ", "日本", "a\\b", ""], rows)
    return pa.table(
        {
            "text number": [None if g else f"{v:.6g}" for g, v in zip(gone[0], rng.normal(0, 1e3, rows), strict=True)],
            "it's": pa.array(rng.lognormal(0, 3, rows), mask=gone[1]),
            "whole": pa.array(rng.integers(0, 50, rows), mask=gone[2]),
            'the "town"': pa.array(names.tolist(), mask=gone[3]),
            "flag": pa.array((rng.random(rows) < 0.5).tolist(), mask=gone[4]),
            "since": pa.array([m.strftime("%d.%m.%Y %H:%M") for m in moments], mask=gone[5]),
            "day": pa.array(moments.date, pa.date32(), mask=gone[6]),
            "code": pa.array((rng.integers(0, 4, rows) / 2).tolist(), pa.float32()),
            "price": pa.array(rng.integers(0, 9, rows)).cast(pa.decimal128(25, 2)),
            "cohort": pa.array([datetime.date(2020, 1, k) for k in rng.integers(1, 5, rows).tolist()]),
            "y": rng.choice(["no", "yes"], rows).tolist(),
        }
    )


OVERRIDES = {"code": "category", "price": "category", "cohort": "category"}


def asked(schema, fitted, rows):
    """Raw rows typed as the model package types a request."""
    kinds = {"text": pa.string(), "number": pa.float64(), "boolean": pa.bool_(), "datetime": pa.timestamp("us")}
    return pa.table({name: rows[name].cast(kinds[schema.column(name).raw]) for name in rows.column_names if name in fitted.columns})


def request(schema, fitted, rows):
    """What the frozen query makes of raw rows."""
    return answer(preprocessing.frozen_sql(schema, fitted), asked(schema, fitted, rows))


def answer(query, rows):
    """What plain DuckDB answers over `rows`."""
    connection = duckdb.connect(config={"threads": 1})
    connection.register("rows", rows)
    return connection.execute(query).to_arrow_table()


@pytest.mark.parametrize("numeric", ["robust", "standard", "quantile", "log", "auto", "none"])
def test_frozen_sql_over_raw_rows_equals_the_batches_written_offline(backend, tmp_path, numeric):
    schema, clean, fitted = fit(backend, mixed(), numeric=numeric, rare_category=5, overrides=OVERRIDES)
    write(clean.order_by("__row_id__"), tmp_path / "clean.parquet")
    offline = preprocessing.batches(backend, tmp_path / "clean.parquet", fitted, group="day").read_all()
    raw = backend.to_pyarrow(with_row_id(backend.table("raw")).order_by("__row_id__"))
    online = request(schema, fitted, raw)
    assert {c.column for c in fitted.categories} == {'the "town"', "code", "price", "cohort"}
    assert offline.column_names[:2] == ["__target__", "__group__"]
    assert {(field.name, field.type) for field in online.schema} == {(field.name, field.type) for field in list(offline.schema)[2:]}
    expected, found = encoded(offline, fitted), encoded(online, fitted)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert len(set(np.asarray(values).tolist())) > 1
        assert np.isfinite(values).all()


def test_one_row_gets_what_it_gets_among_others(backend):
    schema, _, fitted = fit(backend, mixed(), rare_category=5, overrides=OVERRIDES)
    query = preprocessing.frozen_sql(schema, fitted)
    rows = asked(schema, fitted, backend.to_pyarrow(backend.table("raw")))
    whole = encoded(answer(query, rows), fitted)
    for at in range(0, 300, 37):
        one = encoded(answer(query, rows.slice(at, 1)), fitted)
        assert {name: list(values) for name, values in one.items()} == {name: [values[at]] for name, values in whole.items()}


def test_request_with_every_value_missing_gets_finite_inputs(backend):
    schema, _, fitted = fit(backend, mixed(), rare_category=5, overrides=OVERRIDES)
    rows = mixed(2)
    empty = pa.table({name: pa.nulls(2, rows[name].type) for name in rows.column_names})
    online = request(schema, fitted, empty)
    assert all(column.null_count == 2 for column in online.columns)
    found = encoded(online, fitted)
    for number in fitted.numbers:
        assert found[number.name].tolist() == [1.0 if number.part == "missing" else 0.0] * 2
    for category in fitted.categories:
        assert found[category.column] == [category.tokens.index(None) + 1 if None in category.tokens else 0] * 2


def test_unseen_category_and_unreadable_values_in_a_request(backend):
    schema, _, fitted = fit(backend, {"k": ["a", "a", "b", "b"], "x": ["1", "2", "3", ""], "b": ["t", "f", "t", ""]})
    rows = pa.table({"k": ["new", " a ", "NA"], "x": ["soon", "inf", " 2 "], "b": ["maybe", "TRUE", "f"]})
    found = encoded(request(schema, fitted, rows), fitted)
    assert found["k"] == [0, 1, 0]
    assert {name: found[name].tolist() for name in ("x", "x (missing)", "b", "b (missing)")} == {
        "x": [0, 0, 0], "x (missing)": [1, 1, 0], "b": [0, 1, 0], "b (missing)": [1, 0, 0],
    }  # fmt: skip


def test_json_round_trip(backend):
    _, _, fitted = fit(backend, mixed(), rare_category=5, overrides=OVERRIDES)
    text = fitted.to_json()
    assert Preprocessor.from_json(text) == fitted
    assert Preprocessor.from_json(text).to_json() == text
    assert "München" in text
    assert all(math.isfinite(value) for number in json.loads(text)["numbers"] for value in number["grid"])


def test_fit_does_not_depend_on_the_order_of_rows(backend):
    rows = mixed()
    shuffled = rows.take(np.random.default_rng(1).permutation(300))
    first, second = (
        fit(backend, table, rare_category=5, numeric="standard", overrides=OVERRIDES)[2].to_json() for table in (rows, shuffled)
    )
    assert first == second
