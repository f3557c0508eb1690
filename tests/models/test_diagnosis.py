"""A sick training is told in words, a healthy one is silent."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from conftest_models import preprocessor, side

from pipeline.config import ModelParams, TrainParams
from pipeline.models import heads
from pipeline.models.build import build
from pipeline.models.diagnosis import Diagnosis, summary, words
from pipeline.models.feeding import feed
from pipeline.models.fit import fit
from pipeline.models.optimization import optimizer
from pipeline.models.stepping import stepper


def trained(model, **keys):
    params = TrainParams(**{"epochs": 4, "batch_size": 32, "early_stopping": 0, **keys})
    shape = ModelParams(**{"layers": 2, "width": 16, "bins": 8, "embedding": 4, "dropout": 0.0, **model})
    return fit(preprocessor("binary"), side("binary"), side("binary", 128, seed=1), model=shape, params=params, seed=3, diagnose=True)


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_a_healthy_training_is_silent(rate):
    assert words(trained({}, learning_rate=rate).looks) == []


def test_gradients_that_vanish_in_a_deep_sigmoid_network_are_told():
    (line,) = words(trained({"layers": 10, "activation": "sigmoid"}).looks)
    assert line.startswith("gradients vanish toward the input: number_embedding gets ")
    assert "try model.residual: true" in line


def test_a_learning_rate_of_ten_is_told():
    (line,) = words(trained({}, learning_rate=10.0).looks)
    assert "lower train.learning_rate" in line


def test_a_step_that_changes_a_layer_by_much_of_its_size_is_told():
    healthy = {"hidden_1": {"gradient_rms": 1.0, "update_ratio": 0.02}, "output": {"gradient_rms": 1.0, "update_ratio": 0.01}}
    wild = {"hidden_1": {"gradient_rms": 1.0, "update_ratio": 0.02}, "output": {"gradient_rms": 1.0, "update_ratio": 0.4}}
    assert words([healthy, healthy]) == []
    (line,) = words([healthy, wild])
    assert line.startswith("gradients explode: one step changes output by 40% of its size")


def test_a_rate_that_moves_nothing_is_told():
    (line,) = words(trained({}, learning_rate=1e-9).looks)
    assert line.startswith("weights hardly move")


def test_dead_units_are_counted_and_told():
    fitted, params = preprocessor("binary"), TrainParams(batch_size=64)
    network = build(fitted, ModelParams(layers=2, width=8, bins=8, embedding=4, dropout=0, activation="relu"), seed=1)
    hidden = network.get_layer("hidden_2")
    hidden.bias.assign(np.where(np.arange(8) < 6, -1e3, 0.0))  # six of eight never answer
    steps = stepper(network, heads.loss(fitted, params), optimizer(params, network), batch=64)
    look = Diagnosis(network, steps, feed(side("binary"), fitted, params), seed=0).look()
    assert look["hidden_2"]["dead"] >= 0.75
    assert look["hidden_1"]["dead"] <= 0.5
    (line,) = words([look])
    assert line.startswith(f"units are dead: {look['hidden_2']['dead']:.0%} of hidden_2 ")


def test_looks_are_by_layer_and_their_summary_is_in_the_history():
    result = trained({})
    assert len(result.looks) == len(result.history) == 4
    look, row = result.looks[-1], result.history[-1]
    assert list(look) == ["number_embedding", "hidden_1", "hidden_2", "output"]
    assert row["diagnosis/gradient_norm"] == pytest.approx(math.sqrt(sum(layer["gradient_norm"] ** 2 for layer in look.values())))
    assert {key: row[key] for key in summary(look)} == summary(look)


@pytest.mark.parametrize("model", [{"dropout": 0.3}, {"normalization": "batch"}])
def test_looking_changes_nothing(model):
    params = TrainParams(epochs=2, batch_size=32)
    shape = ModelParams(**{"layers": 1, "width": 8, "bins": 8, "embedding": 4, **model})
    made = [
        fit(preprocessor("binary"), side("binary"), side("binary", 128, seed=1), model=shape, params=params, seed=3, diagnose=look)
        for look in (True, False)
    ]
    for a, b in zip(*(result.model.get_weights() for result in made), strict=True):
        np.testing.assert_array_equal(a, b)
    assert made[1].looks == []


def test_a_linear_network_without_hidden_layers_can_be_looked_at():
    result = trained({"layers": 0})
    assert words(result.looks) == []
    assert isinstance(result.model, keras.Model)
