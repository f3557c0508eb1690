"""Plain numbers from pictures, texts, sounds and sequences, and the plain models that read them."""

from __future__ import annotations

import numpy as np
import pytest
from toys import fitted, rows

from pipeline.evaluation.baselines import Arrays, fit_baselines
from pipeline.evaluation.features import fit_features, summary
from pipeline.evaluation.metrics import compute


def arrays(kind: str, task: str, count: int, seed: int) -> Arrays:
    made, target = rows(kind, task, count, seed)
    sizes = tuple(len(category.tokens) + 1 for category in fitted(kind, task).categories)
    number = made.pop("number", np.zeros((count, 0), np.float32))
    category = made.pop("category", np.zeros((count, 0), np.int32))
    return Arrays(number, category, sizes, target, made)


@pytest.mark.parametrize("kind", ["text", "image", "audio", "sequence", "mixed"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_plain_models_learn_from_every_kind_of_input(kind: str, task: str) -> None:
    train, test = arrays(kind, task, 300, 0), arrays(kind, task, 100, 1)
    models = fit_baselines(task, train, n_classes=3 if task == "multiclass" else 2, seed=0)  # type: ignore[arg-type]
    metric = "r2" if task == "regression" else "accuracy"
    value = {name: compute(task, test.target, model(test))[metric] for name, model in models.items()}  # type: ignore[arg-type]
    assert value["linear"] > value["prior"] + 0.15
    assert value["boosting"] > value["prior"] + 0.15


def test_rows_predicted_in_blocks_are_put_together_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    train = arrays("mixed", "multiclass", 200, 0)
    models = fit_baselines("multiclass", train, n_classes=3, seed=0)
    whole = {name: model(train) for name, model in models.items()}
    monkeypatch.setattr("pipeline.evaluation.baselines.MEDIA_BLOCK", 33)
    for name, model in models.items():
        np.testing.assert_allclose(model(train), whole[name], atol=1e-9)


def test_a_summary_by_hand() -> None:
    steps = np.array([[[1.0], [4.0], [2.0], [99.0]], [[9.0], [9.0], [9.0], [9.0]]])
    found = summary(steps, np.array([3, 0]))
    mean, deviation, least, greatest, last, moves = found[0, :6]
    assert (mean, least, greatest, last, moves) == (pytest.approx(7 / 3), 1, 4, 2, 2.5)
    assert deviation == pytest.approx(np.std([1, 4, 2]))
    assert found[0, 6:].tolist() == pytest.approx(np.interp(np.linspace(0, 2, 16), [0, 1, 2], [1, 4, 2]).tolist())
    assert (found[1] == 0).all()


def test_what_follows_the_last_step_changes_nothing() -> None:
    made, _ = rows("sequence", "binary", 20)
    other = {**made, "sequence": np.where(made["sequence"] == 0, 7.0, made["sequence"])}
    np.testing.assert_array_equal(*(summary(each["sequence"], each["sequence_length"]) for each in (made, other)))


def test_large_pictures_are_averaged() -> None:
    small = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 1)).astype(np.uint8)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    found = [fit_features({"image_0": pictures}, seed=0)({"image_0": pictures}).dense for pictures in (small, large)]
    assert found[0].shape == (40, 40)
    np.testing.assert_allclose(*(block @ block.T for block in found), atol=1e-3)  # whatever the signs of components


def test_texts_without_a_common_token_do_not_fail() -> None:
    plain = fit_features({"text_0": np.array([[5, 0], [6, 0], [7, 0]])}, seed=0)({"text_0": np.array([[8, 0], [0, 0]])})
    assert plain.sparse.shape[0] == len(plain.reduced) == 2
    assert plain.sparse.sum() == 0
