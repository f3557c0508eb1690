import json
import zipfile

import keras
import numpy as np
import pytest
from conftest_models import preprocessor

from pipeline.config import ModelParams
from pipeline.errors import UserError
from pipeline.models import heads, mlp
from pipeline.models.build import build, save


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


def test_unknown_activation_is_named():
    with pytest.raises(UserError, match=r"model\.activation: 'relux' is no activation"):
        build(preprocessor("binary"), params(activation="relux"), seed=1)


def test_edges_are_distinct_train_quantiles():
    grid = tuple([0.0] * 200 + list(np.linspace(0, 1, 57)))
    found = mlp.edges(grid, 8)
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


def test_regression_target_is_standardized_for_training_and_restored_in_predictions():
    fitted = preprocessor("regression")
    np.testing.assert_allclose(heads.training_target(np.array([10.0, 14.0], "float32"), fitted.target), [0.0, 2.0])
    np.testing.assert_allclose(heads.predictions(np.array([[0.0], [2.0]], "float32"), fitted), [10.0, 14.0])
