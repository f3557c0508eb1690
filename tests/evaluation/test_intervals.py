from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation import intervals
from pipeline.evaluation.intervals import bootstrap
from pipeline.evaluation.metrics import compute


def grouped_errors(rng: np.random.Generator, groups: int = 60, each: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Predictions whose errors are mostly those of their group, as for one person seen repeatedly; true MSE is 1."""
    error = np.sqrt(0.8) * np.repeat(rng.standard_normal(groups), each) + np.sqrt(0.2) * rng.standard_normal(groups * each)
    return error, np.repeat(np.arange(groups), each)


def two_models(rows: int = 400) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(11)
    y = rng.integers(0, 2, rows)
    noise = rng.random(rows)
    outputs = {
        "model": (noise + 0.5 * y) / 1.5,
        "boosting": np.clip((noise + 0.45 * y) / 1.5 + rng.normal(0, 0.02, rows), 0, 1),
        "prior": np.full(rows, y.mean()),
    }
    return y, outputs, rng.integers(0, 80, rows)


def test_intervals_of_groups_cover_and_those_of_rows_do_not() -> None:
    rng = np.random.default_rng(0)
    covered = {"groups": 0, "rows": 0}
    for seed in range(200):
        error, groups = grouped_errors(rng)
        for kind, codes in (("groups", groups), ("rows", np.arange(len(error)))):
            found = bootstrap("regression", error, {"model": np.zeros_like(error)}, codes, replicates=200, seed=seed)
            interval = found.models["model"]["rmse"]
            covered[kind] += interval.low <= 1 <= interval.high
    assert 0.88 <= covered["groups"] / 200 <= 0.98  # the nominal 95% less what 60 groups cost a percentile interval
    assert covered["rows"] / 200 < 0.75


def test_standard_error_of_a_mean_is_the_textbook_one() -> None:
    """The spread of the bootstrapped mean absolute error is that of independent group means."""
    error, groups = grouped_errors(np.random.default_rng(1), groups=500)
    found = bootstrap("regression", error, {"model": np.zeros_like(error)}, groups, replicates=4000, seed=0)
    interval = found.models["model"]["mae"]
    textbook = np.abs(error).reshape(500, 6).mean(axis=1).std() / np.sqrt(500)
    assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(textbook, rel=0.06)


def test_merging_groups_keeps_the_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    error, groups = grouped_errors(np.random.default_rng(2), groups=5000, each=2)
    outputs = {"model": np.zeros_like(error)}
    whole = bootstrap("regression", error, outputs, groups, replicates=2000, seed=0)
    monkeypatch.setattr(intervals, "MAX_UNITS", 700)  # units of seven or eight groups
    merged = bootstrap("regression", error, outputs, groups, replicates=2000, seed=0)
    assert merged.groups == whole.groups == 5000
    for metric, one in whole.models["model"].items():
        other = merged.models["model"][metric]
        assert other.value == pytest.approx(one.value, rel=1e-12)
        if metric != "r2":  # predictions of 0 leave it nothing but noise
            assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.12)


def test_values_are_those_of_all_rows_and_differences_are_paired() -> None:
    y, outputs, groups = two_models()
    found = bootstrap("binary", y, outputs, groups, seed=3)
    assert list(found.models) == ["model", "boosting", "prior"]
    assert list(found.differences) == ["boosting", "prior"]
    for model in outputs:
        exact = compute("binary", y, outputs[model])
        assert {m: i.value for m, i in found.models[model].items()} == pytest.approx(exact, rel=1e-12)
    for interval in (*found.models["model"].values(), *found.models["boosting"].values()):
        assert interval.low < interval.value < interval.high

    model, boosting = found.models["model"]["auc"], found.models["boosting"]["auc"]
    difference = found.differences["boosting"]["auc"]
    assert difference.value == pytest.approx(model.value - boosting.value)
    unpaired = np.hypot(model.high - model.low, boosting.high - boosting.low)
    assert difference.high - difference.low < unpaired / 2  # the models share most of their errors
    assert difference.low > 0  # so a difference well inside both intervals is still told from zero
    assert model.low < boosting.high


def test_result_depends_on_the_arguments_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    y, outputs, groups = two_models()
    first = bootstrap("binary", y, outputs, groups, replicates=50, seed=3)
    np.random.seed(99)  # noqa: NPY002  (the global state is what must not matter)
    np.random.random(7)  # noqa: NPY002
    assert bootstrap("binary", y, outputs, groups, replicates=50, seed=3) == first
    assert bootstrap("binary", y, outputs, groups, replicates=50, seed=4) != first
    monkeypatch.setattr(intervals, "CHUNK", 7 * len(y))  # chunks of seven replicates
    chunked = bootstrap("binary", y, outputs, groups, replicates=50, seed=3)
    for metric, interval in first.models["model"].items():
        assert chunked.models["model"][metric].low == pytest.approx(interval.low, rel=1e-12)
        assert chunked.models["model"][metric].high == pytest.approx(interval.high, rel=1e-12)


def test_a_wider_confidence_gives_a_wider_interval() -> None:
    y, outputs, groups = two_models()
    narrow = bootstrap("binary", y, outputs, groups, confidence=0.5, seed=0).models["model"]["brier"]
    wide = bootstrap("binary", y, outputs, groups, confidence=0.99, seed=0).models["model"]["brier"]
    assert wide.low < narrow.low < narrow.high < wide.high


def test_undefined_replicates_are_counted_and_left_out() -> None:
    """Of four groups one holds all positives: it is missed by (3/4)^4 = 32% of the replicates."""
    y, groups = np.repeat([1, 0, 0, 0], 5), np.repeat([10, 20, 30, 40], 5)
    found = bootstrap("binary", y, {"model": np.linspace(0.9, 0.1, 20)}, groups, seed=0).models["model"]
    assert found["auc"].undefined == pytest.approx(316, abs=60)
    assert (found["auc"].value, found["auc"].low, found["auc"].high) == (1, 1, 1)
    assert found["brier"].undefined == 0


def test_one_group_has_a_value_and_no_interval() -> None:
    y = np.array([1.0, 2.0, 4.0])
    found = bootstrap("regression", y, {"a": y + 1, "b": y + 3}, np.zeros(3, int), seed=0)
    assert found.models["a"]["mae"].value == 1
    assert found.differences["b"]["mae"].value == -2
    assert np.isnan([found.models["a"]["mae"].low, found.differences["b"]["mae"].high]).all()


def test_misfits_are_refused() -> None:
    with pytest.raises(ValueError, match="no model"):
        bootstrap("regression", np.zeros(3), {}, np.zeros(3), seed=0)
    with pytest.raises(ValueError, match=r"groups of shape \(2,\) do not fit targets of shape \(3,\)"):
        bootstrap("regression", np.zeros(3), {"a": np.zeros(3)}, np.zeros(2), seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_of_ece_holds_its_value_and_is_not_below_zero(seed: int) -> None:
    """Probabilities that are right: the ECE of a resample is nearly always larger than that of the rows."""
    rng = np.random.default_rng(seed)
    p, noise = rng.random(150), rng.random(150)
    y = (noise < p).astype(int)
    found = bootstrap("binary", y, {"model": p, "sharper": p**2}, np.arange(150), seed=seed)
    one, other, apart = found.models["model"]["ece"], found.models["sharper"]["ece"], found.differences["sharper"]["ece"]
    assert 0 <= one.low < one.value < one.high
    assert 0 <= other.low < other.value < other.high
    assert apart.low < apart.value < apart.high
    assert apart.low < 0  # a difference may be below 0


def test_the_interval_of_a_perfect_ece_ends_at_zero() -> None:
    y = np.tile([0, 1], 20)
    found = bootstrap("binary", y, {"model": np.full(40, 0.5)}, np.arange(40), seed=0).models["model"]["ece"]
    assert (found.value, found.low) == (0, 0)
    assert found.high > 0
