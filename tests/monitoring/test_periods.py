"""Hours, days, weeks and months."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring import periods

MOMENT = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))


@given(MOMENT)
def test_a_week_begins_on_monday_as_the_calendar_has_it(moment):
    start = periods.starts(np.array([moment], "datetime64[us]"), "week")[0].astype(object)
    assert start == dt.datetime.combine(moment.date() - dt.timedelta(moment.weekday()), dt.time())


@given(MOMENT, st.sampled_from(periods.PERIODS))
def test_a_moment_lies_in_its_period(moment, period):
    at = np.array([moment], "datetime64[us]")
    start = periods.starts(at, period)[0]
    assert start <= at[0] < periods.end(start, period)
    assert periods.starts(np.array([periods.end(start, period)]), period)[0] == periods.end(start, period)


@pytest.mark.parametrize(
    ("period", "name"), [("hour", "2012-02-29T13"), ("day", "2012-02-29"), ("week", "week-2012-02-27"), ("month", "2012-02")]
)
def test_names_can_be_folders(period, name):
    at = np.array(["2012-02-29T13:14:15"], "datetime64[us]")
    assert periods.name(periods.starts(at, period)[0], period) == name


def test_no_moment_has_no_period():
    assert np.isnat(periods.starts(np.array(["NaT"], "datetime64[us]"), "week")[0])
    assert periods.told(None) is periods.told(np.datetime64("NaT")) is None
    assert periods.told(np.datetime64("2012-01-02T03:04:05")) == "2012-01-02T03:04:05Z"
