"""The rows of a log's folder: closed segments, growing ones and those of dead writers, each row once."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.inference_log import segments, tables
from pipeline.inference_log.segments import CLOSED, GROWING

ORDER = [("time", "ascending"), ("request_id", "ascending"), ("row", "ascending")]
ALWAYS = pa.schema(  # in every log, also in one without rows
    [
        ("request_id", pa.string()),
        ("row", pa.int32()),
        ("time", pa.timestamp("us", "UTC")),
        ("model", pa.string()),
        ("version", pa.string()),
        ("seconds", pa.float64()),
    ]
)
NEEDED = ALWAYS.names[:5]  # to choose, order and label rows


def read(
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    version: str | None = None,
    columns: Sequence[str] | None = None,
    labels: bool = True,
) -> pa.Table:
    """The rows as one table, ordered by time, request and place in the request; see `batches`."""
    wanted = None if columns is None else list(dict.fromkeys([*columns, *(name for name, _ in ORDER)]))
    found = list(batches(folder, since=since, until=until, model=model, version=version, columns=wanted, labels=labels))
    table = pa.concat_tables(found)
    if len(table):
        table = table.sort_by(ORDER)
    return table if columns is None else table.select([*columns, *(["label", "label_time"] if labels else [])])


def batches(
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    version: str | None = None,
    columns: Sequence[str] | None = None,
    labels: bool = True,
) -> Generator[pa.Table]:
    """The rows in tables of one schema, a part of a segment each, in no order across segments; at least one table, perhaps empty.

    What is added while this runs may be missing. A column that a segment lacks is null there; one of unlike types is
    text. Nothing is locked.

    Args:
        since: arrival from which rows are wanted; a time without a zone is UTC.
        until: arrival before which they are.
        columns: all where None.
        labels: add `label`, the last one given for the row (null where none was), and `label_time`, when that was.

    Raises:
        UserError: the folder is not there, or a column is in none of its segments.
    """
    stems = _stems(folder)
    # of all segments: a column that only unwanted ones have is null, and not an error that depends on the dates
    there = [schema for stem in stems if (schema := _schema(folder, stem)) is not None]
    schema = tables.common([ALWAYS, *there])
    if columns is not None:
        if there and (missing := [name for name in columns if name not in schema.names]):
            raise UserError(f"{folder}: missing column {', '.join(missing)}; expected one of {', '.join(schema.names)}")
        schema = pa.schema([schema.field(name) if name in schema.names else pa.field(name, pa.null()) for name in columns])
    chosen = _Chosen(_utc(since), _utc(until), model, version)
    names = None if columns is None else list(dict.fromkeys([*columns, *NEEDED]))
    with ExitStack() as stack:
        last = None
        if labels:
            from pipeline.inference_log.last import Last  # DuckDB is loaded where labels are wanted

            last = stack.enter_context(Last.open(folder))
        yielded = False
        for part in (part for stem in stems for part in _parts(folder, stem, names, chosen)):
            part = chosen.rows(part)
            if not len(part):
                continue
            table = tables.conformed(part, schema)
            yield last.beside(table, part) if last else table
            yielded = True
        if not yielded:
            empty = schema.empty_table()
            yield last.beside(empty, ALWAYS.empty_table()) if last else empty


def schemas(folder: Path) -> list[pa.Schema]:
    """The schemas of the folder's segments, each once."""
    found = list[pa.Schema]()
    for stem in _stems(folder):
        schema = _schema(folder, stem)
        if schema is not None and not any(schema.equals(other) for other in found):
            found.append(schema)
    return found


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _stems(folder: Path) -> list[str]:
    """Names of the segments in their order.

    A folder is not listed in one step: a segment that becomes Parquet meanwhile may be passed under both of its names.
    Parquet has its name before the other one goes, so a second look finds what the first one passed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected the folder of an inference log, found {'a file' if folder.exists() else 'nothing'}")
    try:
        names = [file.name for _ in range(2) for file in folder.iterdir() if file.suffix in (CLOSED, GROWING) and file.name[0] != "."]
    except OSError as error:
        raise UserError(f"{folder}: not readable: {error.strerror}") from None
    return sorted({name.removesuffix(CLOSED).removesuffix(GROWING) for name in names})


# Parquet, else the growing segment, else Parquet that came between the two; none of them when the limits removed it.
LOOKS = (CLOSED, GROWING, CLOSED)


def _schema(folder: Path, stem: str) -> pa.Schema | None:
    for ending in LOOKS:
        file = folder / f"{stem}{ending}"
        try:
            return segments.schema(file)
        except FileNotFoundError:
            continue
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{file}: not readable: {error}") from None
    return None


def _parts(folder: Path, stem: str, names: Sequence[str] | None, chosen: _Chosen) -> Iterator[pa.Table]:
    for ending in LOOKS:
        file = folder / f"{stem}{ending}"
        try:
            if ending == CLOSED:
                with file.open("rb") as source:  # open: it stays readable when the limits remove it
                    yield from _closed(pq.ParquetFile(source), names, chosen)
            else:
                yield from _growing(file, names)
            return
        except FileNotFoundError:
            continue
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{file}: not readable: {error}") from None


def _closed(source: pq.ParquetFile, names: Sequence[str] | None, chosen: _Chosen) -> Iterator[pa.Table]:
    wanted = [name for name in source.schema_arrow.names if names is None or name in names]
    for group in range(source.num_row_groups):
        if chosen.possible(source.metadata.row_group(group)):
            # chosen again: a name with a dot in it may be taken for a path of nested columns, which reads more
            yield source.read_row_group(group, columns=wanted, use_threads=False).select(wanted)


def _growing(file: Path, names: Sequence[str] | None) -> Iterator[pa.Table]:
    held, size = list[pa.RecordBatch](), 0
    for batch in segments.complete(file):
        held.append(batch if names is None else batch.select([name for name in batch.schema.names if name in names]))
        size += held[-1].nbytes
        if size >= segments.GROUP_BYTES:  # one of every flush would be many small ones
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


class _Chosen:
    """Which rows are wanted."""

    def __init__(self, since: datetime | None, until: datetime | None, model: str | None, version: str | None) -> None:
        self.since, self.until = since, until
        self.equal = {name: value for name, value in (("model", model), ("version", version)) if value is not None}

    def possible(self, group: Any) -> bool:
        """Whether the statistics of a row group let it hold a wanted row."""
        for at in range(group.num_columns):
            column = group.column(at)
            name, found = column.path_in_schema, column.statistics
            if found is None or not found.has_min_max:
                continue
            if name == "time" and ((self.since and found.max < self.since) or (self.until and found.min >= self.until)):
                return False
            if name in self.equal and not found.min <= self.equal[name] <= found.max:
                return False
        return True

    def rows(self, table: pa.Table) -> pa.Table:
        tests = [pc.equal(table[name], value) for name, value in self.equal.items()]
        for moment, test in ((self.since, pc.greater_equal), (self.until, pc.less)):
            if moment:
                tests.append(test(table["time"], pa.scalar(moment, pa.timestamp("us", "UTC"))))
        return table.filter(reduce(pc.and_, tests)) if tests else table
