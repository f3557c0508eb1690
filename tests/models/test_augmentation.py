"""Each change of training rows: what it changes, and what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from conftest_models import preprocessor
from toy_sides import KINDS, task_of

from pipeline.config import AugmentParams
from pipeline.models.augmentation import augment, mixed, picture, series, sound, turned

OFF = {"shift": 0.0, "token_dropout": 0.0, "time_mask": 0.0, "frequency_mask": 0.0}


def params(**keys):
    return AugmentParams(**{**OFF, **keys})


def rng(seed=0):
    return np.random.default_rng(seed)


def pictures(rows=200, height=6, width=8):
    return rng(1).integers(1, 256, (rows, height, width, 3)).astype("uint8")


@pytest.mark.parametrize("kind", KINDS)
def test_with_all_off_rows_pass_as_they_are(kind):
    x, y = toys.rows(kind, task_of(kind), 8)
    found, target = augment(x, y, rng(), params(), toys.fitted(kind, task_of(kind)))
    assert all(found[name] is block for name, block in x.items())
    assert target is y


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_result_of_the_same_shapes_and_kinds(kind):
    everything = AugmentParams(
        flip="both", shift=0.2, crop=0.2, rotate=20.0, cutout=0.3, jitter=0.1, scale=0.1, mask=0.3, token_dropout=0.3, mixup=0.3
    )
    x, y = toys.rows(kind, task_of(kind), 32)
    kept = {name: block.copy() for name, block in x.items()}
    (one, y1), (again, y2), (other, _) = (augment(x, y, rng(seed), everything, toys.fitted(kind, task_of(kind))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(y1, y2)
    for name, block in kept.items():
        np.testing.assert_array_equal(x[name], block)  # the argument stays
        np.testing.assert_array_equal(one[name], again[name])
        assert (one[name].shape, one[name].dtype) == (block.shape, block.dtype)
    assert any((one[name] != other[name]).any() for name in x)
    assert any((one[name] != x[name]).any() for name in x)


def test_flips_mirror_half_of_the_pictures():
    images = pictures()
    found = picture(images, rng(), params(flip="horizontal"))
    same = (found == images).all(axis=(1, 2, 3))
    mirrored = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 0.35 < mirrored.mean() < 0.65
    vertical = picture(images, rng(), params(flip="vertical"))
    assert ((vertical == images).all(axis=(1, 2, 3)) | (vertical == images[:, ::-1]).all(axis=(1, 2, 3))).all()


def test_a_shift_moves_by_whole_pixels_in_its_bounds():
    height, width = 10, 20
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    images = np.repeat(np.stack([y, x], axis=-1)[None].astype("uint8"), 300, axis=0)
    found = picture(images, rng(), params(shift=0.1)).astype(int)
    down, right = found[:, 5, 10, 0] - 5, found[:, 5, 10, 1] - 10
    assert set(down) == {-1, 0, 1}
    assert set(right) == {-2, -1, 0, 1, 2}
    np.testing.assert_array_equal(found[0, :, 10, 0], np.clip(np.arange(height) + down[0], 0, height - 1))  # the edge repeats


def test_turning_by_a_quarter_is_exact_and_a_disc_stays_a_disc():
    class Quarter:
        """Draws the upper end."""

        def uniform(self, low, high, rows):
            return np.full(rows, high if abs(high) == 90 else 0.0)

    square = rng(2).integers(0, 256, (1, 5, 5, 1)).astype("uint8")
    found = turned(square, Quarter(), params(rotate=90.0))
    assert any((found[0, :, :, 0] == np.rot90(square[0, :, :, 0], k)).all() for k in (1, 3))
    y, x = np.meshgrid(np.arange(21) - 10, np.arange(21) - 10, indexing="ij")
    disc = np.where(y**2 + x**2 <= 36, 200, 0).astype("uint8")[None, :, :, None]
    spun = turned(np.repeat(disc, 20, axis=0), rng(), params(rotate=180.0))
    assert np.abs(spun.astype(int) - disc).mean() < 10
    assert np.abs(spun.sum(axis=(1, 2, 3)) / disc.sum() - 1).max() < 0.05


def test_a_crop_enlarges():
    x = np.tile(np.arange(32), (32, 1))
    found = picture(np.repeat(x[None, :, :, None].astype("uint8"), 50, axis=0), rng(), params(crop=0.5)).astype(int)
    seen = found[:, 0, -1, 0] - found[:, 0, 0, 0]  # the span of columns that is seen
    assert (seen <= 31).all()
    assert seen.min() < 20
    assert seen.max() > 28


def test_cutout_blanks_one_rectangle():
    found = picture(pictures(), rng(), params(cutout=0.5))
    blank = (found == 0).all(axis=-1)
    assert (blank.sum(axis=(1, 2)) == 3 * 4).all()
    assert (blank.any(axis=2).sum(axis=1) == 3).all()
    assert len(np.unique(blank.reshape(len(blank), -1), axis=0)) > 10


def test_tokens_are_dropped_but_padding_is_not():
    ids = np.tile(np.array([5, 6, 7, 8, 0, 0], "int32"), (2000, 1))
    found, _ = augment({"text_0": ids}, np.zeros(2000), rng(), params(token_dropout=0.25), toys.fitted("text", "binary"))
    changed = found["text_0"] != ids
    assert not changed[:, 4:].any()
    assert set(found["text_0"][changed]) == {1}
    assert 0.22 < changed[:, :4].mean() < 0.28


def test_jitter_and_scale_of_sequences_leave_steps_that_are_not_there():
    steps = np.ones((500, 7, 2), "float32")
    lengths = rng(3).integers(1, 8, 500).astype("int32")
    steps[np.arange(7) >= lengths[:, None]] = 0
    found = series(steps, rng(), params(jitter=0.2), lengths)
    there = np.arange(7) < lengths[:, None]
    assert (found[~there] == 0).all()
    assert (found[there] - 1).std() == pytest.approx(0.2, rel=0.05)
    scaled = series(steps, rng(), params(scale=0.3), lengths)
    assert np.log(scaled[:, 0]).std() == pytest.approx(0.3, rel=0.1)
    np.testing.assert_allclose(scaled[there], np.repeat(scaled[:, :1], 7, axis=1)[there], rtol=1e-6)  # one factor a channel and row
    assert series(steps, rng(), params(scale=0.3)) is steps  # a forecast's target would not follow


def test_masks_are_spans_no_longer_than_their_share():
    found = series(np.ones((500, 20, 1), "float32"), rng(), params(mask=0.25))[..., 0]
    sizes = (found == 0).sum(axis=1)
    assert set(sizes) == set(range(6))
    edges = np.abs(np.diff(np.pad(found == 0, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1)
    assert (edges[sizes > 0] == 2).all()  # one span
    heard = sound(np.ones((500, 10, 8), "float32"), rng(), params(time_mask=0.3, frequency_mask=0.25))
    frames, mels = (heard == 0).all(axis=2).sum(axis=1), (heard == 0).all(axis=1).sum(axis=1)
    assert (frames.max(), mels.max()) == (3, 2)


def test_mixup_averages_rows_and_targets_alike():
    x = rng(4).normal(size=(400, 2)).astype("float32")
    found, y = mixed({"number": x}, x[:, 0], rng(), 0.5, preprocessor("regression"))
    np.testing.assert_allclose(found["number"][:, 0], y, rtol=1e-5, atol=1e-6)  # the target is the first number
    assert np.abs(found["number"] - x).max() > 0.5
    assert found["number"].mean() == pytest.approx(x.mean(), abs=0.1)


def test_mixup_gives_classes_as_shares():
    codes = rng(5).integers(0, 3, 100).astype("int32")
    _, y = mixed({"number": np.eye(3, dtype="float32")[codes]}, codes, rng(), 0.5, preprocessor("multiclass"))
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    assert (y.argmax(axis=1) == codes).mean() > 0.9  # the row itself has the larger share, but for ties
    binary = rng(6).integers(0, 2, 100).astype("int32")
    found, shares = mixed({"number": binary[:, None].astype("float32")}, binary, rng(), 0.5, preprocessor("binary"))
    np.testing.assert_allclose(shares, found["number"][:, 0], rtol=1e-6)
