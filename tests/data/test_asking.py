"""Which rows of a request become windows, which times follow, and what is refused in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.data import asking
from pipeline.data.fitted import Forecast, Target
from pipeline.errors import UserError

ISO = {"when": {"kind": "datetime", "format": None}, "shop": {"kind": "category", "format": None}}
ONE = Forecast("when", None, 4, 3, (Target("y"),))
MANY = Forecast("when", "shop", 4, 3, (Target("y"),))


def days(count: int = 6, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"when": pd.date_range("2024-02-25", periods=count).strftime("%Y-%m-%d"), "y": np.arange(count), **columns})


def test_the_last_rows_become_a_window_whatever_their_order() -> None:
    rows = days()
    assert asking.windows(rows, ONE, ISO).rows.tolist() == [[2, 3, 4, 5]]
    assert asking.windows(rows[::-1], ONE, ISO).rows.tolist() == [[3, 2, 1, 0]]
    assert list(asking.windows(rows, ONE, ISO).times[0]) == list(pd.date_range("2024-03-02", periods=3))


def test_each_series_is_a_window_in_the_order_of_names() -> None:
    rows = pd.concat([days(shop="b"), days(5, shop="a")], ignore_index=True)
    asked = asking.windows(rows, MANY, ISO)
    assert asked.series == ["a", "b"]
    assert asked.rows.tolist() == [[7, 8, 9, 10], [2, 3, 4, 5]]
    assert [times[0] for times in asked.times] == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-03-02")]


@pytest.mark.parametrize(
    ("rule", "following"),
    [
        ("MS", ["2024-05-01", "2024-06-01", "2024-07-01"]),  # months are of unequal length
        ("ME", ["2024-05-31", "2024-06-30", "2024-07-31"]),
        ("W-SAT", ["2024-02-03", "2024-02-10", "2024-02-17"]),
        ("3h", ["2024-01-01 12:00", "2024-01-01 15:00", "2024-01-01 18:00"]),
    ],
)
def test_times_go_on_by_the_calendar(rule: str, following: list[str]) -> None:
    rows = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=4, freq=rule)})
    assert list(asking.windows(rows, ONE, ISO).times[0]) == [pd.Timestamp(each) for each in following]


def test_times_that_follow_no_calendar_go_on_by_the_usual_step() -> None:
    when = ["2024-01-01T00:00", "2024-01-01T00:10", "2024-01-01T00:21", "2024-01-01T00:31"]
    assert list(asking.windows(pd.DataFrame({"when": when}), ONE, ISO).times[0]) == [
        pd.Timestamp("2024-01-01T00:31") + pd.Timedelta(minutes=10 * step) for step in (1, 2, 3)
    ]


def test_steps_may_be_numbers() -> None:
    asked = asking.windows(pd.DataFrame({"when": ["8", "2", "4", "6"]}), ONE, {"when": {"kind": "number", "format": None}})
    assert asked.rows.tolist() == [[1, 2, 3, 0]]
    assert list(asked.times[0]) == [10, 12, 14]


def test_times_are_read_as_the_source_writes_them() -> None:
    written = {"kind": "datetime", "format": "%d/%m/%Y"}
    assert asking.times(pd.Series([" 02/03/2024 ", None]), written)[0] == pd.Timestamp("2024-03-02")
    offsets = pd.Series(["2024-03-02T01:00:00+01:00"])
    assert list(asking.times(offsets, {"kind": "datetime", "format": "%z"})) == [pd.Timestamp("2024-03-02T00:00")]
    with pytest.raises(UserError, match="column when: expected times as %d/%m/%Y, got"):
        asking.times(pd.Series(["2024-03-02"], name="when"), written)


@pytest.mark.parametrize(
    ("rows", "forecast", "message"),
    [
        (days(3), ONE, r"a forecast of 3 steps needs the last 4 rows or more, got 3"),
        (days(0), ONE, r"needs the last 4 rows or more, got 0"),
        (pd.concat([days(shop="a"), days(2, shop="b")]), MANY, r"needs the last 4 rows of each series or more, got b: 2"),
        (days().drop(columns="when"), ONE, "missing column when; a forecast goes by when"),
        (days(), MANY, "missing column shop; a forecast goes by when and shop"),
        (days().drop(index=4), ONE, "column when: a step is missing before 2024-03-01 00:00:00: a forecast needs its last 4 steps"),
        (
            pd.concat([days(), days()]),
            ONE,
            "column when: 2024-02-2. 00:00:00 stands in two rows; this model forecasts one series at a time",
        ),
        (days().assign(when=[*days(5)["when"], None]), ONE, "column when: row 6 has no time"),
    ],
)
def test_what_is_no_window_is_refused_in_words(rows: pd.DataFrame, forecast: Forecast, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asking.windows(rows.reset_index(drop=True), forecast, ISO)
