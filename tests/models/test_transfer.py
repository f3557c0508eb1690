"""Starting from another network, freezing, adapters."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from conftest_models import preprocessor, side

from pipeline.config import ModelParams, TrainParams
from pipeline.errors import UserError
from pipeline.models.build import build, save
from pipeline.models.fit import fit, inputs, outputs

MODEL = ModelParams(layers=2, width=8, bins=4, embedding=2, dropout=0)


def run(model=MODEL, task="binary", **keys):
    params = TrainParams(**{"epochs": 2, "batch_size": 32, "learning_rate": 1e-2, **keys})
    return fit(preprocessor(task), side(task), side(task, 128, seed=1), model=model, params=params, seed=3).model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A network trained from another seed, in a file."""
    network = build(preprocessor("binary"), MODEL, seed=99)
    save(network, file := tmp_path_factory.mktemp("base") / "base.keras")
    return network, str(file)


def changed(network, other, layer):
    pairs = zip(network.get_layer(layer).get_weights(), other.get_layer(layer).get_weights(), strict=True)
    return any((a != b).any() for a, b in pairs)


def test_frozen_layers_keep_the_weights_that_they_start_from_and_others_learn(base):
    network, file = base
    found = run(start_from=file, freeze=("number_*", "hidden_1"))
    assert [changed(found, network, name) for name in ("number_embedding", "hidden_1", "hidden_2", "output")] == [False, False, True, True]


def test_layers_of_another_shape_start_anew_and_are_named(base, caplog):
    _, file = base
    with caplog.at_level(logging.INFO, logger="pipeline"):
        found = run(ModelParams(layers=3, width=8, bins=4, embedding=2, dropout=0), "multiclass", start_from=file)
    assert "4 layers" not in caplog.text
    assert f"3 layers start from {file}; anew: hidden_3, output" in caplog.text
    assert found.output_shape == (None, 3)


@pytest.mark.parametrize("freeze", [("hidden_*",), ("*",)])
def test_adapters_learn_a_change_of_low_rank_and_are_merged(base, freeze):
    network, file = base
    found = run(start_from=file, freeze=freeze, lora_rank=2, epochs=4)
    for name in ("hidden_1", "hidden_2"):
        (before, bias), (after, same) = (model.get_layer(name).get_weights() for model in (network, found))
        size = np.linalg.svd(after - before, compute_uv=False)
        assert size[1] > 1e-6
        assert size[2] < 1e-5 * size[0]
        np.testing.assert_array_equal(bias, same)
    assert not any("lora" in weight.path for weight in found.weights)


def test_the_merged_network_answers_as_it_did_in_training(base):
    _, file = base
    fitted, rows = preprocessor("binary"), side("binary", 128, seed=1)
    params = TrainParams(epochs=3, batch_size=32, learning_rate=1e-2, start_from=file, freeze=("*",), lora_rank=1)
    result = fit(fitted, side("binary"), rows, model=MODEL, params=params, seed=3)
    p = outputs(result.model, fitted, inputs(rows, fitted))
    loss = -np.mean(np.log(np.where(rows.target == 1, p, 1 - p)))
    assert loss == pytest.approx(result.best["validation/loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"start_from": "nowhere.keras"}, r"train\.start_from: nowhere\.keras cannot be read"),
        ({"freeze": ("hiden_1",)}, r"train\.freeze: no layer is called 'hiden_1'; the network has number_embedding, hidden_1"),
        ({"freeze": ("*",)}, "every layer is frozen"),
        ({"lora_rank": 2}, r"train\.lora_rank: adapters stand beside frozen layers"),
    ],
)
def test_mistakes_are_named(keys, message):
    with pytest.raises(UserError, match=message):
        run(**keys)


def test_a_network_without_a_layer_in_common_is_refused(base):
    _, file = base
    with pytest.raises(UserError, match=r"no layer of .* has the name and shape of one of"):
        run(ModelParams(layers=1, width=5, bins=2, embedding=3, dropout=0), "multiclass", start_from=file)
