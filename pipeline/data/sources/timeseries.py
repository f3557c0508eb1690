"""Time series in .ts files: one a line, dimensions between colons, the class last (aeon-toolkit.org, the .ts file format)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.engine import SOURCE_FILE
from pipeline.data.sources.encodings import as_utf8
from pipeline.data.sources.parts import Source, mistake, named, stream

SIDE = re.compile(r"[_-](TRAIN|TEST|VALIDATION|VAL)$", re.IGNORECASE)


def read(backend: Backend, files: Sequence[tuple[Path, str]], target: str, *, workspace: Path) -> Source:
    """One row a series: dim_0, dim_1, ... as lists of numbers (NaN where one is missing) and its class as text.

    Several files get `split`, the end of their names (TRAIN, TEST), where all have one, and source_file.

    Raises:
        UserError: a file has no @data, or a line that cannot be read; the line is told.
    """
    several = len(files) > 1
    sides = [SIDE.search(file.stem) for file, _ in files]
    split = several and all(sides)
    texts = [as_utf8(file, "auto", workspace / f"series{at}.ts").path for at, (file, _) in enumerate(files)]
    first = next(_lines(texts[0], files[0][1]), None)
    if first is None:
        raise mistake(files[0][1], "holds no series after @data")
    count = len(first[0])
    names = named(
        [*(f"dim_{k}" for k in range(count)), target, *(["split"] if split else []), *([SOURCE_FILE] if several else [])], files[0][1]
    )
    schema = pa.schema([(name, pa.list_(pa.float64()) if at < count else pa.string()) for at, name in enumerate(names)])

    def rows() -> Iterator[tuple[list[float] | str | None, ...]]:
        for text, (_, name), side in zip(texts, files, sides, strict=True):
            for at, (dims, of) in enumerate(_lines(text, name), 1):
                if len(dims) != count:
                    raise mistake(name, f"series {at}: expected {count} dimensions, got {len(dims)}")
                yield *dims, of, *([side[1].upper()] if split and side else []), *([name] if several else [])

    return Source(backend.read_parquet(stream(workspace / "series.parquet", schema, rows())), {"kind": "ts"})


def _lines(text: Path, name: str) -> Iterator[tuple[list[list[float]], str | None]]:
    """The dimensions and the class of each series."""
    with text.open(encoding="utf-8-sig") as lines:
        labelled, stamped, start = _head(lines, name)
        if stamped:
            raise mistake(name, "@timeStamps true is not read: write the values alone")
        for at, line in enumerate(lines, start + 1):
            if not line.strip() or line.startswith("#"):
                continue
            *dims, last = line.strip().split(":") if labelled else (*line.strip().split(":"), None)
            try:
                values = [[float("nan") if v.strip() in ("?", "") else float(v) for v in dim.split(",")] for dim in dims if dim is not None]
            except ValueError as error:
                raise mistake(name, f"line {at}: expected numbers, {error}") from None
            if not values:
                raise mistake(name, f"line {at}: expected a series and its class, divided by a colon")
            if len({len(dim) for dim in values}) > 1:
                raise mistake(name, f"line {at}: its dimensions have different lengths: {', '.join(str(len(dim)) for dim in values)}")
            yield values, last.strip() if last is not None else None


def _head(lines: IO[str], name: str) -> tuple[bool, bool, int]:
    labelled = stamped = False
    for at, line in enumerate(lines, 1):
        key, *rest = line.lower().split() or [""]
        if key in ("@classlabel", "@targetlabel"):
            labelled = bool(rest) and rest[0] == "true"
        elif key == "@timestamps":
            stamped = bool(rest) and rest[0] == "true"
        elif key == "@data":
            return labelled, stamped, at
        elif key and not key.startswith(("@", "#")):
            break
    raise mistake(name, "not readable as .ts: expected a line @data before the series")
