"""Alarms mean something: rare when nothing changed, at every window size; raised by what was planted."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.monitoring import alarms, resampling
from pipeline.monitoring.decay import loss_increase
from pipeline.monitoring.drift import Kind
from pipeline.monitoring.power import Power

KINDS: dict[str, Kind] = {
    "normal": "number",
    "lognormal": "number",
    "binary": "category",
    "ten": "category",
    "zipf": "category",
}
SHARES = 1 / np.arange(1, 61)


def people(rng: np.random.Generator, persons: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of persons who return 1 to 7 times nearly unchanged, and the person of each row."""
    person = np.repeat(np.arange(persons), rng.integers(1, 8, persons))
    noise = 0.1 * rng.normal(size=len(person))
    frame = pd.DataFrame(
        {
            "normal": rng.normal(size=persons)[person] + noise,
            "lognormal": np.exp(rng.normal(size=persons)[person] + noise),
            "binary": np.where(rng.random(persons) < 0.3, "yes", "no")[person],
            "ten": rng.choice(list("abcdefghij"), persons)[person],
            "zipf": rng.choice([f"z{rank}" for rank in range(60)], persons, p=SHARES / SHARES.sum())[person],
        }
    )
    return frame, person


def window(rng: np.random.Generator, rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """As many fresh persons as hold at least `rows` rows."""
    frame, person = people(rng, rows)
    kept = person <= person[rows - 1]
    return frame[kept], person[kept]


def share_of_alarms(rng: np.random.Generator, rows: int, windows: int, *, by_row: bool = False) -> float:
    reference, person = people(rng, 1000)
    calibration_groups = np.arange(len(person)) if by_row else person
    thresholds = alarms.calibrate(reference, calibration_groups, KINDS, rows=rows, minimum_effect=0.0)
    drifted = 0
    for _ in range(windows):
        frame, groups = window(rng, rows)
        own = np.arange(len(groups)) if by_row else groups
        drifted += alarms.verdict(thresholds, reference, frame, reference_groups=calibration_groups, groups=own).drift
    return drifted / windows


@pytest.mark.parametrize("rows", [100, 500, 2000])
def test_unchanged_windows_rarely_alarm(rows: int) -> None:
    """Two references, 120 windows of the population each; 5% and two standard errors of 240 windows."""
    rng = np.random.default_rng(rows)
    shares = [share_of_alarms(rng, rows, 120) for _ in range(2)]
    assert np.mean(shares) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 240)


def test_rows_taken_as_independent_alarm_far_too_often() -> None:
    """What the groups are for, and that the test above can fail."""
    assert share_of_alarms(np.random.default_rng(0), 500, 40, by_row=True) > 0.5


def test_planted_shifts_are_caught() -> None:
    """Half a deviation and 30% missing in 500 rows of 125 persons; one of ten categories gone in 2,000 rows of 500."""
    rng = np.random.default_rng(1)
    reference, person = people(rng, 1000)
    caught = {"normal": 0, "lognormal": 0, "ten": 0}
    for rows in (500, 2000):
        thresholds = alarms.calibrate(reference, person, KINDS, rows=rows)
        for _ in range(40):
            frame, groups = window(rng, int(1.15 * rows))
            moved = frame.assign(normal=frame["normal"] + 0.5, lognormal=frame["lognormal"].where(rng.random(len(frame)) > 0.3))
            kept = (moved["ten"] != "c").to_numpy()
            moved, groups = (moved[kept], groups[kept]) if rows == 2000 else (moved, groups)
            found = alarms.verdict(thresholds, reference, moved, reference_groups=person, groups=groups)
            drifted = {(one.column, one.aspect) for one in found.measures if one.drifted}
            caught["ten"] += rows == 2000 and ("ten", "values") in drifted
            caught["normal"] += rows == 500 and ("normal", "values") in drifted
            caught["lognormal"] += rows == 500 and ("lognormal", "missing") in drifted
            assert found.state == "drift" or not drifted
    assert min(caught.values()) > 36, caught


