"""Every encoder with every kind of input that it reads, and every head."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import toys

from pipeline.config import ModelParams
from pipeline.models import heads
from pipeline.models.build import build, save, serving
from pipeline.models.families import TAKES

KINDS = ("table", "text", "image", "audio", "sequence", "series", "exogenous")
PLAIN = SimpleNamespace(loss="auto", label_smoothing=0.0, focal=0.0)
PAIRS = [(kind, family) for kind in KINDS for family, takes in TAKES.items() if kind.replace("exogenous", "series") in takes]
HEADS = ("binary", "multiclass", "regression")
FORECASTS = ("series", "exogenous")
# in the default run each encoder has one head, so that each head has many encoders; the rest is slow
CASES = [
    pytest.param(kind, family, head, marks=[] if head == HEADS[at % 3] else pytest.mark.slow)
    for at, (kind, family) in enumerate(PAIRS)
    for head in HEADS
    if kind not in FORECASTS
]
CASES += [pytest.param(kind, family, "forecast") for kind, family in PAIRS if kind in FORECASTS]
CASES += [pytest.param("mixed", "auto", head, marks=[] if head == "binary" else pytest.mark.slow) for head in HEADS]
STEPS, BATCH = 40, 32
LEARNT = {"binary": 0.35, "multiclass": 0.6, "regression": 0.3, "forecast": 0.25}  # of the loss at the start


def params(family: str = "auto", **keys) -> ModelParams:
    small = {"layers": 1, "width": 8, "heads": 2, "bins": 4, "embedding": 2, "kernel": 3, "dropout": 0.0}
    return ModelParams(family=family, **small | keys)


def learn(network, x, y, fitted, *, steps: int, rate: float = 0.02) -> tuple[float, float]:
    """Loss before and after `steps` steps of Adam over all rows."""
    targets = fitted.forecast.targets if fitted.forecast else fitted.target
    network.compile(keras.optimizers.Adam(rate), heads.loss(fitted, PLAIN))
    y = heads.training_target(y, targets)
    losses = network.fit(x, y, batch_size=BATCH, epochs=max(1, steps * BATCH // len(y)), shuffle=False, verbose=0).history["loss"]
    return losses[0], losses[-1]


@pytest.mark.parametrize(("kind", "family", "task"), CASES)
def test_an_encoder_and_a_head_learn_answer_alike_in_any_batch_and_survive_saving(kind, family, task, tmp_path):
    """One network a case, since building and compiling is what takes the time."""
    fitted = toys.fitted(kind, task)
    x, y = toys.rows(kind, task)
    members = 2 if kind in ("table", "series") else 1
    network = build(fitted, params(family, members=members), seed=1)
    again = build(fitted, params(family, members=members), seed=1)
    other = build(fitted, params(family, members=members), seed=2)
    start = network.get_weights()
    for a, b in zip(start, again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # one seed, one network
    assert any((a != b).any() for a, b in zip(start, other.get_weights(), strict=True))

    before, after = learn(network, x, y, fitted, steps=STEPS, rate=0.01 if family == "transformer" else 0.02)
    assert after < LEARNT[task] * before
    moved = {w.path: bool((np.asarray(w) != a).any()) for w, a in zip(network.weights, start, strict=True)}
    assert [w.path for w in network.trainable_weights if not moved[w.path]] == []  # the gradient reaches every weight

    asked = serving(network)
    raw = np.asarray(asked(x, training=False))
    shape = (toys.HORIZON, 2) if task == "forecast" else (3,) if task == "multiclass" else (1,)
    assert raw.shape == (len(y), *shape)
    few = np.concatenate([np.asarray(asked({name: block[at : at + 5] for name, block in x.items()}, training=False)) for at in (0, 5)])
    np.testing.assert_allclose(few, raw[:10], rtol=1e-4, atol=1e-5)  # whoever else is in the batch
    if members > 1:
        each = np.asarray(network(x, training=False))
        assert each.shape == (len(y), members, *shape)
        np.testing.assert_allclose(raw, each.mean(axis=1), rtol=1e-4, atol=1e-6)
        assert np.abs(each[:, 0] - each[:, 1]).max() > 1e-4

    save(asked, tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(np.asarray(loaded(x, training=False)), raw, rtol=1e-6, atol=1e-7)
    for a, b in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("family", list(TAKES))
def test_what_stands_past_the_end_of_a_sequence_is_not_seen(family):
    network = build(toys.fitted("sequence", "binary"), params(family, layers=2, normalization="batch"), seed=1)
    x, _ = toys.rows("sequence", "binary", 8)
    x["sequence_length"][:3] = 0, 1, toys.STEPS  # a missing sequence, the shortest, the longest
    past = np.arange(toys.STEPS) >= np.maximum(x["sequence_length"], 1)[:, None]
    garbage = np.where(past[:, :, None], 1e3, x["sequence"]).astype("float32")
    for training in (False, True):  # statistics of a batch leave it out too
        clean = np.asarray(network(x, training=training))
        np.testing.assert_array_equal(np.asarray(network({**x, "sequence": garbage}, training=training)), clean)
        assert np.isfinite(clean).all()
    changed = {**x, "sequence": x["sequence"] + 1}
    assert np.abs(np.asarray(network(changed, training=False)) - np.asarray(network(x, training=False)))[1:].min() > 1e-7


# an mlp over the steps of a sequence has a weight for each, so that its length is fixed
LENGTHENED = [("text", family) for family in TAKES] + [("sequence", family) for family in TAKES if family != "mlp"]


@pytest.mark.parametrize(("kind", "family"), LENGTHENED)
def test_more_padding_changes_nothing(kind, family):
    short = toys.fitted(kind, "binary")
    more = (
        replace(short, texts=(replace(short.texts[0], length=toys.LENGTH + 4),))
        if kind == "text"
        else replace(short, sequence=replace(short.sequence, length=toys.STEPS + 4))
    )
    model = params(family, layers=2, patch=2, positions="sinusoidal")
    network, longer = build(short, model, seed=1), build(more, model, seed=1)
    longer.set_weights(network.get_weights())
    x, _ = toys.rows(kind, "binary", 8)
    name = "text_0" if kind == "text" else "sequence"
    x[name][0] = 0  # nothing at all
    padding = [(0, 0), (0, 4), (0, 0)][: x[name].ndim]
    padded = {**x, name: np.pad(x[name], padding)}
    np.testing.assert_allclose(np.asarray(longer(padded)), np.asarray(network(x)), rtol=1e-4, atol=1e-6)


def test_learnt_positions_are_those_of_the_first_steps():
    short = toys.fitted("text", "binary")
    network = build(short, params("transformer"), seed=1)
    x, _ = toys.rows("text", "binary", 8)
    swapped = x["text_0"].copy()
    swapped[:, [0, 1]] = swapped[:, [1, 0]]
    assert np.abs(np.asarray(network({"text_0": swapped})) - np.asarray(network(x))).max() > 1e-5  # order is seen


@pytest.mark.parametrize("centering", ["last", "mean", "standardize"])
@pytest.mark.parametrize("family", ["mlp", "rnn", "transformer"])
def test_a_forecast_moves_with_the_level_of_its_window(family, centering):
    fitted = toys.fitted("series", "forecast")
    network = build(fitted, params(family, centering=centering), seed=1)
    x, _ = toys.rows("series", "forecast", 8)
    before = heads.predictions(np.asarray(network(x)), fitted)
    after = heads.predictions(np.asarray(network({"series": x["series"] + np.float32(2.0)})), fitted)
    np.testing.assert_allclose(after - before, np.broadcast_to([6.0, 0.5], before.shape), atol=1e-3)  # 2 in each channel's scale


def test_a_linear_forecast_starts_as_the_last_value():
    fitted = toys.fitted("series", "forecast")
    network = build(fitted, ModelParams(), seed=1)
    x, _ = toys.rows("series", "forecast", 8)
    last = x["series"][:, -1:] * [3.0, 0.25] + [4.0, -1.5]  # units
    predicted = heads.predictions(np.asarray(network(x)), fitted)
    np.testing.assert_allclose(predicted, np.repeat(last, toys.HORIZON, axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("family", "mixing", "seen"), [("mlp", False, False), ("mlp", True, True), ("rnn", False, True)])
def test_a_column_beside_the_targets_is_seen_by_encoders_and_where_channels_are_mixed(family, mixing, seen):
    fitted = toys.fitted("exogenous", "forecast")
    model = ModelParams(channel_mixing=mixing) if family == "mlp" else params(family, channel_mixing=mixing)
    network = build(fitted, model, seed=1)
    network.get_layer("linear").kernel.assign(np.random.default_rng(0).normal(size=network.get_layer("linear").kernel.shape))  # not zeros
    x, _ = toys.rows("exogenous", "forecast", 8)
    moved = {"series": x["series"] + np.array([1, 0, 0], "float32") * np.linspace(0, 1, toys.STEPS, dtype="float32")[:, None]}
    assert (np.abs(np.asarray(network(moved)) - np.asarray(network(x))).max() > 1e-5) == seen


def test_channels_side_by_side_or_each_by_itself():
    fitted = toys.fitted("series", "forecast")
    x, _ = toys.rows("series", "forecast", 8)
    moved = {"series": x["series"] + np.array([0, 1], "float32") * np.linspace(0, 1, toys.STEPS, dtype="float32")[:, None]}
    for mixing in (False, True):
        network = build(fitted, params("rnn", channel_mixing=mixing), seed=1)
        first = np.abs(np.asarray(network(moved)) - np.asarray(network(x)))[:, :, 0].max()
        assert (first > 1e-5) == mixing  # whether the first target depends on the second's past
