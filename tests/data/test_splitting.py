"""Which side a row is on: shares, groups, production, folds, and what stays when the data grow."""

from __future__ import annotations

import datetime

import pandas as pd
import pytest
from split_tables import CLASSES, assign, describe, held, rows

from pipeline.config import SplitParams
from pipeline.data import splitting
from pipeline.data.engine import ROW_ID, engine, with_row_id, write
from pipeline.data.schema import Column, Schema
from pipeline.data.splitting import FOLD, REASON, SIDE
from pipeline.errors import UserError


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


SPLITS = [
    SplitParams(),
    SplitParams(strategy="stratified"),
    SplitParams(strategy="group", by="customer"),
    SplitParams(strategy="stratified_group", by="customer"),
]
GIVEN = SplitParams(strategy="given", by="side")
TIME = SplitParams(strategy="time")
STARTS = SplitParams(strategy="time", gap="5d", starts={"validation": "2024-07-01", "test": "2024-09-01"})
STABLE = [*SPLITS, GIVEN, SplitParams(strategy="given", by="plan", given={"train": ("a", "b"), "test": ("c",)}), STARTS]
ANY = [*STABLE, TIME]


def name(split):
    return f"{split.strategy} {split.by}"


@pytest.mark.parametrize("split", SPLITS, ids=name)
def test_shares_are_near_the_asked_ones(backend, split):
    wide = split.model_copy(update={"validation": 0.1, "test": 0.3})
    shares = assign(backend, rows(6000, customers=3000), wide)[SIDE].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.6, "validation": 0.1, "test": 0.3}, abs=0.03)


@pytest.mark.parametrize("split", ANY, ids=name)
@pytest.mark.parametrize("table", range(3))
def test_reordering_changes_nothing(backend, split, table):
    frame = rows(700, seed=table)
    split = split.model_copy(update={"folds": 3})
    first, shuffled = (
        assign(backend, f, split).set_index(ROW_ID)[[SIDE, FOLD]].sort_index() for f in (frame, frame.sample(frac=1, random_state=3))
    )
    pd.testing.assert_frame_equal(first, shuffled)


@pytest.mark.parametrize("split", STABLE, ids=name)
@pytest.mark.parametrize("table", range(4))
def test_appended_rows_keep_old_rows_on_their_sides(backend, split, table):
    """Also rows of known and new groups, of other classes, of later and earlier times, and copies of old rows."""
    old, new = rows(600, seed=table), rows(900, customers=500, seed=100 + table)
    new.loc[:200, "y"] = "rare"
    new.loc[:300, "day"] -= pd.Timedelta(days=3000)
    new = pd.concat([new, old.head(50)])
    what = [SIDE] if split.strategy == "time" else [SIDE, FOLD]  # blocks in time are of equal size
    split = split.model_copy(update={"folds": 4})
    before = assign(backend, old, split).set_index(ROW_ID)[what]
    after = assign(backend, pd.concat([new, old]), split).set_index(ROW_ID)[what]
    pd.testing.assert_frame_equal(after.loc[before.index], before)
    assert len(after) == 1550


