"""Sides as .npy blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline import paths
from pipeline.data import arrays, prepared, splitting
from pipeline.data.fitted import Category, Number, Preprocessor, Sequence, Target
from pipeline.errors import UserError


def fitted(numbers=2, categories=1, classes=("no", "yes")):
    return Preprocessor(
        "binary" if classes else "regression",
        Target("y", classes),
        tuple(Number(f"x{at}", "value") for at in range(numbers)),
        tuple(Category(f"k{at}", ("a",)) for at in range(categories)),
        {},
    )


def batch(**columns):
    """Clean columns: x0, x1, ... numbers, k0, ... categories, and beside them __target__ and the like."""
    kinds = {"x": pa.float64(), "k": pa.string()}
    named = {name if name[1:].isdigit() else f"__{name}__": pa.array(values, kinds.get(name[0])) for name, values in columns.items()}
    return pa.record_batch(named)


def write(folder, batches, state):
    rows = sum(b.num_rows for b in batches)
    arrays.write(batches, rows, state, folder)
    return {file.stem: np.load(file) for file in folder.glob("*.npy")}


def test_batches_become_blocks_in_order(tmp_path):
    found = write(
        tmp_path,
        [
            batch(x0=[1, 2], x1=[0.5, -0.5], k0=["a", "z"], target=["yes", "no"], group=["p", "q"]),
            batch(x0=[3], x1=[0], k0=[None], target=["yes"], group=["p"]),
        ],
        fitted(),
    )
    assert found["number"].tolist() == [[1, 0.5], [2, -0.5], [3, 0]]
    assert found["category"].tolist() == [[1], [0], [0]]
    assert found["target"].tolist() == [1, 0, 1]
    assert found["group"].tolist() == [0, 1, 0]
    assert [found[name].dtype.name for name in ("number", "category", "target", "group")] == ["float32", "int32", "int32", "int64"]


def test_regression_target_keeps_its_units(tmp_path):
    found = write(tmp_path, [batch(x0=[1, 2], target=[1.5, -200.25])], fitted(1, 0, ()))
    assert found["target"].tolist() == [1.5, -200.25]
    assert found["target"].dtype == np.float32


@pytest.mark.parametrize(("numbers", "categories"), [(0, 1), (1, 0), (0, 0)])
def test_kinds_of_input_that_are_not_there_are_blocks_of_width_zero(tmp_path, monkeypatch, numbers, categories):
    columns = {f"x{at}": [1, 2] for at in range(numbers)} | {f"k{at}": ["a", "b"] for at in range(categories)}
    monkeypatch.setattr(paths, "NORMALIZED", tmp_path)
    write(tmp_path / "train", [batch(**columns, target=["no", "yes"])], fitted(numbers, categories))
    side = arrays.load("train")
    assert (side.number.shape, side.category.shape) == ((2, numbers), (2, categories))
    assert (side.number.dtype, side.category.dtype) == (np.float32, np.int32)
    assert len(side) == 2


def test_rows_without_groups_are_groups_of_their_own(tmp_path):
    assert write(tmp_path, [batch(x0=[1, 2, 3], target=["no", "yes", "no"])], fitted(1, 0))["group"].tolist() == [0, 1, 2]


def test_missing_groups_are_groups_of_their_own_and_empty_text_is_one(tmp_path):
    found = write(tmp_path, [batch(x0=range(6), target=["no"] * 6, group=["b", None, "", "b", None, ""])], fitted(1, 0))["group"]
    assert len(set(found.tolist())) == 4
    assert found[0] == found[3]
    assert found[2] == found[5]
    assert len({found[0], found[1], found[2], found[4]}) == 4


def test_codes_follow_the_order_of_the_classes(tmp_path):
    found = write(tmp_path, [batch(x0=range(3), target=["b", "c", "a"])], fitted(1, 0, ("c", "a", "b")))
    assert found["target"].tolist() == [2, 0, 1]


def test_class_that_train_lacks_is_told(tmp_path):
    with pytest.raises(UserError, match=r"^normalize: y has no row of class maybe, never in train$"):
        write(tmp_path, [batch(x0=range(4), target=["no", "maybe", "never", "maybe"])], fitted(1, 0))


def test_blocks_are_mapped_not_read_and_listed_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NORMALIZED", tmp_path)
    write(tmp_path / "train", [batch(x0=[1], x1=[2], k0=["a"], target=["no"])], fitted())
    assert isinstance(arrays.load("train").number, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        arrays.load("train").number[0, 0] = 5
    assert [file.name for file in arrays.files("train")[1:]] == ["category.npy", "group.npy", "number.npy", "target.npy"]


def test_folds_are_written_where_the_split_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NORMALIZED", tmp_path)
    write(tmp_path / "train", [batch(x0=[1, 2], target=["no", "yes"], fold=[4, 0]), batch(x0=[3], target=["no"], fold=[1])], fitted(1, 0))
    assert arrays.load("train").more["fold"].tolist() == [4, 0, 1]
    assert prepared.FOLD == splitting.FOLD


def test_blocks_beyond_the_table_s_stand_in_more(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NORMALIZED", tmp_path)
    state = replace(fitted(0, 0), sequence=Sequence(("s",), 2, (0.0,), (1.0,)))
    steps = pa.array([[1.0], [2.0, 3.0, 4.0]], pa.list_(pa.float64()))
    write(tmp_path / "test", [pa.record_batch({"s": steps, "__target__": ["no", "yes"]})], state)
    more = arrays.load("test").more
    assert more["sequence"].tolist() == [[[1], [0]], [[3], [4]]]
    assert more["sequence_length"].tolist() == [1, 2]
