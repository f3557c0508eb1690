"""The stated power is that of fresh windows, the rows needed give it, and the measured rate finds thresholds that are too low."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from pipeline.monitoring import alarms
from pipeline.monitoring.drift import Kind, encode
from pipeline.monitoring.power import FalseAlarms, Power, _shifted, _wilson, false_alarms, power

KINDS: dict[str, Kind] = {"x": "number", "skewed": "number", "two": "category", "ten": "category"}


def rows(rng: np.random.Generator, count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": rng.normal(size=count),
            "skewed": rng.lognormal(size=count),
            "two": np.where(rng.random(count) < 0.7, "yes", "no").astype(object),
            "ten": rng.choice(list("abcdefghij"), count),
        }
    )


def calibrated(count: int) -> tuple[pd.DataFrame, np.ndarray, alarms.Thresholds]:
    reference = rows(np.random.default_rng(0), 1500)
    groups = np.arange(1500)
    return reference, groups, alarms.calibrate(reference, groups, KINDS, rows=count, resamples=200, references=40)


def test_power_is_the_share_of_fresh_shifted_windows_that_alarm() -> None:
    """x moves by half a deviation, "yes" loses 0.5 sqrt(0.7 x 0.3) = 0.23; 200 windows on either side, three standard errors."""
    rng = np.random.default_rng(1)
    for count in (40, 70):
        reference, groups, thresholds = calibrated(count)
        found = power(reference, groups, KINDS, thresholds)
        caught = {"x": 0, "two": 0}
        for _ in range(200):
            fresh = rows(rng, count)
            yes = np.where(rng.random(count) < 0.7 - 0.5 * np.sqrt(0.21), "yes", "no")
            moved = fresh.assign(x=fresh["x"] + 0.5, two=yes.astype(object))
            seen = alarms.verdict(thresholds, reference, moved, reference_groups=groups, groups=np.arange(count))
            for one in seen.measures:
                if one.aspect == "values" and one.column in caught:
                    caught[one.column] += one.drifted
        for name, times in caught.items():
            assert found.by_column[name] == pytest.approx(times / 200, abs=0.15), (name, count)


def test_rows_needed_give_four_of_five() -> None:
    reference, groups, thresholds = calibrated(60)
    found = power(reference, groups, KINDS, thresholds)
    assert found.power == np.median([*found.by_column.values()])
    assert found.rows_needed is not None
    enough, few = (power(*calibrated(size)[:2], KINDS, calibrated(size)[2]).power for size in (found.rows_needed, found.rows_needed // 3))
    assert enough is not None
    assert few is not None
    assert few < 0.7 < enough < 0.95
    json.dumps(dataclasses.asdict(found), allow_nan=False)
    assert power(reference, groups, KINDS, thresholds) == found


def test_a_shift_below_the_minimum_effect_is_never_seen() -> None:
    reference, groups, thresholds = calibrated(60)
    wide = alarms.calibrate(reference, groups, {"x": "number"}, rows=60, resamples=100, references=10, minimum_effect=1.0)
    found = power(reference, groups, KINDS, wide, shift=0.5)
    assert (found.power, found.rows_needed) == (0.0, None)
    assert power(reference, groups, KINDS, thresholds, shift=3.0).power == 1.0


def test_only_harmful_columns_that_can_shift_are_looked_at() -> None:
    reference = rows(np.random.default_rng(2), 300).assign(one=1.0, none=np.nan, same="a", empty=None)
    kinds: dict[str, Kind] = {"one": "number", "none": "number", "same": "category", "empty": "category", **KINDS}
    groups = np.arange(300)
    used = [name for name in kinds if name != "x"]
    thresholds = alarms.calibrate(reference, groups, kinds, rows=60, used=used, resamples=100, references=10)
    assert [*power(reference, groups, kinds, thresholds).by_column] == ["skewed", "two", "ten"]
    assert [*power(reference, groups, kinds, thresholds, most=1).by_column] == ["skewed"]
    constant = alarms.calibrate(reference, groups, {"one": "number"}, rows=60, resamples=100, references=10)
    assert power(reference, groups, kinds, constant) == Power(0.5, 60, None, {}, None)
    assert false_alarms(reference, groups, kinds, constant, windows=50).alarms == 0


def test_shift_of_a_category_by_hand() -> None:
    """Of a common value 0.8 x (1 - 0.8) has the root 0.4; of a value with 0.2 too.  Missing is a value."""
    for values, common, expected in ((["a"] * 8 + ["b", None], 0, 0.6), ([*"aabbc", None, *"defg"], 0, 0.4)):
        coded = encode(pd.Series(values, dtype=object), "category")
        counts = coded.counts()
        moved = _shifted(coded, counts, counts[None], counts[None], 0.5)[2][0]
        assert moved[common] / moved.sum() == pytest.approx(expected)
        others = np.delete(moved, common) / np.delete(counts, common)
        assert others == pytest.approx(np.full(len(others), others[0]))


def test_measured_false_alarms() -> None:
    """What was calibrated holds its half of the rate; thresholds a fifth lower are found out."""
    reference, groups, _ = calibrated(60)
    thresholds = alarms.calibrate(reference, groups, KINDS, rows=100, minimum_effect=0.0)
    found = false_alarms(reference, groups, KINDS, thresholds, seed=7)
    assert found.allowed == 0.025
    assert found.lower <= 0.025
    low = dataclasses.replace(
        thresholds, measures=tuple(dataclasses.replace(one, threshold=0.8 * one.threshold) for one in thresholds.measures)
    )
    assert false_alarms(reference, groups, KINDS, low, seed=7).lower > 0.025
    assert isinstance(found, FalseAlarms)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["windows"] == 500


def test_wilson_by_hand() -> None:
    """Wilson (1927): 10 of 100 give 5.52% to 17.44%; none of 500 ends at z2 / (500 + z2)."""
    assert _wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert _wilson(0, 500) == pytest.approx((0.0, 3.8415 / 503.8415), abs=1e-5)
