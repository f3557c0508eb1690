"""Rows in the order of time: unchanged stretches rarely alarm, rows taken as independent nearly always, and shifts are seen."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from pipeline.errors import UserError
from pipeline.monitoring import alarms, ordered
from pipeline.monitoring.drift import Kind

KINDS: dict[str, Kind] = {"a": "number", "b": "number", "c": "number", "k": "category"}
ROWS = 150


def series(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Four AR(1) series of variance 1 whose neighbours correlate by 0.95, the last one cut into three categories."""
    values = lfilter([1], [1, -0.95], rng.normal(size=(rows + 500, 4)), axis=0)[500:] * np.sqrt(1 - 0.95**2)
    frame = pd.DataFrame(values, columns=[*KINDS])
    return frame.assign(k=np.select([frame["k"] > 1, frame["k"] > 0], ["high", "middle"], "low").astype(object))


def judged(
    thresholds: alarms.Thresholds,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    reference_losses: np.ndarray | None = None,
    losses: np.ndarray | None = None,
) -> alarms.Verdict:
    return alarms.verdict(
        thresholds,
        reference,
        current,
        reference_groups=np.arange(len(reference)),
        groups=np.arange(len(current)),
        reference_losses=reference_losses,
        losses=losses,
        ordered=True,
    )


@pytest.mark.parametrize(("stretches", "seen"), [(6, 0.25), (20, 0.9)])
def test_unchanged_stretches_rarely_alarm_and_shifts_are_seen(stretches: int, seen: float) -> None:
    """12 references with 8 windows of the time after each; losses are an AR(1) series too.  5% and three standard errors."""
    rng = np.random.default_rng(stretches)
    length, alarmed, plain, caught, references, windows = stretches * ROWS, 0, 0, 0, 12, 8
    for _ in range(references):
        stream = series(rng, length + windows * 2 * ROWS)
        losses = np.abs(series(rng, len(stream))["a"].to_numpy())
        reference = stream[:length].reset_index(drop=True)
        thresholds = ordered.calibrate(reference, KINDS, rows=ROWS, minimum_effect=0.0)
        of_rows = alarms.calibrate(reference, np.arange(length), KINDS, rows=ROWS, minimum_effect=0.0, resamples=100, references=20)
        for start in range(length + ROWS, len(stream) - ROWS + 1, 2 * ROWS):
            current = stream[start : start + ROWS].reset_index(drop=True)
            found = judged(thresholds, reference, current, reference_losses=losses[:length], losses=losses[start : start + ROWS])
            alarmed += found.state != "ok"
            plain += alarms.verdict(of_rows, reference, current, reference_groups=np.arange(length), groups=np.arange(ROWS)).drift
            caught += judged(thresholds, reference, current.assign(a=current["a"] + 3)).drift
    count = references * windows
    assert alarmed / count <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)
    assert plain / count > 0.5
    assert caught / count > seen


def test_too_few_stretches_say_what_would_do() -> None:
    reference = series(np.random.default_rng(0), 500)
    thresholds = ordered.calibrate(reference, KINDS, rows=100)
    assert thresholds.measures == ()
    found = judged(thresholds, reference, reference[:100])
    assert (found.state, found.measures) == ("insufficient data", ())
    assert found.reason == (
        "500 reference rows in the order of time hold fewer than 6 stretches of 100 rows: "
        "600 reference rows would do, or windows of at most 83 rows"
    )
    assert judged(ordered.calibrate(reference, KINDS, rows=83), reference, reference[:83]).state != "insufficient data"
    few = judged(thresholds, reference, reference[:20])
    assert (few.state, few.reason) == ("insufficient data", "20 rows, at least 30 needed")


def test_a_stretch_is_standardised_by_those_that_share_no_row_with_it() -> None:
    rng = np.random.default_rng(5)
    logs = rng.normal(size=(3, 30))
    logs -= logs.mean(axis=1, keepdims=True)
    found = ordered._standardised_by_others(logs, near=3)
    for at in range(30):
        others = logs[:, np.abs(np.arange(30) - at) > 3]
        assert found[:, at] == pytest.approx((logs[:, at] - others.mean(axis=1)) / others.std(axis=1, ddof=1))


