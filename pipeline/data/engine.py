"""The table engine: Ibis expressions on DuckDB.

Everything in which engines differ stands here, so that the same expressions can run elsewhere.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline import paths, resources
from pipeline.terminal.progress import step

ROW_ID = "__row_id__"  # names a row by its content, so that it stays the same when rows are reordered or appended

SOURCE_FILE = "source_file"  # the file that a row came from, where a source has several; told by collect

SEPARATOR = "\x1f"
MISSING = "\x1e"

ROW_GROUP = 122_880


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder on the disk of the workspace's state (the system's own may lie in memory); gone when the block ends.

    What killed processes of this machine left behind is removed.
    """
    home, owner = paths.state() / "spill", f"{platform.node()}-"
    home.mkdir(exist_ok=True)
    for left in home.glob(f"{owner}*"):
        process = left.name.removeprefix(owner).partition("-")[0]
        if process.isdigit() and not _runs(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=f"{owner}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def engine() -> Iterator[Backend]:
    """A private DuckDB connection that holds to the memory limit and spills to disk.

    Rows come out in the order in which they are stored, also where several threads work.
    """
    with scratch() as spill:
        backend = ibis.duckdb.connect(
            temp_directory=str(spill),
            memory_limit=f"{resources.memory() // 2**20}MiB",
            preserve_insertion_order=True,
        )
        backend.con.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")  # `progress` asks for it
        try:
            yield backend
        finally:
            backend.disconnect()


def read(backend: Backend, file: Path) -> ir.Table:
    """The table that `write` wrote, in its order.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not file.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    return backend.read_parquet(file)


def write(table: ir.Table, file: Path, *, what: str | None = None) -> int:
    """Write `table` in its own order and return the number of rows; long writing shows its progress (of `what`, else of the folder).

    A stored table is in the order of its row ids.  Scans, filters and projections keep that order; after a join, an
    aggregation or a window the table must be put in it again.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with progress(table.get_backend(), f"writing {what or file.parent.name.removeprefix('.').removesuffix('.new')}"):
        table.to_parquet(file, compression="zstd", row_group_size=ROW_GROUP)
    return parquet_rows(file)


@contextmanager
def progress(backend: Backend, what: str) -> Iterator[None]:
    """Tell how far the running query is, where anybody listens."""
    done = threading.Event()
    with step(what, 100, unit="%") as told:

        def watch() -> None:
            while not done.wait(0.3):
                told.at(max(told.done, backend.con.query_progress()))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def parquet_rows(file: Path) -> int:
    """Number of rows, from the file's footer."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def footer(file: Path) -> dict[str, tuple[int, Any, Any]]:
    """What the footer of a stored table tells of its columns: values that are not missing, the least and the largest.

    Columns that it tells nothing or not all of (lists, a column without values) are left out.
    """
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    found = {}
    for at in range(metadata.num_columns if metadata.num_row_groups else 0):
        chunks = [metadata.row_group(group).column(at) for group in range(metadata.num_row_groups)]
        told = [(chunk.num_values, chunk.statistics) for chunk in chunks]
        if all(s is not None and s.has_null_count for _, s in told) and "." not in chunks[0].path_in_schema:
            filled = [s for values, s in told if s.null_count < values]
            if filled and all(s.has_min_max for s in filled):
                ends = min(s.min for s in filled), max(s.max for s in filled)
                found[chunks[0].path_in_schema] = (sum(values - s.null_count for values, s in told), *ends)
    return found


def totals(backend: Backend, table: ir.Table, parts: Mapping[str, ir.Value]) -> dict[str, Any]:
    """The aggregates `parts` over the table, by their names, which may be any text; nothing for nothing."""
    if not parts:
        return {}
    found = backend.to_pyarrow(table.aggregate(**{f"p{at}": part for at, part in enumerate(parts.values())})).to_pylist()[0]
    return {key: found[f"p{at}"] for at, key in enumerate(parts)}


def sample(table: ir.Table, rows: int) -> ir.Table:
    """The first rows of a stored table: its order is that of digests of their content, so they are as good as drawn at random."""
    return table.limit(rows)


@ibis.udf.scalar.builtin(name="trim")
def trim(text: str) -> str:
    """DuckDB's TRIM: 2.6 times as fast as Ibis' strip; takes spaces only."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="md5")
def md5(text: str) -> str:
    """MD5 as 32 hex digits, the same in every engine."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="md5")
def md5_of_bytes(data: bytes) -> str:
    """MD5 of bytes as 32 hex digits."""
    raise NotImplementedError


def text_of(table: ir.Table, columns: tuple[str, ...]) -> ir.StringValue:
    """The values of `columns` as one text that differs wherever a value differs, missing from empty included."""
    values = [md5_of_bytes(table[name]) if table[name].type().is_binary() else table[name].cast("string") for name in columns]
    parts = [value.fill_null(MISSING) for value in values]
    return ibis.literal(SEPARATOR).join(parts)


def uniform(text: ir.StringValue, seed: int) -> ir.StringValue:
    """32 hex digits that are uniform over texts and fixed by (seed, text); compare with `threshold`."""
    return md5(ibis.literal(f"{seed}{SEPARATOR}") + text)


def threshold(share: float) -> str:
    """The hex text below which a `share` of all `uniform` values lies."""
    return f"{min(int(share * 16**13), 16**13 - 1):013x}"


def with_row_id(table: ir.Table) -> ir.Table:
    """Add the row id, 16 hex digits of the row's content and its number among equal rows from 0, and sort by it.

    Equal rows are interchangeable, so neither the ids nor the order depends on the order of rows in the source.
    """
    keyed = table.mutate(__digest__=md5(text_of(table, tuple(table.columns))).left(16))
    number = ibis.row_number().over(ibis.window(group_by=keyed.__digest__))
    ids = keyed.__digest__ + "-" + number.cast("string")
    return keyed.select(ids.name(ROW_ID), *table.columns).order_by(ROW_ID)
