"""What was planted is found: the quadrant, the token, the step and channel that decide; and integrated gradients add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import toys
from keras import layers

import pipeline.models.layers  # noqa: F401  (what saved networks are made of)
from pipeline.config import ModelParams
from pipeline.data.fitted import Image, Number, Preprocessor, Sequence, Target, Text
from pipeline.evaluation import attribution_figures, figures
from pipeline.evaluation.attribution import Attribution, attribute, chosen, rows_of
from pipeline.models.build import build, save, serving
from pipeline.models.fit import outputs
from pipeline.models.steps import LengthMask, Masked, Pool, TokenMask
from pipeline.training.ensembling import mean

SMALL = ModelParams(layers=1, width=8, heads=2)
WORDS = ("[PAD]", "[UNK]", "▁good", "▁bad", "▁the", "▁film", "s", "▁is")


def of_classes(*names: str, **more: object) -> Preprocessor:
    task = "binary" if len(names) == 2 else "multiclass"
    return replace(Preprocessor(task, Target("y", names), (), (), {}), **more)  # type: ignore[arg-type]


def found_by(network: keras.Model, fitted: Preprocessor, inputs: dict[str, np.ndarray], y: np.ndarray) -> tuple[Attribution, ...]:
    return attribute(network, fitted, inputs, y, outputs(network, fitted, inputs))


def log_odds(probability: np.ndarray, code: int) -> float:
    return float(np.log(probability[code]) - np.log(np.delete(probability, code).sum()))


# -- pictures


def stripes() -> tuple[keras.Model, Preprocessor, np.ndarray]:
    """A network that tells lying from standing stripes, and three pictures with both: the lying ones are up on the left."""
    picture = keras.Input((16, 16, 1), dtype="uint8", name="image_0")
    x = layers.Rescaling(1 / 255)(picture)
    kernel = np.zeros((3, 3, 1, 2), "float32")
    kernel[:, :, 0, 0] = np.array([[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]) / 3
    kernel[:, :, 0, 1] = kernel[:, :, 0, 0].T
    convolution = layers.Conv2D(2, 3, padding="same", activation="relu")
    x = layers.GlobalAveragePooling2D()(convolution(x))
    dense = layers.Dense(3, "softmax", name="output")
    network = keras.Model({"image_0": picture}, dense(x))
    convolution.set_weights([kernel, np.zeros(2, "float32")])
    dense.set_weights([np.array([[30, -30, 0], [-30, 30, 0]], "float32"), np.array([0, 0, -5], "float32")])
    pictures = np.zeros((3, 16, 16, 1), "uint8")
    pictures[:, 1:7:2, 1:7] = 250  # lying
    pictures[:, 9:15, 9:15:2] = 120  # standing, and fainter
    pictures[1, 9:15, 9:15:2] = 255
    pictures[1, 1:7:2, 1:7] = 80
    pictures[2] = 0
    return network, of_classes("lying", "standing", "none", images=(Image("photo", 16, 16, 1),)), pictures


def test_the_heat_lies_in_the_quadrant_that_made_the_class() -> None:
    network, fitted, pictures = stripes()
    lying, standing, empty = found_by(network, fitted, {"image_0": pictures}, np.array([0, 0, 2]))
    assert (lying.kind, lying.columns, lying.method) == ("image", ("photo",), "Grad-CAM")
    assert (lying.target, lying.truth, standing.target, standing.truth) == ("lying", "lying", "standing", "lying")
    assert lying.values.shape == (16, 16)
    assert (lying.values.min(), lying.values.max()) == (0, 1)
    assert lying.values[:8, :8].sum() > 0.9 * lying.values.sum()
    assert standing.values[8:, 8:].sum() > 0.9 * standing.values.sum()
    np.testing.assert_array_equal(empty.values, 0)
    np.testing.assert_array_equal(standing.shown, pictures[1])
    assert np.isnan(lying.gap)


def test_a_map_smaller_than_the_picture_is_spread_over_it() -> None:
    picture = keras.Input((16, 24, 3), dtype="uint8", name="image_0")
    x = layers.Conv2D(1, 4, 4, kernel_initializer="ones")(layers.Rescaling(1 / 255)(picture))
    network = keras.Model({"image_0": picture}, layers.Dense(1, kernel_initializer="ones")(layers.GlobalMaxPooling2D()(x)))
    fitted = Preprocessor("regression", Target("y"), (), (), {}, images=(Image("photo", 16, 24, 3),))
    pictures = np.zeros((1, 16, 24, 3), "uint8")
    pictures[0, 12:, 16:20] = 255
    (one,) = found_by(network, fitted, {"image_0": pictures}, np.zeros(1))
    assert one.values.shape == (16, 24)
    assert np.unravel_index(one.values.argmax(), (16, 24))[0] >= 12
    assert 16 <= one.values[14].argmax() < 20
    assert (one.probability, one.target, one.unit) == (None, "y", "")


def test_plain_pixels_are_blotted_out() -> None:
    """The one pixel that counts is hot, and no other cell."""
    picture = keras.Input((16, 16, 1), dtype="uint8", name="image_0")
    dense = layers.Dense(1, "sigmoid")
    network = keras.Model({"image_0": picture}, dense(layers.Flatten()(layers.Rescaling(1 / 255)(picture))))
    kernel = np.zeros((256, 1), "float32")
    kernel[13 * 16 + 2] = 5
    dense.set_weights([kernel, np.zeros(1, "float32")])
    pictures = np.random.default_rng(0).integers(0, 50, (2, 16, 16, 1)).astype("uint8")
    pictures[:, 13, 2] = 255
    fitted = of_classes("no", "yes", images=(Image("photo", 16, 16, 1),))
    for one in found_by(network, fitted, {"image_0": pictures}, np.array([1, 0])):
        assert one.method == "occlusion"
        hot = np.argwhere(one.values > 0)
        assert (hot.min(axis=0).tolist(), hot.max(axis=0).tolist()) == ([12, 2], [13, 3])  # a cell of 2 x 2 pixels


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (ModelParams(family="cnn", layers=2, width=4), "Grad-CAM"),
        (ModelParams(family="cnn", layers=2, width=8, squeeze_excite=True, residual=False), "Grad-CAM"),
        (ModelParams(family="transformer", layers=1, width=4, heads=2, patch=4), "occlusion"),
        (ModelParams(family="mlp", layers=1, width=4), "occlusion"),
    ],
)
def test_only_the_last_map_of_convolutions_has_a_heat_of_gradients(model: ModelParams, method: str) -> None:
    fitted = toys.fitted("image", "multiclass")
    inputs, y = toys.rows("image", "multiclass", 2)
    found = found_by(build(fitted, model, 0), fitted, inputs, y)
    assert [one.method for one in found] == [method, method]
    assert all(one.values.shape == (toys.PIXELS, toys.PIXELS) for one in found)


def test_where_two_maps_see_the_picture_neither_is_taken_for_the_whole() -> None:
    picture = keras.Input((8, 8, 1), dtype="uint8", name="image_0")
    x = layers.Rescaling(1 / 255)(picture)
    first, second = (layers.Conv2D(2, 3, activation="relu", name=name)(x) for name in ("first", "second"))
    fitted = of_classes("no", "yes", images=(Image("photo", 8, 8, 1),))
    inputs = {"image_0": np.random.default_rng(0).integers(0, 255, (1, 8, 8, 1)).astype("uint8")}
    pool, *pools = (layers.GlobalAveragePooling2D() for _ in range(4))
    shared = pool(first) + pool(second)  # whose graph Keras tells of the first use alone
    parallel = pools[0](first) + pools[1](second)
    for x, method in ((pools[2](first + second), "Grad-CAM"), (parallel, "occlusion"), (shared, "occlusion")):
        network = keras.Model({"image_0": picture}, layers.Dense(1, "sigmoid")(x))
        assert [one.method for one in found_by(network, fitted, inputs, np.array([0]))] == [method]


# -- texts


def critic(*, weight: float = 4.0) -> tuple[keras.Model, Preprocessor]:
    """A network that reads good and bad alone."""
    ids = keras.Input((6,), dtype="int32", name="text_0")
    embedding, dense = layers.Embedding(len(WORDS), 2), layers.Dense(1, "sigmoid")
    x = Pool(("mean",))(embedding(ids), TokenMask()(ids))
    network = keras.Model({"text_0": ids}, dense(x))
    table = np.zeros((len(WORDS), 2), "float32")
    table[0] = 50  # padding must not count
    table[2], table[3] = [1, 0], [0, 1]
    embedding.set_weights([table])
    dense.set_weights([np.array([[weight], [-weight]], "float32"), np.array([0.5], "float32")])
    tokenizer = {"model": {"vocab": {word: at for at, word in enumerate(WORDS)}}}
    return network, of_classes("poor", "fine", texts=(Text("review", 6, tokenizer),))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_token_that_decides_comes_first_and_padding_has_nothing(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    network, fitted = critic()
    ids = np.array([[4, 5, 6, 7, 2, 0], [3, 4, 5, 0, 0, 0], [0, 0, 0, 0, 0, 0]], "int32")
    fine, poor, nothing = found_by(network, fitted, {"text_0": ids}, np.array([1, 1, 0]))
    assert fine.tokens == (" the", " film", "s", " is", " good")
    assert poor.tokens == (" bad", " the", " film")
    assert (fine.target, poor.target, poor.truth) == ("fine", "poor", "fine")
    assert fine.values == pytest.approx([0, 0, 0, 0, 4 / 5], abs=1e-5)
    assert poor.values == pytest.approx([4 / 3, 0, 0], abs=1e-5)  # for what is said, that is against fine
    assert (nothing.tokens, nothing.values.shape) == ((), (0,))
    if backend == "tensorflow":
        assert (fine.method, fine.unit) == ("integrated gradients", "log odds")
        assert fine.difference == pytest.approx(4 / 5, abs=1e-5)
        assert fine.gap == pytest.approx(0, abs=1e-5)
    else:
        assert fine.method == "occlusion"
        assert np.isnan(fine.gap)


def test_a_probability_that_rounds_to_1_still_has_reasons() -> None:
    network, fitted = critic(weight=200.0)
    (one,) = found_by(network, fitted, {"text_0": np.array([[4, 2, 0, 0, 0, 0]], "int32")}, np.array([1]))
    assert one.probability == 1.0
    assert one.values == pytest.approx([0, 100], rel=1e-5)


# -- sequences and forecasts


def one_step(task: str = "binary") -> tuple[keras.Model, Preprocessor]:
    """A network that reads channel 1 of step 3 alone, where the sequence is so long."""
    steps, length = keras.Input((6, 2), name="sequence"), keras.Input((), dtype="int32", name="sequence_length")
    x = Masked()(steps, LengthMask(6)(length))
    hidden, dense = layers.Dense(1, "tanh", use_bias=False), layers.Dense(1, "sigmoid" if task == "binary" else None)
    network = keras.Model({"sequence": steps, "sequence_length": length}, dense(hidden(layers.Flatten()(x))))
    kernel = np.zeros((12, 1), "float32")
    kernel[3 * 2 + 1] = 1.5
    hidden.set_weights([kernel])
    dense.set_weights([np.array([[3.0]], "float32"), np.array([1.0], "float32")])
    fitted = of_classes("no", "yes", sequence=Sequence(("s0", "s1"), 6, (10.0, 20.0), (2.0, 4.0)))
    return network, fitted if task == "binary" else replace(fitted, task="regression", target=Target("y", mean=5.0, std=7.0))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_step_and_channel_that_decide_have_everything(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    x[:, 3, 1] = [2.0, -2.0, 2.0]
    inputs = {"sequence": x, "sequence_length": np.array([6, 6, 3], "int32")}
    network, fitted = one_step()
    yes, no, short = found_by(network, fitted, inputs, np.array([1, 0, 1]))
    assert (yes.target, no.target) == ("yes", "no")
    expected = np.zeros((6, 2))
    expected[3, 1] = 3 * np.tanh(3)
    np.testing.assert_allclose(yes.values, expected, atol=1e-4)
    np.testing.assert_allclose(no.values, expected, atol=1e-4)
    np.testing.assert_array_equal(short.values, np.zeros((3, 2)))
    assert yes.columns == ("s0", "s1")
    np.testing.assert_allclose(yes.shown, x[0] * [2, 4] + [10, 20], rtol=1e-6)
    network, fitted = one_step("regression")
    (number, *_) = found_by(network, fitted, inputs, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(number.values, 7 * expected, atol=1e-3)  # in units of y
    assert (number.unit, number.truth, number.prediction) == ("y", 1.0, pytest.approx(5 + 7 * (1 + 3 * np.tanh(3)), rel=1e-5))


def test_a_forecast_owes_nothing_to_flags_of_missing_values_and_is_told_in_units() -> None:
    base = toys.fitted("exogenous", "forecast")
    assert base.forecast is not None
    target = base.forecast.targets[0]
    numbers = (Number("a", "value", center=4.0, scale=3.0), Number("z", "missing"))
    fitted = replace(base, numbers=numbers, forecast=replace(base.forecast, targets=(target,)))
    network = build(fitted, SMALL.model_copy(update={"family": "rnn"}), 0)
    rng = np.random.default_rng(0)
    series = np.stack([rng.normal(size=(2, toys.STEPS)), rng.integers(0, 2, (2, toys.STEPS))], axis=2).astype("float32")
    shifted = series * np.array([0, 1], "float32")
    raw, before = (network.predict_on_batch({"series": given}).mean(axis=(1, 2)) for given in (series, shifted))
    found = found_by(network, fitted, {"series": series}, np.ones((2, toys.HORIZON, 1)))
    for at, one in enumerate(found):
        assert (one.kind, one.columns, one.unit) == ("forecast", ("a", "z (missing)"), "a")
        np.testing.assert_array_equal(one.values[:, 1], 0)
        assert one.values.sum() == pytest.approx(target.std * (raw[at] - before[at]), rel=0.03)
        np.testing.assert_allclose(one.shown[:, 0], series[at, :, 0] * 3 + 4, rtol=1e-5)
        assert one.prediction == pytest.approx(target.std * raw[at] + target.mean, rel=1e-5)


# -- what holds of all


@pytest.mark.parametrize(
    ("kind", "task", "family"),
    [
        ("text", "multiclass", "transformer"),
        ("text", "multiclass", "rnn"),
        ("sequence", "multiclass", "cnn"),
        ("series", "forecast", "transformer"),
    ],
)
def test_integrated_gradients_add_up_to_what_the_score_gains_over_the_baseline(kind: str, task: str, family: str) -> None:
    """Completeness: within 3% of a difference that is computed here, from a network without embeddings or a row of zeros."""
    fitted = toys.fitted(kind, task)
    inputs, y = toys.rows(kind, task, 3)
    network = build(fitted, SMALL.model_copy(update={"family": family}), 0)
    rng = np.random.default_rng(1)
    network.set_weights([weight + 0.3 * rng.normal(size=weight.shape).astype("float32") for weight in network.get_weights()])
    found = found_by(network, fitted, inputs, y)
    answers = network.predict_on_batch(inputs)
    if kind == "text":
        embedding = network.get_layer("text_0_embedding")
        embedding.set_weights([np.zeros_like(embedding.get_weights()[0])])
        before = network.predict_on_batch(inputs)
    else:
        name = {"sequence": "sequence", "series": "series"}[kind]
        before = network.predict_on_batch({**inputs, name: np.zeros_like(inputs[name])})
    for at, one in enumerate(found):
        code = int(answers[at].argmax()) if task == "multiclass" else 0
        score = (lambda raw, code=code: log_odds(raw, code)) if task == "multiclass" else np.mean
        expected = score(answers[at]) - score(before[at])
        assert abs(expected) > 0.01
        assert one.difference == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert one.values.sum() == pytest.approx(expected, rel=0.03, abs=1e-4)
        assert one.gap <= 0.02
        assert np.abs(one.values).max() > 0


def test_every_column_of_a_row_of_several_kinds_is_explained_and_no_argument_changes() -> None:
    fitted = toys.fitted("mixed", "binary")
    inputs, y = toys.rows("mixed", "binary", 2)
    network = build(fitted, SMALL.model_copy(update={"family": "mlp"}), 0)
    before = {name: block.copy() for name, block in inputs.items()}
    weights = network.get_weights()
    found = found_by(network, fitted, inputs, y)
    assert [(one.row, one.columns) for one in found] == [
        (row, columns) for columns in (("photo",), ("words",), ("s0", "s1")) for row in (0, 1)
    ]
    assert all(np.isfinite(one.values).all() and one.values.any() for one in found)
    for name, block in before.items():
        np.testing.assert_array_equal(inputs[name], block)
    for weight, now in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)
    length = int(inputs["sequence_length"][1])
    assert found[5].values.shape == (length, 2)


def test_the_same_rows_have_the_same_attributions_alone_and_among_others() -> None:
    network, fitted = one_step()
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    inputs, y = {"sequence": x, "sequence_length": np.array([6, 4, 5], "int32")}, np.array([0, 1, 0])
    found, again = (found_by(network, fitted, inputs, y) for _ in range(2))
    (alone,) = found_by(network, fitted, {name: block[1:2] for name, block in inputs.items()}, y[1:2])
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_allclose(found[1].values, alone.values, atol=1e-6)
    assert found[1].values.any()


def test_a_loaded_ensemble_has_the_mean_of_its_networks(tmp_path: Path) -> None:
    fitted = toys.fitted("text", "multiclass")
    inputs, y = toys.rows("text", "multiclass", 2)
    networks = [build(fitted, SMALL.model_copy(update={"family": "mlp"}), seed) for seed in (0, 1)]
    save(mean(networks), tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    answers = outputs(loaded, fitted, inputs)
    whole = attribute(loaded, fitted, inputs, y, answers)
    parts = [attribute(network, fitted, inputs, y, answers) for network in networks]
    for one, first, second in zip(whole, *parts, strict=True):
        assert one.method == "integrated gradients"
        assert np.abs(first.values - second.values).max() > 1e-3
        np.testing.assert_allclose(one.values, (first.values + second.values) / 2, atol=1e-6)


def test_members_that_answer_as_one_are_explained_as_one() -> None:
    fitted = toys.fitted("text", "binary")
    inputs, y = toys.rows("text", "binary", 2)
    network = build(fitted, SMALL.model_copy(update={"family": "mlp", "members": 2}), 0)
    for one, other in zip(*(found_by(asked, fitted, inputs, y) for asked in (serving(network), network)), strict=True):
        assert one.gap <= 0.02
        assert one.difference != 0
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)


def test_no_rows_tables_and_sounds_have_nothing() -> None:
    network, fitted = critic()
    assert found_by_none(network, fitted, {"text_0": np.zeros((0, 6), "int32")}) == ()
    for kind in ("table", "audio"):
        fitted = toys.fitted(kind, "binary")
        inputs, y = toys.rows(kind, "binary", 4)
        assert found_by(build(fitted, SMALL, 0), fitted, inputs, y) == ()
        assert len(chosen(fitted, y, np.full(4, 0.3), np.arange(4))) == 0
    network, fitted = critic()
    with pytest.raises(ValueError, match="at most 12 rows, got 13"):
        attribute(network, fitted, {"text_0": np.ones((13, 6), "int32")}, np.zeros(13, int), np.full(13, 0.5))


def found_by_none(network: keras.Model, fitted: Preprocessor, inputs: dict[str, np.ndarray]) -> tuple[Attribution, ...]:
    return attribute(network, fitted, inputs, np.zeros(0, int), np.zeros(0))


# -- which rows, and what is shown of them


def test_the_surest_errors_come_first_then_right_answers_of_all_classes() -> None:
    fitted = toys.fitted("text", "multiclass")
    shares = np.array([[9, 1, 0], [8, 1, 1], [7, 2, 1], [3, 7, 0], [0, 4, 6], [6, 3, 1], [1, 8, 1], [10, 0, 0]]) / 10
    y = np.array([0, 0, 0, 1, 0, 1, 0, 1])
    assert chosen(fitted, y, shares, np.arange(8)).tolist() == [7, 6, 0, 3]
    assert chosen(fitted, y, shares, np.arange(8), most=7).tolist() == [7, 6, 4, 5, 0, 3, 1]
    assert chosen(fitted, y, shares, np.array([0, 0, 0, 1, 2, 3, 4, 4])).tolist() == [7, 4, 0, 3]  # 6 is of the group of 7
    assert chosen(fitted, y[:4], shares[:4], np.arange(4)).tolist() == [0, 3, 1, 2]  # no error
    assert chosen(fitted, 2 - y[4:5], shares[4:5] * 0 + [0.1, 0.2, 0.7], np.arange(1)).tolist() == [0]


def test_of_numbers_the_largest_and_the_smallest_errors() -> None:
    regression = toys.fitted("image", "regression")
    error = np.array([0.0, 5.0, -3.0, 0.1, 2.0, -9.0])
    assert chosen(regression, np.zeros(6), error, np.arange(6), most=4).tolist() == [5, 1, 0, 3]
    forecast = toys.fitted("series", "forecast")  # deviations 2 and 0.5
    answers = np.zeros((4, toys.HORIZON, 2))
    answers[0, :, 0], answers[1, :, 1], answers[2, :, 0] = 2.0, 1.0, 3.0
    assert chosen(forecast, np.zeros_like(answers), answers, np.arange(4), most=2).tolist() == [1, 3]
    assert chosen(forecast, np.zeros_like(answers), answers, np.array([0, 0, 1, 1]), most=2).tolist() == [1, 3]


def some(kind: str, count: int, **more: object) -> list[Attribution]:
    rng = np.random.default_rng(0)
    told = {"method": "integrated gradients", "unit": "log odds", "probability": 0.834, "target": "b", "prediction": "b", "difference": 1.0}
    made = {
        "image": lambda: {"columns": ("photo",), "values": rng.uniform(size=(90, 60)), "shown": rng.integers(0, 256, (90, 60, 3))},
        "text": lambda: {
            "columns": ("review",),
            "values": rng.normal(size=150),
            "shown": np.ones(150),
            "tokens": (*(f" word{at}" for at in range(149)), " 漢\n$"),
        },
        "sequence": lambda: {"columns": tuple("abcde"), "values": rng.normal(size=(80, 5)), "shown": rng.normal(size=(80, 5)).cumsum(0)},
        "forecast": lambda: {"columns": ("co2",), "values": rng.normal(size=(80, 1)), "shown": rng.normal(size=(80, 1)).cumsum(0)},
    }[kind]
    rows = [{**told, **made(), "row": at, "kind": kind, "truth": "b" if at >= count // 2 else "a", **more} for at in range(count)]
    return [Attribution(**row) for row in rows]  # type: ignore[arg-type]


def test_the_table_has_a_row_for_every_token_step_and_channel_and_cells_of_pictures() -> None:
    network, fitted = critic()
    ids = np.array([[4, 2, 0, 0, 0, 0]], "int32")
    first, second = rows_of(attribute(network, fitted, {"text_0": ids}, np.array([0]), np.array([0.8]), np.array([41])))
    assert first == {
        "row": 41, "kind": "text", "column": "review", "method": "integrated gradients", "target": "fine",
        "place": 1, "part": "the", "attribution": pytest.approx(0, abs=1e-6),
    }  # fmt: skip
    assert (second["place"], second["part"], second["attribution"]) == (2, "good", pytest.approx(2, rel=1e-5))
    (sequence,) = some("sequence", 1)
    table = rows_of([sequence])
    assert len(table) == 400
    assert (table[7]["place"], table[7]["part"], table[7]["attribution"]) == (2, "c", sequence.values[1, 2])
    (picture,) = some("image", 1)
    cells = rows_of([picture])
    assert len(cells) == 256
    assert (cells[0]["part"], cells[-1]["part"]) == ("y 0-5, x 0-3", "y 84-89, x 56-59")
    assert cells[0]["attribution"] == pytest.approx(picture.values[:6, :4].mean())


@pytest.mark.parametrize(("kind", "count"), [("image", 6), ("text", 6), ("sequence", 4), ("forecast", 1)])
def test_the_figure_says_what_was_said_and_is_small(kind: str, count: int, tmp_path: Path) -> None:
    numbers = {"probability": None, "truth": 4.0, "prediction": 3.5, "unit": "co2", "target": "co2"} if kind == "forecast" else {}
    figure = attribution_figures.attribution(some(kind, count, **numbers))
    figures.save(figure, tmp_path / "attribution.png")
    assert (tmp_path / "attribution.png").stat().st_size < 300_000
    titles = [axes.get_title(loc="left").replace("\n", ", ") for axes in figure.axes if axes.get_title(loc="left")]
    if kind == "forecast":
        assert titles == ["row 0: said 3.5, was 4"]
        assert "(1 answer)" in figure.get_suptitle()
        return
    shown = {"image": range(6), "text": (0, 1, 3, 5), "sequence": range(4)}[kind]
    assert titles == [f"row {at}: said b (83%), {'✗ was a' if at < count // 2 else '✓ right'}" for at in shown]
    assert f"({Counter(at < count // 2 for at in shown)[True]} wrong" in figure.get_suptitle()


def test_the_strongest_token_is_on_the_line_and_its_colour_is_the_deepest() -> None:
    (one,) = some("text", 1)
    values = np.zeros(150)
    values[149], values[100] = -4.0, 2.0
    figure = attribution_figures.attribution([replace(one, values=values)])
    (axes,) = (axes for axes in figure.axes if axes.patches)
    written = [text.get_text().strip() for text in axes.texts]
    assert written[0] == "…"
    assert written[-1] == "□↵\\$"  # what the font has not, a line break, and no formula
    assert len(written) <= 61
    depths = {round(patch.get_alpha(), 2) for patch in axes.patches}
    assert depths <= {0.7, 0.35, 0.42, 0.28}
    assert max(axes.patches, key=lambda patch: patch.get_alpha()).get_facecolor()[:3] == pytest.approx((189 / 255, 31 / 255, 1 / 255))


def test_a_figure_of_nothing_is_an_error_and_rows_without_tokens_or_weight_are_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no attribution to show"):
        attribution_figures.attribution(())
    empty = some("text", 1, values=np.zeros(0), shown=np.zeros(0), tokens=())
    flat = some("sequence", 1, values=np.zeros((0, 5)), shown=np.zeros((0, 5)))
    figure = attribution_figures.attribution([*empty, *flat])
    figures.save(figure, tmp_path / "empty.png")
    assert figure.get_suptitle().startswith("No tokens have weight")
