"""A network that is kept for the next training gives the bytes of a fresh one."""

import gc
import itertools

import keras
import numpy as np
import pytest
import toy_sides
import toys

from pipeline.config import ModelParams, TrainParams
from pipeline.models import compiled, device
from pipeline.models.compiled import Shelf, key
from pipeline.models.fit import fit

MODEL = ModelParams(layers=1, width=8, bins=4, dropout=0.3)


@pytest.fixture
def kept(monkeypatch):
    """A shelf that keeps two."""
    monkeypatch.setattr(compiled, "KEPT", 2)
    return 2


@pytest.fixture(scope="module")
def data():
    fitted = toys.fitted("table", "binary")
    return fitted, toy_sides.side("table", rows=80, seed=0), toy_sides.side("table", rows=40, seed=1)


def train(data, shelf=None, dropout=0.3, **params):
    given = TrainParams(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.01, **params})
    result = fit(*data, model=MODEL.model_copy(update={"dropout": dropout}), params=given, seed=3, shelf=shelf)
    history = [{name: value for name, value in row.items() if name != "seconds"} for row in result.history]
    return history, [np.array(weight) for weight in result.model.get_weights()], result.model


def same(one, other):
    return one[0] == other[0] and all(np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True))


@pytest.mark.parametrize("params", [{}, {"ema": 0.9}, {"optimizer": "sgd", "optimizer_config": {"momentum": 0.9}}])
def test_one_training_after_another_is_as_if_each_were_alone(data, params):
    shelf = Shelf()
    first = train(data, shelf, **params)
    device.free()  # as between trials
    slower = train(data, shelf, learning_rate=0.001, **params)
    again = train(data, shelf, **params)
    assert first[2] is slower[2] is again[2]  # the network was kept
    assert same(first, train(data, **params))
    assert same(slower, train(data, learning_rate=0.001, **params))
    assert same(again, first)


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_trainings_that_differ_in_dropout_and_decay_share_a_network_and_are_the_same_as_alone(data, precision):
    shelf, settings = Shelf(), ({}, {"dropout": 0.11, "weight_decay": 0.3}, {"dropout": 0.57}, {})
    found = [train(data, shelf, precision=precision, **some) for some in settings]
    if keras.backend.backend() == "tensorflow":
        assert len({id(network) for *_, network in found}) == 1
    assert all(same(one, train(data, precision=precision, **some)) for one, some in zip(found, settings, strict=True))
    assert not any(same(one, other) for one, other in itertools.pairwise(found))
    assert train(data, shelf, precision=precision, dropout=0.0)[2] is not found[0][2]


def test_what_is_compiled_is_part_of_the_key(data):
    def of(model=MODEL, parts=1, **params):
        return key(data[0], model, TrainParams(**params), seed=3, batch=16, parts=parts)

    assert of() == of(learning_rate=0.5) == of(epochs=9, schedule="plateau") == of(augment={"mixup": 0.2})
    others = [of(weight_decay=0.0), of(l2=0.1), of(clipnorm=None), of(label_smoothing=0.1), of(optimizer="sgd"), of(parts=2), of(ema=0.5)]
    others.append(of(ModelParams(layers=1, width=8, bins=4, dropout=0.0)))
    assert len({of(), *others}) == 1 + len(others)


def test_few_networks_are_kept(data, kept):
    shelf = Shelf()
    networks = [train(data, shelf, epochs=1, l2=0.1 * (at + 1))[2] for at in range(kept + 1)]
    assert train(data, shelf, epochs=1, l2=0.1)[2] is not networks[0]
    assert len(shelf._kept) == kept
    assert isinstance(networks[0], keras.Model)


def test_graphs_of_networks_that_are_gone_are_gone(data, kept):
    from tensorflow.python.framework.func_graph import FuncGraph

    def graphs():
        return sum(isinstance(each, FuncGraph) for each in gc.get_objects())

    shelf, counted = Shelf(), []
    for at in range(2 * kept + 2):  # each another network to compile, with an activation that has a gradient of its own
        result = fit(
            *data,
            model=MODEL.model_copy(update={"activation": "silu", "width": 8 + at}),
            params=TrainParams(epochs=1, batch_size=16),
            seed=3,
            shelf=shelf,
        )
        del result
        device.free()
        counted.append(graphs())
    assert 0 < counted[-1] == counted[kept]
