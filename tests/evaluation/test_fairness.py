from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.fairness import fairness, gap_rows, rate_rows

Y = np.array([1, 1, 0, 0, 1, 1, 0, 0, 1, 0])
P = np.array([0.9, 0.8, 0.7, 0.1, 0.6, 0.4, 0.3, 0.2, 0.9, 0.9])
SEX = pd.DataFrame({"sex": ["f", "f", "f", "f", "m", "m", "m", "m", None, None]})


def test_rates_by_hand() -> None:
    found = fairness("binary", Y, P, SEX, ["sex"], np.arange(10), seed=0, min_rows=1, replicates=50)
    rates = {row.pop("category"): row for row in rate_rows(found)}
    assert list(rates) == ["f", "m", "missing"]
    one = {"column": "sex", "rows": 4, "groups": 4, "base_rate": 0.5}
    f = {"selection_rate": 0.75, "true_positive_rate": 1, "false_positive_rate": 0.5, "mean_predicted": 0.625, "error_rate": 0.25}
    m = {"selection_rate": 0.25, "true_positive_rate": 0.5, "false_positive_rate": 0, "mean_predicted": 0.375, "error_rate": 0.25}
    none = {"selection_rate": 1, "true_positive_rate": 1, "false_positive_rate": 1, "mean_predicted": 0.9, "error_rate": 0.5}
    for category, expected in (("f", one | f), ("m", one | m), ("missing", one | none | {"rows": 2, "groups": 2})):
        numbers = {key: value for key, value in rates[category].items() if key != "column"}
        assert numbers == pytest.approx({key: value for key, value in expected.items() if key != "column"})
    gaps = {gap.measure: (gap.value, gap.largest, gap.smallest) for gap in found.gaps}
    assert gaps["selection_rate"] == (0.75, "missing", "m")
    assert gaps["true_positive_rate"] == (0.5, "f", "m")
    assert gaps["false_positive_rate"] == (1, "missing", "m")
    assert gaps["equalized_odds"] == (1, "missing", "m")
    assert gaps["error_rate"][0] == 0.25
    strict = fairness("binary", Y, P, SEX, ["sex"], np.arange(10), seed=0, min_rows=4, replicates=50)
    gaps = {gap.measure: gap for gap in strict.gaps}
    assert (gaps["selection_rate"].value, gaps["selection_rate"].largest) == (0.5, "f")  # missing has two rows
    assert np.isnan(gaps["true_positive_rate"].value)  # no category has four positives


def test_threshold_decides_who_is_selected() -> None:
    found = fairness("binary", Y, P, SEX, ["sex"], np.arange(10), decide=lambda p: (p >= 0.3).astype(int), seed=0, replicates=5)
    assert {r.category: r.measures["selection_rate"] for r in found.rates} == {"f": 0.75, "m": 0.75, "missing": 1}


def test_rates_of_other_tasks() -> None:
    table = pd.DataFrame({"sex": ["f", "f", "m", "m"]})
    numbers = fairness(
        "regression", np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 0, 4]), table, ["sex"], np.arange(4), seed=0, min_rows=1, replicates=5
    )
    assert {r.category: dict(r.measures) for r in numbers.rates} == {
        "f": pytest.approx({"mean_error": 0.5, "rmse": np.sqrt(0.5)}),
        "m": pytest.approx({"mean_error": -1.5, "rmse": np.sqrt(4.5)}),
    }
    assert [gap.value for gap in numbers.gaps] == pytest.approx([2, np.sqrt(4.5) - np.sqrt(0.5)])
    classes = fairness("multiclass", np.array([0, 1, 2, 0]), np.eye(3)[[0, 1, 0, 0]], table, ["sex"], np.arange(4), seed=0, replicates=5)
    assert {r.category: r.measures["accuracy"] for r in classes.rates} == {"f": 1, "m": 0.5}


def test_undefined_rates_are_nan_and_without_interval() -> None:
    found = fairness("binary", np.zeros(10, int), P, SEX, ["sex"], np.zeros(10), seed=0, min_rows=1)
    assert all(np.isnan(r.measures["true_positive_rate"]) for r in found.rates)
    gaps = {gap.measure: gap for gap in found.gaps}
    assert np.isnan(gaps["true_positive_rate"].value)
    assert gaps["equalized_odds"].value == gaps["false_positive_rate"].value == 0.75
    assert np.isnan([gaps["selection_rate"].low, gaps["selection_rate"].high]).all()  # one group
    assert gap_rows(found)[0] == pytest.approx(vars(found.gaps[0]), nan_ok=True)


def covered(gap: float, by_group: bool, seeds: int = 100) -> float:
    """The share of seeds in which the interval of the selection rate's gap holds the true one; rows of a group are all alike."""
    hits = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        kind = rng.integers(0, 5, 150)
        selected = rng.random(150) < 0.4 + gap * (kind == 1)
        group = np.repeat(np.arange(150), 8)
        table = pd.DataFrame({"kind": np.array(list("abcde"))[kind[group]]})
        p, groups = np.where(selected[group], 0.9, 0.1), group if by_group else np.arange(len(group))
        found = fairness("binary", rng.integers(0, 2, len(group)), p, table, ["kind"], groups, seed=seed, replicates=200)
        (one,) = (one for one in found.gaps if one.measure == "selection_rate")
        hits += one.low <= gap <= one.high
    return hits / seeds


def test_intervals_of_gaps_hold_the_truth_and_know_groups() -> None:
    assert covered(0.0, by_group=True) >= 0.88  # 0.95 of 100 gives fewer than 88 once in 1000 times
    assert covered(0.35, by_group=True) >= 0.85
    assert covered(0.0, by_group=False) < 0.6


def test_two_categories_have_the_textbook_interval() -> None:
    rng = np.random.default_rng(14)
    kind = np.arange(2000) % 2
    p = np.where(rng.random(2000) < 0.3 + 0.2 * kind, 0.9, 0.1)
    table = pd.DataFrame({"kind": np.array(["a", "b"])[kind]})
    found = fairness("binary", np.zeros(2000, int), p, table, ["kind"], np.arange(2000), seed=0, replicates=2000)
    (gap,) = (gap for gap in found.gaps if gap.measure == "selection_rate")
    rates = [np.mean(p[kind == k] > 0.5) for k in (0, 1)]
    reach = 1.96 * np.sqrt(sum(rate * (1 - rate) / 1000 for rate in rates))
    assert (gap.largest, gap.smallest) == ("b", "a")
    assert gap.value == pytest.approx(rates[1] - rates[0])
    assert gap.high - gap.value == pytest.approx(reach, rel=0.08)
    assert gap.value - gap.low == pytest.approx(reach, rel=0.08)
    again = fairness("binary", np.zeros(2000, int), p, table, ["kind"], np.arange(2000), seed=0, replicates=2000)
    assert gap in again.gaps


def test_unknown_columns_are_named() -> None:
    with pytest.raises(ValueError, match="protected columns age are not among sex"):
        fairness("binary", Y, P, SEX, ["sex", "age"], np.arange(10), seed=0)
