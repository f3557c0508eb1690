import keras
import numpy as np
import pytest

from pipeline.data.fitted import Target
from pipeline.models import heads, instance, layers, members, steps
from pipeline.models.instance import Freed, FromRows, Level, Restored, ToRows, ToTarget
from pipeline.models.layers import ColumnEmbedding, OneHot, Periodic, PiecewiseLinear, Take
from pipeline.models.members import MemberDense, MemberMean, Members
from pipeline.models.steps import LengthMask, Masked, Pool, StepNormalization, TokenMask, sinusoids


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


def test_periodic_gives_sines_and_cosines_of_each_number():
    layer = Periodic(2, scale=0.5)
    layer.build((None, 1))
    layer.rates.assign([[0.25, 1.0]])
    np.testing.assert_allclose(np.asarray(layer(np.array([[1.0]], "float32"))), [[[1.0, 0.0, 0.0, 1.0]]], atol=1e-6)


def test_a_column_embedding_has_a_vector_for_each_code_of_each_column():
    layer = ColumnEmbedding([1, 2], 2, stddev=1.0)
    layer.build((None, 2))
    table = np.arange(10, dtype="float32").reshape(5, 2)  # codes 0, 1 of the first column, 0, 1, 2 of the second
    layer.embeddings.assign(table)
    found = np.asarray(layer(np.array([[0, 0], [1, 2]], "int32")))
    np.testing.assert_array_equal(found, [[table[0], table[2]], [table[1], table[4]]])


def test_take_picks_places_of_the_last_axis():
    np.testing.assert_array_equal(np.asarray(Take([2, 0])(np.array([[1, 2, 3]], "int32"))), [[3, 1]])


def test_member_dense_is_a_dense_layer_of_scaled_inputs_and_outputs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 2, 4)).astype("float32")  # (batch, members, width)
    layer = MemberDense(5, "tanh")
    layer(x)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    kernel, r, s, bias = (np.asarray(weight) for weight in (layer.kernel, layer.input_scale, layer.output_scale, layer.bias))
    each = [np.tanh(((x[:, k] * r[k]) @ kernel) * s[k] + bias[k]) for k in range(2)]
    np.testing.assert_allclose(np.asarray(layer(x)), np.stack(each, axis=1), rtol=1e-4, atol=1e-5)


def test_members_start_with_signs_of_their_own():
    layer = Members(4)
    found = np.asarray(layer(np.ones((1, 64), "float32")))[0]
    assert set(np.unique(found)) == {-1.0, 1.0}
    assert 0.3 < (found == 1).mean() < 0.7
    assert len({row.tobytes() for row in found}) == 4
    np.testing.assert_allclose(np.asarray(MemberMean()(found[None])), found.mean(axis=0)[None], atol=1e-6)


