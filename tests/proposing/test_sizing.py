"""Sizes follow the data and the machine, and keep to the time that there is."""

import pytest

from pipeline.config import ModelParams, NormalizeParams
from pipeline.proposing.sizing import SECONDS, Extent, operations, sized

TABLE = Extent(columns=17)
PICTURES = Extent(pixels=(28 * 28, 1))


def test_a_small_table_has_a_whole_sweep():
    found = sized(TABLE, 14_000, cores=2, gpu=False)
    assert (found.model, found.epochs, found.trials) == ({}, 60, 10)
    assert found.seconds < 2 * SECONDS


def test_more_rows_take_fewer_epochs_and_no_sweep():
    found = sized(TABLE, 7_000_000, cores=2, gpu=False)
    assert (found.epochs, found.trials, found.trained_fully) == (3, 0, False)


def test_pictures_take_a_smaller_network_unless_there_is_a_gpu():
    small, large = (sized(PICTURES, 51_000, cores=2, gpu=gpu) for gpu in (False, True))
    assert small.model == {"width": 16}
    assert large.model == {}
    assert large.epochs > small.epochs


def test_more_cores_allow_more():
    assert sized(PICTURES, 51_000, cores=32, gpu=False).model == {}


@pytest.mark.parametrize(
    "extent", [TABLE, PICTURES, Extent(tokens=400), Extent(steps=(500, 12)), Extent(window=336 * 96 * 7), Extent(pixels=(224 * 224, 3))]
)
@pytest.mark.parametrize("rows", [30, 2_000, 100_000, 10_000_000])
def test_what_is_chosen_is_within_the_time_or_the_least_there_is(extent, rows):
    found = sized(extent, rows, cores=2, gpu=False)
    ModelParams(**found.model)
    NormalizeParams.model_validate(found.normalize)
    least = found.epochs == 3 and found.trials == 0
    assert least or found.seconds <= SECONDS * 1.01


def test_operations_count_those_of_the_bundled_example():
    assert operations(TABLE, {}) == pytest.approx(251_520, rel=0.2)  # that is what Keras counts
    assert operations(PICTURES, {"width": 16}) < operations(PICTURES, {}) / 3
