import keras
import numpy as np
import pytest
import toys

from pipeline.config import TrainParams
from pipeline.data.fitted import Target
from pipeline.errors import UserError
from pipeline.models import heads


def loss(task, y, p, kind="table", **keys):
    made = heads.loss(toys.fitted(kind, task), TrainParams(**keys))
    return np.asarray(
        made.call(keras.ops.convert_to_tensor(np.asarray(y, "float32")), keras.ops.convert_to_tensor(np.asarray(p, "float32")))
    )


def test_losses_are_one_number_a_row():
    np.testing.assert_allclose(loss("binary", [1, 0], [[0.8], [0.5]]), -np.log([0.8, 0.5]), rtol=1e-5)
    np.testing.assert_allclose(loss("multiclass", [[2], [0]], [[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]), -np.log([0.7, 0.5]), rtol=1e-5)
    np.testing.assert_allclose(loss("regression", [1.0, 3.0], [[3.0], [3.0]]), [4.0, 0.0])
    np.testing.assert_allclose(loss("regression", [1.0, 3.0], [[3.0], [3.0]], loss="mae"), [2.0, 0.0])
    np.testing.assert_allclose(loss("regression", [1.0, 3.0], [[3.0], [3.5]], loss="huber"), [1.5, 0.125])


def test_a_forecast_s_loss_is_the_mean_over_steps_and_targets():
    y, p = np.zeros((2, 3, 2)), np.zeros((2, 3, 2))
    p[0, 0] = 1.0, 3.0
    np.testing.assert_allclose(loss("forecast", y, p, "series", loss="mse"), [10 / 6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(loss("forecast", y, p, "series"), [(0.5 + 2.5) / 6, 0.0], rtol=1e-6)  # Huber's


def test_every_member_has_its_own_loss():
    p = np.array([[[0.8], [0.4]]])
    np.testing.assert_allclose(loss("binary", [1], p), [-np.log([0.8, 0.4]).mean()], rtol=1e-5)  # not the loss of the mean, 0.6
    q = np.array([[[0.8, 0.1, 0.1], [0.4, 0.3, 0.3]]])
    np.testing.assert_allclose(loss("multiclass", [0], q), [-np.log([0.8, 0.4]).mean()], rtol=1e-5)
    np.testing.assert_allclose(loss("regression", [1.0], [[[2.0], [4.0]]]), [5.0])
    np.testing.assert_allclose(loss("forecast", np.ones((1, 3, 2)), np.zeros((1, 5, 3, 2)), "series", loss="mse"), [1.0])


def test_mixed_rows_have_shares_for_targets():
    p = [[0.5, 0.3, 0.2]]
    np.testing.assert_allclose(loss("multiclass", [[0.25, 0.75, 0.0]], p), [-0.25 * np.log(0.5) - 0.75 * np.log(0.3)], rtol=1e-5)
    np.testing.assert_allclose(loss("binary", [[0.25]], [[0.5]]), [-np.log(0.5)], rtol=1e-5)


def test_label_smoothing_and_focal():
    smooth = -(0.9 + 0.1 / 3) * np.log(0.7) - 0.1 / 3 * (np.log(0.2) + np.log(0.1))
    np.testing.assert_allclose(loss("multiclass", [0], [[0.7, 0.2, 0.1]], label_smoothing=0.1), [smooth], rtol=1e-5)
    np.testing.assert_allclose(loss("binary", [1], [[0.8]], label_smoothing=0.1), [-0.95 * np.log(0.8) - 0.05 * np.log(0.2)], rtol=1e-5)
    np.testing.assert_allclose(loss("binary", [1], [[0.8]], focal=2.0), [-(0.2**2) * np.log(0.8)], rtol=1e-5)
    np.testing.assert_allclose(loss("multiclass", [0], [[0.7, 0.2, 0.1]], focal=2.0), [-(0.3**2) * np.log(0.7)], rtol=1e-5)


def test_a_loss_for_another_kind_of_task_is_refused():
    with pytest.raises(UserError, match=r"train\.loss: mae is for numbers, but y has classes; set train.loss: auto"):
        loss("binary", [1], [[0.5]], loss="mae")
    for key, value in (("label_smoothing", 0.1), ("focal", 2.0)):
        with pytest.raises(UserError, match=rf"train\.{key}: is for classes, but regression predicts numbers; set it to 0"):
            loss("regression", [1], [[0.5]], **{key: value})


def test_a_regression_s_target_is_standardized_for_training_and_restored_in_predictions():
    fitted = toys.fitted("table", "regression")
    np.testing.assert_allclose(heads.training_target(np.array([10.0, 14.0], "float32"), fitted.target), [0.0, 2.0])
    np.testing.assert_allclose(heads.predictions(np.array([[0.0], [2.0]], "float32"), fitted), [10.0, 14.0])


def test_each_target_of_a_forecast_has_its_own_scale():
    fitted = toys.fitted("series", "forecast")
    units = np.array([[[5.0, -1.0], [7.0, -0.5]]], "float32")  # one window, two steps
    learnt = heads.training_target(units, fitted.forecast.targets)
    np.testing.assert_allclose(learnt, [[[0.0, 0.0], [1.0, 1.0]]])
    np.testing.assert_allclose(heads.predictions(learnt, fitted), units)


def test_predictions_average_members_and_make_probabilities_sum_to_one():
    raw = np.array([[[0.2, 0.2, 0.6], [0.4, 0.4, 0.2001]]], "float32")
    found = heads.predictions(raw, toys.fitted("table", "multiclass"))
    np.testing.assert_allclose(found, [[0.3, 0.3, 0.4]], atol=1e-4)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(heads.predictions(np.array([[[0.2], [0.4]]], "float32"), toys.fitted("table", "binary")), [0.3])


def test_codes_of_classes_are_learnt_as_they_are():
    codes = np.array([0, 2], "int32")
    assert heads.training_target(codes, Target("y", ("a", "b", "c"))) is codes
