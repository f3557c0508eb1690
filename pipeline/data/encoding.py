"""Clean columns to the arrays of a network's inputs: one class for training and serving, so that what serves is what was trained.

The model package carries this file.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data import audio, image, numeric, sequence, text
from pipeline.data.fitted import Category, Preprocessor

CACHED = 8_192  # rows whose numbers fit into a processor's cache: columns are written side by side


class Encoder:
    """Turns tables of clean columns into the arrays of a network's inputs, by what was fitted on train.

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
        """The inputs called `names` (all where None) for the rows of `table`, a table of clean columns; shapes and types as in `shapes`.

        Raises:
            UserError: a picture or a sound cannot be read.
        """
        fitted, found = self.fitted, dict[str, np.ndarray]()
        for name, (shape, kind) in self.shapes.items():
            if names is not None and name not in names:
                continue
            group, _, at = name.partition("_")
            if name == "number":
                found[name] = self._numbers(table)
            elif name == "category":
                found[name] = block = np.empty((table.num_rows, *shape), kind)
                for k, (category, vocabulary) in enumerate(zip(fitted.categories, self.vocabularies, strict=True)):
                    block[:, k] = _codes(table.column(category.column), category, vocabulary)
            elif group == "text":
                found[name] = text.encode(self.tokenizers[int(at)], table.column(fitted.texts[int(at)].column).to_pylist())
            elif group == "image":
                state = fitted.images[int(at)]
                found[name] = image.encode(state, table.column(state.column).to_pylist())
            elif group == "audio":
                sound = fitted.audios[int(at)]
                found[name] = audio.encode(sound, table.column(sound.column).to_pylist())
            elif name == "sequence":
                assert fitted.sequence is not None
                channels = [table.column(channel) for channel in fitted.sequence.columns]
                found["sequence"], found["sequence_length"] = sequence.encode(fitted.sequence, channels)
        return found

    def _numbers(self, table: pa.RecordBatch) -> np.ndarray:
        block = np.empty((table.num_rows, len(self.fitted.numbers)), np.float32)
        for start in range(0, table.num_rows, CACHED):
            rows = table.slice(start, CACHED)
            held: dict[str, numeric.Values] = {}
            for at, number in enumerate(self.fitted.numbers):
                if number.column not in held:  # one column may give several numbers, which stand together
                    held = {number.column: numeric.Values(rows.column(number.column))}
                block[start : start + CACHED, at] = numeric.encode(number, held[number.column])
        return block


def lower(texts: pa.Array) -> pa.Array:
    """Spellings that differ in case alone made one."""
    return pc.utf8_lower(texts)


def _codes(column: pa.Array, category: Category, vocabulary: pa.Array) -> np.ndarray:
    """Code k + 1 for the k-th key, 0 for all else."""
    keys = lower(column) if category.keys else column
    return pc.fill_null(pc.add(pc.index_in(keys, value_set=vocabulary), pa.scalar(1, pa.int32())), 0).to_numpy(zero_copy_only=False)
