"""Promise 4: an alarm means something: rare with nothing changed at every size of a window, raised by what costs the model, and a
window too small says so.

The rows are real: person-years of the RAND experiment, drawn by person.  Evidently's defaults go through the same harness, and fail.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.errors import UserError
from pipeline.monitoring import alarms
from pipeline.monitoring.drift import Kind
from pipeline.monitoring.windows import PREDICTION, Window

RATE = 0.05  # the stated one
REFERENCES, WINDOWS = 8, 8  # of each size
SIZES = (60, 300, 1500)
MOST_YEARS = 7  # the experiment lasted five: what has many more rows is several people who are alike
TARGET = "any_visit"
NUMBERS = ("log_incentive_payment", "log_maximum_expenditure", "physical_limitation", "chronic_diseases")

Alarm = Callable[[Window, Window, int], bool]  # reference, window, seed


@dataclass(frozen=True)
class People:
    """Rows by person, and the answers of a logistic regression fitted on a fifth of the persons, who are left out."""

    frame: pd.DataFrame
    label: np.ndarray
    person: np.ndarray
    answer: Callable[[pd.DataFrame], np.ndarray]

    @cached_property
    def whole(self) -> Window:
        return self.window(self.frame, np.arange(len(self.frame)))

    def window(self, frame: pd.DataFrame, rows: np.ndarray, label: np.ndarray | None = None) -> Window:
        """These rows as the frame now has them, with the model's answers."""
        label, outputs = self.label[rows] if label is None else label, self.answer(frame)
        losses = -np.log(np.where(label == 1, outputs, 1 - outputs).clip(1e-7))
        return Window(frame.reset_index(drop=True).assign(**{PREDICTION: outputs}), outputs, losses, self.person[rows])

    def halves(self, rng: np.random.Generator) -> tuple[Window, np.ndarray]:
        """A reference of half of the persons, and the other persons, of whom windows consist."""
        everyone = rng.permutation(np.unique(self.person))
        old, pool = np.split(everyone, [len(everyone) // 2])
        return self.whole.take(self.rows_of(old)), pool

    def rows_of(self, persons: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.isin(self.person, persons))

    def drawn(self, rng: np.random.Generator, pool: np.ndarray, rows: int) -> np.ndarray:
        """The rows of as many persons of the pool as have at least so many."""
        order = rng.permutation(pool)
        years = np.bincount(self.person)[order]
        return self.rows_of(order[: int(np.searchsorted(years.cumsum(), rows)) + 1])


@pytest.fixture(scope="module")
def people() -> People:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "rand_health"))
    try:
        from load import load  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    table = load().to_pandas()
    table = table[table.groupby("person")["person"].transform("size") <= MOST_YEARS].reset_index(drop=True)
    frame = table.drop(columns=["person", TARGET])
    frame = frame.astype({name: "float64" if name in NUMBERS else "object" for name in frame})
    frame = frame.assign(**{name: frame[name].astype(str) for name in frame if name not in NUMBERS})
    person, label = table["person"].to_numpy(), table[TARGET].to_numpy()
    train = np.isin(person, np.random.default_rng(0).permutation(np.unique(person))[: len(np.unique(person)) // 5])
    columns = make_column_transformer((StandardScaler(), list(NUMBERS)), remainder=OneHotEncoder(handle_unknown="ignore"))
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(frame[train], label[train])
    held = frame[~train].reset_index(drop=True)
    return People(held, label[~train], person[~train], lambda rows: model.predict_proba(rows[frame.columns])[:, 1])


def kinds(window: Window) -> dict[str, Kind]:
    return {name: "number" if window.frame[name].dtype == np.float64 else "category" for name in window.frame}


def ours() -> Alarm:
    """Drift or decay as `pipeline monitor` judges it; windows that are worth about as many rows share their thresholds."""
    known: dict[tuple[int, int], tuple[Window, alarms.Thresholds]] = {}  # with the reference, so that its id stays its own

    def alarm(reference: Window, window: Window, seed: int) -> bool:
        worth = alarms.comparable_rows(window.groups, reference.groups)
        key = id(reference), round(1.2 ** round(np.log(worth) / np.log(1.2)))
        if key not in known:
            known[key] = reference, calibrated(reference, key[1])
        found = judged(known[key][1], reference, window, seed=seed)
        assert found.state != "insufficient data"
        return found.drift or found.decayed

    return alarm


def calibrated(reference: Window, rows: int) -> alarms.Thresholds:
    return alarms.calibrate(reference.frame, reference.groups, kinds(reference), rows=rows, false_alarm_rate=RATE, minimum_effect=0.0)


def judged(thresholds: alarms.Thresholds, reference: Window, window: Window, *, seed: int = 0, labelled: bool = True) -> alarms.Verdict:
    return alarms.verdict(
        thresholds,
        reference.frame,
        window.frame,
        reference_groups=reference.groups,
        groups=window.groups,
        reference_losses=reference.losses,
        losses=window.losses if labelled else None,
        seed=seed,
    )


def evidently_defaults(reference: Window, window: Window, seed: int) -> bool:
    """Does `DataDriftPreset`, as it comes, flag a column."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        each = {kind: [name for name, of in kinds(reference).items() if of == kind] for kind in ("number", "category")}
        definition = DataDefinition(numerical_columns=each["number"], categorical_columns=each["category"])
        old, now = (Dataset.from_pandas(side.frame, data_definition=definition) for side in (reference, window))
        told = Report([DataDriftPreset()]).run(now, old).dict()
    return next(one["value"]["count"] for one in told["metrics"] if one["metric_name"].startswith("DriftedColumnsCount")) > 0


def unchanged(people: People, alarm: Alarm, rows: int, *, windows: int = WINDOWS, single: bool = False) -> list[bool]:
    """Does each window alarm, of persons like those of its reference; `single`: who a row belongs to is not told."""
    alarmed = []
    for at in range(REFERENCES):
        rng = np.random.default_rng([rows, at])
        reference, pool = people.halves(rng)
        reference = alone(reference) if single else reference
        for seed in range(windows):
            window = people.whole.take(people.drawn(rng, pool, rows))
            alarmed.append(alarm(reference, alone(window) if single else window, seed))
    return alarmed


def alone(window: Window) -> Window:
    return replace(window, groups=np.arange(len(window)))


def above(alarmed: list[bool], rate: float = RATE) -> bool:
    """Is the share of alarms above the rate by more than chance allows: one-sided binomial test at 1%."""
    return stats.binomtest(sum(alarmed), len(alarmed), rate, alternative="greater").pvalue < 0.01


@pytest.mark.parametrize("rows", SIZES)
def test_unchanged_windows_alarm_at_most_at_the_stated_rate(people: People, rows: int) -> None:
    alarmed = unchanged(people, ours(), rows)
    assert not above(alarmed), f"{sum(alarmed)} of {len(alarmed)}"


@pytest.mark.parametrize("rows", SIZES[:2])
def test_the_same_harness_fails_with_the_defaults_of_evidently(people: People, rows: int) -> None:
    """Not only above the stated rate: surely above five times as much."""
    alarmed = unchanged(people, evidently_defaults, rows, windows=1)
    assert above(alarmed, 5 * RATE), f"{sum(alarmed)} of {len(alarmed)}"


def test_the_same_harness_fails_where_persons_are_taken_as_single_rows(people: People) -> None:
    """What the groups are for: a person's years agree in every column but the outcome."""
    alarmed = unchanged(people, ours(), 300, windows=4, single=True)
    assert above(alarmed), f"{sum(alarmed)} of {len(alarmed)}"


# what the model gets to see of a column, and the AUC that it loses at least; all without a label
HARM = {
    "half of the chronic diseases are no longer asked for": ("chronic_diseases", lambda x: np.where(np.arange(len(x)) % 2, x, 0.0), 0.02),
    "a limit of the expenditure by month": ("log_maximum_expenditure", lambda x: 12 * x, 0.02),
}


@pytest.mark.parametrize("what", HARM)
def test_what_costs_the_model_is_seen_without_labels(people: People, what: str) -> None:
    column, change, cost = HARM[what]
    harmed = people.window(people.frame.assign(**{column: change(people.frame[column])}), np.arange(len(people.frame)))
    assert auc(people.label, people.whole.outputs) - auc(people.label, harmed.outputs) >= cost
    rng = np.random.default_rng(0)
    reference, pool = people.halves(rng)
    thresholds = calibrated(reference, 800)
    found = [judged(thresholds, reference, harmed.take(people.drawn(rng, pool, 1000)), labelled=False) for _ in range(20)]
    assert sum(one.drift for one in found) >= 18
    assert {column} <= {one.column for each in found for one in each.measures if one.drifted}


def test_a_change_of_the_outcome_alone_is_seen_by_its_labels_and_by_nothing_else(people: People) -> None:
    rng = np.random.default_rng(1)
    reference, pool = people.halves(rng)
    thresholds, caught = calibrated(reference, 800), []
    for seed in range(10):
        rows = people.drawn(rng, pool, 1000)
        turned = np.where(rng.random(len(rows)) < 0.3, 1 - people.label[rows], people.label[rows])
        window = people.window(people.frame.iloc[rows], rows, turned)
        with_labels, without = (judged(thresholds, reference, window, seed=seed, labelled=known) for known in (True, False))
        assert without.drift == with_labels.drift
        assert (without.decay, without.reason) == (None, "no labels: decay not judged")
        caught.append((with_labels.state == "decay", without.drift))
    assert sum(decay for decay, _ in caught) >= 9
    assert sum(drift for _, drift in caught) <= 2


def test_a_window_too_small_says_so(people: People) -> None:
    reference, pool = people.halves(np.random.default_rng(2))
    found = judged(calibrated(reference, 60), reference, people.whole.take(people.rows_of(pool[:4])))
    assert (found.state, found.drift, found.measures) == ("insufficient data", False, ())
    assert found.reason.endswith("4 groups, at least 10 needed")
    with pytest.raises(UserError, match=r"too small: .* groups, at least 10 needed"):
        calibrated(people.whole.take(people.rows_of(pool[:4])), 60)


def auc(label: np.ndarray, outputs: np.ndarray) -> float:
    ranks, positives = stats.rankdata(outputs), label.sum()
    return (ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives))