def small() -> tuple[pd.DataFrame, np.ndarray, alarms.Thresholds]:
    reference = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200), "c": ["a", "b"] * 100})
    groups = np.arange(200)
    kinds: dict[str, Kind] = {"x": "number", "c": "category"}
    return reference, groups, alarms.calibrate(reference, groups, kinds, rows=60, resamples=100)


def test_same_seed_same_thresholds() -> None:
    assert small()[2] == small()[2]


def test_minimum_effect_is_the_floor_and_the_level_of_what_never_varies() -> None:
    thresholds = small()[2]
    assert thresholds.of("x", "missing") == 0.1  # nothing is missing in any resample
    assert thresholds.of("x") > 0.1
    reference, groups, _ = small()
    floored = alarms.calibrate(reference, groups, {"x": "number", "c": "category"}, rows=60, resamples=100, minimum_effect=3.0)
    assert {measure.threshold for measure in floored.measures} == {3.0}
    with pytest.raises(KeyError, match="missing of column 'c'"):
        thresholds.of("c", "missing")


def test_column_absent_or_empty_is_drift() -> None:
    reference, groups, thresholds = small()
    for frame in (reference.drop(columns="x"), reference.assign(x=np.nan)):
        found = alarms.verdict(thresholds, reference, frame, reference_groups=groups, groups=groups)
        assert [(one.column, one.aspect) for one in found.measures if one.drifted] == [("x", "missing")]
        assert found.measures[0].observed is None
        json.dumps(dataclasses.asdict(found), allow_nan=False)


def test_states_and_flags() -> None:
    reference, groups, thresholds = small()
    losses = np.random.default_rng(1).exponential(size=200)

    def state(frame: pd.DataFrame, current: np.ndarray | None) -> tuple[str, bool, bool]:
        found = alarms.verdict(
            thresholds,
            reference,
            frame,
            reference_groups=groups,
            groups=groups,
            reference_losses=losses,
            losses=current,
        )
        return found.state, found.drift, found.decayed

    moved = reference.assign(x=reference["x"] + 2)
    assert state(reference, losses) == ("ok", False, False)
    assert state(moved, None) == ("drift", True, False)
    assert state(reference, losses + 1) == ("decay", False, True)
    assert state(moved, losses + 1) == ("decay", True, True)
    assert state(reference, losses - 0.5) == ("ok", False, False)  # a model that got better


def test_partly_labelled() -> None:
    reference, groups, thresholds = small()
    losses = np.ones(200)
    some, few = (np.where(np.arange(200) < known, 2.0, np.nan) for known in (50, 20))

    def judged(current: np.ndarray) -> alarms.Verdict:
        return alarms.verdict(
            thresholds,
            reference,
            reference,
            reference_groups=groups,
            groups=groups,
            reference_losses=losses,
            losses=current,
        )

    found = judged(some)
    assert found.decay is not None
    assert (found.decay.labelled_rows, found.decay.difference, found.decayed) == (50, 1.0, True)
    assert judged(few).decay is None
    assert judged(few).reason == "decay not judged, of labelled rows: 20 rows, at least 30 needed"
    assert judged(few).state == "ok"


def test_decay_needs_more_than_the_minimum() -> None:
    """Without noise the interval is a point above zero; 4% more loss is not worth an alarm, 6% is."""
    groups = np.arange(40)
    for factor, expected in ((1.04, False), (1.06, True)):
        found = loss_increase(
            np.ones(40),
            np.full(40, factor),
            reference_groups=groups,
            groups=groups,
            minimum=0.05,
            confidence=0.95,
            seed=0,
        )
        assert found.lower > 0
        assert found.decayed is expected


def test_decay_counts_groups_not_rows() -> None:
    """Ten persons with 50 equal rows each: 2 of 80 unchanged windows may decay; taken as 500 rows a third would."""
    rng = np.random.default_rng(2)
    person, rows = np.repeat(np.arange(10), 50), np.arange(500)
    decayed = {"person": 0, "row": 0}
    reference = rng.normal(1, 0.5, size=400)
    for seed in range(80):
        losses = rng.normal(1, 0.5, size=10)[person]
        for name, groups in (("person", person), ("row", rows)):
            found = loss_increase(
                reference,
                losses,
                reference_groups=np.arange(400),
                groups=groups,
                minimum=0.0,
                confidence=0.95,
                seed=seed,
            )
            decayed[name] += found.decayed
    assert decayed["person"] <= 6  # 2.5% of 80 and three standard errors
    assert decayed["row"] > 16


