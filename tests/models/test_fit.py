"""The training loop: what it learns, that it is repeatable, and what it does when something fails."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import toys
from conftest_models import preprocessor, side
from toy_sides import KINDS, task_of
from toy_sides import side as toy_side

from pipeline.config import AugmentParams, ModelParams, TrainParams
from pipeline.errors import UserError
from pipeline.evaluation.metrics import compute
from pipeline.models.build import serving
from pipeline.models.fit import actual, fit, inputs, outputs

MODEL = ModelParams(layers=1, width=16, bins=8, embedding=4)


def train_params(**keys):
    return TrainParams(**{"epochs": 4, "batch_size": 32, "learning_rate": 1e-2, **keys})


def run(task, *, seed=3, model=MODEL, **keys):
    found = []
    kwargs = {key: keys.pop(key) for key in ("checkpoint", "on_epoch", "diagnose") if key in keys}
    kwargs.setdefault("on_epoch", lambda epoch, row: found.append(row))
    return fit(preprocessor(task), side(task), side(task, 128, seed=1), model=model, params=train_params(**keys), seed=seed, **kwargs)


@pytest.mark.parametrize(("task", "metric", "good"), [("binary", "auc", 0.97), ("multiclass", "accuracy", 0.8), ("regression", "r2", 0.9)])
def test_learns_a_small_problem(task, metric, good):
    result = run(task, epochs=40)
    test = side(task, 512, seed=2)
    found = compute(task, np.asarray(test.target), outputs(result.model, preprocessor(task), inputs(test, preprocessor(task))))
    assert found[metric] > good


def test_returned_network_has_the_weights_of_the_best_epoch():
    result = run("regression", epochs=12, learning_rate=0.05, early_stopping=0, schedule="constant")
    losses = [row["validation/loss"] for row in result.history]
    assert len(losses) == 12
    assert result.best_epoch == int(np.argmin(losses)) < 11
    validation = side("regression", 128, seed=1)
    predicted = outputs(result.model, preprocessor("regression"), inputs(validation, preprocessor("regression")))
    loss = np.mean(((predicted - validation.target) / 2.0) ** 2)  # in units of the target's deviation
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_stops_early_when_validation_loss_no_longer_falls():
    result = run("regression", epochs=60, learning_rate=0.3, early_stopping=2)
    assert len(result.history) == result.best_epoch + 3 < 60


def test_one_seed_gives_the_same_history_and_another_seed_another():
    def losses(seed):
        return [row["train/loss"] for row in run("binary", seed=seed).history]

    assert losses(3) == losses(3) != losses(4)


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"schedule": "one_cycle", "ema": 0.9},
        {"schedule": "plateau", "patience": 1, "learning_rate": 0.1, "optimizer": "sgd", "optimizer_config": {"momentum": 0.9}},
        {"schedule": "constant", "augment": AugmentParams(mixup=0.3), "class_weight": "balanced", "optimizer": "lion"},
    ],
    ids=["default", "one_cycle, ema", "plateau, momentum", "mixup, class weights"],
)
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch, keys):
    monkeypatch.setattr("pipeline.models.fit.CHECKPOINT_SECONDS", 0.0)
    model = MODEL.model_copy(update={"dropout": 0.3, "normalization": "batch"})
    more = {"model": model, "epochs": 5, **keys}
    undisturbed = run("binary", diagnose=True, **more)

    def kill(epoch, row):
        if epoch == 3:
            raise Killed

    checkpoint = tmp_path / "c.npz"
    with pytest.raises(Killed):
        run("binary", checkpoint=checkpoint, on_epoch=kill, diagnose=True, **more)
    resumed_epochs = []
    resumed = run("binary", checkpoint=checkpoint, on_epoch=lambda epoch, row: resumed_epochs.append(epoch), diagnose=True, **more)
    assert resumed_epochs == [3, 4]  # the epoch that was cut off before its checkpoint, and the rest
    for a, b in zip(undisturbed.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(undisturbed.history, resumed.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}
    assert undisturbed.looks == resumed.looks
    again = run("binary", checkpoint=checkpoint, on_epoch=lambda epoch, row: resumed_epochs.append(epoch), diagnose=True, **more)
    assert resumed_epochs == [3, 4]  # a training that has ended is read, not repeated
    np.testing.assert_array_equal(again.model.get_weights()[0], resumed.model.get_weights()[0])


def test_a_diverging_loss_is_a_clear_error():
    with pytest.raises(UserError, match=r"loss is not finite in epoch \d+: lower train.learning_rate"):
        run("regression", learning_rate=1e30, optimizer="sgd", clipnorm=None, schedule="constant", warmup_epochs=0, weight_decay=0.0)


def test_works_without_numbers_or_without_categories():
    for numbers, categories in ((2, 0), (0, 2)):
        fitted = preprocessor("binary", numbers, categories)
        rows = side("binary", 64, numbers=numbers, categories=categories)
        assert len(fit(fitted, rows, rows, model=MODEL, params=train_params(epochs=1), seed=0).history) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_is_learnt_with_gentle_changes(kind):
    fitted, model = toys.fitted(kind, task_of(kind)), ModelParams(width=8, layers=1, bins=4, embedding=4, heads=2, dropout=0.0)
    result = fit(
        fitted,
        toy_side(kind, 256),
        toy_side(kind, 128, seed=1),
        model=model,
        params=train_params(epochs=15, warmup_epochs=1),
        seed=1,
        diagnose=True,
    )
    assert result.best["validation/loss"] < 0.75 * result.history[0]["validation/loss"]
    assert result.looks[-1]
    held = toy_side(kind, 100, seed=2)
    predicted = outputs(result.model, fitted, held)
    assert predicted.shape == actual(held, fitted).shape
    np.testing.assert_allclose(outputs(result.model, fitted, inputs(held, fitted)), predicted, rtol=1e-5, atol=1e-6)


def test_predictions_do_not_depend_on_the_batches(monkeypatch):
    fitted = toys.fitted("mixed", "binary")
    result = fit(fitted, toy_side("mixed"), toy_side("mixed"), model=MODEL, params=train_params(epochs=1), seed=1)
    whole = outputs(result.model, fitted, toy_side("mixed", 100))
    monkeypatch.setattr("pipeline.models.fit.PREDICT_ROWS", 32)
    np.testing.assert_allclose(outputs(result.model, fitted, toy_side("mixed", 100)), whole, atol=1e-6)


def test_a_forecasts_loss_is_the_squared_error_of_scaled_targets():
    fitted, held = toys.fitted("series", "forecast"), toy_side("series", 50, seed=1)
    result = fit(fitted, toy_side("series"), held, model=ModelParams(), params=train_params(epochs=2), seed=1)
    error = (outputs(result.model, fitted, held) - actual(held, fitted)) / [target.std for target in fitted.forecast.targets]
    assert result.best["validation/loss"] == pytest.approx(np.mean(error**2), rel=1e-4)


def test_the_average_of_weights_is_what_is_validated_and_kept():
    """With a decay near 1 the average hardly leaves the first weights, while the training loss falls."""
    slow, plain = (run("regression", epochs=6, ema=ema, early_stopping=0) for ema in (0.9999, 0.0))
    assert slow.history[-1]["train/loss"] == pytest.approx(plain.history[-1]["train/loss"], rel=1e-3)
    assert slow.history[-1]["validation/loss"] > 0.8 * slow.history[0]["validation/loss"]
    assert plain.history[-1]["validation/loss"] < 0.3 * slow.history[-1]["validation/loss"]
    validation, fitted = side("regression", 128, seed=1), preprocessor("regression")
    loss = np.mean(((outputs(slow.model, fitted, inputs(validation, fitted)) - validation.target) / 2.0) ** 2)
    assert loss == pytest.approx(slow.best["validation/loss"], rel=1e-4)


def test_a_class_without_weight_is_hardly_ever_answered():
    answered = [
        outputs(run("binary", epochs=10, class_weight=weight).model, preprocessor("binary"), side("binary", 512, seed=2)).mean()
        for weight in ({"no": 1.0, "yes": 1.0}, {"no": 1.0, "yes": 0.0})
    ]
    assert answered[0] > 0.4
    assert answered[1] < 0.15


def test_mixed_precision_trains_in_16_bits_and_gives_a_network_in_32():
    result = run("binary", precision="mixed", epochs=10)
    exact = run("binary", precision="float32", epochs=10)
    assert {layer.compute_dtype for layer in result.model.layers if layer.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert result.history[0]["train/loss"] != exact.history[0]["train/loss"]
    assert result.best["validation/auc"] == pytest.approx(exact.best["validation/auc"], abs=0.03)


def test_members_learn_and_answer_as_one():
    result = run("multiclass", model=MODEL.model_copy(update={"members": 3}), epochs=20)
    assert result.best["validation/accuracy"] > 0.75
    held, fitted = side("multiclass", 64, seed=2), preprocessor("multiclass")
    alike = outputs(serving(result.model), fitted, inputs(held, fitted))
    np.testing.assert_allclose(outputs(result.model, fitted, inputs(held, fitted)), alike, atol=1e-6)


@pytest.mark.slow
def test_a_batch_too_large_for_memory_is_taken_in_parts():
    """In a process of its own, with the allocator that TensorFlow has for GPUs: one that has a limit and says when it is reached.

    A limit of the process itself (RLIMIT_AS) also hits allocations that no library answers for, which ends the process; oneDNN's are such.
    """
    code = f"""
import logging, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
logging.basicConfig()
from pipeline.models import device
device.start("cpu")
from conftest_models import preprocessor, side
from pipeline.config import ModelParams, TrainParams
from pipeline.models.fit import fit
model, params = ModelParams(layers=4, width=1024, bins=4, dropout=0), TrainParams(epochs=1, batch_size=16384)
print(fit(preprocessor("binary"), side("binary", 16384), side("binary", 64), model=model, params=params, seed=1).history[0]["train/loss"])
"""
    bounded = {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": "500", "TF_ENABLE_ONEDNN_OPTS": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **bounded}, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "a batch of 16384 rows is too large for the device's memory: it is taken in 2 parts" in done.stderr
    assert 0.3 < float(done.stdout.splitlines()[-1]) < 3
