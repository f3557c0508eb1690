"""Ready arrays: the inputs of a side as .npy blocks, read through a memory map.

A folder holds number.npy (rows, N) float32, category.npy (rows, C) int32 codes, target.npy (rows,) class index int32
or float32 in the target's units, group.npy (rows,) int64: rows with an equal code belong together.  Row k is row k
of the side's table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.data.fitted import Preprocessor, Target
from pipeline.errors import UserError


@dataclass(frozen=True)
class Side:
    """The arrays of one side; see the module's docstring for shapes."""

    number: np.ndarray
    category: np.ndarray
    target: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.target)


def load(side: str) -> Side:
    """The arrays of a side, mapped, not read."""
    return Side(*(np.load(paths.NORMALIZED / side / f"{name}.npy", mmap_mode="r") for name in ("number", "category", "target", "group")))


def files(*sides: str) -> list[Path]:
    """All that a network learns from on these sides: the preprocessing and the arrays."""
    return [paths.PREPROCESSOR, *(file for side in sides for file in sorted((paths.NORMALIZED / side).glob("*.npy")))]


def write(batches: Iterable[pa.RecordBatch], rows: int, fitted: Preprocessor, folder: Path) -> None:
    """Write `rows` rows of inputs as arrays into `folder`.

    Args:
        batches: columns n0, n1, ..., c0, c1, ..., target and, where rows are grouped, group.

    Raises:
        UserError: a row has a class that train has not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = _create(folder / "number.npy", (rows, len(fitted.numbers)), np.float32)
    category = _create(folder / "category.npy", (rows, len(fitted.categories)), np.int32)
    target = _create(folder / "target.npy", (rows,), np.int32 if fitted.target.classes else np.float32)
    groups: list[np.ndarray] = []
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        for block, letter in ((number, "n"), (category, "c")):
            for at in range(block.shape[1]):
                block[start:end, at] = batch.column(f"{letter}{at}").to_numpy(zero_copy_only=False)
        target[start:end] = _target(batch.column("target"), fitted.target)
        if "group" in batch.schema.names:
            groups.append(batch.column("group").to_numpy(zero_copy_only=False))
        start = end
    np.save(folder / "group.npy", _codes(np.concatenate(groups)) if groups else np.arange(rows, dtype=np.int64))


def _create(file: Path, shape: tuple[int, ...], kind: type) -> np.ndarray:
    """An array on disk; numpy cannot map one without elements, so that is saved instead."""
    if 0 in shape:
        np.save(file, np.empty(shape, kind))
        return np.empty(shape, kind)
    return np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=shape)


def _target(column: pa.Array, target: Target) -> np.ndarray:
    if not target.classes:
        return column.to_numpy(zero_copy_only=False)
    codes = pc.index_in(column, pa.array(target.classes))
    if codes.null_count:
        unknown = pc.unique(column.filter(pc.is_null(codes))).to_pylist()
        raise UserError(f"normalize: {target.column} has no row of class {', '.join(map(str, unknown))} in train")
    return codes.to_numpy()


def _codes(groups: np.ndarray) -> np.ndarray:
    """Equal texts to equal whole numbers; each missing one is a group of its own."""
    missing = np.array([value is None for value in groups], dtype=bool)
    names, codes = np.unique(np.where(missing, "", groups).astype(str), return_inverse=True)
    codes = codes.astype(np.int64)
    codes[missing] = len(names) + np.arange(missing.sum())
    return codes
