import numpy as np
import pytest

from pipeline.config import TrainParams
from pipeline.models.schedules import plateaus, rates


def course(losses=(), **keys):
    """The rates of all epochs, ten steps each."""
    params = TrainParams(**{"epochs": 10, "learning_rate": 0.5, **keys})
    return np.concatenate([rates(params, epoch=at, steps=10, losses=losses[:at]) for at in range(params.epochs)])


def test_cosine_warms_up_to_the_rate_and_falls_to_zero():
    rate = course(schedule="cosine", warmup_epochs=2)
    np.testing.assert_allclose(rate[:20], 0.5 * np.arange(1, 21) / 20, rtol=1e-6)
    assert rate[20 + 40] == pytest.approx(0.25)  # half way down
    assert 0 < rate[-1] < 1e-3
    assert (np.diff(rate[20:]) < 0).all()


def test_constant_stays_and_no_warm_up_starts_at_the_rate():
    assert set(course(schedule="constant", warmup_epochs=0)) == {np.float32(0.5)}


def test_one_cycle_peaks_after_three_tenths_of_the_steps():
    rate = course(schedule="one_cycle")
    assert int(rate.argmax()) == 30
    assert rate.max() == pytest.approx(0.5)
    assert rate[0] == pytest.approx(0.5 / 25)
    assert rate[-1] < 0.5 * 2e-3


def test_plateau_halves_after_as_many_epochs_without_a_better_loss():
    losses = (1.0, 0.9, 0.95, 0.92, 0.91, 0.8, 0.81, 0.82, 0.83, 0.84)
    rate = course(losses=losses, schedule="plateau", patience=3, warmup_epochs=0)
    np.testing.assert_allclose(rate[::10], 0.5 * np.array([1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]))


@pytest.mark.parametrize(("losses", "count"), [((), 0), ((1.0, 2.0, 2.0), 1), ((1.0, 2.0, 2.0, 2.0, 2.0), 2), ((3.0, 2.0, 1.0, 0.5), 0)])
def test_plateaus_are_counted_anew_after_each(losses, count):
    assert plateaus(losses, 2) == count


def test_a_training_of_one_epoch_does_not_only_warm_up():
    assert rates(TrainParams(epochs=1, learning_rate=0.5), epoch=0, steps=4)[0] == pytest.approx(0.5)