@pytest.mark.parametrize("split", SPLITS, ids=name)
def test_realised_shares_lie_within_binomial_bounds(backend, split):
    """Over tables and seeds the count of each side differs from its share by no more than chance (5 sigma)."""
    split = split.model_copy(update={"validation": 0.2, "test": 0.1})
    for seed in range(8):
        found = assign(backend, rows(1500, customers=500, seed=seed), split, seed=seed)
        units = found.drop_duplicates("customer") if split.by else found
        for side, share in {"train": 0.7, "validation": 0.2, "test": 0.1}.items():
            count = (units[SIDE] == side).sum()
            assert abs(count - share * len(units)) < 5 * (len(units) * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("split", ANY, ids=name)
@pytest.mark.parametrize("count", [2, 7])
def test_folds_are_a_partition_of_train_and_validation(backend, split, count):
    frame = rows(1500)
    frame.loc[::50, "y"] = None
    plain = assign(backend, frame, split).set_index(ROW_ID).sort_index()
    found = assign(backend, frame, split.model_copy(update={"folds": count})).set_index(ROW_ID).sort_index()
    pd.testing.assert_series_equal(found[SIDE], plain[SIDE])
    inside = found[SIDE].isin(["train", "validation"])
    assert found[FOLD].notna().equals(inside)
    parts = found[inside][FOLD].value_counts()
    assert sorted(parts.index) == list(range(count))
    if split.strategy == "time":
        ends = found[inside].groupby(FOLD).day.agg(["min", "max"])
        assert (ends["max"].to_numpy()[:-1] < ends["min"].to_numpy()[1:]).all()
    elif split.by == "customer":
        assert found[inside].groupby("customer")[FOLD].nunique().max() == 1
    else:
        assert parts.min() > 0.6 * inside.sum() / count
    told = describe(backend, frame, split.model_copy(update={"folds": count, "min_class_rows": 0}))
    assert told["folds"] == [parts[at] for at in range(count)]


def test_folds_do_not_repeat_the_sides(backend):
    """The draw of the fold is another than that of the side: validation spreads over all folds."""
    found = assign(backend, rows(3000), SplitParams(folds=5))
    shares = found[found[SIDE] == "validation"][FOLD].value_counts(normalize=True)
    assert shares.min() > 0.12


def test_seed_changes_the_sides(backend):
    frame = rows()
    first, second = (assign(backend, frame, SplitParams(), seed=seed).set_index(ROW_ID)[SIDE].sort_index() for seed in (1, 2))
    assert (first != second).mean() > 0.2


@pytest.mark.parametrize("by", ["customer", "plan", "x"])
@pytest.mark.parametrize("strategy", ["group", "stratified_group"])
def test_groups_never_straddle(backend, strategy, by):
    for seed in range(4):
        frame = rows(800, seed=seed).assign(x=lambda f: f.x // 7)
        found = assign(backend, frame, SplitParams(strategy=strategy, by=by), seed=seed)
        assert found.groupby(by)[SIDE].nunique().max() == 1


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


def test_a_class_spelled_anew_stays_on_its_side(backend):
    frame = rows().assign(**{ROW_ID: lambda f: [f"{at:04d}-0" for at in f.index]})
    split = SplitParams(strategy="stratified")
    first, other = (
        backend.to_pandas(splitting.assign(backend.create_table("rows", f, overwrite=True), CLASSES, split, 1)).set_index(ROW_ID)[SIDE]
        for f in (frame, frame.assign(y=frame.y.str.title()))
    )
    pd.testing.assert_series_equal(first.sort_index(), other.sort_index())


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


@pytest.mark.parametrize("split", SPLITS, ids=name)
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


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (SplitParams(strategy="group", by="person"), "^split.by: no column 'person'; columns are customer, plan, x, day, side, y$"),
        (
            SplitParams(production=held("tariff", "a")),
            "^split.production.column: no column 'tariff'; columns are customer, plan, x, day, side, y$",
        ),
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


def test_raw_rows_of_a_side_come_in_its_order(backend, tmp_path):
    table = with_row_id(backend.create_table("raw", rows(50), overwrite=True))
    write(table, tmp_path / "raw.parquet")
    write(table.filter(table.plan == "a"), tmp_path / "side.parquet")
    found = splitting.raw_rows(backend, tmp_path / "raw.parquet", tmp_path / "side.parquet", most=10)
    side = backend.to_pandas(backend.read_parquet(tmp_path / "side.parquet")).drop(columns=ROW_ID)
    pd.testing.assert_frame_equal(found, side)


def test_every_row_without_a_side_has_its_reason(backend):
    frame = rows(1000)
    frame.loc[:9, "y"] = None
    frame.loc[10:29, "day"] = None
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    found = backend.to_pandas(splitting.marked(table, CLASSES, STARTS, 1))
    assert found[SIDE].isna().equals(found[REASON].notna())
    told = describe(backend, frame, STARTS.model_copy(update={"min_class_rows": 0}))
    counts = found[REASON].value_counts().to_dict()
    assert counts.pop("the target is missing") == told["unlabelled"] == 10
    assert counts == told["dropped"]
    assert counts["day is missing"] == 20
    assert set(counts) == {"day is missing", "within the gap before validation", "within the gap before test"}


def test_an_ignored_column_is_told(backend):
    schema = Schema((Column("person", "text", "ignore", ""),), "y", "multiclass", None, ())
    with pytest.raises(UserError, match=r"no column 'person'; .*; it is ignored: set data.columns.person to another kind$"):
        assign(backend, rows(), SplitParams(strategy="group", by="person"), schema)


def test_a_forecast_is_split_by_time_alone(backend):
    schema = Schema((), "x", "forecast", None, (), forecast={"time": "day", "series": None, "look_back": 3, "horizon": 1})
    with pytest.raises(UserError, match=r"^split.strategy: a forecast needs .*, got random; set split: \{strategy: time\}$"):
        assign(backend, rows(), SplitParams(), schema)
    frame = rows().assign(later=lambda f: f.day)
    frame.loc[:5, "x"] = None
    found = assign(backend, frame, TIME, schema)
    assert found[SIDE].notna().all()  # steps without a value are still steps
    ends = found.groupby(SIDE).day.agg(["min", "max"])
    assert ends.loc["train", "max"] < ends.loc["validation", "min"]
