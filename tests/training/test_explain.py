import keras
import numpy as np
import pytest
import toys

from pipeline.config import ModelParams
from pipeline.errors import UserError
from pipeline.models.build import build
from pipeline.models.members import MemberDense
from pipeline.training.explain import explain, flops, require_memory, sentence


def counted(inputs, *layers):
    x = inputs
    for layer in layers:
        x = layer(x)
    return flops(keras.Model(inputs, x))


STEPS = keras.Input((5, 3))
L = keras.layers


@pytest.mark.parametrize(
    ("inputs", "layers", "expected"),
    [
        (keras.Input((7,)), [L.Dense(4), L.Dropout(0.5), L.Dense(2)], 2 * (7 * 4 + 4 * 2)),
        (STEPS, [L.Dense(4)], 2 * 5 * 3 * 4),
        (STEPS, [L.EinsumDense("bfk,fke->bfe", (5, 2))], 2 * 5 * 3 * 2),
        (STEPS, [L.Conv1D(8, 3, padding="same")], 2 * 5 * 3 * 3 * 8),
        (STEPS, [L.Conv1D(8, 2, strides=2)], 2 * 2 * 2 * 3 * 8),
        (keras.Input((6, 6, 3)), [L.Conv2D(4, 3, strides=2, padding="same")], 2 * 9 * 9 * 3 * 4),
        (STEPS, [L.SimpleRNN(4)], 2 * 5 * 4 * (3 + 4)),
        (STEPS, [L.GRU(4)], 2 * 5 * 3 * 4 * (3 + 4)),
        (STEPS, [L.LSTM(4)], 2 * 5 * 4 * 4 * (3 + 4)),
        (STEPS, [L.Bidirectional(L.LSTM(4))], 2 * 2 * 5 * 4 * 4 * (3 + 4)),
        (keras.Input((2, 3)), [MemberDense(4)], 2 * 2 * 3 * 4),
    ],
)
def test_flops_are_those_counted_by_hand(inputs, layers, expected):
    assert counted(inputs, *layers) == expected


def test_flops_of_attention():
    x = keras.Input((5, 8))
    network = keras.Model(x, keras.layers.MultiHeadAttention(2, 4)(x, x))
    maps, products = 4 * 5 * 8 * 8, 2 * 5 * 5 * 8  # query, key, value, output; scores and their mean of values
    assert flops(network) == 2 * (maps + products)


def test_a_forecast_counts_each_target_s_row():
    network = build(toys.fitted("series", "forecast"), ModelParams(), seed=1)
    assert flops(network) == 2 * 2 * toys.STEPS * toys.HORIZON  # two targets through one linear map


def test_the_figures_of_a_small_table():
    fitted = toys.fitted("table", "binary")  # two numbers, categories of 2 and 3 tokens
    model = ModelParams(layers=1, width=4, bins=0)
    found = explain(build(fitted, model, seed=1), fitted, 10, model)
    weights = 7 * 4 + 4 + 4 + 1
    assert (found["parameters"], found["trainable"], found["flops"]) == (weights, weights, 2 * (7 * 4 + 4))
    # weights and the best ones, gradients and two moments
    assert found["memory_weights"] == 4 * weights * 5
    # one_hot 5, columns 7, hidden 4, dropout 4, output 1; forward and back
    assert found["memory_activations"] == 2 * 10 * 4 * (5 + 7 + 4 + 4 + 1)
    assert found["encoders"] == {"table": "mlp"}
    assert sentence(found) == "37 parameters (table by mlp), 64 FLOP a row, 2.42 kB of memory at batch size 10"
    lines = found["summary"].splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "flops"]
    assert [line.split() for line in lines if line.startswith("hidden_1")] == [["hidden_1", "Dense", "4", "32", "56"]]


def test_the_estimate_of_activations_grows_with_the_batch_and_that_of_weights_does_not():
    fitted = toys.fitted("mixed", "binary")
    network = build(fitted, ModelParams(width=8), seed=1)
    small, large = explain(network, fitted, 1), explain(network, fitted, 64)
    assert large["memory_activations"] == 64 * small["memory_activations"]
    assert large["memory_weights"] == small["memory_weights"]
    assert small["memory_weights"] > 5 * 4 * sum(np.prod(weight.shape) for weight in network.trainable_weights) - 1


def test_a_training_that_cannot_fit_is_refused_with_the_sizes():
    fitted = toys.fitted("table", "binary")
    model = ModelParams(layers=1, width=4, bins=0)
    network = build(fitted, model, seed=1)
    explained = explain(network, fitted, 1000, model)
    require_memory(explained, "cpu")
    sizes = r"needs 169 kB \(740 B for 37 parameters, 168 kB for a batch of 1000 rows\)"
    with pytest.raises(UserError, match=sizes + r", but this machine has 100 kB: lower train\.batch_size"):
        require_memory(explained, "cpu", available=100_000)
    with pytest.raises(UserError, match=r"but NVIDIA X has 500 B: lower model\.width or model\.layers \(no batch size is small enough\)"):
        require_memory(explained, "NVIDIA X", available=500)


def test_what_no_machine_holds_is_refused_here():
    explained = {"memory": 10**16, "memory_weights": 10**16, "memory_activations": 0, "parameters": 10**15, "batch_size": 1}
    with pytest.raises(UserError, match="needs 10 PB"):
        require_memory(explained, "cpu")