def test_masks_end_with_the_last_step_and_hold_at_least_the_first():
    np.testing.assert_array_equal(np.asarray(LengthMask(3)(np.array([0, 2, 9], "int32"))), [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    # three steps a patch: the second patch is there where the fourth step is
    np.testing.assert_array_equal(np.asarray(LengthMask(2, stride=3)(np.array([3, 4], "int32"))), [[1, 0], [1, 1]])
    ids = np.array([[5, 0, 7, 0], [0, 0, 0, 0], [1, 2, 3, 4]], "int32")  # a dropped token within a text is a step still
    np.testing.assert_array_equal(np.asarray(TokenMask()(ids)), [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])


def test_pool_takes_the_steps_that_are_there():
    x = np.array([[[1.0, -1.0], [3.0, -5.0], [9.0, 9.0]]], "float32")
    there = np.array([[True, True, False]])
    np.testing.assert_allclose(np.asarray(Pool(["mean", "max", "last"])(x, there)), [[2, -3, 3, -1, 3, -5]])
    np.testing.assert_allclose(np.asarray(Pool(["mean", "last"])(x)), [[13 / 3, 1, 9, 9]], rtol=1e-6)


def test_masked_puts_zeros_or_what_no_maximum_takes():
    x, there = np.ones((1, 2, 1), "float32"), np.array([[True, False]])
    np.testing.assert_array_equal(np.asarray(Masked()(x, there)), [[[1], [0]]])
    np.testing.assert_array_equal(np.asarray(Masked(low=True)(x, there)), [[[1], [-1e4]]])


def test_batch_statistics_are_of_the_steps_that_are_there():
    layer = StepNormalization(epsilon=1e-6)
    x = np.array([[[1.0], [3.0], [1000.0]]], "float32")
    found = np.asarray(layer(x, mask=np.array([[True, True, False]]), training=True))
    np.testing.assert_allclose(found[0, :2, 0], [-1, 1], atol=1e-4)


def test_sinusoids_tell_places_apart():
    places = sinusoids(50, 8)
    np.testing.assert_allclose(places[0], [0] * 4 + [1] * 4)
    np.testing.assert_allclose(places[3, 0], np.sin(3), rtol=1e-6)
    assert np.unique(places.round(4), axis=0).shape == (50, 8)


def test_levels_are_taken_from_a_window_and_given_back():
    x = np.array([[[1.0], [2.0], [6.0]]], "float32")
    for kind, level, spread in (("last", 6, 1), ("mean", 3, 1), ("standardize", 3, np.std([1, 2, 6])), ("none", 0, 1)):
        found = [np.asarray(part) for part in Level(kind)(x)]
        np.testing.assert_allclose([part.item() for part in found], [level, spread], rtol=1e-4)
        free = Freed()(x, *found)
        np.testing.assert_allclose(np.asarray(Restored()(free, *found)), x, rtol=1e-5)
        members = np.stack([np.asarray(free)] * 2, axis=1)
        np.testing.assert_allclose(np.asarray(Restored()(members, *found))[:, 1], x, rtol=1e-5)


def scale(**keys):
    base = {
        "at": 0,
        "center": 0.0,
        "scale": 1.0,
        "log": 0.0,
        "knots": [],
        "ranks": [],
        "transform": "standardize",
        "mean": 10.0,
        "std": 2.0,
    }
    return base | {"unit": 1.0, "to_center": 0.5, "to_scale": 2.0} | keys


@pytest.mark.parametrize("log", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("transform", ["standardize", "none", "log"])
def test_a_channel_is_brought_to_the_scale_of_its_target(transform, log):
    value = np.array([0.3, 7.0, 60.0])
    z = (np.sign(value) * np.log1p(np.abs(value) / log) if log else value) / 3 - 0.7
    made = ToTarget([scale(transform=transform, log=log, scale=3.0, center=2.1)])
    target = Target("y", mean=10.0, std=2.0, transform=transform, unit=1.0, center=0.5, scale=2.0)
    found = np.asarray(made(z[None, :, None].astype("float32")))[0, :, 0]
    np.testing.assert_allclose(found, heads.training_target(value, target), rtol=1e-4, atol=1e-4)


def test_a_channel_scaled_by_rank_is_brought_back_too():
    made = ToTarget([scale(transform="none", knots=[0.0, 1.0, 10.0], ranks=[-2.0, 0.0, 2.0])])
    z = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 5.0], "float32")
    np.testing.assert_allclose(np.asarray(made(z[None, :, None]))[0, :, 0], [0, 0.5, 1, 5.5, 10, 10], rtol=1e-5)


def test_channels_become_rows_and_rows_channels():
    x = np.arange(12, dtype="float32").reshape(2, 3, 2)  # (batch, steps, channels)
    rows = np.asarray(ToRows()(x))
    np.testing.assert_array_equal(rows[:, :, 0], [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]])
    np.testing.assert_array_equal(np.asarray(FromRows(2)(rows[:, :, 0])), x)
    beside = np.asarray(ToRows()(x, -x[:, :, :1]))
    assert beside.shape == (4, 3, 2)
    np.testing.assert_array_equal(beside[3, :, 1], [-6, -8, -10])


OWN = [cls for name, cls in keras.saving.get_custom_objects().items() if name.startswith("pipeline>")]


def test_every_layer_of_ours_is_known_to_keras_under_the_name_of_the_pipeline():
    ours = {cls for module in (layers, members, steps, instance) for cls in vars(module).values() if isinstance(cls, type)}
    ours = {cls for cls in ours if issubclass(cls, keras.layers.Layer) and cls.__module__.startswith("pipeline.")}
    assert ours == set(OWN)
    assert len(ours) >= 15
