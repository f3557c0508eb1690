from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder

from pipeline.errors import UserError
from pipeline.evaluation import baselines
from pipeline.evaluation.baselines import DEFINITIONS, Arrays, fit_baselines
from pipeline.evaluation.metrics import compute


def table(task: str, rows: int = 1500, sizes: tuple[int, ...] = (4, 300), seed: int = 0) -> Arrays:
    """Two numbers, one of them long-tailed, and categories, all with an effect on the target."""
    rng = np.random.default_rng(seed)
    number = np.stack([rng.standard_normal(rows), rng.standard_t(1.5, rows)], axis=1).astype(np.float32)
    codes = [np.minimum(rng.geometric(3 / size, rows) - 1, size - 1) for size in sizes]
    category = np.stack(codes, axis=1).astype(np.int32) if sizes else np.zeros((rows, 0), np.int32)
    signal = 1.5 * number[:, 0] + np.tanh(number[:, 1]) + (category % 3 - 1).sum(axis=1)
    noisy = signal + rng.logistic(size=rows)
    target = {"binary": noisy > 0, "multiclass": np.digitize(noisy, [-1, 1]), "regression": 100 * noisy + 5000}[task]
    return Arrays(number, category, sizes, target if task == "regression" else target.astype(np.int64))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("sizes", [(), (4, 300)])
def test_models_beat_the_prior_on_new_rows(task: Any, sizes: tuple[int, ...]) -> None:
    train, test = table(task, sizes=sizes), table(task, sizes=sizes, seed=1)
    models = fit_baselines(task, train, n_classes=3 if task == "multiclass" else 2, seed=0)
    assert list(models) == list(DEFINITIONS)
    metric = "r2" if task == "regression" else "accuracy"
    value = {name: compute(task, test.target, model(test))[metric] for name, model in models.items()}
    assert value["linear"] > value["prior"] + 0.1
    assert value["boosting"] > value["prior"] + 0.1


def test_prior_is_the_shares_or_the_mean_of_train() -> None:
    rows = Arrays(np.zeros((4, 1), np.float32), np.zeros((4, 0), np.int32), (), np.array([0, 2, 2, 0]))
    outputs = fit_baselines("multiclass", rows, n_classes=4, seed=0)["prior"](rows)
    assert outputs.tolist() == [[0.5, 0, 0.5, 0]] * 4
    binary = table("binary")
    assert fit_baselines("binary", binary, seed=0)["prior"](binary)[:2] == pytest.approx([binary.target.mean()] * 2)
    regression = table("regression")
    prior = fit_baselines("regression", regression, seed=0)["prior"]
    assert prior(regression.take(slice(3))) == pytest.approx([regression.target.mean()] * 3)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_linear_equals_scikit_learn_on_one_hot_columns(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that rows predicted in blocks are put together in their order."""
    monkeypatch.setattr(baselines, "PREDICT_ROWS", 400)
    train = table(task, sizes=(4, 7))
    low, high = np.quantile(train.number, [0.001, 0.999], axis=0)
    number = np.clip(train.number, low, high)
    one_hot = OneHotEncoder(categories=[range(4), range(7)], sparse_output=False).fit_transform(train.category)
    features = np.hstack([number / number.std(axis=0, dtype=np.float64), one_hot])
    linear = fit_baselines(task, train, seed=0)["linear"](train)
    if task == "binary":
        expected = LogisticRegression(max_iter=2000).fit(features, train.target).predict_proba(features)[:, 1]
        assert linear == pytest.approx(expected, abs=2e-3)
    else:
        expected = Ridge().fit(features, train.target).predict(features)
        assert linear == pytest.approx(expected, abs=0.01 * train.target.std())


def test_a_far_outlier_does_not_carry_the_linear_model_away() -> None:
    train, test = table("regression"), table("regression", seed=1)
    test.number[0, 1] = 1e8
    output = fit_baselines("regression", train, seed=0)["linear"](test)
    assert np.abs(output - train.target.mean()).max() < 10 * train.target.std()


@pytest.mark.parametrize("columns", ["numbers", "categories"])
def test_one_kind_of_columns_suffices(columns: str) -> None:
    full = table("binary")
    number, category, sizes = full.number, full.category, full.sizes
    if columns == "numbers":
        category, sizes = category[:, :0], ()
    else:
        number = number[:, :0]
    train = Arrays(number, category, sizes, full.target)
    for model in fit_baselines("binary", train, seed=0).values():
        assert model(train).shape == (1500,)


def test_no_columns_and_no_rows_are_the_users_mistakes() -> None:
    full = table("binary")
    with pytest.raises(UserError, match="expected columns of inputs, found none"):
        fit_baselines("binary", Arrays(full.number[:, :0], full.category[:, :0], (), full.target), seed=0)
    with pytest.raises(UserError, match="expected training rows, found none"):
        fit_baselines("binary", full.take(slice(0)), seed=0)


def test_absent_classes_keep_their_columns() -> None:
    train = table("multiclass")
    train = Arrays(train.number, train.category, train.sizes, np.array([1, 3, 4])[train.target])
    for model in fit_baselines("multiclass", train, n_classes=6, seed=0).values():
        outputs = model(train)
        assert outputs.shape == (1500, 6)
        assert (outputs[:, [0, 2, 5]] == 0).all()
        assert (outputs[:, [1, 3, 4]] > 0).all()
        assert outputs.sum(axis=1) == pytest.approx(1)


def test_a_single_class_gives_the_prior() -> None:
    train = table("binary")
    train = Arrays(train.number, train.category, train.sizes, np.ones_like(train.target))
    for model in fit_baselines("binary", train, seed=0).values():
        assert (model(train) == 1).all()


def test_a_class_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="classes 0 to 2, expected 0 to 1"):
        fit_baselines("multiclass", table("multiclass"), seed=0)


def test_frequent_codes_of_a_wide_column_stay_apart() -> None:
    codes = np.repeat(np.arange(1000, dtype=np.int32), np.where(np.arange(1000) >= 746, 3, 1))
    table_of_codes = baselines._frequent_codes(codes, 1000)
    assert table_of_codes[746:].tolist() == list(range(254))  # the 254 most frequent
    assert set(table_of_codes[:746].tolist()) == {254}
    assert baselines._frequent_codes(codes, 255).tolist() == list(range(255))


def test_categories_beyond_the_limit_and_unseen_ones_are_predicted() -> None:
    train, test = table("binary", sizes=(5000,)), table("binary", sizes=(5000,), seed=1)
    test.category[:10] = 4999
    for model in fit_baselines("binary", train, seed=0).values():
        assert np.isfinite(model(test)).all()


def test_linear_is_fitted_to_a_sample_drawn_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    train = table("binary")
    whole = fit_baselines("binary", train, seed=0)["linear"](train)
    monkeypatch.setattr(baselines, "LINEAR_ROWS", 1000)
    one, same, other = (fit_baselines("binary", train, seed=seed)["linear"](train) for seed in (0, 0, 1))
    assert (one == same).all()
    assert 1e-3 < np.abs(one - other).mean() < 0.1
    assert 1e-3 < np.abs(one - whole).mean() < 0.1


def test_targets_of_the_rows_predicted_are_not_read() -> None:
    train = table("multiclass")
    blank = Arrays(train.number, train.category, train.sizes, np.full(1500, -1))
    for model in fit_baselines("multiclass", train, n_classes=3, seed=0).values():
        assert (model(train) == model(blank)).all()
