import json
import zipfile

import keras
import numpy as np
import pytest
import toys
from conftest_models import preprocessor

from pipeline.config import ModelParams
from pipeline.errors import UserError
from pipeline.models import columns
from pipeline.models.build import build, save, serving


def params(**keys):
    return ModelParams(**{"layers": 2, "width": 4, "bins": 4, "embedding": 2, **keys})


def some_inputs(rows=3):
    rng = np.random.default_rng(0)
    return {"number": rng.normal(size=(rows, 2)).astype("float32"), "category": np.array([[0], [1], [2]], "int32")[:rows]}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("keys", [{}, {"layers": 0}, {"bins": 0}, {"activation": "tanh"}])
def test_outputs_have_the_shape_and_range_of_the_task(task, keys):
    network = build(preprocessor(task), params(**keys), seed=1)
    raw = network.predict(some_inputs(), verbose=0)
    assert raw.shape == (3, 3 if task == "multiclass" else 1)
    if task != "regression":
        assert ((raw >= 0) & (raw <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(raw.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(("numbers", "categories"), [(2, 0), (0, 2)])
def test_inputs_that_the_data_lack_are_left_out(numbers, categories):
    network = build(preprocessor("binary", numbers, categories), params(), seed=1)
    assert set(network.input) == ({"number"} if numbers else {"category"})


def test_a_category_column_of_rare_values_only_adds_nothing():
    fitted = preprocessor("binary", 1, 1)
    empty = type(fitted.categories[0])("rare", ())
    fitted = type(fitted)(fitted.task, fitted.target, fitted.numbers, (*fitted.categories, empty), {})
    network = build(fitted, params(), seed=1)
    codes = np.array([[1, 0], [2, 0]], "int32")
    assert network.predict({"number": np.zeros((2, 1), "float32"), "category": codes}, verbose=0).shape == (2, 1)


def test_one_seed_gives_one_set_of_weights():
    first, again, other = (build(preprocessor("binary"), params(), seed=seed).get_weights() for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("key", ["activation", "initializer"])
def test_an_unknown_activation_or_initializer_is_named(key):
    with pytest.raises(UserError, match=rf"model\.{key}: 'relux' is no {key} of Keras"):
        build(preprocessor("binary"), params(**{key: "relux"}), seed=1)


def test_initialization_follows_the_activation_unless_named():
    def kernel(**keys):
        network = build(preprocessor("binary", 3, 0), params(width=400, bins=0, **keys), seed=1)
        return np.asarray(network.get_layer("hidden_2").kernel)

    assert kernel(activation="relu").std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)  # He
    assert kernel(activation="selu").std() == pytest.approx((1 / 400) ** 0.5, rel=0.02)  # LeCun
    assert np.abs(kernel(activation="tanh")).max() == pytest.approx((6 / 800) ** 0.5, rel=0.01)  # Glorot
    named = kernel(activation="relu", initializer="orthogonal")
    np.testing.assert_allclose(named @ named.T, np.eye(400), atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"normalization": "layer"}, {"norm_1", "hidden_1_silu"}),
        ({"normalization": "batch"}, {"norm_2", "hidden_2_silu"}),
        ({"residual": True, "stochastic_depth": 0.5}, {"add_2", "add_2_depth"}),
        ({"number_encoding": "periodic"}, {"periodic", "number_embedding"}),
        ({"one_hot": 1}, {"category_embedding", "categories"}),
        ({"members": 3}, {"members", "output"}),
    ],
)
def test_options_of_a_table_s_network(keys, names):
    network = build(preprocessor("binary", 2, 1), params(**keys), seed=1)
    assert names <= {layer.name for layer in network.layers}
    assert np.isfinite(serving(network).predict(some_inputs(), verbose=0)).all()


