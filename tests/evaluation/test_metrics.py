from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from pipeline.evaluation.metrics import METRICS, Additive, compute, confusion, main_metric, predicted_class


def binary_rows(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Scores on a grid of 0.05, so that most of them tie, within and across the classes."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, rows)
    return y, np.clip(np.round((rng.random(rows) + 0.4 * y) / 1.4 * 20) / 20, 0.05, 0.95)


def multiclass_rows(rows: int = 300, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    y = rng.integers(0, classes, rows)
    scores = np.round(rng.random((rows, classes)) * 5) + 1.0
    scores[np.arange(rows), y] += 2
    return y, scores / scores.sum(axis=1, keepdims=True)


def regression_rows(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = rng.gamma(2, 100, rows)
    return y, y + rng.normal(0, 60, rows)


def expected_calibration_error(event: np.ndarray, probability: np.ndarray, w: np.ndarray | None) -> float:
    w = np.ones(len(event)) if w is None else w
    inside = [(probability >= at / 15) & ((probability < (at + 1) / 15) | (at == 14)) for at in range(15)]
    gaps = [abs(np.average(event[rows] - probability[rows], weights=w[rows])) * w[rows].sum() for rows in inside if w[rows].sum()]
    return sum(gaps) / w.sum()


def scikit_learn(task: str, y: np.ndarray, outputs: np.ndarray, w: np.ndarray | None) -> dict[str, float]:
    if task == "binary":
        predicted: Any = outputs >= 0.5
        return {
            "auc": sk.roc_auc_score(y, outputs, sample_weight=w),
            "log_loss": sk.log_loss(y, outputs, sample_weight=w),
            "brier": sk.brier_score_loss(y, outputs, sample_weight=w),
            "accuracy": sk.accuracy_score(y, predicted, sample_weight=w),
            "f1": sk.f1_score(y, predicted, sample_weight=w),
            "average_precision": sk.average_precision_score(y, outputs, sample_weight=w),
            "ece": expected_calibration_error(y, outputs, w),
        }
    if task == "multiclass":
        predicted = outputs.argmax(axis=1)
        return {
            "log_loss": sk.log_loss(y, outputs, sample_weight=w),
            "brier": sk.brier_score_loss(y, outputs, sample_weight=w),
            "accuracy": sk.accuracy_score(y, predicted, sample_weight=w),
            "macro_f1": sk.f1_score(y, predicted, average="macro", sample_weight=w),
            "auc_ovr": sk.roc_auc_score(y, outputs, multi_class="ovr", sample_weight=w),
            "ece": expected_calibration_error((predicted == y).astype(float), outputs.max(axis=1), w),
        }
    return {
        "rmse": sk.root_mean_squared_error(y, outputs, sample_weight=w),
        "mae": sk.mean_absolute_error(y, outputs, sample_weight=w),
        "r2": sk.r2_score(y, outputs, sample_weight=w),
    }


ROWS = {"binary": binary_rows, "multiclass": multiclass_rows, "regression": regression_rows}


@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_metric_equals_scikit_learn(task: Any, weighted: bool) -> None:
    y, outputs = ROWS[task]()
    weight = np.random.default_rng(4).integers(0, 4, len(y)) if weighted else None
    assert compute(task, y, outputs, weight) == pytest.approx(scikit_learn(task, y, outputs, weight), rel=1e-12)


@pytest.mark.parametrize("task", ROWS)
def test_unit_weights_equal_repeated_rows(task: Any) -> None:
    """The bootstrap's form: weights of units of several rows, several replicates at once."""
    y, outputs = ROWS[task](120)
    rng = np.random.default_rng(5)
    units = rng.integers(0, 15, len(y))
    weights = rng.integers(0, 4, (6, 15)).astype(float)
    for metric in METRICS[task]:
        values = metric.prepare(y, outputs, units, 15)(weights)
        for value, weight in zip(values, weights, strict=True):
            rows = np.repeat(np.arange(len(y)), weight[units].astype(int))
            assert value == pytest.approx(scikit_learn(task, y[rows], outputs[rows], None)[metric.name], rel=1e-12)


def test_ranked_metrics_by_hand() -> None:
    y, score = np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    values = compute("binary", y, score)
    assert values["auc"] == 3.5 / 4  # one of the four pairs is a tie
    assert values["average_precision"] == pytest.approx((1 + 2 / 3) / 2)


def test_log_loss_of_a_sure_mistake_is_finite() -> None:
    assert compute("binary", np.array([1]), np.array([0.0]))["log_loss"] == pytest.approx(-np.log(1e-7))
    assert compute("multiclass", np.array([0]), np.array([[0.0, 1.0]]))["log_loss"] == pytest.approx(-np.log(1e-7))


def test_what_is_undefined_is_nan_and_the_rest_is_not() -> None:
    values = compute("binary", np.zeros(3, int), np.array([0.1, 0.2, 0.3]))
    assert {name for name, value in values.items() if np.isnan(value)} == {"auc", "average_precision", "f1"}
    assert np.isnan(compute("binary", np.ones(3, int), np.array([0.1, 0.2, 0.3]))["auc"])
    values = compute("regression", np.full(5, 0.1) + 7, np.arange(5.0))
    assert {name for name, value in values.items() if np.isnan(value)} == {"r2"}
    values = compute("multiclass", np.array([0, 1, 0]), np.full((3, 3), 1 / 3))
    assert {name for name, value in values.items() if np.isnan(value)} == {"auc_ovr"}


def test_r2_is_undefined_where_the_weighted_rows_share_one_target() -> None:
    """The rows left have the same target, though all rows have not: rounding must not pass for variance."""
    y, weight = np.array([0.1, 0.1, 0.1, 9.7]), np.array([1, 2, 3, 0])
    assert np.isnan(compute("regression", y, y + 1, weight)["r2"])


@pytest.mark.parametrize("task", ROWS)
def test_no_rows_give_nan(task: Any) -> None:
    y, outputs = ROWS[task](0)
    assert np.isnan(list(compute(task, y, outputs).values())).all()


def test_r2_survives_a_target_far_from_zero() -> None:
    y, outputs = regression_rows()
    assert compute("regression", y + 1e9, outputs + 1e9)["r2"] == pytest.approx(sk.r2_score(y, outputs), rel=1e-6)


def test_float32_outputs_keep_their_ties() -> None:
    y, outputs = binary_rows()
    assert compute("binary", y, outputs.astype(np.float32))["auc"] == compute("binary", y, outputs)["auc"]


def test_classes_and_confusion() -> None:
    assert predicted_class("binary", np.array([0.49, 0.5, 0.51])).tolist() == [0, 1, 1]
    assert predicted_class("multiclass", np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])).tolist() == [0, 2]
    y, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    assert confusion(y, predicted, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_main_metrics() -> None:
    assert [main_metric(task).name for task in METRICS] == ["auc", "log_loss", "rmse", "rmse"]
    assert not main_metric("regression").higher_is_better
    assert isinstance(main_metric("multiclass"), Additive)


@pytest.mark.parametrize(
    ("task", "y", "outputs", "message"),
    [
        ("binary", [0, 1], [[0.5, 0.5], [0.1, 0.9]], r"targets of shape \(2,\) do not fit outputs of shape \(2, 2\)"),
        ("multiclass", [0, 1], [0.5, 0.5], "do not fit"),
        ("regression", [0.0, 1.0], [0.5], "do not fit"),
        ("binary", [0, 1], [0.5, np.nan], "not finite"),
        ("regression", [0.0, np.inf], [0.5, 1.0], "not finite"),
        ("multiclass", [0, 2], [[0.5, 0.5], [0.1, 0.9]], "classes 0 to 2 where 0 to 1 were expected"),
    ],
)
def test_misfits_are_refused(task: Any, y: list[Any], outputs: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute(task, np.array(y), np.array(outputs))
