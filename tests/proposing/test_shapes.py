"""Series in long rows, forecasts and time orders are told from tables that only look alike."""

import numpy as np
import pandas as pd
import pytest

from pipeline.proposing import shapes

RNG = np.random.default_rng(0)
KINDS = {"who": "category", "t": "number", "x": "number", "z": "number", "label": "category"}


def long_rows(series: int = 30, steps: int = 8) -> pd.DataFrame:
    rows = series * steps
    who = np.repeat([f"s{at}" for at in range(series)], steps)
    return pd.DataFrame(
        {
            "who": who,
            "t": np.tile(np.arange(steps, dtype="float64"), series),
            "x": RNG.normal(size=rows),
            "z": RNG.normal(size=rows),
            "label": np.repeat(RNG.choice(["a", "b"], series), steps),
        }
    )


def hours(rows: int = 600, step: str = "h") -> pd.DataFrame:
    return pd.DataFrame(
        {"when": pd.date_range("2024-01-01", periods=rows, freq=step), "a": RNG.normal(size=rows), "load": RNG.normal(size=rows)}
    )


COURSE = {"when": "datetime", "a": "number", "load": "number"}


def test_numbered_steps_of_series_with_one_label_each():
    assert shapes.series(long_rows(), KINDS, "label") == shapes.Series("who", "t", 8.0)


def test_no_series_where_the_label_changes_within_one():
    rows = long_rows()
    rows["label"] = RNG.choice(["a", "b"], len(rows))
    assert shapes.series(rows, KINDS, "label") is None


def test_no_series_where_the_steps_are_not_numbered_through():
    rows = long_rows()
    rows["t"] = RNG.permutation(len(rows)).astype(float)
    assert shapes.series(rows, KINDS, "label") is None


def test_no_series_where_rows_of_a_customer_differ_in_few_columns():
    rows = long_rows().assign(city=lambda t: t["who"], plan=lambda t: t["who"], age=lambda t: t["who"].str[1:].astype(float), z=1.0)
    kinds = {**KINDS, "city": "category", "plan": "category", "age": "number"}
    assert shapes.series(rows, kinds, "label") is None


def test_an_hourly_table_of_numbers_is_a_forecast():
    assert shapes.course(hours(), COURSE, "load", 17_000) == shapes.Course("when", None, "hour", 336, 96)


def test_steps_and_reach_follow_from_the_table():
    assert shapes.course(hours(step="D"), COURSE, "load", 600) == shapes.Course("when", None, "day", 56, 14)
    assert shapes.course(hours(step="MS"), COURSE, "load", 600).step == "month"
    assert shapes.course(hours(step="15min"), COURSE, "load", 600) == shapes.Course("when", None, "15 minutes", 75, 20)


def test_several_courses_are_named_by_their_column():
    both = pd.concat([hours().assign(site=name) for name in ("a", "b")], ignore_index=True)
    assert shapes.course(both, {**COURSE, "site": "category"}, "load", 1200).series == "site"


def test_a_shop_that_opened_late_does_not_hide_the_forecast():
    shops = pd.concat([hours(600, "D").assign(site=name) for name in "abcd"] + [hours(20, "D").assign(site="new")], ignore_index=True)
    assert shapes.course(shops, {**COURSE, "site": "category"}, "load", len(shops)) == shapes.Course("when", "site", "day", 56, 14)
    young = pd.concat([hours(600).assign(site="a"), hours(150).assign(site="new")], ignore_index=True)
    assert shapes.course(young, {**COURSE, "site": "category"}, "load", len(young)) is None


@pytest.mark.parametrize(("name", "step"), [("year", 1), ("YEAR", 5)])
def test_years_written_as_numbers_are_a_time(name, step):
    rows = pd.DataFrame({name: np.arange(1500.0, 1500 + 100 * step, step), "flow": RNG.normal(size=100)})
    kinds = {name: "number", "flow": "number"}
    assert shapes.course(rows, kinds, "flow", 100) == shapes.Course(name, None, "year" if step == 1 else "5 years", 10, 2)
    assert shapes.clock(rows, kinds, "flow") == name
    assert shapes.course(rows.assign(**{name: rows[name] + 0.5}), kinds, "flow", 100) is None  # no whole years


def test_an_hour_that_comes_twice_is_told():
    rows = hours()
    rows.loc[300:, "when"] -= pd.Timedelta(hours=1)
    assert shapes.course(rows, COURSE, "load", 600) is None
    assert shapes.twice(rows, COURSE, "load", 600) == (
        "rows are steps of one hour, but 1 of them at a when that another has (2024-01-13 11:00:00; where clocks go back, write times "
        "in UTC): without them this is a forecast"
    )
    assert shapes.twice(hours(), COURSE, "load", 600) is None


@pytest.mark.parametrize(
    ("rows", "kinds", "target"),
    [
        (hours().sample(frac=1, random_state=0), COURSE, "load"),  # not in order
        (
            hours().assign(when=lambda t: t["when"] + pd.to_timedelta(RNG.integers(0, 1800, len(t)).cumsum(), "s")),
            COURSE,
            "load",
        ),  # irregular
        (hours().assign(load=lambda t: (t["load"] > 0).astype(float)), COURSE, "load"),  # two classes
        (hours().assign(city="x", shop="y"), {**COURSE, "city": "category", "shop": "category"}, "load"),  # more than numbers
        (hours(100), COURSE, "load"),  # few
        (hours().assign(when=lambda t: t["when"].dt.floor("D")), COURSE, "load"),  # several rows of one time
    ],
)
def test_no_forecast(rows, kinds, target):
    assert shapes.course(rows.reset_index(drop=True), kinds, target, len(rows)) is None


def test_the_clock_is_a_column_that_rows_are_sorted_by():
    rows = hours().assign(born=lambda t: t["when"].sample(frac=1, random_state=1).to_numpy(), Time=np.arange(600.0))
    kinds = {"born": "datetime", "when": "datetime", "load": "number"}
    assert shapes.clock(rows, kinds, "load") == "when"
    assert shapes.clock(rows, {"born": "datetime", "load": "number"}, "load") is None
    assert shapes.clock(rows, {"Time": "number", "load": "number"}, "load") == "Time"
    years = rows.assign(year=1900 + rows.index // 10, made=rows.index[::-1])
    assert shapes.clock(years, {"made": "number", "year": "number", "load": "number"}, "load") == "year"
    assert shapes.clock(rows.rename(columns={"Time": "age"}), {"age": "number", "load": "number"}, "load") is None