def test_groups_play_no_part() -> None:
    """A series of one place is one group."""
    reference = series(np.random.default_rng(1), 600)
    thresholds = ordered.calibrate(reference, KINDS, rows=60)
    one = np.zeros(600, dtype=int)
    found = alarms.verdict(thresholds, reference, reference[:60], reference_groups=one, groups=one[:60], ordered=True)
    assert found.state == "ok"


def test_decay_by_hand() -> None:
    """Six stretches with means 0, 1, 0, 1, 0, 1: mean 0.5, deviation sqrt(0.3), t(0.975, 5) = 2.5706, half-width 1.5208."""
    reference = np.repeat([0.0, 1.0] * 3, 10)
    found = ordered.loss_increase(reference, np.full(10, 2.5), minimum=0.05, confidence=0.95)
    assert (found.difference, round(found.lower, 4)) == (2.0, round(2.0 - 1.5208, 4))
    assert found.decayed
    assert not ordered.loss_increase(reference, np.full(10, 2.0), minimum=0.05, confidence=0.95).decayed
    assert not ordered.loss_increase(np.ones(60), np.full(10, 1.04), minimum=0.05, confidence=0.95).decayed
    with pytest.raises(ValueError, match="fewer than 6 stretches of 11"):
        ordered.loss_increase(reference, np.ones(11), minimum=0.05, confidence=0.95)
    with pytest.raises(ValueError, match="finite"):
        ordered.loss_increase(reference, np.full(10, np.inf), minimum=0.05, confidence=0.95)


def test_decay_needs_six_labelled_stretches() -> None:
    rng = np.random.default_rng(2)
    reference = series(rng, 600)
    thresholds = ordered.calibrate(reference, KINDS, rows=60)
    losses = np.where(np.arange(600) < 300, np.nan, 1.0)
    found = judged(thresholds, reference, reference[:60], reference_losses=losses, losses=np.full(60, 2.0))
    assert found.decay is None
    assert found.reason.startswith("decay not judged, of labelled rows: 300 reference rows")
    some = np.where(np.arange(60) < 50, 2.0, np.nan)
    found = judged(thresholds, reference, reference[:60], reference_losses=losses, losses=some)
    assert (found.state, found.decay is not None and found.decay.labelled_rows) == ("decay", 50)


def test_unused_columns_raise_nothing_and_cost_nothing() -> None:
    reference = series(np.random.default_rng(3), 900)
    thresholds = ordered.calibrate(reference, KINDS, rows=90, used=["a"])
    alone = ordered.calibrate(reference, {"a": "number"}, rows=90)
    assert thresholds.of("a") == alone.of("a")
    found = judged(thresholds, reference, reference[:90].assign(b=50.0))
    assert {one.column: one.harmful for one in found.measures if one.drifted} == {"b": False}
    assert found.state == "ok"


def test_columns_that_never_vary() -> None:
    """Constant, empty and never missing: thresholds stay finite, and what breaks is seen."""
    rng = np.random.default_rng(4)
    reference = series(rng, 600).assign(one=1.0, none=np.nan, empty=None)
    kinds: dict[str, Kind] = {**KINDS, "one": "number", "none": "number", "empty": "category"}
    thresholds = ordered.calibrate(reference, kinds, rows=60)
    json.dumps(dataclasses.asdict(thresholds), allow_nan=False)
    assert judged(thresholds, reference, reference[60:120]).state == "ok"
    for change in ({"one": 2.0}, {"none": 1.0}, {"empty": "x"}, {"b": np.nan}):
        found = judged(thresholds, reference, reference[60:120].assign(**change))
        assert {one.column for one in found.measures if one.drifted} == {*change}
    only = ordered.calibrate(reference, {"one": "number"}, rows=60)
    assert [measure.threshold for measure in only.measures] == [0.1, 0.1]
    with pytest.raises(UserError, match="no column 'z'"):
        ordered.calibrate(reference, {"z": "number"}, rows=60)