def test_infinite_loss_is_refused() -> None:
    groups = np.arange(30)
    with pytest.raises(ValueError, match="finite"):
        loss_increase(
            np.ones(30),
            np.full(30, np.inf),
            reference_groups=groups,
            groups=groups,
            minimum=0.05,
            confidence=0.95,
            seed=0,
        )


def test_too_little_data_says_how_much_is_needed() -> None:
    reference, groups, thresholds = small()
    found = alarms.verdict(thresholds, reference, reference[:20], reference_groups=groups, groups=np.repeat(np.arange(5), 4))
    assert (found.state, found.drift, found.measures) == ("insufficient data", False, ())
    assert found.reason == "20 rows, at least 30 needed; 5 groups, at least 10 needed"
    with pytest.raises(UserError, match="20 rows, at least 30 needed"):
        alarms.calibrate(reference[:20], groups[:20], {"x": "number"}, rows=60)
    with pytest.raises(UserError, match="no column 'y'"):
        alarms.calibrate(reference, groups, {"y": "number"}, rows=60)
    with pytest.raises(ValueError, match="at least 40 resamples"):
        alarms.calibrate(reference, groups, {"x": "number"}, rows=60, resamples=38)


def test_a_window_of_few_large_groups_is_worth_fewer_rows() -> None:
    reference, groups, thresholds = small()
    assert alarms.comparable_rows(np.repeat(np.arange(20), 3), groups) == 20  # 20 persons against single rows
    assert alarms.comparable_rows(np.arange(20), np.repeat(np.arange(20), 3)) == 20  # never more than the window has
    # sizes 1 and 3: 16 / 10 effective groups, of (1 + 9) / 4 rows each
    assert alarms.comparable_rows(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 1])) == 4
    with pytest.raises(ValueError, match="calibrate for rows=20"):
        alarms.verdict(thresholds, reference, reference[:60], reference_groups=groups, groups=np.repeat(np.arange(20), 3))


