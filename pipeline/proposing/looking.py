"""What a source holds, looked at: kinds of its columns, typed rows, and how much a row asks of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd
from ibis.backends.duckdb import Backend

from pipeline.config import CleanParams, DataParams, SeriesParams
from pipeline.data import cleaning
from pipeline.data.engine import ROW_ID, totals
from pipeline.data.inference import kinds
from pipeline.data.judging import LETTERED
from pipeline.data.schema import Column, Schema
from pipeline.data.sources import series as long_rows
from pipeline.data.sources.parts import Source
from pipeline.proposing import opening, shapes, sizing, targets

SEEN = 50_000  # rows whose values are looked at one by one
EXAMPLES = 64  # pictures, sounds and series whose extent is taken
TEXTS = 1_000  # the same of texts
MEDIA = ("image", "audio", "sequence")
WORDS = 3  # mean words of a value, from which a column of mostly distinct values is free text


@dataclass
class Look:
    """What is known while a proposal is made."""

    opened: opening.Opened
    raw: ir.Table
    columns: tuple[Column, ...]
    frame: pd.DataFrame  # typed rows, as good as drawn at random
    first: pd.DataFrame  # typed rows in the source's order
    rows: int
    notes: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, str]:
        return {column.name: column.kind for column in self.columns if column.kind != "ignore"}


def look_at(backend: Backend, opened: opening.Opened, table: ir.Table, rows: int, file: Path) -> Look:
    raw = opening.sampled(backend, table, rows, file)
    names = opening.columns_of(raw)
    columns = kinds(backend, raw, opened.data.model_copy(update={"target": names[0]}), CleanParams())
    schema = Schema(columns, names[0], "binary", None, opened.data.missing)
    frame = typed(backend, raw.limit(SEEN), schema)
    first = typed(backend, table.limit(opening.FIRST), schema)
    return Look(opened, raw, columns, frame, first, rows)


def typed(backend: Backend, table: ir.Table, schema: Schema) -> pd.DataFrame:
    """Rows as numbers, dates, truth values and texts, without pictures, sounds and sequences."""
    kept = [column for column in schema.columns if column.kind not in (*MEDIA, "ignore")]
    if not kept:
        return pd.DataFrame()
    return backend.to_pandas(cleaning.clean(table, replace(schema, columns=tuple(kept)))).drop(columns=ROW_ID, errors="ignore")


def gathered(
    backend: Backend, look: Look, data: DataParams, found: shapes.Series, workspace: Path
) -> tuple[DataParams, Look, shapes.Series, str]:
    """The same source with one row a series."""
    params = SeriesParams(id=found.id, time=found.time)
    table = opening.series_of(backend, look.opened, found.id, found.steps)
    gathered = long_rows.gathered(backend, Source(table), params, data.source).table
    count = int(totals(backend, look.opened.table, {"n": look.opened.table[found.id].nunique()})["n"])
    data = data.model_copy(update={"series": params})
    opened = replace(look.opened, data=data, whole=look.opened.rows <= opening.ROWS)
    again = look_at(backend, opened, gathered, count, workspace / "series.parquet")
    again.notes.append(
        f"{look.opened.rows:,} long rows become {count:,} series: one row a value of {found.id}, in the order of {found.time}"
    )
    return data, again, found, "series"


def fact_of(frame: pd.DataFrame, column: Column) -> targets.Fact:
    """What of a column bears on whether it can be predicted."""
    if column.name not in frame:
        return targets.Fact(column.name, column.kind, 0, 0)
    values = frame[column.name].dropna()
    distinct = int(values.nunique())
    dense = (
        column.kind == "number"
        and distinct == len(values) > 20
        and (values % 1 == 0).all()
        and values.max() - values.min() < 3 * len(values)
    )
    return targets.Fact(column.name, column.kind, distinct, len(values), bool(dense))


def is_text(values: pd.Series, column: Column) -> bool:
    """Whether a category is mostly distinct values of several words, as normalize will read it."""
    there = values.dropna()
    if column.kind == "text":
        return True
    if column.kind != "category" or there.nunique() <= max(20, len(there) / 2):
        return False
    some = there.head(TEXTS)
    lettered = some.str.split(" ").map(lambda words: sum(any(map(str.isalpha, word)) for word in words)).mean()
    return bool(some.str.count(" ").mean() + 1 >= WORDS and lettered >= LETTERED)


def extent_of(backend: Backend, look: Look, schema: Schema, course: shapes.Course | None) -> sizing.Extent:
    """What a row asks of a network, from the first of them."""
    if course:
        channels = sum(column.kind in ("number", "boolean") for column in schema.columns)
        return sizing.Extent(window=course.look_back * course.horizon * channels)
    texts = [c.name for c in schema.columns if c.name not in schema.targets and c.name in look.frame and is_text(look.frame[c.name], c)]
    plain = [
        c for c in schema.columns if c.kind in ("number", "category", "boolean", "datetime") and c.name not in (*schema.targets, *texts)
    ]
    tokens = sum(int(look.frame[name].dropna().head(TEXTS).str.len().quantile(0.95) / 4) + 1 for name in texts)
    extent = sizing.Extent(columns=len(plain), tokens=tokens)
    for column in schema.columns:
        if column.kind not in MEDIA:
            continue
        values = backend.to_pyarrow(look.raw.select(column.name).limit(EXAMPLES))[column.name].drop_null().to_pylist()
        if column.kind == "sequence":
            steps = max(map(len, values), default=0)
            extent = replace(extent, steps=(max(steps, extent.steps[0]), extent.steps[1] + 1))
        else:
            extent = replace(extent, pixels=_pixels(values, column.kind))
    return extent


def _pixels(values: Sequence[bytes], kind: str) -> tuple[int, int]:
    """Pixels and channels of the middle picture or spectrogram; what cannot be read is told by `clean`."""
    from pipeline.data.media import decode_audio, decode_image, problem

    found = []
    for value in values:
        if problem(kind, value) is None:
            if kind == "audio":
                wave, rate = decode_audio(value)
                found.append((int(min(len(wave) / rate, 10.0) * 100) * 64, 1))
            else:
                height, width, channels = decode_image(value).shape
                found.append((min(height, 224) * min(width, 224), min(channels, 3)))
    return sorted(found)[len(found) // 2] if found else (28 * 28, 1)
