"""Which rows come, in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys
from conftest_models import preprocessor
from conftest_models import side as table
from toy_sides import KINDS, side, task_of

from pipeline.config import AugmentParams, TrainParams
from pipeline.data.arrays import Side
from pipeline.errors import UserError
from pipeline.models import feeding
from pipeline.models.feeding import ahead, chunks, class_weights, feed, inputs

ROW = 20  # bytes of a row of `numbered`
STILL = AugmentParams(shift=0, token_dropout=0, time_mask=0, frequency_mask=0)


def numbered(rows):
    """A table whose number is the row's own."""
    number = np.arange(rows, dtype="float32")[:, None] * [1, 1]
    return Side(number.astype("float32"), np.zeros((rows, 1), "int32"), np.arange(rows) % 2, np.arange(rows))


def epoch(rows, *, seed=1, at=0, batch=8, large=False):
    found = replace(feed(rows, preprocessor("binary"), TrainParams(batch_size=batch)), large=large)
    return list(chunks(found, TrainParams(batch_size=batch), seed=seed, epoch=at))


def order(parts):
    return np.concatenate([part.x["number"][:, 0] for part in parts]).astype(int)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 64, 1003])
def test_an_epoch_holds_every_row_once_with_its_own_target(monkeypatch, rows, large):
    monkeypatch.setattr(feeding, "BLOCK", 100)
    monkeypatch.setattr(feeding, "WINDOW", 100 * ROW * 3)  # three blocks
    monkeypatch.setattr(feeding, "CHUNK", ROW * 8 * 4)  # some batches
    parts = epoch(numbered(rows), large=large)
    found = order(parts)
    assert sorted(found) == list(range(rows))
    np.testing.assert_array_equal(np.concatenate([part.y for part in parts]), found % 2)
    assert all(len(part) % 8 == 0 for part in parts[:-1])
    assert len(parts) > 1 or rows < 100


@pytest.mark.parametrize("large", [False, True])
def test_the_order_follows_from_seed_and_epoch(large):
    rows = numbered(500)
    first, again = order(epoch(rows, large=large)), order(epoch(rows, large=large))
    np.testing.assert_array_equal(first, again)
    for other in (epoch(rows, at=1, large=large), epoch(rows, seed=2, large=large)):
        assert (order(other) == first).mean() < 0.1
    assert (first == np.arange(500)).mean() < 0.1


def test_rows_of_a_large_side_move_far_from_where_they_lie(monkeypatch):
    monkeypatch.setattr(feeding, "BLOCK", 50)
    monkeypatch.setattr(feeding, "WINDOW", 50 * ROW * 4)
    monkeypatch.setattr(feeding, "CHUNK", ROW * 8)
    found = order(epoch(numbered(2000), large=True))
    assert feed(numbered(2000), preprocessor("binary"), TrainParams()).row_bytes == ROW
    assert abs(np.corrcoef(found, np.arange(2000))[0, 1]) < 0.3
    assert len(np.unique(found[:200] // 50)) == 4  # a window mixes its blocks
    assert (np.diff(found[:200] // 50) != 0).mean() > 0.5


def test_a_mapped_file_is_fed_like_memory(tmp_path):
    rows = numbered(300)
    np.save(tmp_path / "number.npy", rows.number)
    mapped = replace(rows, number=np.load(tmp_path / "number.npy", mmap_mode="r"))
    np.testing.assert_array_equal(order(epoch(mapped, large=True)), order(epoch(rows, large=True)))


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_have_the_names_and_rows_of_what_was_fitted(kind):
    made, _ = toys.rows(kind, task_of(kind), 6)
    found = inputs(side(kind, 6), toys.fitted(kind, task_of(kind)), np.array([4, 1]))
    assert found.keys() == made.keys()
    for name, block in made.items():
        np.testing.assert_array_equal(found[name], block[[4, 1]])
        assert found[name].dtype == block.dtype


def test_a_forecasts_target_is_what_follows_the_window_in_scaled_units():
    fitted, (_, target) = toys.fitted("series", "forecast"), toys.rows("series", "forecast", 6)
    chunk = feed(side("series", 6), fitted, TrainParams()).take(np.array([3]))
    scale = [(t.mean, t.std) for t in fitted.forecast.targets]
    expected = (target[[3]] - [m for m, _ in scale]) / [s for _, s in scale]
    np.testing.assert_allclose(chunk.y, expected, rtol=1e-5)


def test_balanced_classes_weigh_alike_and_one_on_average():
    rows = Side(np.zeros((10, 2), "float32"), np.zeros((10, 1), "int32"), np.array([0] * 8 + [1] * 2), np.arange(10))
    fitted = preprocessor("binary")
    found = feed(rows, fitted, TrainParams(class_weight="balanced")).take(slice(None)).weight
    np.testing.assert_allclose(found, [0.625] * 8 + [2.5] * 2)
    np.testing.assert_allclose(class_weights(rows.target, fitted, TrainParams(class_weight={"yes": 5.0, "no": 1.0})), [1.0, 5.0])
    assert feed(rows, fitted, TrainParams()).take(slice(None)).weight is None


@pytest.mark.parametrize(
    ("task", "weight", "message"),
    [
        ("regression", "balanced", "class_weight: is for classes, but regression predicts numbers"),
        ("binary", {"no": 1.0, "maybe": 2.0}, "expected a weight for each of no, yes, got one for no, maybe"),
    ],
)
def test_weights_of_other_classes_are_refused(task, weight, message):
    with pytest.raises(UserError, match=message):
        feed(table(task), preprocessor(task), TrainParams(class_weight=weight))


def test_rows_are_augmented_anew_in_every_epoch():
    params = TrainParams(augment=STILL.model_copy(update={"mixup": 0.5}))
    found = feed(numbered(64), preprocessor("binary"), params)
    one, again, other = (next(iter(chunks(found, params, seed=1, epoch=at))) for at in (0, 0, 1))
    np.testing.assert_array_equal(one.x["number"], again.x["number"])
    assert (one.x["number"] != np.round(one.x["number"])).any()
    assert (np.sort(one.x["number"][:, 0]) != np.sort(other.x["number"][:, 0])).any()


def test_what_is_made_ahead_comes_in_order_and_its_errors_too():
    assert list(ahead(range(5))) == [0, 1, 2, 3, 4]

    def failing():
        yield 1
        raise UserError("no more")

    reader = ahead(failing())
    assert next(reader) == 1
    with pytest.raises(UserError, match="no more"):
        next(reader)


def test_a_reader_that_stops_ends_the_thread():
    made = []

    def endless():
        while True:
            made.append(0)
            yield 0

    reader = ahead(endless())
    next(reader)
    reader.close()
    count = len(made)
    assert count <= 4
    assert len(made) == count


@pytest.mark.parametrize(("rows", "batch"), [(1, 16), (240, 16), (3_500, 64), (4_800, 128), (13_000, 256), (10_000_000, 256)])
def test_fewer_rows_go_in_smaller_batches(rows, batch):
    assert TrainParams().batch(rows) == batch
    assert TrainParams(batch_size=40).batch(rows) == 40


def test_a_feed_has_the_batch_size_of_its_rows():
    assert feed(numbered(3_500), preprocessor("binary"), TrainParams()).batch == 64
