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


@given(st.lists(st.integers(0, 40), min_size=1, max_size=120), st.integers(2, 30))
def test_counted_windows_hold_as_many_rows_or_more_and_share_no_moment(seconds, every):
    moments = np.sort(np.array(seconds).astype("datetime64[s]").astype("datetime64[us]"))
    found = periods.bounds(moments, every)
    counts = [int(((moments >= first) & (moments < after)).sum()) for _, first, after in found]
    assert sum(counts) == len(moments)
    assert all(count >= every for count in counts[:-1])
    assert counts[-1] >= min(every // 2, len(moments))
    assert len({name for name, _, _ in found}) == len(found)
    assert [name for name, _, _ in found] == sorted(name for name, _, _ in found)
