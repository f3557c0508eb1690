import keras
import numpy as np
import pytest

from pipeline.models.layers import OneHot, PiecewiseLinear


def test_piecewise_linear_fills_bins_from_the_left_and_clips_outside():
    layer = PiecewiseLinear([[0.0, 1.0, 3.0], [-1.0, 1.0]])
    x = np.array([[-5.0, 0.0], [0.5, -1.0], [2.0, 1.0], [9.0, 9.0]], "float32")
    expected = [[[0, 0], [0.5, 0]], [[0.5, 0], [0, 0]], [[1, 0.5], [1, 0]], [[1, 1], [1, 0]]]
    np.testing.assert_allclose(np.asarray(layer(x)), expected, atol=1e-6)


def test_piecewise_linear_of_a_feature_with_one_edge_is_zero():
    np.testing.assert_array_equal(np.asarray(PiecewiseLinear([[2.0]])(np.array([[2.0]], "float32"))), [[[0.0]]])


def test_one_hot_joins_columns_and_lights_nothing_for_code_0():
    found = np.asarray(OneHot([2, 3])(np.array([[1, 3], [0, 0], [2, 1]], "int32")))
    np.testing.assert_array_equal(found, [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]])


@pytest.mark.parametrize("layer", [PiecewiseLinear([[0.0, 0.5, 1.0], [0.0, 1.0]], name="p"), OneHot([2, 1], name="o")])
def test_layers_survive_saving(layer, tmp_path):
    kind = "int32" if isinstance(layer, OneHot) else "float32"
    inputs = keras.Input((2,), dtype=kind)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "m.keras")
    x = np.array([[1, 0], [0, 1]], kind)
    again = keras.models.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
