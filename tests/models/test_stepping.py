"""Gradient steps against ones done by hand."""

import keras
import numpy as np
import pytest
from conftest_models import preprocessor, side

from pipeline.config import ModelParams, TrainParams
from pipeline.models import heads
from pipeline.models.build import build
from pipeline.models.feeding import inputs
from pipeline.models.optimization import optimizer, penalize
from pipeline.models.stepping import stepper

ROWS = 50


def some(task="regression"):
    rows = side(task, ROWS)
    return inputs(rows, preprocessor(task)), heads.training_target(rows.target, preprocessor(task).target)


def made(task="regression", *, batch=16, parts=1, dropout=0.0, **keys):
    fitted, params = preprocessor(task), TrainParams(**{"optimizer": "sgd", "weight_decay": 0.0, "clipnorm": None, **keys})
    network = build(fitted, ModelParams(layers=1, width=4, bins=4, embedding=2, dropout=dropout), seed=1)
    penalize(network, params)
    return network, stepper(network, heads.loss(fitted, params), optimizer(params, network), batch=batch, parts=parts)


def linear(batch, **keys):
    """A linear model of one input whose gradient is known."""
    x = keras.Input((1,), name="number")
    network = keras.Model({"number": x}, keras.layers.Dense(1, kernel_initializer="ones", name="output")(x))
    params = TrainParams(**{"optimizer": "sgd", "weight_decay": 0.0, "clipnorm": None, **keys})
    penalize(network, params)
    return network, stepper(network, heads.loss(preprocessor("regression"), params), optimizer(params, network), batch=batch)


def test_steps_are_those_of_gradient_descent():
    network, steps = linear(batch=2)
    x, y = np.array([[1.0], [2.0], [3.0]], "float32"), np.array([0.0, 1.0, 5.0], "float32")
    total = steps.run({"number": x}, y, None, np.array([0.1, 0.01], "float32"))
    w, b, losses = 1.0, 0.0, 0.0
    for rows, rate in ((slice(0, 2), 0.1), (slice(2, 3), 0.01)):  # the last batch is not full
        error = x[rows, 0] * w + b - y[rows]
        losses += float((error**2).sum())
        w, b = w - rate * float(np.mean(2 * error * x[rows, 0])), b - rate * float(np.mean(2 * error))
    np.testing.assert_allclose([np.array(v).item() for v in network.weights], [w, b], rtol=1e-5)
    assert total == pytest.approx(losses, rel=1e-5)


def test_rows_count_by_their_weight_and_penalties_join_the_loss():
    network, steps = linear(batch=2, l2=0.5)
    x, y = np.array([[1.0], [2.0]], "float32"), np.array([0.0, 1.0], "float32")
    total = steps.run({"number": x}, y, np.array([2.0, 0.5], "float32"), np.array([0.1], "float32"))
    assert total == pytest.approx((2.0 * 1 + 0.5 * 1) + 2 * 0.5, rel=1e-5)  # of both rows, the penalty being 0.5 * 1
    gradient = (2.0 * 2 * 1 * 1 + 0.5 * 2 * 1 * 2) / 2 + 2 * 0.5
    assert np.array(network.weights[0]).item() == pytest.approx(1 - 0.1 * gradient, rel=1e-5)


@pytest.mark.parametrize("parts", [2, 3, 16])
@pytest.mark.parametrize("keys", [{}, {"optimizer": "adamw", "weight_decay": 0.1, "clipnorm": 0.5, "l2": 0.01}])
def test_a_batch_in_parts_is_the_same_step(parts, keys):
    x, y = some()
    weight, rates = np.linspace(0.5, 2, ROWS).astype("float32"), np.full(4, 0.01, "float32")  # 50 rows: three batches and one of two
    (whole, steps), (pieces, other) = made(**keys), made(parts=parts, **keys)
    assert other.run(x, y, weight, rates) == pytest.approx(steps.run(x, y, weight, rates), rel=1e-5)
    for a, b in zip(whole.get_weights(), pieces.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_chunks_of_any_length_are_the_same_steps_as_one():
    x, y = some()
    rates = np.full(4, 0.01, "float32")
    (whole, steps), (cut, other) = made(), made()
    steps.run(x, y, None, rates)
    for begin, end in ((0, 32), (32, 48), (48, 50)):
        other.run({name: block[begin:end] for name, block in x.items()}, y[begin:end], None, rates[: -(-(end - begin) // 16)])
    for a, b in zip(whole.get_weights(), cut.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_probe_tells_the_next_step_and_changes_nothing():
    x, y = some()
    network, steps = made(optimizer="adam", dropout=0.5)
    steps.run(x, y, None, np.full(4, 0.01, "float32"))
    state = lambda: [np.array(v) for v in (*network.variables, *steps.optimizer.variables)]  # noqa: E731
    before = state()
    probe = steps.probe(x, y, None)
    for a, b in zip(before, state(), strict=True):
        np.testing.assert_array_equal(a, b)
    weights = [np.array(v) for v in network.trainable_variables]
    again = type(steps)(network, steps.loss, steps.optimizer, ROWS, ROWS)
    again.run(x, y, None, np.full(1, 0.01, "float32"))
    moved = [np.linalg.norm(np.array(v) - w) for v, w in zip(network.trainable_variables, weights, strict=True)]
    np.testing.assert_allclose(probe.update, moved, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(probe.weight, [np.linalg.norm(w) for w in weights], rtol=1e-5)


def test_a_probe_measures_the_gradient():
    _, steps = linear(batch=2)
    x, y = np.array([[1.0], [2.0]], "float32"), np.array([0.0, 1.0], "float32")
    probe = steps.probe({"number": x}, y, None)
    np.testing.assert_allclose(probe.gradient, [np.mean([2 * 1 * 1, 2 * 1 * 2]), 2.0], rtol=1e-5)
