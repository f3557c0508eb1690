"""Splits by time: order, shares, starts, gaps and what is told."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from pipeline.config import SplitParams
from pipeline.data import sizes, splitting, timesplit
from pipeline.data.engine import engine, with_row_id
from pipeline.data.schema import Schema
from pipeline.data.splitting import REASON, SIDE
from pipeline.errors import UserError

SCHEMA = Schema((), "y", "regression", None, ())


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def rows(count=1000, seed=0):
    rng = np.random.default_rng(seed)
    day = rng.integers(0, 200, count)
    return pd.DataFrame(
        {
            "x": np.arange(count) / 1.0,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D"),
            "step": day / 1.0,
            "y": rng.random(count),
        }
    )


def split_by(**settings):
    return SplitParams(strategy="time", **settings)


def marked(backend, frame, split):
    table = with_row_id(backend.create_table("rows", frame, overwrite=True))
    return backend.to_pandas(splitting.marked(table, SCHEMA, split, 1))


def settled(backend, frame, split):
    return splitting.settled(with_row_id(backend.create_table("rows", frame, overwrite=True)), SCHEMA, split)


@pytest.mark.parametrize("by", ["day", "step"])
@pytest.mark.parametrize("seed", range(5))
def test_sides_follow_each_other_and_are_as_large_as_asked(backend, by, seed):
    frame = rows(seed=seed)
    found = marked(backend, frame, split_by(by=by, validation=0.2, test=0.1))
    ends = found.groupby(SIDE)[by].agg(["min", "max"])
    assert ends.loc["train", "max"] < ends.loc["validation", "min"]
    assert ends.loc["validation", "max"] < ends.loc["test", "min"]
    largest = frame[by].value_counts().max() / len(frame)  # equal times stay together, so no side can be nearer than that
    shares = found[SIDE].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.7, "validation": 0.2, "test": 0.1}, abs=2 * largest)


def test_starts_are_the_nearest_to_the_shares():
    times = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [40, 20, 20, 10, 10])
    assert timesplit.starts(times, split_by(by="t", validation=0.25, test=0.1)) == {"validation": 3.0, "test": 5.0}
    assert timesplit.starts(times, split_by(by="t", validation=0.15, test=0.1)) == {"validation": 4.0, "test": 5.0}
    assert timesplit.starts(times, split_by(by="t", validation=0.2, test=0.2)) == {"validation": 3.0, "test": 4.0}
    assert timesplit.starts(np.array([1.0, 2.0, 3.0]), split_by(by="t")) == {"validation": 2.0, "test": 3.0}


@pytest.mark.parametrize(("by", "gap"), [("day", "10d"), ("day", "240h"), ("step", 10)])
def test_rows_within_the_gap_are_left_out(backend, by, gap):
    frame = rows()
    plain, found = (marked(backend, frame, split_by(by=by, gap=g)) for g in (0, gap))
    starts = {side: plain[plain[SIDE] == side].step.min() for side in ("validation", "test")}
    for side, start in starts.items():
        inside = (found.step >= start - 10) & (found.step < start)
        assert set(found[inside][REASON]) == {f"within the gap before {side}"}
        assert found[inside][SIDE].isna().all()
    outside = found[found[SIDE].notna()]
    assert outside[SIDE].eq(plain.loc[outside.index, SIDE]).all()
    assert found[REASON].notna().sum() == sum(((found.step >= s - 10) & (found.step < s)).sum() for s in starts.values())


def test_pinned_starts_give_the_same_sides_as_the_shares_that_they_come_from(backend):
    for by in ("day", "step"):
        pinned = settled(backend, rows(), split_by(by=by))
        again = SplitParams.model_validate(pinned.model_dump(by_alias=True))  # as read from params.yaml
        first, second = (marked(backend, rows(), split) for split in (split_by(by=by), again))
        pd.testing.assert_series_equal(first[SIDE], second[SIDE])


def test_starts_name_moments_in_utc(backend):
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=48, freq="h"), "y": np.arange(48.0)})
    zoned = {"validation": "2024-01-02T01:00:00+01:00", "test": "2024-01-02 12:00"}
    found = marked(backend, frame, split_by(starts=zoned))
    assert found[SIDE].value_counts().to_dict() == {"train": 24, "validation": 12, "test": 12}


def test_the_only_datetime_column_is_the_default(backend):
    assert settled(backend, rows(), split_by()).by == "day"
    with pytest.raises(UserError, match=r"^split.by: strategy time takes the only datetime column, but found day, due; name the column"):
        settled(backend, rows().assign(due=lambda f: f.day), split_by())
    with pytest.raises(UserError, match="but found none"):
        settled(backend, rows().drop(columns="day"), split_by())


def test_times_are_looked_at_in_part_where_there_are_many(backend, monkeypatch):
    monkeypatch.setattr(timesplit, "LOOKED_AT", 2000)
    found = marked(backend, rows(20_000), split_by(by="step", validation=0.2, test=0.2))
    shares = found[SIDE].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.6, "validation": 0.2, "test": 0.2}, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "word"}, "^split.by: strategy time needs a datetime or number column, but word holds string; datetime columns are day;"),
        ({"by": "y"}, "^split.by: y is the target"),
        ({"by": "flat"}, "^split.by: flat has 2 distinct values, but train, validation and test need at least 3; name a finer column$"),
        ({"gap": 3}, "^split.gap: day is a datetime, so expected a number and one of s, min, h, d, w, such as 7d, got 3$"),
        ({"gap": "3 months"}, "^split.gap: day is a datetime, .* got '3 months'$"),
        ({"gap": "9999999999999d"}, "^split.gap: '9999999999999d' is longer than any two dates lie apart$"),
        ({"gap": "900000d"}, "^split.gap: .* before the start of test .* is no date; use a smaller gap$"),
        ({"by": "step", "gap": "3d"}, "^split.gap: step is a number, so expected a number from 0 in its unit, got '3d'$"),
        ({"by": "step", "gap": -1}, "^split.gap: step is a number, .* got -1$"),
        (
            {"starts": {"validation": "2024-05-01", "test": "2024-04-01"}},
            "^split.starts: expected validation before test, got 2024-05-01 and",
        ),
        ({"starts": {"validation": "soon", "test": "2024-04-01"}}, "^split.starts: .* do not fit day: Invalid isoformat string: 'soon'$"),
    ],
)
def test_mistakes_are_told(backend, settings, message):
    with pytest.raises(UserError, match=message):
        marked(backend, rows().assign(word="a", flat=lambda f: f.step % 2), split_by(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"starts": {"validation": "2024-02-01", "test": "2034-01-01"}},
            "^split: no row is left for test: it would start at 2034-01-01; use other",
        ),
        ({"gap": "199d"}, "^split: no row is left for train: .* or a smaller split.gap\nsplit: no row is left for validation: "),
    ],
)
def test_empty_sides_are_told(backend, settings, message):
    table = with_row_id(backend.create_table("rows", rows(), overwrite=True))
    split = splitting.settled(table, SCHEMA, split_by(**settings))
    with pytest.raises(UserError, match=message):
        sizes.describe(backend, splitting.marked(table, SCHEMA, split, 1), SCHEMA, split)


def test_more_folds_than_times_are_told(backend):
    with pytest.raises(UserError, match=r"^split.folds: 9 folds need as many distinct times with enough rows in step; use fewer folds$"):
        marked(backend, rows().assign(step=lambda f: f.step % 6), split_by(by="step", folds=9))


def test_report_tells_where_the_sides_start(backend):
    table = with_row_id(backend.create_table("rows", rows(), overwrite=True))
    split = splitting.settled(table, SCHEMA, split_by(gap="1d"))
    told = sizes.describe(backend, splitting.marked(table, SCHEMA, split, 1), SCHEMA, split)
    found = marked(backend, rows(), split_by())
    first = found.groupby(SIDE).day.min()
    assert {side: datetime.datetime.fromisoformat(told["starts"][side]) for side in told["starts"]} == {
        side: first[side].to_pydatetime() for side in ("validation", "test")
    }
    assert (told["by"], told["gap"]) == ("day", "1d")
