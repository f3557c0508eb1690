"""The rows to be answered, in blocks, read as data.source is."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from pipeline.config import CsvParams, DataParams, SeriesParams
from pipeline.data.engine import SOURCE_FILE, engine, scratch
from pipeline.data.sources import archives, folders, series
from pipeline.data.sources.parts import Source, listing
from pipeline.errors import UserError
from pipeline.terminal.progress import Step

MOST_WHOLE = 5_000_000  # rows of a forecast, which cannot be cut
TABLES = ("csv", "json", "parquet", "arrow")


@dataclass(frozen=True)
class Block:
    """Rows of a part of the source: the part's name and the number of its rows before them."""

    table: pa.Table
    where: str
    before: int


@dataclass(frozen=True)
class Long:
    """What names the series and the time of long rows, and the columns that are sequences to the model."""

    params: SeriesParams
    channels: tuple[str, ...]


def blocks(
    source: Path,
    columns: Sequence[str],
    csv: CsvParams,
    size: int,
    shown: Step,
    *,
    needed: bool = True,
    long: Long | None = None,
    unread: Callable[[str, UserError], None] | None = None,
) -> Generator[Block]:
    """The columns of the source's rows, at most `size` rows at a time and at least one block a part, perhaps an empty one.

    Args:
        needed: whether a column that is not there is an error; else it is left out.
        long: how long rows, one a time step, become one row a series, in the order of their ids; tables without its columns stay.
        unread: is told of a part of several that cannot be read, by name; without it that is an error.
    """
    with engine() as backend, scratch() as workspace, _told(str(source)):
        home = archives.unpacked(source, workspace / "unpacked") or source
        parts = _parts(home)
        for part in parts:
            where = str(source) if len(parts) == 1 else str(source / part.relative_to(home))
            name = part.relative_to(home).as_posix() if len(parts) > 1 else None
            try:
                with _told(where):
                    table = _table(backend, part, columns, csv, workspace / "part", where)
                    yield from _blocks(backend, table, columns, size, shown, where, name, needed=needed, long=long)
            except UserError as error:
                if unread is None or name is None:
                    raise
                unread(where, error)
            shutil.rmtree(workspace / "part", ignore_errors=True)


def _blocks(
    backend: Backend,
    table: Any,
    columns: Sequence[str],
    size: int,
    shown: Step,
    where: str,
    name: str | None,
    *,
    needed: bool,
    long: Long | None,
) -> Iterator[Block]:
    """The blocks of a part, which has a name among several."""
    if long and {long.params.id, long.params.time} <= set(table.columns):
        inputs = dict.fromkeys([long.params.id, long.params.time, *(name for name in columns if name in table.columns)])
        found = series.gathered(backend, Source(table.select(list(inputs))), long.params, where, channels=long.channels)
        table = found.table.order_by(long.params.id)
        columns = list(dict.fromkeys([long.params.id, *columns]))
    there = [*table.columns, *([SOURCE_FILE] if name else [])]
    if needed and (missing := [one for one in columns if one not in there]):
        raise UserError(f"{where}: {missing_columns(missing, columns, there)}")
    if not any(one in table.columns for one in columns):
        raise UserError(f"{where}: none of the model's columns; expected {listing(columns)}, found {listing(table.columns)}")
    read = table.select([one for one in columns if one in table.columns])
    if shown.drawn_live and not name:
        shown.total = int(backend.to_pyarrow(read.count()).as_py())
    before = 0
    batches = (pa.Table.from_batches([batch]) for batch in backend.to_pyarrow_batches(read, chunk_size=size))
    first = next(batches, read.schema().to_pyarrow().empty_table())
    for some in itertools.chain([first], batches):
        if name and SOURCE_FILE in columns and SOURCE_FILE not in read.columns:
            some = some.append_column(SOURCE_FILE, pa.repeat(pa.scalar(name), len(some)))
        yield Block(some, where, before)
        before += len(some)


def missing_columns(names: Iterable[str], expected: Iterable[str], found: Iterable[str]) -> str:
    return f"missing column {listing(names)}; expected {listing(expected)}, found {listing(found)}"


def _parts(home: Path) -> list[Path]:
    """The table files of a folder of several, in the order of their names; all else is read as data.source is."""
    if home.is_dir() and not (home / "load.py").is_file():
        names = sorted(file.relative_to(home) for file in home.rglob("*") if file.is_file())
        kinds = {name: folders.kind_of(home / name) for name in names if not any(part.startswith((".", "_")) for part in name.parts)}
        tables = [name for name, kind in kinds.items() if kind in TABLES]
        if len({kinds[name] for name in tables}) > 1:
            raise UserError(f"{home}: expected parts of one kind, found {listing(map(str, tables))}")
        if len(tables) > 1:
            return [home / name for name in tables]
    return [home]


def _table(backend: Backend, part: Path, columns: Sequence[str], csv: CsvParams, workspace: Path, where: str) -> Any:
    """A part as an Ibis table, read as data.source is in training."""
    # ragged rows come back, so that none is left out unseen; one of the model's columns shows which line is the header
    csv = csv if csv.ragged == "pad" else csv.model_copy(update={"ragged": "reject"})
    target = columns[0] if folders.kind_of(part) in TABLES else "label"
    read = folders.read(backend, part, DataParams(source=str(part), target=target, csv=csv), workspace=workspace)
    if read.rejects is not None:
        bad = pq.read_table(read.rejects).slice(0, 1).to_pylist()[0]
        raise UserError(f"{where}: line {bad['line']}: {bad['reason']}; every row needs an answer: mend the file")
    return read.table


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Errors of reading without the key of params.yaml, which they are not about."""
    try:
        yield
    except UserError as error:
        raise UserError(*(message.removeprefix("data.source: ") for message in error.messages)) from None
    except (duckdb.Error, pa.ArrowException) as error:
        raise UserError(f"{where}: not readable: {' '.join(str(error).split())[:300]}") from None


def gathered(read: Iterator[Block], source: Path) -> Iterator[Block]:
    """All rows as one block."""
    blocks, rows = list[Block](), 0
    for block in read:
        blocks, rows = [*blocks, block], rows + len(block.table)
        if rows > MOST_WHOLE:
            raise UserError(
                f"{source}: a forecast holds its rows in memory, at most {MOST_WHOLE:,}: keep the last ones of each series only"
            )
    yield Block(pa.concat_tables([block.table for block in blocks], promote_options="permissive"), str(source), 0)
