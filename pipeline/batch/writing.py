"""Answers as Parquet, CSV or JSON lines, which appear whole or not at all; and how far they are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.errors import UserError


def check(source: Path, out: Path | None, force: bool) -> None:
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if out is None:
        return
    if out.suffix.lower() not in WRITERS:
        raise UserError(f"{out}: expected a name that ends in {', '.join(WRITERS)}")
    if out.is_dir() or (out.exists() and out.samefile(source)):
        raise UserError(f"{out}: expected the name of a new file, got {'a folder' if out.is_dir() else 'the file that is read'}")
    if out.exists() and not force:
        raise UserError(f"{out}: is there already; --force replaces it")


class Json:
    """Rows as JSON objects, one a line; numbers that are not finite are null."""

    def __init__(self, sink: IO[bytes], _: pa.Schema | None = None) -> None:
        self.sink = sink

    def write_table(self, table: pa.Table) -> None:
        columns = []
        for column in table.columns:
            values = column.to_pylist()
            if pa.types.is_floating(column.type):
                finite = np.isfinite(column.to_numpy())
                values = values if finite.all() else [value if fine else None for value, fine in zip(values, finite, strict=True)]
            columns.append(values)
        names = table.column_names
        lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str) for row in zip(*columns, strict=True))
        self.sink.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """The sink is closed by the one who opened it."""


def _parquet(sink: IO[bytes], schema: pa.Schema) -> Any:
    return pq.ParquetWriter(sink, schema, compression="zstd")


def _csv(sink: IO[bytes], schema: pa.Schema) -> Any:
    return pyarrow.csv.CSVWriter(sink, schema, write_options=pyarrow.csv.WriteOptions(quoting_style="needed"))


WRITERS: dict[str, Callable[[IO[bytes], pa.Schema], Any]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": Json}


@contextmanager
def output(out: Path | None) -> Iterator[Callable[[pa.Table], None]]:
    """Where tables of one schema are written; the file takes its name when the block ends well, else nothing is left."""
    fresh = out.with_name(f".{out.name}.new") if out else None
    if fresh:
        fresh.parent.mkdir(parents=True, exist_ok=True)
    sink: IO[bytes] = fresh.open("wb") if fresh else sys.stdout.buffer
    make = WRITERS[out.suffix.lower()] if out else _csv
    writer, schema = None, pa.schema([])

    def write(table: pa.Table) -> None:
        nonlocal writer, schema
        try:
            if writer is None:
                writer, schema = make(sink, table.schema), table.schema
            writer.write_table(table.cast(schema))
        except (pa.ArrowException, ValueError) as error:
            raise UserError(f"{out or 'standard output'}: {' '.join(str(error).split())[:300]}") from None

    try:
        yield write
        if writer is not None:
            writer.close()
        sink.flush()
        if out and fresh:
            sink.close()
            os.replace(fresh, out)
    finally:
        if writer is not None:
            writer.close()
        if fresh:
            sink.close()
            fresh.unlink(missing_ok=True)
