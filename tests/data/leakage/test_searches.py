"""The searches by models and near numbers: each names what is planted, and is quiet without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID
from pipeline.data.leakage.frames import Frames
from pipeline.data.leakage.labels import label_errors
from pipeline.data.leakage.near import near, noisy_copies
from pipeline.data.leakage.shift import jumps, shift
from pipeline.data.leakage.together import together
from pipeline.data.schema import Column, Schema

KINDS = {"f": "number", "b": "boolean", "M": "datetime"}
SEEDS = range(20)


def table(seed, rows=1500, noise=0.5):
    """Numbers, a category and a class that follows from them with some noise."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.lognormal(size=rows), "c": rng.choice(list("pqrs"), rows)})
    score = 2 * frame["a"] + (frame["c"] == "p") + rng.normal(0, noise, rows)
    frame["y"] = np.where(score > 0, "yes", "no")
    frame[ROW_ID] = [f"{seed:04x}{at:012x}-0" for at in range(rows)]
    return frame, rng


def seen(train, held_out, task="binary", **split):
    columns = [Column(name, "text", KINDS.get(train[name].dtype.kind, "category"), "") for name in train.columns if name != ROW_ID]
    return Frames(train, held_out, Schema(tuple(columns), "y", task, None, ("",)), SplitParams(**split), 7)


def halves(frame):
    return frame.iloc[: len(frame) * 2 // 3].reset_index(drop=True), frame.iloc[len(frame) * 2 // 3 :].reset_index(drop=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_does_not_hide_a_copied_row(seed):
    train, held_out = halves(table(seed)[0])
    copied = train.head(25).assign(a=lambda f: f["a"] * (1 + 1e-6), c=lambda f: f["c"].str.upper() + " ")
    copied[ROW_ID] = [f"ffff{at:012x}-0" for at in range(25)]
    (found,) = noisy_copies(seen(train, pd.concat([held_out, copied], ignore_index=True)))
    assert (found.kind, found.severity) == ("noisy_copies", "error")
    copies = int(found.title.split()[0])
    assert 25 <= copies <= 27  # numbers of other rows may nearly agree by chance
    assert list(noisy_copies(seen(train, held_out))) == []


def test_equal_numbers_and_a_number_further_away_are_no_noise():
    train, held_out = halves(table(1)[0])
    same = train.head(20).copy()
    far = train.head(20).assign(a=lambda f: f["a"] + 0.01)
    assert near(seen(train, same)) == near(seen(train, far)) == []
    assert near(seen(train, held_out)) == []


@pytest.mark.parametrize("seed", range(5))
def test_labels_that_were_turned_round_are_listed_before_all_others(seed):
    frame, rng = table(seed, noise=0.1)
    sure = np.flatnonzero((frame["a"].abs() > 1.5) & ((frame["a"] > 0) == (frame["y"] == "yes")))
    wrong = rng.choice(sure, 15, replace=False)
    frame.loc[wrong, "y"] = frame.loc[wrong, "y"].map({"yes": "no", "no": "yes"})
    before = frame.copy()
    (found,) = label_errors(seen(frame, frame.head(0)))
    listed = {row for row, _ in found.details["examples"]}
    assert len(listed & set(frame[ROW_ID][wrong])) >= 12
    assert found.severity == "note"
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_tells_the_classes_no_label_is_doubted(seed):
    frame, rng = table(seed, rows=135)
    frame["y"] = rng.choice(["lager", "ok", "unwucht"], len(frame))
    assert list(label_errors(seen(frame, frame.head(0), task="multiclass"))) == []


@pytest.mark.parametrize("seed", range(5))
def test_names_that_stand_once_do_not_tell_the_side_by_the_order_of_rows(seed):
    frame, rng = table(seed, rows=240)
    frame["c"] = rng.permutation([f"M-{at:04d}" for at in range(len(frame))])
    assert list(shift(seen(*halves(frame)))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_sides_that_differ_are_told_apart_and_sides_drawn_at_random_are_not(seed):
    train, held_out = halves(table(seed)[0])
    assert list(shift(seen(train, held_out))) == []
    (found,) = shift(seen(train, held_out.assign(b=held_out["b"] + 1)))
    assert (found.severity, found.columns[0]) == ("warning", "b")
    assert found.details["auc"] > 0.7


def test_rows_of_a_group_do_not_tell_the_side_of_each_other():
    frame, _ = table(3)
    frame["person"] = [f"p{at // 15}" for at in range(len(frame))]
    frame["b"] = frame.groupby("person")["b"].transform("first")
    train, held_out = halves(frame)
    assert list(shift(seen(train, held_out, strategy="group", by="person"))) == []


def test_a_missing_share_that_jumps_is_named_in_a_split_by_time_alone():
    train, held_out = halves(table(2)[0])
    gone = held_out.assign(b=held_out["b"].where(held_out.index % 2 == 0))
    (found,) = jumps(seen(train, gone, strategy="time", by="a"))
    assert found.columns == ("b",)
    assert list(jumps(seen(train, gone))) == []
    assert list(jumps(seen(train, held_out, strategy="time", by="a"))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_that_tell_the_class_together_are_named(seed):
    frame, _ = table(seed)
    assert list(together(seen(frame, frame.head(0)), ())) == []
    given = frame.assign(y=np.where((frame["a"] > 0) ^ (frame["c"] == "p"), "yes", "no"))
    (found,) = together(seen(given, given.head(0)), ())
    assert {"a", "c"} == set(found.columns)
    assert list(together(seen(given, given.head(0)), ("a",))) == []
