"""Labels that come later: what turned out to be true of rows that a server answered, beside the log's segments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.batch.reading import Block, blocks
from pipeline.config import CsvParams
from pipeline.data.engine import engine
from pipeline.errors import UserError
from pipeline.inference_log import reading, segments, tables
from pipeline.inference_log.last import FOLDER, Last
from pipeline.terminal.progress import Step

PREDICTION, CLASS = "output.prediction", "output.probability of "
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BLOCK = 100_000  # rows of the source read at a time
SCHEMA = pa.schema([("request_id", pa.string()), ("row", pa.int32()), ("label", pa.string()), ("time", pa.timestamp("us", "UTC"))])


@dataclass(frozen=True)
class Added:
    """What became of a file of labels. A row of the log counts once, however often the file has it; the last label wins."""

    rows: int
    """Rows of the file."""
    added: int
    """Rows of the log that had no label."""
    changed: int
    """Rows of the log that had another label."""
    unchanged: int
    """Rows of the log that had this label."""
    unknown: int
    """Rows asked for that the log does not have; by `request_id` their labels are kept, and counted above too."""
    examples: tuple[str, ...]
    """Up to three of the unknown."""
    empty: int
    """Rows of the file without a label or without a key."""

    def __str__(self) -> str:
        told = [f"{self.rows:,} rows read", f"{self.added:,} labels added, {self.changed:,} changed, {self.unchanged:,} as before"]
        if self.unknown:
            told.append(f"{self.unknown:,} that the log does not know, such as {', '.join(self.examples)}")
        if self.empty:
            told.append(f"{self.empty:,} rows without a label or an id")
        return "; ".join(told)


def add(folder: Path, source: Path, *, label: str = "label", by: str = "request_id", csv: CsvParams | None = None) -> Added:
    """Keep the labels of a file, which names rows by their request or by a column that was sent with them.

    Args:
        folder: of the log.
        source: a table of any kind that `predict` reads, with the columns `by`, `label` and, by `request_id`, perhaps
            `row`, the row's place in its request; without it the requests must have had one row.
        by: `request_id`, a key column (order_id for key.order_id) or an input column. All rows with the value get the label.
        csv: how a text table is written.

    Raises:
        UserError: a label is not what the model answers, a column is missing, a file is not readable; nothing is kept then.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    known = tables.common(schemas := reading.schemas(folder))
    key = _key(folder, known, by)
    with engine() as backend:
        connection = backend.con
        rows, placed = _take(connection, source, [by, label], csv or CsvParams(), by == "request_id")
        connection.execute(
            "CREATE TEMP VIEW good AS SELECT * REPLACE (coalesce(row, 0) AS row), row IS NULL AS unplaced "
            "FROM given WHERE label <> '' AND key <> ''"
        )
        _check(connection, label, schemas)
        _log(connection, folder, key)
        if key == "request_id":
            _one_row(connection)
            same = "l.request_id = g.key AND l.row = g.row"
        elif pa.types.is_floating(known.field(key).type) or pa.types.is_integer(known.field(key).type):
            same = "TRY_CAST(l.key AS DOUBLE) = TRY_CAST(g.key AS DOUBLE)"
        else:
            same = "l.key = g.key"
        connection.execute(f"CREATE TEMP TABLE missed AS SELECT DISTINCT g.key, g.row FROM good g ANTI JOIN logged l ON {same}")
        direct = "SELECT g.key AS request_id, g.row AS row, g.label, g.n FROM good g"
        through = f"SELECT l.request_id, l.row, g.label, g.n FROM good g JOIN logged l ON {same}"
        connection.execute(
            "CREATE TEMP TABLE fresh AS SELECT request_id, row, arg_max(label, n) AS label "
            f"FROM ({direct if key == 'request_id' else through}) GROUP BY ALL"
        )
        Last(connection, folder)
        connection.execute(
            "CREATE TEMP TABLE compared AS SELECT fresh.*, last.label AS before "
            "FROM fresh LEFT JOIN last ON last.request_id = fresh.request_id AND last.row = fresh.row"
        )
        added, changed, unchanged = connection.execute(
            "SELECT count(*) FILTER (before IS NULL), count(*) FILTER (before <> label), count(*) FILTER (before = label) FROM compared"
        ).fetchone()
        if added or changed:
            # later than all labels, whatever the clock says: the last one wins
            after = EPOCH + timedelta(microseconds=connection.execute("SELECT coalesce(max(time), 0) + 1 FROM last").fetchone()[0])
            new = connection.execute("SELECT request_id, row, label FROM compared WHERE before IS DISTINCT FROM label")
            _write(folder / FOLDER, new.to_arrow_reader(BLOCK), max(datetime.now(UTC), after))
        unknown = connection.execute("SELECT count(*) FROM missed").fetchone()[0]
        some = connection.execute("SELECT key, row FROM missed ORDER BY ALL LIMIT 3").fetchall()
        empty = rows - connection.execute("SELECT count(*) FROM good").fetchone()[0]
    examples = tuple(f"{name}, row {row}" if placed else str(name) for name, row in some)
    return Added(rows, added, changed, unchanged, unknown, examples, empty)


def _key(folder: Path, known: pa.Schema, by: str) -> str:
    if by == "request_id":
        return by
    for name in (f"key.{by}", f"input.{by}"):
        if name in known.names:
            return name
    found = [name.partition(".")[2] for name in known.names if name.startswith(("key.", "input."))]
    raise UserError(f"{folder}: no column {by}; expected request_id or one of {', '.join(dict.fromkeys(found)) or 'none'}")