def test_thresholds_from_the_grid_are_those_from_all_values(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    reference = pd.DataFrame({"normal": rng.normal(size=2000), "lognormal": rng.lognormal(size=2000), "t": rng.standard_t(3, size=2000)})
    kinds: dict[str, Kind] = dict.fromkeys(reference, "number")

    def levels() -> list[float]:
        found = alarms.calibrate(reference, np.arange(2000), kinds, rows=300, resamples=200, references=20, minimum_effect=0.0)
        return [found.of(name) for name in kinds]

    from_grid = levels()
    monkeypatch.setattr(alarms, "gridded", lambda coded: coded)
    from_all = levels()
    assert from_grid != from_all
    assert from_grid == pytest.approx(from_all, rel=0.02)


def test_large_windows_drawn_as_counts_have_the_thresholds_of_drawn_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, person = people(np.random.default_rng(4), 300)

    def levels() -> list[float]:
        return [one.threshold for one in alarms.calibrate(reference, person, KINDS, rows=3000, minimum_effect=0.0).measures]

    one_by_one = levels()
    monkeypatch.setattr(resampling, "_DRAWN_ONE_BY_ONE", 0)
    as_counts = levels()
    assert as_counts != one_by_one
    assert as_counts == pytest.approx(one_by_one, rel=0.1)


def test_only_what_is_used_may_alarm_and_the_rest_costs_no_power() -> None:
    rng = np.random.default_rng(5)
    reference = pd.DataFrame(rng.normal(size=(400, 6)), columns=list("abcdef"))
    kinds: dict[str, Kind] = dict.fromkeys(reference, "number")
    groups = np.arange(400)
    every = alarms.calibrate(reference, groups, kinds, rows=100, resamples=200)
    some = alarms.calibrate(reference, groups, kinds, rows=100, resamples=200, used=["a"])
    alone = alarms.calibrate(reference, groups, {"a": "number"}, rows=100, resamples=200)
    assert some.of("a") == alone.of("a") < every.of("a")
    assert {one.column: one.harmful for one in some.measures} == {name: name == "a" for name in kinds}

    def judged(thresholds: alarms.Thresholds, frame: pd.DataFrame) -> alarms.Verdict:
        return alarms.verdict(thresholds, reference, frame, reference_groups=groups, groups=groups)

    moved = reference.assign(b=reference["b"] + 2)
    found = judged(some, moved)
    assert (found.state, found.drift) == ("ok", False)
    assert [(one.column, one.harmful) for one in found.measures if one.drifted] == [("b", False)]
    assert judged(every, moved).state == "drift"
    assert judged(some, reference.assign(a=np.nan)).state == "drift"
    none = alarms.calibrate(reference, groups, kinds, rows=100, resamples=200, used=[])
    assert judged(none, reference + 9).state == "ok"


def test_little_power_is_insufficient_data_unless_something_alarms() -> None:
    reference, groups, thresholds = small()
    losses = np.random.default_rng(1).exponential(size=200)

    def judged(frame: pd.DataFrame, power: Power, risen: float = 0.0) -> alarms.Verdict:
        return alarms.verdict(
            thresholds,
            reference,
            frame,
            reference_groups=groups,
            groups=groups,
            reference_losses=losses,
            losses=losses + risen,
            power=power,
        )

    weak = Power(0.5, 60, 0.3, {"x": 0.3}, 1200)
    found = judged(reference, weak)
    assert found.state == "insufficient data"
    assert found.reason == "200 rows; about 1,200 are needed to see a shift of 0.5 deviations in 4 of 5 windows"
    assert found.measures
    json.dumps(dataclasses.asdict(found), allow_nan=False)
    assert judged(reference + {"x": 3, "c": ""}, weak).state == "drift"
    assert judged(reference, weak, risen=1.0).state == "decay"
    assert judged(reference, dataclasses.replace(weak, power=0.5)).state == "ok"
    assert judged(reference, dataclasses.replace(weak, power=None)).state == "ok"
    assert "more than 1,000,000 are needed" in judged(reference, dataclasses.replace(weak, rows_needed=None)).reason


def test_a_distance_that_never_changes_does_not_alarm() -> None:
    """Windows of one row and one pseudo-reference: every pseudo-window lies about as far away as any other."""
    reference = pd.DataFrame({"c": np.repeat(["a", "b"], 100)})
    same = alarms.calibrate(reference, np.arange(200), {"c": "category"}, rows=1, minimum_effect=0.0, resamples=100, references=1)
    lowest = alarms.calibrate(reference, np.arange(200), {"c": "category"}, rows=1, minimum_effect=0.2, resamples=100, references=1)
    assert same.of("c") == lowest.of("c") > 0.4


def rare(rng: np.random.Generator, persons: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A category of 200 names, most of them rare, of persons who return 1 to 7 times unchanged."""
    shares = 1 / np.arange(1, 201)
    person = np.repeat(np.arange(persons), rng.integers(1, 8, persons))
    names = np.array([f"z{rank}" for rank in range(200)], dtype=object)
    return pd.DataFrame({"zipf": names[rng.choice(200, persons, p=shares / shares.sum())][person]}), person


def test_new_persons_bring_rare_categories_that_the_reference_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows four times as large as their references: the plain bootstrap knows only names that a reference has."""

    def alarmed() -> int:
        count = 0
        for seed in range(12):
            rng = np.random.default_rng(seed)
            (reference, person), (window, groups) = rare(rng, 1250), rare(rng, 5000)
            rows = alarms.comparable_rows(groups, person)
            thresholds = alarms.calibrate(reference, person, {"zipf": "category"}, rows=rows, minimum_effect=0.0, seed=seed)
            count += alarms.verdict(thresholds, reference, window, reference_groups=person, groups=groups).drift
        return count

    assert alarmed() <= 2
    monkeypatch.setattr(resampling.Splits, "scale", lambda *_: 0.0)
    assert alarmed() >= 5
