"""The rows that ship with a model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.monitoring import reference
from pipeline.monitoring.reference import Reference
from pipeline.monitoring.windows import PREDICTION, Window


def made(rows=50, outputs=None, **more):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "city": np.where(rng.random(rows) < 0.2, None, rng.choice(["Rome", "Os\nlo", "frame."], rows)).astype(object),
            "nothing": pd.Series([None] * rows, dtype=object),
            PREDICTION: rng.random(rows),
        }
    )
    outputs = rng.random(rows) if outputs is None else outputs
    losses = np.where(np.arange(rows) < 20, np.nan, rng.random(rows))
    groups = np.sort(rng.integers(0, 10, rows))
    figures = {"metric": "auc", "value": 0.7, "low": None, "high": None, "loss": 0.5, "loss_name": "log loss", "higher_is_better": True}
    importance = [{"name": "age", "columns": 1.0, "loss_increase": 0.1, "low": 0.05, "high": 0.2}]
    return Reference(Window(frame, outputs, losses, groups), np.arange(rows) >= 20, figures, importance, **more)


@pytest.mark.parametrize("outputs", [None, np.random.default_rng(1).random((50, 3))])
def test_what_is_written_is_read_again_and_its_bytes_are_the_same(tmp_path, outputs):
    before = made(outputs=outputs, group="person")
    reference.write(before, tmp_path)
    (tmp_path / "again").mkdir()
    after = reference.read(tmp_path)
    reference.write(after, tmp_path / "again")
    for name in (reference.ROWS, reference.FACTS):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    pd.testing.assert_frame_equal(after.rows.frame, before.rows.frame)
    for name in ("outputs", "losses", "groups"):
        np.testing.assert_array_equal(getattr(after.rows, name), getattr(before.rows, name))
    np.testing.assert_array_equal(after.test, before.test)
    assert (after.figures, after.importance, after.group, after.ordered, after.every) == (
        before.figures,
        before.importance,
        "person",
        False,
        1,
    )


def test_a_package_of_before_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"no rows to compare with .*: register the model anew"):
        reference.read(tmp_path)


def test_control_windows_are_test_rows_and_the_rest_is_what_they_are_compared_with():
    held = made()
    parts = held.parts(10, most=5)
    assert sorted(np.concatenate(parts).tolist()) == list(range(20, 50))
    for part in parts:
        assert len(held.without(part)) == 50 - len(part)
        assert not set(held.rows.frame.loc[part, PREDICTION]) & set(held.without(part).frame[PREDICTION])


def test_losses_are_compared_with_those_of_test_alone_and_with_validations_where_no_test_row_is_left():
    held = made()
    held = replace(held, rows=replace(held.rows, losses=np.arange(50.0)))
    assert np.isnan(held.compared.losses[:20]).all()
    assert held.compared.losses[20:].tolist() == list(range(20, 50))
    assert held.without(np.arange(30, 50)).losses[20:].tolist() == list(range(20, 30))
    assert held.without(np.arange(20, 50)).losses.tolist() == list(range(20))


def test_groups_are_kept_whole_and_time_is_thinned_evenly():
    person = np.repeat([f"p{at}" for at in range(300)], np.random.default_rng(0).integers(1, 9, 300))
    head = pd.DataFrame({"person": person, "day": np.random.default_rng(1).permutation(len(person))})
    places, every = reference._chosen(head, "person", None, 500)
    counts = head["person"].value_counts()
    kept = head["person"].iloc[places].value_counts()
    assert every == 1
    assert 480 <= len(places) <= 500
    assert (kept == counts[kept.index]).all()
    places, every = reference._chosen(head, None, "day", 500)
    assert every == 3
    assert head["day"].iloc[places].tolist() == list(range(0, len(head), 3))
    places, _ = reference._chosen(head, None, None, 500)
    assert len(places) == 500