def test_a_residual_layer_adds_to_what_it_is_given_and_is_left_out_for_a_share_of_rows():
    network = build(preprocessor("binary", 2, 0), params(residual=True, stochastic_depth=0.5, dropout=0.0), seed=1)
    numbers = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")
    inner = keras.Model(network.input, [network.get_layer(name).output for name in ("dropout_1", "dropout_2", "add_2")])
    before, branch, after = (np.asarray(out) for out in inner({"number": numbers}, training=False))
    np.testing.assert_allclose(after, before + branch, rtol=1e-6)
    before, branch, after = (np.asarray(out) for out in inner({"number": numbers}, training=True))
    left_out = np.isclose(after, before).all(axis=1)
    assert 0.4 < left_out.mean() < 0.6
    np.testing.assert_allclose(after[~left_out], (before + 2 * branch)[~left_out], rtol=1e-4, atol=1e-5)  # kept on average


def test_serving_shares_its_weights_and_is_the_network_itself_without_members():
    alone = build(preprocessor("binary"), params(), seed=1)
    assert serving(alone) is alone
    network = build(preprocessor("binary"), params(members=3), seed=1)
    asked = serving(network)
    assert [weight.path for weight in asked.weights] == [weight.path for weight in network.weights]
    network.set_weights([np.zeros_like(weight) for weight in network.get_weights()])
    np.testing.assert_allclose(asked.predict(some_inputs(), verbose=0), 0.5)


def test_edges_are_distinct_train_quantiles():
    grid = tuple([0.0] * 200 + list(np.linspace(0, 1, 57)))
    found = columns.edges(grid, 8)
    assert found == sorted(set(found))
    assert found[0] == 0.0
    assert found[-1] == 1.0


def test_saving_twice_gives_the_same_bytes_and_the_same_answers(tmp_path):
    network = build(preprocessor("multiclass"), params(), seed=1)
    save(network, tmp_path / "a.keras")
    save(build(preprocessor("multiclass"), params(), seed=1), tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert json.loads(archive.read("metadata.json"))["date_saved"] == "1980-01-01@00:00:00"
    again = keras.models.load_model(tmp_path / "a.keras", compile=False)
    np.testing.assert_array_equal(again.predict(some_inputs(), verbose=0), network.predict(some_inputs(), verbose=0))


def units(network, kind):
    return [layer.units for layer in network.layers if isinstance(layer, kind)]


def test_each_layer_may_have_a_width_of_its_own():
    table = build(toys.fitted("table", "binary"), ModelParams(layers=3, width=(5, 6, 6), residual=True, bins=0), 0)
    assert units(table, keras.layers.Dense)[-4:] == [5, 6, 6, 1]
    assert [layer.name for layer in table.layers if isinstance(layer, keras.layers.Add)] == ["add_3"]  # only equal widths add
    steps = build(toys.fitted("sequence", "binary"), ModelParams(layers=2, width=(4, 3), bidirectional=False), 0)
    assert units(steps, keras.layers.LSTM) == [4, 3]
    picture = build(toys.fitted("image", "binary"), ModelParams(layers=2, width=(4, 6)), 0)
    assert {layer.filters for layer in picture.layers if isinstance(layer, keras.layers.Conv2D)} == {4, 6}
    modules = build(toys.fitted("sequence", "binary"), ModelParams(family="cnn", layers=2, width=(4, 6)), 0)
    assert {layer.filters for layer in modules.layers if isinstance(layer, keras.layers.Conv1D)} == {4, 6}
    mixed = build(toys.fitted("mixed", "binary"), ModelParams(layers=2, width=(8, 8)), 0)
    assert mixed.get_layer("joint").units == 8
    same = build(toys.fitted("text", "binary"), ModelParams(layers=2, width=(8, 8)), 0)
    assert same.count_params() == build(toys.fitted("text", "binary"), ModelParams(layers=2, width=8), 0).count_params()


def test_widths_that_do_not_fit_the_layers_are_refused():
    with pytest.raises(UserError, match=r"model\.width: expected one width, or a list of 2, one for each layer, got a list of 3"):
        build(toys.fitted("table", "binary"), ModelParams(layers=2, width=(4, 4, 4)), 0)
    with pytest.raises(UserError, match=r"model\.width: all blocks of a transformer have one width, got 8, 4"):
        build(toys.fitted("text", "binary"), ModelParams(layers=2, width=(8, 4)), 0)
