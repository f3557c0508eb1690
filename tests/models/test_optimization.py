import keras
import numpy as np
import pytest
from conftest_models import preprocessor

from pipeline.config import ModelParams, TrainParams
from pipeline.errors import UserError
from pipeline.models.build import build
from pipeline.models.optimization import optimizer, penalize


def network(**keys):
    return build(preprocessor("binary"), ModelParams(**{"layers": 2, "width": 4, "bins": 4, "embedding": 2, **keys}), seed=1)


def made(**keys):
    return optimizer(TrainParams(**keys), network())


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "nadam", "lion", "adagrad", "adafactor"])
def test_optimizers_come_from_the_registry_of_keras(name):
    for decay in (0.01, 0.0):  # 0 switches it off
        assert type(made(optimizer=name, weight_decay=decay)).__name__.lower() == name


def test_further_arguments_reach_the_optimizer():
    found = made(optimizer="sgd", optimizer_config={"momentum": 0.9, "nesterov": True})
    assert (found.momentum, found.nesterov) == (0.9, True)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"optimizer": "adamm"}, r"train\.optimizer: 'adamm' cannot be made"),
        ({"optimizer": "sgd", "optimizer_config": {"moment": 0.9}}, r"train\.optimizer: 'sgd' cannot be made.*moment"),
        ({"optimizer_config": {"learning_rate": 0.9}}, "learning_rate of optimizer_config: set the key of train instead"),
    ],
)
def test_what_keras_does_not_know_is_named(keys, message):
    with pytest.raises(UserError, match=message):
        made(**keys)


def test_decay_shrinks_kernels_alone():
    model = network(normalization="batch")
    found = optimizer(TrainParams(optimizer="sgd", learning_rate=0.1, weight_decay=0.5, clipnorm=None), model)
    found.build(model.trainable_variables)
    before = [np.array(v) + 1 for v in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    found.apply([keras.ops.zeros_like(v) for v in model.trainable_variables], model.trainable_variables)
    kinds = {v.name for v in model.trainable_variables}
    assert {"kernel", "bias", "gamma", "beta"} <= kinds
    for variable, value in zip(model.trainable_variables, before, strict=True):
        expected = value * (1 - 0.1 * 0.5) if variable.name == "kernel" else value
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-5)


def test_penalties_are_on_kernels_and_not_saved(tmp_path):
    model = network()
    penalize(model, TrainParams(l1=0.5, l2=0.25))
    kernels = [np.array(v) for v in model.trainable_variables if v.name == "kernel"]
    expected = sum(0.5 * np.abs(k).sum() + 0.25 * (k**2).sum() for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    model.save(tmp_path / "m.keras")
    assert keras.models.load_model(tmp_path / "m.keras", compile=False).losses == []


def test_a_moving_average_is_kept_where_asked():
    model = network()
    found = optimizer(TrainParams(ema=0.5, optimizer="sgd", learning_rate=1.0, weight_decay=0.0, clipnorm=None), model)
    found.build(model.trainable_variables)
    first = np.array(model.trainable_variables[0])
    for _ in range(2):
        found.apply([keras.ops.ones_like(v) for v in model.trainable_variables], model.trainable_variables)
    found.finalize_variable_values(model.trainable_variables)
    np.testing.assert_allclose(np.array(model.trainable_variables[0]), first - 1.5, rtol=1e-5)  # the mean of first - 1 and first - 2
