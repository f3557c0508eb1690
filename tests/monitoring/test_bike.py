"""Windows of time: a season is no drift, a world that grows is decay, and labels that show no harm call no one."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
from development_sets import SETS, needed
from sklearn.ensemble import RandomForestRegressor

from pipeline.config import MonitorParams
from pipeline.data.fitted import Number, Preprocessor, Target
from pipeline.models.answers import Answers
from pipeline.monitoring import alarms, overall, reference, windows
from pipeline.monitoring.decay import Decay
from pipeline.monitoring.judgement import Asked, Judge, cleared
from pipeline.monitoring.reference import Reference
from pipeline.monitoring.windows import PREDICTION

INPUTS = ["season", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed"]
FIGURES = {"metric": "rmse", "value": 68.0, "low": 60.0, "high": 76.0, "loss_name": "squared error", "higher_is_better": False}


@functools.cache
def fitted():
    numbers = tuple(Number(name, "value") for name in INPUTS)
    return Preprocessor("regression", Target("cnt"), numbers, (), {})


@functools.cache
def bikes():
    """(reference by days drawn from 2011, rows of 2012, their model's answers)."""
    rows = pd.read_csv(SETS / "drift" / "bike_sharing_hour.csv", parse_dates=["dteday"])
    rows[INPUTS] = rows[INPUTS].astype("float64")
    rows["day"] = rows["dteday"].dt.strftime("%Y-%m-%d")
    old, new = rows[rows["yr"] == 0].reset_index(drop=True), rows[rows["yr"] == 1].reset_index(drop=True)
    side = old["side"] = np.random.default_rng(0).random(365)[old["dteday"].dt.dayofyear - 1]
    model = RandomForestRegressor(20, min_samples_leaf=3, random_state=0).fit(old.loc[side > 0.3, INPUTS], old.loc[side > 0.3, "cnt"])
    held = old[side <= 0.3].sample(frac=1, random_state=0).reset_index(drop=True)  # in no order, as of a split by groups
    found = windows.window(held, model.predict(held[INPUTS]), fitted(), group="day")
    test = held["side"].to_numpy() <= 0.15
    losses = np.where(test, found.losses, np.nan)
    figures = FIGURES | {"loss": float(np.nanmean(losses))}
    moments = held["dteday"].to_numpy().astype("datetime64[us]")
    kept = Reference(dataclasses.replace(found, losses=losses), test, figures, [], group="day", clock="dteday", moments=moments)
    return kept, new, model.predict(new[INPUTS])


def week(start):
    _, rows, answers = bikes()
    at = np.flatnonzero((rows["dteday"] >= start) & (rows["dteday"] < pd.Timestamp(start) + pd.Timedelta(days=7)))
    found = windows.window(rows.iloc[at].reset_index(drop=True), answers[at], fitted(), group="day")
    end = (pd.Timestamp(start) + pd.Timedelta(days=7)).isoformat() + "Z"
    return Asked(f"week-{start}", "production", found, len(at), start + "T00:00:00Z", end)


def judge(kept, **settings):
    return Judge(kept, fitted(), MonitorParams.model_validate({"window": "week", "time": "dteday", **settings}), 0, Answers("regression"))


def verdict(watcher, asked, *, labels=True):
    """The verdict alone, without words and Evidently's report."""
    rows, window = watcher.reference.rows, watcher._thinned(asked)
    groups = {"reference_groups": rows.groups, "groups": window.groups, "ordered": watcher.reference.ordered}
    losses = {"reference_losses": rows.losses, "losses": window.losses} if labels else {}
    return alarms.verdict(watcher.thresholds(window), rows.frame, window.frame, **groups, **losses)


@needed
def test_a_season_is_no_drift_and_the_grown_use_is_decay():
    watcher = judge(bikes()[0].in_time())
    winter = verdict(watcher, week("2012-01-09"), labels=False)
    assert (winter.state, winter.drift) == ("ok", False)  # cold, beside a whole year
    for start in ("2012-05-07", "2012-09-10", "2012-10-15"):
        found = verdict(watcher, week(start))
        assert (found.state, found.drift) == ("decay", False), start
        assert found.decay.lower > found.decay.reference_loss  # the truth: more than five times the loss of 2011


@needed
def test_rows_drawn_from_a_whole_year_call_a_winter_week_drift():
    """What `in_time` is there for."""
    kept, asked = bikes()[0], week("2012-01-09")
    alone = dataclasses.replace(asked, window=dataclasses.replace(asked.window, groups=np.arange(asked.rows)))
    rows = dataclasses.replace(kept.rows, groups=np.arange(len(kept.rows)))
    found = verdict(judge(dataclasses.replace(kept, rows=rows)), alone, labels=False)
    assert {"temp", "atemp", "mnth", "season"} <= {one.column for one in found.measures if one.drifted}


@needed
@pytest.mark.slow
def test_the_words_of_decay_tell_the_rise_and_what_the_model_misses(tmp_path):
    found, _ = judge(bikes()[0].in_time()).judge(week("2012-09-10"), tmp_path / "autumn")
    assert found["headline"].startswith("the loss has risen by")
    assert found["headline"].endswith("while the columns are as before: what they mean has changed")
    assert any("the model expects" in one for one in found["sentences"])


@needed
def test_whole_days_are_left_out_until_the_window_is_as_dense_as_the_reference():
    watcher, asked = judge(bikes()[0].in_time()), week("2012-05-07")
    thinned = watcher._thinned(asked)
    days = np.unique(asked.window.groups, return_counts=True)
    kept = np.unique(thinned.groups, return_counts=True)
    assert 2 <= len(kept[0]) <= 3  # of seven, since 30% of the days of 2011 are held out, and some more or less by chance
    assert dict(zip(*kept, strict=True)).items() <= dict(zip(*days, strict=True)).items()
    assert watcher._thinned(dataclasses.replace(asked, kind="control")) is asked.window


def made(moments):
    rows = len(moments)
    frame = pd.DataFrame({"hr": np.arange(rows, dtype=float), PREDICTION: np.zeros(rows), "cnt": np.ones(rows)})
    whole = windows.Window(frame, np.zeros(rows), np.ones(rows), np.zeros(rows, dtype=int))
    return Reference(whole, np.arange(rows) % 2 == 0, FIGURES | {"loss": 1.0}, [], clock="day", moments=moments)


def test_a_reference_is_put_in_the_order_of_time_and_survives_its_files(tmp_path):
    moments = np.array(["2011-03-01", "2011-01-01", "2011-02-01", "2011-01-01"], dtype="datetime64[us]")
    reference.write(made(moments), tmp_path)
    found = reference.read(tmp_path).in_time()
    assert found.ordered
    assert found.rows.frame["hr"].tolist() == [1, 3, 2, 0]  # equal moments stay in their order
    assert found.test.tolist() == [False, False, True, True]
    assert found.rows.groups.tolist() == [0, 1, 2, 3]
    assert (np.diff(found.moments) >= np.timedelta64(0)).all()
    assert found.in_time() is found
    assert found.in_span(np.timedelta64(59 * 12, "h")) == 2  # of the four rows in 59 days


@pytest.mark.parametrize("moments", [None, np.array(["2011-01-01", "NaT"], dtype="datetime64[us]")])
def test_without_all_moments_rows_stay_as_they_are(moments):
    kept = made(np.zeros(2, "datetime64[us]"))
    kept = dataclasses.replace(kept, moments=moments)
    assert kept.in_time() is kept
    assert made(np.zeros(2, "datetime64[us]")).in_span(np.timedelta64(1, "D")) is None


@pytest.mark.parametrize(
    ("difference", "half", "decayed", "clear"),
    [
        (0.0, 0.04, False, True),
        (-0.2, 0.2, False, True),
        (0.0, 0.06, False, False),  # a rise that matters may be hidden
        (0.03, 0.03, False, False),
        (0.3, 0.2, True, False),
    ],
)
def test_labels_clear_a_drift_where_they_rule_out_a_rise_that_matters(difference, half, decayed, clear):
    assert cleared(Decay(decayed, difference, difference - half, difference + half, 1.0, 0.05, 100, 100)) is clear
    assert not cleared(None)


def test_a_cleared_drift_is_told_and_calls_no_one():
    rows = [{"window": f"w{at}", "state": "drift", "cleared": at in (1, 2)} for at in range(4)]
    assert [one["alarm"] for one in overall.alarmed(rows, 1, 1)] == [True, False, False, True]
    assert [one["alarm"] for one in overall.alarmed(rows, 2, 3)] == [False, False, False, False]


def test_the_time_that_orders_a_split_is_not_watched():
    kept = made(np.arange(4).astype("datetime64[D]").astype("datetime64[us]"))
    assert "hr" in judge(kept).kinds
    assert "hr" not in judge(dataclasses.replace(kept, time="hr", ordered=True)).kinds


def test_the_words_of_a_window_tell_dates_as_dates():
    parts = tuple(Number("hr", part) for part in ("days", "month"))
    dated = dataclasses.replace(fitted(), numbers=(*parts, Number("temp", "value"), Number("temp", "missing")))
    assert dated.dates == {"hr"}
    watcher, now = judge(made(np.zeros(100, "datetime64[us]"))), made(np.zeros(100, "datetime64[us]")).rows
    watcher.fitted = dated
    now.frame["hr"] += 20000
    asked = Asked("w", "production", now, 100)
    measures = [alarms.Observed("hr", "values", 9.0, 0.1, True, True)]
    told = watcher._explained(watcher.reference.rows, now, now.frame, measures, asked, {"state": "drift"})
    assert told["headline"] == "hr moves from 1970-02-19 to 2024-11-22"
