"""Performance without labels: equal to what labels drawn from the probabilities give, follows the rows, not the concept."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.models.answers import Answers
from pipeline.monitoring import estimate as subject
from pipeline.monitoring.estimate import Estimate, KnownError, estimate, known_error, reason, sentence

Array = np.ndarray[Any, Any]
ROWS = 2000


def sigmoid(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logits)))


def window(seed: int, *, centre: float = 0.0, spread: float = 1.0, rows: int = ROWS) -> tuple[Array, Array]:
    """Labels and calibrated probabilities of rows whose one input has this centre and spread."""
    rng = np.random.default_rng(seed)
    p = sigmoid(1.5 * rng.normal(centre, spread, rows) - 0.5)
    return (rng.random(rows) < p).astype(int), p


def classes(seed: int, rows: int = ROWS, *, sharpness: float = 1.5) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    scores = np.exp(sharpness * rng.normal(size=(rows, 4)) + [0.5, 0, 0, -1])
    p = scores / scores.sum(axis=1, keepdims=True)
    return (rng.random(rows)[:, None] > p.cumsum(axis=1)[:, :-1]).sum(axis=1), p


def value(task: Any, p: Array, metric: str | None = None, **more: Any) -> float:
    found = estimate(task, p, metric=metric, groups=np.arange(len(p)), seed=0, replicates=0, **more)
    assert found is not None
    return found.value


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier", "accuracy", "f1"])
def test_binary_is_the_mean_over_all_labelings(metric: str) -> None:
    """Of 11 rows every one of the 2,048 labelings, weighted by its probability; ratios are of expectations, so nearly."""
    rng = np.random.default_rng(3)
    p = np.round(rng.random(11), 1) * 0.9 + 0.05  # with ties
    decide = Answers("binary", threshold=0.4).decide
    measured = next(one for one in metrics.deciding("binary", decide) if one.name == metric)
    labelings = (np.arange(2**11)[:, None] >> np.arange(11)) & 1
    weight = np.where(labelings == 1, p, 1 - p).prod(axis=1)
    values = np.array([measured(y, p) for y in labelings])
    defined = ~np.isnan(values)
    expected = (weight * values)[defined].sum() / weight[defined].sum()
    close = 1e-9 if metric in ("log_loss", "brier", "accuracy") else 0.02
    assert value("binary", p, metric, decide=decide) == pytest.approx(expected, abs=close)


@pytest.mark.parametrize("metric", ["log_loss", "brier", "accuracy", "macro_f1", "auc_ovr"])
def test_multiclass_is_the_mean_over_drawn_labels(metric: str) -> None:
    measured = next(one for one in metrics.METRICS["multiclass"] if one.name == metric)
    _, p = classes(0)
    rng = np.random.default_rng(1)
    drawn = [measured((rng.random(ROWS)[:, None] > p.cumsum(axis=1)[:, :-1]).sum(axis=1), p) for _ in range(60)]
    assert value("multiclass", p, metric) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 60**0.5)


def test_a_row_is_not_paired_with_itself() -> None:
    p = np.array([0.0, 0.5])  # of two labelings one has both classes: the second row is the positive one, and scored above
    assert value("binary", p, "auc") == pytest.approx(1.0)


@pytest.mark.parametrize("metric", ["auc", "accuracy", "log_loss"])
def test_covariate_shift_is_followed(metric: str) -> None:
    measured = next(one for one in metrics.METRICS["binary"] if one.name == metric)
    reference, off, moved = measured(*window(0, rows=50_000)), [], []
    for seed in range(40):
        y, p = window(seed + 1, centre=(-1.5, -0.7, 0.7, 1.5)[seed % 4], spread=0.5 + 0.25 * (seed % 3))
        truth = measured(y, p)
        off.append(abs(value("binary", p, metric) - truth))
        moved.append(abs(truth - reference))
    assert np.mean(np.array(off) < 0.03) >= 0.9
    assert np.mean(np.array(moved) > 0.03) > 0.5  # there was something to follow


def test_concept_drift_is_not_seen() -> None:
    y, p = window(0)
    other = (np.random.default_rng(1).random(ROWS) < 0.35).astype(int)  # the outcome no longer depends on the input
    assert metrics.main_metric("binary")(y, p) > 0.75
    assert metrics.main_metric("binary")(other, p) < 0.55
    assert value("binary", p) > 0.75
    assert "cannot see a change in how the outcome depends" in sentence(estimate_of(p), task="binary", metric="auc")


def estimate_of(p: Array, groups: Array | None = None, **more: Any) -> Estimate:
    found = estimate("binary", p, groups=np.arange(len(p)) if groups is None else groups, seed=0, **more)
    assert found is not None
    return found


def test_the_interval_covers_what_samples_of_groups_give() -> None:
    """Groups of five like rows: the interval is wider than of as many single rows, and covers the value of many rows."""
    truth = value("binary", window(0, rows=100_000)[1])
    covered, width, naive = [], [], []
    for seed in range(60):
        p = np.repeat(window(seed + 1, rows=100)[1], 5)
        found = estimate_of(p, np.repeat(np.arange(100), 5), replicates=200)
        covered.append(found.low <= truth <= found.high)
        width.append(found.high - found.low)
        naive.append(estimate_of(p, replicates=100).high - estimate_of(p, replicates=100).low)
    assert np.mean(covered) > 0.85
    assert np.mean(width) > 1.7 * np.mean(naive)


def test_known_error_tells_noise_and_bias() -> None:
    y, p = window(0, rows=6000)
    groups = np.arange(6000)
    honest = known_error("binary", y.astype(float), p, groups, metric="accuracy", rows=500, seed=0)
    sure = known_error("binary", y.astype(float), sigmoid(2 * np.log(p / (1 - p))), groups, metric="accuracy", rows=500, seed=0)
    assert honest is not None
    assert sure is not None
    assert abs(honest.bias) < 0.02
    assert sure.bias > 0.05  # probabilities that are too sure promise too much
    assert sure.ninth > 2 * honest.ninth
    sd = np.sqrt(0.8 * 0.2 / 500)
    assert 0.4 * sd < honest.median < 1.1 * sd
    wide = known_error("binary", y.astype(float), p, groups, metric="accuracy", rows=5000, seed=0)
    assert wide is not None
    assert wide.ninth < honest.ninth
    assert (honest.rows, honest.windows) == (500, 200)
    assert honest == known_error("binary", y.astype(float), p, groups, metric="accuracy", rows=500, seed=0)
    unlabelled = np.where(groups < 3000, y, np.nan)
    half = known_error("binary", unlabelled, p, groups, metric="accuracy", rows=500, seed=0)
    assert half == known_error("binary", y[:3000].astype(float), p[:3000], groups[:3000], metric="accuracy", rows=500, seed=0)


def test_known_error_of_classes() -> None:
    y, p = classes(0)
    found = known_error("multiclass", y.astype(float), p, np.arange(ROWS) // 2, rows=300, seed=0, windows=50)
    assert found is not None
    assert found.metric == "log_loss"
    assert 0 < found.median < found.ninth < 0.2


@pytest.mark.parametrize("task", ["regression", "forecast"])
def test_numbers_have_no_estimate_and_it_is_said(task: Any) -> None:
    assert estimate(task, np.zeros(5), groups=np.arange(5), seed=0) is None
    assert known_error(task, np.zeros(5), np.zeros(5), np.arange(5), rows=3, seed=0) is None
    assert "cannot be estimated without labels" in sentence(None, task=task, metric="rmse")
    assert reason("binary", "ece")
    assert not reason("binary", "auc")


def test_nothing_to_estimate_is_none() -> None:
    nothing = np.empty(0)
    assert estimate("binary", nothing, groups=nothing, seed=0) is None
    assert estimate("binary", np.full(3, np.nan), groups=np.arange(3), seed=0) is None
    assert estimate("binary", np.zeros(3), groups=np.arange(3), seed=0) is None  # the AUC of one class
    assert estimate("binary", np.zeros(3), groups=np.arange(3), metric="ece", seed=0) is None
    assert sentence(None, task="binary", metric="auc") == "AUC cannot be estimated of these rows"
    assert known_error("binary", np.full(3, np.nan), np.full(3, 0.5), np.arange(3), rows=3, seed=0) is None
    assert known_error("binary", np.ones(3), np.full(3, 0.5), np.arange(3), rows=3, seed=0) is None
    one = estimate("binary", np.array([0.2, 0.7, np.nan]), groups=np.zeros(3), seed=0)
    assert one is not None
    assert (one.rows, one.groups, bool(np.isnan(one.low))) == (2, 1, True)
    assert "[" not in sentence(one, task="binary", metric="auc")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"groups of shape \(2,\) do not fit outputs of shape \(3,\)"):
        estimate("binary", np.zeros(3), groups=np.zeros(2), seed=0)
    with pytest.raises(ValueError, match="no probabilities"):
        estimate("binary", np.array([0.2, 3.0]), groups=np.zeros(2), seed=0)
    with pytest.raises(ValueError, match="binary has no metric 'rmse'"):
        estimate("binary", np.zeros(3), groups=np.zeros(3), metric="rmse", seed=0)


def test_the_sentence() -> None:
    found = Estimate("auc", 0.66, 0.62, 0.70, 2000, 2000, 0.95, 500)
    error = KnownError("auc", 0.01, 0.02, 0.0, 2000, 200)
    assert sentence(found, task="binary", metric="auc", test=0.71, error=error) == (
        "AUC is estimated at 0.66 [0.62, 0.70] without labels (test 0.71; on windows of known outcome the estimate was off by"
        " at most 0.02 in 9 of 10); it cannot see a change in how the outcome depends on the inputs"
    )
    assert sentence(replace(found, value=0.004), task="binary", metric="auc").startswith("AUC is estimated at 0.004 [")


def test_equal_input_gives_equal_values_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    _, p = window(0, rows=300)
    found = estimate_of(p, replicates=100)
    assert found == estimate_of(p, replicates=100)
    monkeypatch.setattr(subject, "CHUNK", 1000)
    chunked = estimate_of(p, replicates=100)
    assert (found.low, found.high) == pytest.approx((chunked.low, chunked.high), rel=1e-12)


def test_a_hundred_thousand_rows_take_less_than_a_second() -> None:
    _, p = window(0, rows=100_000)
    started = time.process_time()
    assert 0.5 < value("binary", p) < 1
    assert time.process_time() - started < 1
