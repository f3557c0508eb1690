"""Where values stand on the axes of a sweep's figures."""

from __future__ import annotations

import math

import pytest

from pipeline.tuning.report.formats import Absent
from pipeline.tuning.report.scales import scale, scale_of, span
from pipeline.tuning.results import COMPLETE, Sweep, Trial


def test_scales_follow_the_values():
    widths = scale([64, 128, 256] * 10)
    assert (widths.steps, [widths.place(v) for v in (64, 128, 256)]) == (True, [0, 1, 2])
    decay = scale([0.0, 1e-4, 1e-2] * 10)
    assert [label for _, label in decay.ticks] == ["0", "0.0001", "0.01"]
    mixed = scale(["gelu", True, None, 3, Absent.ABSENT, "b" * 40])
    assert [label for _, label in mixed.ticks] == ["not used", "null", "3", "b" * 14 + "…", "gelu", "true"]
    linear = scale([k / 7 for k in range(30)])
    assert [label for _, label in linear.ticks] == ["0", "1", "2", "3", "4"]


def test_an_axis_is_logarithmic_where_the_key_is_searched_so_and_its_values_are_positive():
    params = [
        {"rate": 1e-4, "decay": 0.0, "decades": 1e-6, "width[0]": 10.0},
        {"rate": 2e-4, "decay": 0.1, "decades": 1e3, "width[1]": 80.0},
    ]
    trials = tuple(Trial(number, COMPLETE, found) for number, found in enumerate(params))
    given = Sweep("0", "shop", ("loss",), (True,), trials, logarithmic=("rate", "decay", "width"))
    log = {key: scale_of(given, key).log for key in ("rate", "decay", "decades", "width[0]", "width[1]")}
    assert log == {"rate": True, "decay": False, "decades": False, "width[0]": True, "width[1]": True}
    assert scale_of(given, "rate").place(1e-4) == pytest.approx(-4)


def test_a_logarithmic_axis_keeps_what_is_no_number_apart():
    rate = scale([1e-9, 1e6, None, Absent.ABSENT, 1.0], log=True)
    assert rate.log
    assert rate.ends[0] < rate.place(Absent.ABSENT) < rate.place(None) < rate.place(1e-9) == -9 < rate.place(1e6) < rate.ends[1]
    assert len(rate.ticks) <= 9
    single = scale([0.1, 0.1, Absent.ABSENT], log=True)
    assert [label for _, label in single.ticks] == ["not used", "0.1"]
    assert single.ends[0] < single.place(Absent.ABSENT) < single.place(0.1) < single.ends[1]
    assert scale(["auto", 0.1, 0.2], log=True).steps
    assert scale([None], log=True).steps


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-5, 1e-1, ["1e-5", "0.0001", "0.001", "0.01", "0.1"]),
        (3e-4, 2e-2, ["0.001", "0.01"]),
        (3e-4, 8e-3, ["0.0005", "0.001", "0.002", "0.005"]),
        (2e-3, 8e-3, ["0.002", "0.005"]),
        (2.1e-3, 2.4e-3, ["0.0021", "0.0024"]),
        (1e-12, 1e12, ["1e-12", "1e-8", "0.0001", "1", "10,000", "100,000,000", "1e12"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_round_and_at_least_two(low, high, labels):
    found = scale([low, high], log=True).ticks
    assert [label for _, label in found] == labels
    assert [at for at, _ in found] == pytest.approx([math.log10(float(label.replace(",", ""))) for label in labels])


def test_an_axis_holds_the_good_values_and_is_logarithmic_over_decades():
    usual = [0.4 + k / 100 for k in range(20)]
    assert span([*usual, 50.0], lower=True).worse == 1
    assert span([*usual, 50.0], lower=True).high < 1
    assert span([*usual, 50.0], lower=True, always=[50.0]).high > 50
    assert span([*usual, -50.0], lower=False).low > 0
    assert span([*usual, -50.0], lower=True).low < -50  # on the better side nothing is cut
    assert span([1.0] * 20 + [1e6], lower=True).high < 10
    assert span(usual[:5], lower=True).worse == 0
    wide = span([10.0**k for k in range(-9, 7)], lower=True)
    assert (wide.log, wide.worse) == (True, 0)
    assert wide.low < 1e-9 < 1e6 < wide.high
    assert span([], lower=True).low < span([], lower=True).high
    assert span([2.0], lower=True).low < 2 < span([2.0], lower=True).high
    assert span([math.nan, math.inf, 1.0, 2.0], lower=True).high < 3
