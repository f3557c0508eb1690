"""The last step from clean columns to inputs, beyond what SQL does well: one function for training and serving.

`preprocessing.apply` (offline) and its frozen SQL (serving) give columns n0, n1, ... (scaled numbers), c0, ...
(categories as text), t0, ... (texts), i0, ..., a0, ... (bytes of pictures and sounds) and s0, ... (lists, one a channel
of the sequence); here they become arrays.  The model package carries this file.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data import audio, image, sequence, text
from pipeline.data.fitted import Number, Preprocessor


class Encoder:
    """Turns tables of prepared columns into the arrays of a network's inputs, by what was fitted on train.

    Example:
        >>> Encoder(fitted).blocks(table)["number"].shape  # doctest: +SKIP
        (400, 12)
    """

    def __init__(self, fitted: Preprocessor) -> None:
        self.fitted = fitted
        self.vocabularies = [pa.array(category.keys or category.tokens, pa.string()) for category in fitted.categories]

    @cached_property
    def tokenizers(self) -> list[Any]:
        return [text.load(state) for state in self.fitted.texts]

    @property
    def shapes(self) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape (of one row) and type of each input; number and category are always there, the others where the data have them."""
        fitted = self.fitted
        found: dict[str, tuple[tuple[int, ...], type]] = {
            "number": ((len(fitted.numbers),), np.float32),
            "category": ((len(fitted.categories),), np.int32),
        }
        found |= {f"text_{at}": ((state.length,), np.int32) for at, state in enumerate(fitted.texts)}
        found |= {f"image_{at}": ((s.height, s.width, s.channels), np.uint8) for at, s in enumerate(fitted.images)}
        found |= {f"audio_{at}": ((audio.frames(state), state.mels), np.float32) for at, state in enumerate(fitted.audios)}
        if fitted.sequence:
            found["sequence"] = (fitted.sequence.length, len(fitted.sequence.columns)), np.float32
            found["sequence_length"] = (), np.int32
        return found

    def columns(self, names: Collection[str]) -> tuple[str, ...]:
        """Source columns behind these inputs."""
        fitted, found = self.fitted, list[str]()
        for name in names:
            kind, _, at = name.partition("_")
            if name == "number":
                found += [number.column for number in fitted.numbers]
            elif name == "category":
                found += [category.column for category in fitted.categories]
            elif kind == "sequence":
                found += fitted.sequence.columns if fitted.sequence else ()
            else:
                found.append(fitted.media[kind][int(at)])
        return tuple(dict.fromkeys(found))

    def blocks(self, table: pa.RecordBatch, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The inputs called `names` (all where None) for the rows of `table`, shapes and types as in `shapes`.

        Raises:
            UserError: a picture or a sound cannot be read.
        """
        fitted, found = self.fitted, dict[str, np.ndarray]()
        for name, (shape, kind) in self.shapes.items():
            if names is not None and name not in names:
                continue
            group, _, at = name.partition("_")
            if name == "number":
                found[name] = block = np.empty((table.num_rows, *shape), kind)
                for k, number in enumerate(fitted.numbers):
                    block[:, k] = numbers(table.column(f"n{k}"), number)
            elif name == "category":
                found[name] = block = np.empty((table.num_rows, *shape), kind)
                for k, vocabulary in enumerate(self.vocabularies):
                    block[:, k] = _codes(table.column(f"c{k}"), vocabulary)
            elif group == "text":
                found[name] = text.encode(self.tokenizers[int(at)], table.column(f"t{at}").to_pylist())
            elif group == "image":
                found[name] = image.encode(fitted.images[int(at)], table.column(f"i{at}").to_pylist())
            elif group == "audio":
                found[name] = audio.encode(fitted.audios[int(at)], table.column(f"a{at}").to_pylist())
            elif name == "sequence":
                assert fitted.sequence is not None
                channels = [table.column(f"s{k}") for k in range(len(fitted.sequence.columns))]
                found["sequence"], found["sequence_length"] = sequence.encode(fitted.sequence, channels)
        return found


def numbers(column: pa.Array, number: Number) -> np.ndarray:
    """One input number (rows,) float32 from the column that SQL gives for it."""
    values = column.to_numpy(zero_copy_only=False)
    return rank(values, number) if number.knots else values


def rank(values: np.ndarray, number: Number) -> np.ndarray:
    """Values on the line through the train quantiles: a rank as a standard normal's quantile; missing is 0."""
    found = np.interp(values, number.knots, number.ranks)
    return np.where(np.isnan(values), 0.0, found).astype(np.float32)


def _codes(column: pa.Array, vocabulary: pa.Array) -> np.ndarray:
    """Code k + 1 for the k-th key, 0 for all else."""
    return pc.fill_null(pc.add(pc.index_in(column, value_set=vocabulary), pa.scalar(1, pa.int32())), 0).to_numpy(zero_copy_only=False)
