"""A look at the source before it is collected: its rows where it is small, so many of them where it is large.

Read by the same readers as `collect`; what is read goes to the system's temporary folder and leaves no trace in the project.
"""

from __future__ import annotations

import gzip
import shutil
import signal
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from types import FrameType

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline import files, paths, resources
from pipeline.config import DataParams
from pipeline.data.engine import ROW_ID, parquet_rows, read, sample, with_row_id
from pipeline.data.sources import archives, dispatch, folders, idx, manifest, remote, series
from pipeline.data.sources.parts import Source
from pipeline.errors import UserError
from pipeline.preflight import locked

WHOLE = 16 << 20  # bytes of a source that is read whole
PART = 4 << 20  # bytes read of a larger table
ROWS = 200_000  # rows of a collected table that are looked at
EACH = 20  # pictures or sounds read of each folder of a larger collection
ITEMS = 1000  # pictures read of each idx file of a larger collection
MANY = 500  # pictures or sounds of a collection that is read whole
SECONDS = 5.0  # that a load.py may take here
QUOTES = 1000  # line ends, from the last, behind which a quote may still be open


@dataclass(frozen=True)
class Sample:
    """Rows of the source, with ids and in their order, as `collect` stores them.

    Args:
        columns: of the source, before long rows are made series.
        whole: whether these are all rows; `total` is their number, estimated where they are not.
        bytes: of the source on disk.
    """

    table: ir.Table
    columns: tuple[str, ...]
    kind: str
    rows: int
    total: int
    whole: bool
    bytes: int


class Unread(Exception):
    """Why the data are not looked at: nothing is known to be wrong with them."""


class _TooLong(BaseException):
    """A load.py is taking its time; no exception that a reader would take for its own."""


@contextmanager
def backend() -> Iterator[tuple[Backend, Path]]:
    """A table engine and a folder outside the project."""
    with tempfile.TemporaryDirectory(prefix="pipeline-check-") as folder:
        found = ibis.duckdb.connect(temp_directory=folder, memory_limit=f"{resources.memory() // 2**20}MiB", preserve_insertion_order=True)
        found.con.execute("SET enable_progress_bar = false")
        try:
            yield found, Path(folder)
        finally:
            found.disconnect()


def sampled(engine: Backend, data: DataParams, folder: Path) -> Sample:
    """Rows of data.source.

    Raises:
        UserError: the source is absent, empty, or cannot be read.
        Unread: it lies behind a network or a query, is an archive too large to be unpacked for a look, or its load.py takes too long.
    """
    path, taken = Path(data.source), list[Path]()
    if not remote.is_remote(data.source) and path.exists():
        taken = _taken(path, data)
    size = _bytes(taken)
    if fresh(data):
        stored = read(engine, paths.RAW / paths.ROWS)
        total = parquet_rows(paths.RAW / paths.ROWS)
        table = engine.create_table("looked_at", sample(stored, ROWS), overwrite=True)
        kind = files.read_json(paths.SOURCE).get("kind", "")
        return Sample(table, tuple(n for n in table.columns if n != ROW_ID), kind, min(total, ROWS), total, total <= ROWS, size)
    if remote.is_remote(data.source):
        raise Unread(f"{remote.shown(data.source)} is fetched by the run; the data are checked once they are collected")
    if path.suffix.lower() == ".sql":
        raise Unread(f"{path} is a query, which the run asks; the data are checked once they are collected")
    source, times, size = _looked_at(engine, data, taken, folder)
    columns = tuple(source.table.columns)
    if ROW_ID in columns:
        raise UserError(f"data.source: {data.source}: {ROW_ID} is a reserved column name")
    if data.series and {data.series.id, data.series.time} <= set(columns):
        source = series.gathered(engine, source, data.series, data.source)
    table = engine.create_table("looked_at", with_row_id(source.table), overwrite=True)
    rows = int(engine.to_pyarrow(table.count()).as_py())
    if not rows:
        raise UserError(f"data.source: {data.source}: holds no rows")
    return Sample(table, columns, str(source.found.get("kind", "")), rows, round(rows * (times or 1)), times is None, size)


def _looked_at(engine: Backend, data: DataParams, taken: list[Path], folder: Path) -> tuple[Source, float | None, int]:
    """The source's rows and None, or some of them and how many times as many there are; bytes of the source, unpacked.

    Of a table that names pictures or sounds, its rows are counted first, and so many files are read as of other collections.
    """
    here, path = data, Path(data.source)
    loader = path.is_dir() and (path / "load.py").is_file() and data.files is None
    try:
        if path.is_file() and path.stat().st_size <= WHOLE and (unpacked := archives.unpacked(path, folder / "opened")):
            path, here = unpacked, data.model_copy(update={"source": str(unpacked)})
            taken = _taken(path, data)
        media = {file for file in taken if folders.kind_of(file) in folders.MEDIA}
        if loader or (_bytes(taken) <= WHOLE and len(media) <= MANY):
            with _at_most(SECONDS if loader else 0):
                return dispatch.read(engine, here.model_copy(update={"series": None}), workspace=folder), None, _bytes(taken)
        tables = [file for file in taken if file not in media] or taken
        part = _part(here, path, tables, folder / "part")
        source = dispatch.read(engine, part.model_copy(update={"series": None}), workspace=folder)
        times = _bytes(tables) / max(_bytes([Path(part.source)]), 1)
        if media and tables is not taken:
            times *= max(int(engine.to_pyarrow(source.table.count()).as_py()) / MANY, 1)
            source = manifest.with_media(engine, replace(source, table=source.table.limit(MANY)), path, workspace=folder)
        return source, times, _bytes(taken)
    except _TooLong:
        raise Unread(f"{path / 'load.py'} takes more than {SECONDS:.0f} s; the data are checked once they are collected") from None
    except UserError as error:
        copies = (here.source, str(folder / "part"))
        raise UserError(*(reduce(lambda text, copy: text.replace(copy, data.source), copies, told) for told in error.messages)) from None


