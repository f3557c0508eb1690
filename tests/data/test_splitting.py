"""Which side a row is on: shares, groups, production, and what stays when the data grow."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from pipeline.config import ProductionParams, SplitParams
from pipeline.data import splitting
from pipeline.data.engine import ROW_ID, engine, with_row_id, write
from pipeline.data.schema import Column, Schema
from pipeline.data.splitting import SIDE
from pipeline.errors import UserError

REGRESSION = Schema((), "y", "regression", None, ())
CLASSES = Schema((), "y", "multiclass", None, ())


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def held(column, *values):
    return ProductionParams.model_validate({"column": column, "in": values})


def rows(count=2000, customers=400, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer": [f"C{c}" for c in rng.integers(0, customers, count)],
            "plan": rng.choice(["a", "b", "c"], count),
            "x": np.arange(count, dtype=float),
            "y": rng.choice(["no", "yes", "maybe"], count, p=[0.7, 0.25, 0.05]),
        }
    )


def assign(backend, frame, split, schema=CLASSES, seed=1):
    """The rows with their ids and sides."""
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    return backend.to_pandas(splitting.assign(table, schema, split, seed))


def describe(backend, frame, split, schema=CLASSES, seed=1):
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    sided = backend.create_table("sided", splitting.assign(table, schema, split, seed), overwrite=True)
    return splitting.describe(backend, sided, schema, split)


SPLITS = [SplitParams(), SplitParams(strategy="stratified"), SplitParams(strategy="group", by="customer")]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.strategy)
def test_shares_are_near_the_asked_ones(backend, split):
    wide = split.model_copy(update={"validation": 0.1, "test": 0.3})
    shares = assign(backend, rows(6000, customers=3000), wide)[SIDE].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.6, "validation": 0.1, "test": 0.3}, abs=0.03)


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.strategy)
def test_reordering_changes_nothing(backend, split):
    frame = rows()
    first, shuffled = (
        assign(backend, f, split).set_index(ROW_ID)[SIDE].sort_index() for f in (frame, frame.sample(frac=1, random_state=3))
    )
    pd.testing.assert_series_equal(first, shuffled)


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.strategy)
def test_appended_rows_keep_old_rows_on_their_sides(backend, split):
    old, new = rows(), rows(500, seed=9)
    before = assign(backend, old, split).set_index(ROW_ID)[SIDE]
    after = assign(backend, pd.concat([old, new]), split).set_index(ROW_ID)[SIDE]
    pd.testing.assert_series_equal(after.loc[before.index], before)
    assert len(after) == 2500


def test_seed_changes_the_sides(backend):
    frame = rows()
    first, second = (assign(backend, frame, SplitParams(), seed=seed).set_index(ROW_ID)[SIDE].sort_index() for seed in (1, 2))
    assert (first != second).mean() > 0.2


def test_random_split_shares_customers_across_sides_and_a_group_split_none(backend):
    frame = rows()
    crossing = {}
    for split in (SPLITS[0], SPLITS[2]):
        sides = assign(backend, frame, split).groupby("customer")[SIDE].nunique()
        crossing[split.strategy] = int((sides > 1).sum())
    assert crossing["group"] == 0
    assert crossing["random"] > 200


def test_stratified_shares_hold_within_each_class(backend):
    found = assign(backend, rows(6000), SplitParams(strategy="stratified", test=0.3))
    shares = found.groupby("y")[SIDE].value_counts(normalize=True).unstack()
    assert shares["test"].to_dict() == pytest.approx({"no": 0.3, "yes": 0.3, "maybe": 0.3}, abs=0.08)


def test_rows_without_a_group_are_groups_of_their_own(backend):
    frame = rows()
    frame.loc[:999, "customer"] = None
    found = assign(backend, frame, SPLITS[2])
    lone = found[found.customer.isna()][SIDE].value_counts(normalize=True)
    assert lone.to_dict() == pytest.approx({"train": 0.7, "validation": 0.15, "test": 0.15}, abs=0.04)
    assert found.dropna(subset="customer").groupby("customer")[SIDE].nunique().max() == 1


def test_group_may_be_a_number(backend):
    frame = rows().assign(customer=lambda f: f.customer.str[1:].astype(float))
    found = assign(backend, frame, SPLITS[2])
    assert found.groupby("customer")[SIDE].nunique().max() == 1
    assert found[SIDE].nunique() == 3


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.strategy)
def test_production_is_held_back_whole_and_the_others_stay_where_they_were(backend, split):
    frame = rows()
    before = assign(backend, frame, split).set_index(ROW_ID)
    after = assign(backend, frame, split.model_copy(update={"production": held("plan", "b", "c")})).set_index(ROW_ID)
    assert ((after[SIDE] == "production") == after.plan.isin(["b", "c"])).all()
    kept = after.index[after.plan == "a"]
    pd.testing.assert_series_equal(after.loc[kept, SIDE], before.loc[kept, SIDE])


@pytest.mark.parametrize(
    ("values", "production", "expected"),
    [
        ([1.0, 2.0, None], (1,), [True, False, False]),
        ([1.0, 2.5, None], (2.5,), [False, True, False]),
        ([True, False, None], (True,), [True, False, False]),
        (["1", "a", None], (1,), [True, False, False]),
        ([datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2), None], ("2020-01-02",), [False, True, False]),
    ],
)
def test_production_values_are_compared_in_the_columns_type(backend, values, production, expected):
    frame = pd.DataFrame({"p": values, "x": [0.0, 1.0, 2.0], "y": ["a", "b", "a"]})
    found = assign(backend, frame, SplitParams(production=held("p", *production))).sort_values("x")
    assert (found[SIDE] == "production").tolist() == expected


def test_unlabelled_rows_are_left_out_but_kept_in_production(backend):
    frame = rows()
    frame.loc[::4, "y"] = None
    split = SplitParams(production=held("plan", "c"))
    found = assign(backend, frame, split)
    unlabelled = found[found.y.isna()]
    assert (unlabelled[unlabelled.plan == "c"][SIDE] == "production").all()
    assert unlabelled[unlabelled.plan != "c"][SIDE].isna().all()
    told = describe(backend, frame, split)
    assert told["unlabelled"] == len(unlabelled[unlabelled.plan != "c"])
    assert sum(side["rows"] for side in told["sides"].values()) + told["unlabelled"] == 2000


def test_report_tells_sizes_classes_and_groups(backend):
    frame = rows()
    told = describe(backend, frame, SplitParams(strategy="group", by="customer", production=held("plan", "c")))
    found = assign(backend, frame, SplitParams(strategy="group", by="customer", production=held("plan", "c")))
    assert list(told["sides"]) == ["train", "validation", "test", "production"]
    labelled = found[found[SIDE] != "production"]
    for side, group in found.groupby(SIDE):
        expected = {"rows": len(group), "groups": group.customer.nunique(), "classes": group.y.value_counts().to_dict()}
        if side != "production":
            expected["share"] = round(len(group) / len(labelled), 4)
        assert told["sides"][side] == expected
    assert (told["strategy"], told["by"]) == ("group", "customer")


def test_report_of_a_regression_tells_means(backend):
    frame = rows().assign(y=np.arange(2000.0))
    told = describe(backend, frame, SplitParams(), REGRESSION)
    found = assign(backend, frame, SplitParams(), REGRESSION)
    for side, group in found.groupby(SIDE):
        assert told["sides"][side]["target_mean"] == pytest.approx(group.y.mean(), rel=1e-8)


def test_rows_equal_to_a_train_row_are_counted(backend):
    frame = rows(300).drop(columns="x")
    doubled = pd.concat([frame, frame])
    found = assign(backend, doubled, SplitParams())
    keys = ["customer", "plan", "y"]
    train = set(found[found[SIDE] == "train"][keys].itertuples(index=False, name=None))
    expected = {
        s: sum(row in train for row in found[found[SIDE] == s][keys].itertuples(index=False, name=None)) for s in ("validation", "test")
    }
    assert describe(backend, doubled, SplitParams())["equal_to_train"] == expected
    assert expected["test"] > 20
    assert describe(backend, rows(300), SplitParams())["equal_to_train"] == {"validation": 0, "test": 0}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (SplitParams(strategy="group", by="person"), "^split.by: no column 'person'; columns are customer, plan, x, y$"),
        (SplitParams(production=held("tariff", "a")), "^split.production.column: no column 'tariff'; columns are customer, plan, x, y$"),
        (SplitParams(production=held("plan", "z")), r"^split.production.in: no row has plan in \['z'\]$"),
        (
            SplitParams(production=held("x", "high")),
            r"^split.production.in: \['high'\] do not fit x: could not convert string to float: 'high'$",
        ),
        (SplitParams(production=held("x", True)), r"^split.production.in: \[True\] do not fit x: expected numbers, got True$"),
    ],
)
def test_wrong_names_and_values_are_told(backend, split, message):
    with pytest.raises(UserError, match=message):
        describe(backend, rows(), split)


def test_side_without_rows_is_told(backend):
    frame = rows(200, customers=2)
    with pytest.raises(UserError, match=r"split: no row is left for (validation|test): the data are too few"):
        describe(backend, frame, SplitParams(strategy="group", by="customer"))


def test_side_with_one_class_is_told(backend):
    frame = rows(400).assign(y=["rare"] + ["common"] * 399)
    with pytest.raises(UserError, match="has one class only \\(common\\): use strategy stratified, larger shares or another seed"):
        describe(backend, frame, SplitParams())


def test_class_that_train_lacks_is_told(backend):
    """A group that is on test alone carries a class of its own."""
    frame = rows()
    sides = assign(backend, frame, SPLITS[2])
    customer = sides[sides[SIDE] == "test"].customer.iloc[0]
    frame.loc[frame.customer == customer, "y"] = "only here"
    with pytest.raises(
        UserError, match=r"^split: train lacks class only here: too few rows of it; merge it, add rows or use another seed$"
    ):
        describe(backend, frame, SPLITS[2])


@pytest.mark.parametrize("name", ["rows", "class", "share", "digest", "select"])
def test_target_may_be_named_as_the_report_names_things(backend, name):
    frame = rows().rename(columns={"y": name})
    schema = Schema((Column(name, "text", "category", ""),), name, "multiclass", None, ())
    told = describe(backend, frame, SplitParams(), schema)
    assert sum(side["classes"]["yes"] for side in told["sides"].values()) == (frame[name] == "yes").sum()


def test_raw_rows_of_a_side_come_in_its_order(backend, tmp_path):
    table = with_row_id(backend.create_table("raw", rows(50), overwrite=True))
    write(table, tmp_path / "raw.parquet")
    write(table.filter(table.plan == "a"), tmp_path / "side.parquet")
    found = splitting.raw_rows(backend, tmp_path / "raw.parquet", tmp_path / "side.parquet", most=10)
    side = backend.to_pandas(backend.read_parquet(tmp_path / "side.parquet")).drop(columns=ROW_ID)
    pd.testing.assert_frame_equal(found, side)
