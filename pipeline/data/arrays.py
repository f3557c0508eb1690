"""Ready arrays: the inputs of a side as .npy blocks, read through a memory map.

A folder holds number.npy (rows, N) float32, category.npy (rows, C) int32 codes, target.npy (rows,) class index int32
or float32 in the target's units, group.npy (rows,) int64: rows with an equal code belong together.  Row k is row k
of the side's table.  Where the data have them there are more: text_0.npy (rows, T) int32, image_0.npy (rows, H, W, C)
uint8, audio_0.npy (rows, frames, mels) float32, sequence.npy (rows, T, channels) float32 with sequence_length.npy
(rows,) int32, fold.npy (rows,) int32.  For a forecast see `windows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.data.encoding import Encoder
from pipeline.data.fitted import Preprocessor, Target
from pipeline.errors import UserError
from pipeline.terminal import progress

ALWAYS = ("number", "category", "target", "group")


@dataclass(frozen=True)
class Side:
    """The arrays of one side; see the module's docstring for shapes."""

    number: np.ndarray
    category: np.ndarray
    target: np.ndarray
    group: np.ndarray
    more: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.group)


def load(side: str, home: Path | None = None) -> Side:
    """The arrays of a side, mapped, not read.

    Raises:
        FileNotFoundError: the side is not there.
    """
    folder = (home or paths.NORMALIZED) / side
    number, category, target, group = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ALWAYS)
    more = {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy")) if file.stem not in ALWAYS}
    return Side(number, category, target, group, more)


def windowed(steps: np.ndarray, starts: np.ndarray, offset: int, length: int) -> np.ndarray:
    """The `length` steps from each start plus `offset` on: (steps, channels) -> (starts, length, channels)."""
    return np.asarray(steps[np.asarray(starts)[:, None] + np.arange(offset, offset + length)])


def files(*sides: str) -> list[Path]:
    """All that a network learns from on these sides: the preprocessing and the arrays."""
    return [paths.PREPROCESSOR, *(file for side in sides for file in sorted((paths.NORMALIZED / side).glob("*.npy")))]


def write(batches: Iterable[pa.RecordBatch], rows: int, fitted: Preprocessor, folder: Path) -> None:
    """Write `rows` rows of inputs as arrays into `folder`, batch by batch.

    Args:
        batches: what `preprocessing.batches` gives.

    Raises:
        UserError: a row has a class that train has not, or a picture or sound cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(fitted)
    kinds = {**encoder.shapes, "target": ((), np.int32 if fitted.target.classes else np.float32)}
    groups: list[pa.Array] = []
    folds: list[np.ndarray] = []
    with (
        growing(folder, rows, kinds) as out,
        progress.step(f"arrays of {folder.name.removeprefix('.').removesuffix('.new')}", rows, unit="rows") as step,
    ):
        for batch in batches:
            step.advance(batch.num_rows)
            for name, block in encoder.blocks(batch).items():
                block.tofile(out[name])
            out["target"].write(_target(batch.column("__target__"), fitted.target).tobytes())
            names = batch.schema.names
            groups += [batch.column("__group__")] if "__group__" in names else []
            folds += [batch.column("__fold__").to_numpy(zero_copy_only=False).astype(np.int32)] if "__fold__" in names else []
    np.save(folder / "group.npy", _codes(groups) if groups else np.arange(rows, dtype=np.int64))
    if folds:
        np.save(folder / "fold.npy", np.concatenate(folds))


@contextmanager
def growing(folder: Path, rows: int, kinds: Mapping[str, tuple[tuple[int, ...], Any]]) -> Iterator[Mapping[str, IO[bytes]]]:
    """Open .npy files of known shape to which blocks of rows are added in order; unlike mapped ones they take no memory."""
    out = {}
    try:
        for name, (shape, kind) in kinds.items():
            out[name] = (folder / f"{name}.npy").open("wb")
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": (rows, *shape)}
            np.lib.format.write_array_header_1_0(out[name], header)
        yield out
    finally:
        for file in out.values():
            file.close()


def _target(column: pa.Array, target: Target) -> np.ndarray:
    if not target.classes:
        return column.to_numpy(zero_copy_only=False).astype(np.float32)
    codes = pc.index_in(column, pa.array(target.classes))
    if codes.null_count:
        unknown = pc.unique(column.filter(pc.is_null(codes))).to_pylist()
        raise UserError(f"normalize: {target.column} has no row of class {', '.join(map(str, unknown))} in train")
    return codes.to_numpy()


def _codes(groups: list[pa.Array]) -> np.ndarray:
    """Equal texts to equal whole numbers; each missing one is a group of its own."""
    coded = pa.chunked_array(groups, pa.string()).combine_chunks().dictionary_encode()
    missing = pc.is_null(coded.indices).to_numpy(zero_copy_only=False)
    codes = pc.fill_null(coded.indices, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    codes[missing] = len(coded.dictionary) + np.arange(missing.sum())
    return codes