def _take(connection: Any, source: Path, columns: Sequence[str], csv: CsvParams, by_request: bool) -> tuple[int, bool]:
    """The source's rows as the table `given`; how many rows it has, and whether a column `row` is among them."""
    connection.execute("CREATE TEMP TABLE given (n BIGINT, where_ VARCHAR, place BIGINT, key VARCHAR, row INTEGER, label VARCHAR)")
    for names in ([*columns, "row"], list(columns)) if by_request else (list(columns),):
        try:
            read = blocks(source, names, csv, BLOCK, Step("reading"))
            block: Block | None = next(read)
        except UserError:
            if "row" in names:
                continue  # perhaps that column was all that was missing
            raise
        with closing(read):
            n = 0
            while block is not None:
                _insert(connection, block, names, n)
                n += len(block.table)
                block = next(read, None)
        return n, "row" in names
    raise AssertionError


def _insert(connection: Any, block: Block, names: Sequence[str], before: int) -> None:
    """A block's rows into `given`; `row` is null where none is told. Blanks around values, typed by hand, are no part of them."""
    key, label, row = (_whole(block.table[name]) for name in [*names, names[0]][:3])
    place = pa.array(range(block.before + 1, block.before + len(block.table) + 1), pa.int64())
    row = row if "row" in names else pa.nulls(len(place), pa.string())
    connection.register("block", pa.table({"key": key, "label": label, "row": row, "place": place}))
    bad = connection.execute(
        "SELECT place, row FROM block WHERE trim(row::VARCHAR) <> '' AND (TRY_CAST(row AS INTEGER) IS NULL"
        " OR TRY_CAST(row AS DOUBLE) <> TRY_CAST(row AS INTEGER) OR TRY_CAST(row AS INTEGER) < 0) ORDER BY place LIMIT 1"
    ).fetchone()
    if bad:
        raise UserError(f"{block.where}: row {bad[0]}: column row: expected a row's place in its request, got {bad[1]!r}")
    connection.execute(
        "INSERT INTO given SELECT $before + row_number() OVER (ORDER BY place), $where, place, trim(key::VARCHAR), "
        "TRY_CAST(row AS INTEGER), trim(label::VARCHAR) FROM block",
        {"before": before, "where": block.where},
    )
    connection.unregister("block")


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats without NaN, and as integers where all are whole: pandas makes floats of integers when one is missing."""
    if not pa.types.is_floating(column.type):
        return column
    column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column


def _check(connection: Any, label: str, schemas: Sequence[pa.Schema]) -> None:
    """Labels are numbers where the log's predictions are, and known classes where they are classes."""
    types = {schema.field(PREDICTION).type for schema in schemas if PREDICTION in schema.names}
    types = {kind for kind in types if not pa.types.is_null(kind)}
    classes = sorted({name.removeprefix(CLASS) for schema in schemas for name in schema.names if name.startswith(CLASS)})
    numbers = any(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in types)
    free = any(not (pa.types.is_floating(kind) or pa.types.is_integer(kind)) for kind in types) and not classes
    if free or not types:
        return
    misfit = ["TRUE"]
    if numbers:
        misfit.append("(TRY_CAST(label AS DOUBLE) IS NULL OR NOT isfinite(TRY_CAST(label AS DOUBLE)))")
    if classes:
        misfit.append("NOT list_contains($classes, label)")
    found = connection.execute(
        f"SELECT where_, place, label FROM good WHERE {' AND '.join(misfit)} ORDER BY n LIMIT 1", {"classes": classes} if classes else {}
    ).fetchone()
    if found:
        shown = f"{', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}"
        expected = " or ".join([*(["a number"] if numbers else []), *([f"one of the classes {shown}"] if classes else [])])
        raise UserError(f"{found[0]}: row {found[1]}: column {label}: expected {expected}, got {found[2]!r}")


def _log(connection: Any, folder: Path, key: str) -> None:
    """The log's rows as the table `logged`, for DuckDB to join."""
    connection.execute("CREATE TEMP TABLE logged (request_id VARCHAR, row INTEGER, key VARCHAR)")
    column = "NULL" if key == "request_id" else '"' + key.replace('"', '""') + '"::VARCHAR'
    wanted = list(dict.fromkeys(["request_id", "row", key]))
    for part in reading.batches(folder, columns=wanted, labels=False):
        connection.register("part", part)
        connection.execute(f"INSERT INTO logged SELECT request_id, row, {column} FROM part")
        connection.unregister("part")


def _one_row(connection: Any) -> None:
    found = connection.execute(
        "SELECT where_, place, key FROM good WHERE unplaced AND key IN (SELECT request_id FROM logged WHERE row > 0) ORDER BY n LIMIT 1"
    ).fetchone()
    if found:
        raise UserError(
            f"{found[0]}: row {found[1]}: request {found[2]} had several rows: expected a column row with the row's place in its request"
        )


def _write(home: Path, reader: pa.RecordBatchReader, now: datetime) -> None:
    name = f"{segments.stem()}.parquet"
    fresh = home / f".{name}.new"
    try:
        home.mkdir(exist_ok=True)
        segments.sync_folder(home.parent)
        with fresh.open("wb") as sink:
            with pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
                for batch in reader:
                    moment = pa.repeat(pa.scalar(now, SCHEMA.field("time").type), len(batch))
                    writer.write_table(pa.Table.from_batches([batch]).append_column("time", moment).cast(SCHEMA))
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(fresh, home / name)
        segments.sync_folder(home)
    except OSError as error:
        raise UserError(f"{home}: not written: {error}") from None
    finally:
        with suppress(OSError):
            fresh.unlink()
