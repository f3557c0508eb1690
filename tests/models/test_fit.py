import numpy as np
import pytest
from conftest_models import preprocessor, side

from pipeline.config import ModelParams, TrainParams
from pipeline.errors import UserError
from pipeline.evaluation.metrics import compute
from pipeline.models.fit import fit, inputs, optimizer, outputs

MODEL = ModelParams(layers=1, width=16, bins=8, embedding=4)


def train_params(**keys):
    return TrainParams(**{"epochs": 4, "batch_size": 32, "learning_rate": 1e-2, **keys})


def run(task, *, seed=3, model=MODEL, **keys):
    found = []
    kwargs = {key: keys.pop(key) for key in ("checkpoint", "on_epoch") if key in keys}
    kwargs.setdefault("on_epoch", lambda epoch, row: found.append(row))
    return fit(preprocessor(task), side(task), side(task, 128, seed=1), model=model, params=train_params(**keys), seed=seed, **kwargs)


@pytest.mark.parametrize(("task", "metric", "good"), [("binary", "auc", 0.97), ("multiclass", "accuracy", 0.8), ("regression", "r2", 0.9)])
def test_learns_a_small_problem(task, metric, good):
    result = run(task, epochs=40)
    test = side(task, 512, seed=2)
    found = compute(task, np.asarray(test.target), outputs(result.model, preprocessor(task), inputs(test, preprocessor(task))))
    assert found[metric] > good


def test_returned_network_has_the_weights_of_the_best_epoch():
    result = run("regression", epochs=12, learning_rate=0.2, early_stopping=0)
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


def test_every_epoch_has_its_own_order_of_rows():
    rates = {"learning_rate": 1e-12, "schedule": "constant", "warmup_epochs": 0, "epochs": 2}
    orders = []
    original = np.random.default_rng

    def spy(seed):
        orders.append(seed)
        return original(seed)

    np.random.default_rng = spy
    try:
        run("binary", **rates)
    finally:
        np.random.default_rng = original
    assert [seed for seed in orders if isinstance(seed, tuple)] == [(3, 0), (3, 1)]


class Killed(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.models.fit.CHECKPOINT_SECONDS", 0.0)
    model = MODEL.model_copy(update={"dropout": 0.3})
    undisturbed = run("binary", model=model, epochs=5)

    def kill(epoch, row):
        if epoch == 3:
            raise Killed

    checkpoint = tmp_path / "c.npz"
    with pytest.raises(Killed):
        run("binary", model=model, epochs=5, checkpoint=checkpoint, on_epoch=kill)
    resumed_epochs = []
    resumed = run("binary", model=model, epochs=5, checkpoint=checkpoint, on_epoch=lambda epoch, row: resumed_epochs.append(epoch))
    assert resumed_epochs == [3, 4]  # the epoch that was cut off before its checkpoint, and the rest
    for a, b in zip(undisturbed.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(undisturbed.history, resumed.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


def test_a_diverging_loss_is_a_clear_error():
    with pytest.raises(UserError, match=r"loss is not finite in epoch \d+: lower train.learning_rate"):
        run("regression", learning_rate=1e30, optimizer="sgd", clipnorm=None, schedule="constant", warmup_epochs=0, weight_decay=0.0)


def test_unknown_optimizer_is_named():
    with pytest.raises(UserError, match=r"train\.optimizer: 'adamm' cannot be made"):
        optimizer(train_params(optimizer="adamm"), 10)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "nadam", "lion", "adagrad", "adafactor"])
def test_optimizers_come_from_the_registry_of_keras(name):
    assert type(optimizer(train_params(optimizer=name), 10)).__name__.lower() == name


def test_cosine_schedule_warms_up_to_the_rate_and_falls_to_zero():
    rate = optimizer(train_params(epochs=10, learning_rate=0.5, warmup_epochs=1), 8)._learning_rate
    assert float(rate(0)) == 0.0
    assert float(rate(8)) == pytest.approx(0.5)
    assert float(rate(80)) == pytest.approx(0.0, abs=1e-6)


def test_works_without_numbers_or_without_categories():
    for numbers, categories in ((2, 0), (0, 2)):
        fitted = preprocessor("binary", numbers, categories)
        rows = side("binary", 64, numbers=numbers, categories=categories)
        assert len(fit(fitted, rows, rows, model=MODEL, params=train_params(epochs=1), seed=0).history) == 1
