from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sk
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

from pipeline.evaluation import figures
from pipeline.evaluation.figures import calibration_points, pr_points, roc_points


def scored(rows: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal(rows)
    return (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int), 1 / (1 + np.exp(-1.5 * z))


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def legend(figure: Figure) -> list[str]:
    found = figure.axes[0].get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def test_few_points_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 100), np.round(rng.random(100), 1)
    fpr, tpr, threshold = sk.roc_curve(y, score, drop_intermediate=False)
    points = roc_points(y, score)
    assert points["fpr"] == pytest.approx(fpr)
    assert points["tpr"] == pytest.approx(tpr)
    assert points["threshold"] == pytest.approx(threshold)
    precision, recall, threshold = sk.precision_recall_curve(y, score)
    points = pr_points(y, score)
    assert points["precision"] == pytest.approx(precision[-2::-1])
    assert points["recall"] == pytest.approx(recall[-2::-1])
    assert points["threshold"] == pytest.approx(threshold[::-1])


@pytest.mark.parametrize("rows", [201, 5000, 20000])
def test_thinned_curves_keep_shape_and_area(rows: int) -> None:
    y, score = scored(rows)
    roc = roc_points(y, score)
    assert len(roc["fpr"]) <= 200
    assert (roc["fpr"][0], roc["tpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 0, 1, 1)
    assert sk.auc(roc["fpr"], roc["tpr"]) == pytest.approx(sk.roc_auc_score(y, score), abs=1e-3)
    fpr, tpr, _ = sk.roc_curve(y, score)
    height = np.interp(fpr + tpr, roc["fpr"] + roc["tpr"], roc["tpr"] - roc["fpr"])  # above the diagonal, vertical edges too
    assert np.abs(height - (tpr - fpr)).max() < 0.01
    pr = pr_points(y, score)
    assert len(pr["recall"]) <= 200
    assert pr["recall"][-1] == 1
    area = np.sum(np.diff(pr["recall"], prepend=0) * pr["precision"])
    assert area == pytest.approx(sk.average_precision_score(y, score), abs=3e-3)


def test_curves_of_one_class_are_nan_where_undefined() -> None:
    points = roc_points(np.zeros(4, int), np.arange(4.0))
    assert np.isnan(points["tpr"][1:]).all()
    assert points["fpr"][-1] == 1
    assert np.isnan(pr_points(np.zeros(4, int), np.arange(4.0))["recall"]).all()


def test_calibration_bins_are_filled_evenly_and_carry_wilson_intervals() -> None:
    y, probability = scored()
    points = calibration_points(y, probability)
    assert points["rows"].tolist() == [500] * 10
    order = np.argsort(probability)
    assert points["predicted"] == pytest.approx(probability[order].reshape(10, 500).mean(axis=1))
    assert points["observed"] == pytest.approx(y[order].reshape(10, 500).mean(axis=1))
    low, high = proportion_confint(points["observed"] * points["rows"], points["rows"], method="wilson")
    assert points["low"] == pytest.approx(low)
    assert points["high"] == pytest.approx(high)


def test_calibration_of_tied_probabilities_keeps_them_together() -> None:
    points = calibration_points(np.array([0, 1, 1, 1]), np.array([0.2, 0.7, 0.7, 0.7]))
    assert points["predicted"] == pytest.approx([0.2, 0.7])
    assert points["rows"].tolist() == [1, 3]
    assert calibration_points(np.array([0, 1]), np.array([0.5, 0.5]))["observed"].tolist() == [0.5]


def test_titles_state_the_finding() -> None:
    y, score = scored()
    auc, precision = sk.roc_auc_score(y, score), sk.average_precision_score(y, score)
    models = {"model": score, "prior": np.full(len(y), 0.5), "inverse": 1 - score}
    assert title(figures.roc(y, models)) == f"AUC: model {auc:.3f}, prior 0.500"
    assert legend(figures.roc(y, models)) == [f"model  {auc:.3f}", "prior  0.500", f"inverse  {1 - auc:.3f}"]
    prior = f"prior {y.mean():.3f}"
    assert title(figures.precision_recall(y, models)) == f"Average precision: model {precision:.3f}, {prior}"
    points = calibration_points(y, score)
    gap = np.average(np.abs(points["predicted"] - points["observed"]), weights=points["rows"])
    drawn = figures.calibration(y, {"model": score})
    assert title(drawn) == f"Calibration: predicted and observed differ by {gap:.3f} on average"


def test_multiclass_curves_are_those_of_the_ten_most_frequent_classes() -> None:
    rng = np.random.default_rng(2)
    y = np.concatenate([np.arange(12), np.arange(2, 12).repeat(30)])
    outputs = rng.random((len(y), 12))
    outputs[np.arange(len(y)), y] += 0.5
    names = [f"class {c}" for c in range(12)]
    areas = [sk.roc_auc_score(y == c, outputs[:, c]) for c in range(12)]
    drawn = figures.roc(y, {"model": outputs}, names)
    assert legend(drawn) == [f"class {c}  {areas[c]:.3f}" for c in range(2, 12)]
    assert title(drawn).startswith("AUC of the 10 most frequent classes from ")
    assert "class 0" not in " ".join(legend(figures.precision_recall(y, {"model": outputs}, names)))


def test_multiclass_calibration_is_of_the_predicted_class() -> None:
    outputs = np.array([[0.9, 0.1, 0.0], [0.9, 0.0, 0.1], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9]])
    drawn = figures.calibration(np.array([0, 1, 1, 2]), {"model": outputs})
    assert "0.150" in title(drawn)  # 90% sure, right in three of four


def test_confusion_matrix_names_the_worst_pair() -> None:
    counts = np.array([[8, 0, 2], [1, 9, 0], [0, 0, 0]])
    drawn = figures.confusion_matrix(counts, ["cat", "dog", "fox"])
    assert title(drawn) == "85.0% of 20 rows correct; most often cat is taken for fox"
    cells = [text.get_text() for text in drawn.axes[0].texts]
    assert cells == ["8\n80%", "0\n0%", "2\n20%", "1\n10%", "9\n90%", "0\n0%", "0", "0", "0"]
    large = figures.confusion_matrix(np.eye(60, dtype=int), [f"a long name of class {c}" for c in range(60)])
    assert not large.axes[0].texts
    assert len(large.axes[0].get_xticks()) == 20


@pytest.mark.parametrize("rows", [1, 50, 3000])
def test_residuals_title(rows: int, tmp_path: Path) -> None:
    y = np.linspace(0, 100, rows)
    drawn = figures.residuals(y, y - 3)
    assert title(drawn).startswith("RMSE 3, R² ")
    assert title(drawn).endswith("mean residual 3")
    figures.save(drawn, tmp_path / "residuals.png")
    assert "RMSE 45.68k" in title(figures.residuals(y, y - 45678.9))


def test_learning_curves_mark_the_best_epoch() -> None:
    history = {"loss": [3.0, 2, 1], "val_loss": [3.0, 2.5, 2.75], "auc": [0.5, 0.6, 0.7], "val_auc": [0.5, 0.6, 0.6]}
    drawn = figures.learning_curves(history)
    assert title(drawn) == "Best validation loss 2.5 in epoch 2 of 3"
    assert legend(drawn) == ["train", "validation", "best epoch 2"]
    assert [axes.get_ylabel() for axes in drawn.axes] == ["loss", "auc"]
    assert title(figures.learning_curves({"loss": [3.0, 1, float("nan")]})) == "Best loss 1 in epoch 2 of 3"
    assert title(figures.learning_curves({"loss": [float("nan")]})) == "No finite loss in 1 epochs"
    with pytest.raises(KeyError, match="loss"):
        figures.learning_curves({"auc": [0.5]})


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    y, score = scored(300)
    for name in ("a.png", "b.png"):
        figures.save(figures.calibration(y, {"model": score, "other": score**2}), tmp_path / name)
    written = (tmp_path / "a.png").read_bytes()
    assert written == (tmp_path / "b.png").read_bytes()
    assert b"Software" not in written
    assert int.from_bytes(written[16:20], "big") == 1400  # width


def test_the_interval_of_a_share_of_none_or_all_holds_that_share():
    """Rounding left it outside by 1e-17 for some numbers of rows, and no error bar has a negative length."""
    for rows in range(1, 400):
        for share in (0, 1):
            points = figures.calibration_points(np.full(rows, share), np.full(rows, 0.5))
            assert points["low"][0] <= share <= points["high"][0]