def fresh(data: DataParams) -> bool:
    """Whether data/raw was collected with these params from the source as it is now."""
    source = Path(data.source)
    if not (paths.SOURCE.is_file() and (paths.RAW / paths.ROWS).is_file()) or locked.last("collect", "data") != data:
        return False
    if remote.is_remote(data.source):
        return True
    at = paths.SOURCE.stat().st_mtime
    return source.exists() and all(file.stat().st_mtime <= at for file in ([source] if source.is_file() else source.rglob("*")))


def _taken(path: Path, data: DataParams) -> list[Path]:
    """The files that a reader would take: of a folder with a load.py all, of one with tables their pictures and sounds too."""
    if path.is_file() or ((path / "load.py").is_file() and data.files is None):
        return [path]
    chosen = folders.chosen(path, data)
    tables = any(folders.kind_of(file) == "csv" for file in chosen)
    named = [file for file in folders.inside_of(path) if folders.kind_of(file) in folders.MEDIA] if tables else []
    return sorted({*chosen, *named})


def _bytes(places: list[Path]) -> int:
    inside = (file for place in places for file in (place.rglob("*") if place.is_dir() else [place]))
    return sum(file.stat().st_size for file in inside if file.is_file())


def _part(data: DataParams, path: Path, taken: list[Path], folder: Path) -> DataParams:
    """The source cut to some of its rows, as a copy."""
    if path.is_file():
        if path.name.lower().endswith((".zip", *archives.TARS)):
            raise Unread(f"{path} is an archive of {path.stat().st_size / 1e6:,.0f} MB; the data are checked once they are collected")
        folder.mkdir()
        return data.model_copy(update={"source": str(_cut(path, folder / path.name))})
    by_folder: dict[Path, int] = defaultdict(int)
    left = PART
    for file in taken:
        kind = folders.kind_of(file)
        by_folder[file.parent] += 1
        if by_folder[file.parent] > EACH if kind in folders.MEDIA else kind != "idx" and left <= 0:
            continue
        copy = folder / file.relative_to(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if kind == "idx":  # both of a pair by as many items
            idx.cut(file, copy, ITEMS)
        elif kind in folders.MEDIA or file.stat().st_size <= PART:
            shutil.copyfile(file, copy)
        else:
            _cut(file, copy)
        left -= 0 if kind in folders.MEDIA else copy.stat().st_size
    return data.model_copy(update={"source": str(folder)})


def _cut(file: Path, copy: Path) -> Path:
    """The first rows of a table as a file of the same kind; of a kind that cannot be cut, all of it.

    Raises:
        Unread: it can be neither cut nor copied in a moment.
    """
    kind = folders.kind_of(file)
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        source = pq.ParquetFile(file)
        per_row = max(file.stat().st_size / max(source.metadata.num_rows, 1), 1e-9)
        batch = next(source.iter_batches(batch_size=max(int(PART / per_row), 1000)), None)
        pq.write_table(source.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch]), copy)
        return copy
    if kind not in ("csv", "json"):
        if file.stat().st_size > 4 * WHOLE:
            raise Unread(f"{file} has {file.stat().st_size / 1e6:,.0f} MB; the data are checked once they are collected")
        shutil.copyfile(file, copy)
        return copy
    packed = file.name.lower().endswith(".gz")
    with gzip.open(file) if packed else file.open("rb") as stream:
        head = stream.read(PART)
    if kind == "json" and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
        raise Unread(f"{file} is one array of {file.stat().st_size / 1e6:,.0f} MB; the data are checked once they are collected")
    head = head[: _last_line(head)]
    copy.write_bytes(gzip.compress(head, 1) if packed else head)
    return copy


def _last_line(head: bytes) -> int:
    """Where the last whole line ends outside of quotes."""
    unit, newline = (2, b"\n\x00") if head[:2] == b"\xff\xfe" else (2, b"\x00\n") if head[:2] == b"\xfe\xff" else (1, b"\n")
    end = len(head)
    for _ in range(QUOTES):
        end = head.rfind(newline, 0, end)
        if end < 0:
            return len(head)
        if end % unit == 0 and head.count(b'"', 0, end) % 2 == 0:
            return end + unit
    last = head.rfind(newline)
    return last + unit if unit == 1 else len(head)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Break off what takes longer; without a limit where there is none to set (0, another thread, no such signal)."""
    if not seconds or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
