"""What is learnt on validation, on rows whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.calibration import cost_matrix, decided, fit, quality
from pipeline.evaluation.metrics import METRICS, losses
from pipeline.models.answers import Answers, tempered


def binary(seed: int, rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes, and the probabilities from which they were drawn."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.2, 1.8, rows) * 0.98 + 0.01
    return (rng.random(rows) < p).astype(int), p


def several(seed: int, rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1.0, 0.8, 0.5], rows)
    return (rng.random((rows, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=2), p


def rows_of(y: np.ndarray) -> np.ndarray:
    return np.arange(len(y))


# -- calibration


@pytest.mark.parametrize(("task", "make"), [("binary", binary), ("multiclass", several)])
def test_too_sure_outputs_get_the_temperature_that_made_them_so(task, make) -> None:
    y, p = make(1)
    found = fit(task, y, tempered(p, 1 / 2.5), rows_of(y), calibration="temperature")
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    unseen_y, unseen = make(2)
    again = found.calibrated(tempered(unseen, 1 / 2.5))
    assert losses(task, unseen_y, again).mean() == pytest.approx(losses(task, unseen_y, unseen).mean(), abs=0.003)
    assert fit(task, y, tempered(p, 1 / 2.5), rows_of(y)).method != "none"


def test_a_bent_scale_gets_the_line_that_no_temperature_is() -> None:
    y, p = binary(3)
    found = fit("binary", y, p**3, rows_of(y))
    assert found.method == "isotonic"
    unseen_y, unseen = binary(4)
    assert quality(unseen_y, found.calibrated(unseen**3)).ece < 0.05 < 0.15 < quality(unseen_y, unseen**3).ece
    after, honest = (losses("binary", unseen_y, one).mean() for one in (found.calibrated(unseen**3), unseen))
    assert after == pytest.approx(honest, abs=0.01)
    line = found.calibrated(np.linspace(0, 1, 101))
    assert (np.diff(line) > 0).all()
    np.testing.assert_allclose(found.uncalibrated(found.calibrated(unseen)), unseen, atol=1e-9)
    warm = Answers("binary", "temperature", temperature=2.5)
    np.testing.assert_allclose(warm.uncalibrated(warm.calibrated(unseen)), unseen, atol=1e-9)
    auc = METRICS["binary"][0]
    assert auc(unseen_y, found.calibrated(unseen**3)) == auc(unseen_y, unseen)  # no tie, hence the order of before
    assert 0 < line[0] < line[-1] < 1


def test_honest_outputs_are_left_as_they_are() -> None:
    """The level is 5% for each of two methods that mostly agree: of 60 honest models a few are touched, not many."""
    kept = [fit("binary", *binary(seed, 800), np.arange(800), seed=seed).method for seed in range(100, 160)]
    assert kept.count("none") >= 54
    y, p = binary(100, 800)
    untouched = fit("binary", y, p, rows_of(y), seed=100)
    assert untouched.calibrated(p) is p


def test_rows_of_a_group_are_no_independent_witnesses() -> None:
    """Forty groups whose rows are copies: what looks sure by rows is not sure by groups."""
    rng = np.random.default_rng(5)
    p = rng.uniform(0.1, 0.9, 40)
    y = np.repeat((rng.random(40) < p).astype(int), 100)
    outputs, groups = np.repeat(tempered(p, 1 / 1.6), 100), np.repeat(np.arange(40), 100)
    assert fit("binary", y, outputs, rows_of(y)).method != "none"
    assert fit("binary", y, outputs, groups).method == "none"
    assert fit("binary", y[:2000], outputs[:2000], groups[:2000]).method == "none"  # too few groups to tell


def test_one_class_or_no_row_teaches_nothing() -> None:
    for y, outputs in ((np.zeros(50, int), np.full(50, 0.3)), (np.empty(0, int), np.empty(0))):
        assert fit("binary", y, outputs, rows_of(y), threshold="f1" if not len(y) else "auto") == Answers("binary")
    assert fit("regression", np.empty(0), np.empty(0), np.empty(0)) == Answers("regression")


# -- decisions


def test_the_threshold_is_the_best_of_validation() -> None:
    y, p = binary(6)
    found = fit("binary", y, p, rows_of(y), calibration="none", threshold="f1")
    f1 = {at: decided(Answers("binary", threshold=at))[4](y, p) for at in (*np.linspace(0.02, 0.98, 49), found.threshold)}
    assert METRICS["binary"][4].name == "f1"
    assert f1[found.threshold] >= max(f1.values()) - 0.001
    assert found.threshold < 0.45  # of rare positives


def test_costs_move_the_threshold_to_where_a_mistake_is_worth_it() -> None:
    """Of honest probabilities the second class is worth answering from 1 / (1 + 4) on (Elkan 2001)."""
    y, p = binary(7, 20_000)
    costs = cost_matrix({"yes": {"no": 4}}, ["no", "yes"])
    assert costs == ((0.0, 1.0), (4.0, 0.0))
    found = fit("binary", y, p, rows_of(y), calibration="none", costs=costs)
    assert found.threshold == pytest.approx(0.2, abs=0.05)
    priced = {metric.name: metric for metric in decided(found)}["cost"]
    assert priced(y, p) == pytest.approx(np.mean(np.where(p >= found.threshold, y == 0, 4 * y)))
    assert priced(y, p) < {metric.name: metric for metric in decided(Answers("binary"), costs)}["cost"](y, p)


def test_several_classes_get_the_answer_of_least_expected_cost() -> None:
    costs = cost_matrix({"c": {"a": 10, "b": 10}}, ["a", "b", "c"])
    y, p = several(8)
    found = fit("multiclass", y, p, rows_of(y), calibration="none", costs=costs)
    assert found.decide(np.array([[0.6, 0.2, 0.2], [0.9, 0.06, 0.04]])).tolist() == [2, 0]
    cheap, usual = (np.asarray(costs)[y, one.decide(p)].mean() for one in (found, Answers("multiclass")))
    assert cheap < usual


def test_a_plateau_is_cut_in_its_middle() -> None:
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert fit("binary", y, p, rows_of(y), threshold="accuracy").threshold == pytest.approx(0.5)
    assert fit("binary", y, p, rows_of(y), threshold=0.3).threshold == 0.3


@pytest.mark.parametrize(
    ("task", "asked", "message"),
    [
        ("binary", {"threshold": "auc"}, "evaluate.threshold: expected auto, a probability, cost, accuracy or f1, got auc"),
        ("binary", {"threshold": "cost"}, "evaluate.threshold: cost: evaluate.costs says what mistakes cost, and is empty"),
        ("multiclass", {"threshold": 0.3}, "evaluate.threshold: 0.3 is for two classes, here are 3"),
        ("multiclass", {"calibration": "isotonic"}, "evaluate.calibration: isotonic is for two classes, here are 3"),
        ("regression", {"calibration": "isotonic", "threshold": "f1"}, "evaluate.calibration, evaluate.threshold: for classes"),
        ("regression", {"costs": [[0.0]]}, "evaluate.costs: for classes, but regression predicts numbers"),
    ],
)
def test_what_a_task_has_not_is_named(task, asked, message) -> None:
    y, p = several(9, 200) if task == "multiclass" else binary(9, 200)
    with pytest.raises(UserError, match=message):
        fit(task, y, p, rows_of(y), **asked)


def test_an_unknown_class_of_costs_is_named() -> None:
    with pytest.raises(UserError, match=r"evaluate\.costs: no class Yes, maybe; there are: no, yes"):
        cost_matrix({"Yes": {"no": 1}, "no": {"maybe": 2}}, ["no", "yes"])


# -- intervals of numbers


def noisy(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Skewed errors that grow with the prediction."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(1, 10, rows)
    return predicted * rng.lognormal(-0.05, 0.3, rows), predicted


def test_intervals_hold_the_share_asked_for_where_errors_are_large_and_where_small() -> None:
    for coverage in (0.8, 0.95):
        held = []
        for seed in range(20):
            found = fit("regression", *noisy(seed, 3000), np.arange(3000), coverage=coverage)
            y, predicted = noisy(1000 + seed, 2000)
            low, high = found.between(predicted)
            inside = (low <= y) & (y <= high)
            held.append([inside.mean(), inside[predicted < 3].mean(), inside[predicted > 8].mean()])
        assert np.mean(held, axis=0) == pytest.approx([coverage] * 3, abs=0.025)
    assert np.mean((high - low)[predicted > 8]) > 2 * np.mean((high - low)[predicted < 3])


def test_intervals_of_few_rows_are_wide_enough_or_not_told() -> None:
    """A finite sample's quantile, not the sample's own: 60 rows of validation already hold nine tenths of what comes."""
    rng = np.random.default_rng(10)
    held = []
    for _ in range(400):
        found = fit("regression", rng.normal(size=60), np.zeros(60), np.arange(60))
        low, high = found.between(np.zeros(200))
        held.append(np.mean((low <= (y := rng.normal(size=200))) & (y <= high)))
    assert np.mean(held) >= 0.895
    assert fit("regression", rng.normal(size=18), np.zeros(18), np.arange(18)).between(np.zeros(3)) is None


def test_a_forecast_has_an_interval_for_each_step_and_target() -> None:
    rng = np.random.default_rng(11)
    spread = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    y = rng.normal(size=(400, 3, 2)) * spread
    low, high = fit("forecast", y, np.zeros_like(y), np.empty(0)).between(np.zeros((1, 3, 2)))
    assert (high - low)[0] == pytest.approx(2 * 1.645 * spread, rel=0.2)


# -- measuring


def test_the_parts_of_the_brier_score_add_up() -> None:
    y, p = binary(12)
    p = np.round(p * 15 - 0.5).clip(0, 14) / 15 + 1 / 30  # one value in each bin: nothing is left within bins
    found = quality(y, p)
    assert found.reliability - found.resolution + found.uncertainty == pytest.approx(found.brier)
    assert found.ece == pytest.approx({metric.name: metric for metric in METRICS["binary"]}["ece"](y, p))


def test_what_is_learnt_depends_on_validation_alone_and_can_be_kept(tmp_path) -> None:
    y, p = binary(13)
    found = fit("binary", y, p**2, rows_of(y), threshold="f1", seed=3)
    assert fit("binary", y, p**2, rows_of(y), threshold="f1", seed=3) == found
    (tmp_path / "answers.json").write_text(found.to_json())
    assert Answers.read(tmp_path / "answers.json").to_json() == found.to_json()
    np.testing.assert_array_equal(Answers.read(tmp_path / "answers.json").calibrated(p), found.calibrated(p))
    kept = fit("forecast", np.random.default_rng(0).normal(size=(50, 2, 1)), np.zeros((50, 2, 1)), np.empty(0))
    (tmp_path / "answers.json").write_text(kept.to_json())
    np.testing.assert_array_equal(Answers.read(tmp_path / "answers.json").between(np.zeros((1, 2, 1))), kept.between(np.zeros((1, 2, 1))))
