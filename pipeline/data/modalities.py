"""What is learnt from train's texts, pictures, sounds and sequences: read in blocks, and no more of them than needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.config import AudioParams, ImageParams, SequenceParams, TextParams
from pipeline.data import audio, image, sequence, text
from pipeline.data.fitted import Audio, Image, Sequence, Text

BLOCK = 1_024  # rows held at once: a picture or a sound may take megabytes
SERIES = 262_144  # train series from which a sequence's scale is taken


def text_of(backend: Backend, train: ir.Table, name: str, params: TextParams) -> Text:
    """Learn a vocabulary and a length from the first texts of train."""
    texts, characters = [], 0
    for value in _each(backend, train, name, text.MOST_TEXTS):
        texts.append(value[: text.CHARACTERS])
        characters += len(texts[-1])
        if characters > text.MOST_CHARACTERS:
            break
    return text.fit(name, texts, vocabulary=params.vocabulary, length=params.length)


def image_of(backend: Backend, train: ir.Table, name: str, params: ImageParams) -> Image:
    """Take size and colour from the first pictures of train."""
    pictures = _each(backend, train, name, image.LOOKED_AT)
    return image.fit(name, pictures, height=params.height, width=params.width, channels=params.channels)


def audio_of(backend: Backend, train: ir.Table, name: str, params: AudioParams) -> Audio:
    """Take length and scale from the first sounds of train."""
    sounds = _each(backend, train, name, audio.LOOKED_AT)
    return audio.fit(name, sounds, sample_rate=params.sample_rate, seconds=params.seconds, mels=params.mels)


def sequence_of(backend: Backend, train: ir.Table, names: list[str], params: SequenceParams) -> Sequence | None:
    """Take length and scale from the first series of train; None without sequence columns."""
    return sequence.fit(tuple(names), _blocks(backend, train, names, SERIES), length=params.length) if names else None


def _blocks(backend: Backend, train: ir.Table, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The first rows of train that have a value in the first of the columns."""
    table = train.filter(train[names[0]].notnull()).limit(rows).select(names)
    return iter(backend.to_pyarrow_batches(table, chunk_size=BLOCK))


def _each(backend: Backend, train: ir.Table, name: str, rows: int) -> Iterator[Any]:
    for batch in _blocks(backend, train, [name], rows):
        yield from batch.column(0).to_pylist()
