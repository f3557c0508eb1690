"""Batches of any size through a model package: read in blocks, answered in a process of the package's own, written in order.

Two packages must never be loaded in one process, so the package runs in a child: blocks go to it and answers come back over
pipes, each as an Arrow stream behind its length.  Meanwhile the parent reads the next block and writes the last answer.
"""

from __future__ import annotations

import codecs
import csv as text_tables
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.config import CsvParams, DataParams
from pipeline.data.engine import SOURCE_FILE, engine, scratch
from pipeline.data.sources import archives, folders
from pipeline.data.sources.dialect import Dialect, rows_of, tell
from pipeline.data.sources.parts import listing
from pipeline.errors import UserError

BLOCK = 65_536  # rows that are asked at once
AHEAD = 2  # blocks that wait for the package
MOST_WHOLE = 5_000_000  # rows of a forecast, which cannot be cut
TABLES = ("csv", "json", "parquet", "arrow")
REGISTERED = "models:/"
LONGEST = 1 << 24  # bytes of a row of standard input
ENDLESS = "a quote is opened and never closed, or the row has no end"
UNREAD = 256  # chunks of standard input (64 KiB each, as pipes give them) that wait

CHILD = """
import json, os, re, sys, warnings
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what libraries print shall not stand among the answers
warnings.filterwarnings("ignore")
import mlflow.pyfunc, pandas, pyarrow
package, whole = sys.argv[1], sys.argv[2] == "whole"
model = mlflow.pyfunc.load_model(package).unwrap_python_model()  # without MLflow's look at every value of every column
import pipeline.predict
code = os.path.realpath(pipeline.predict.__file__)
if not code.startswith(package + os.sep):
    sys.exit(f"the package ran {code}, which is not its own")

def answer(table):
    return model.predict(None, table.to_pandas(types_mapper=None if whole else pandas.ArrowDtype))

def refused(table, error):
    start, stop = 0, 0 if whole else len(table)
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            answer(table.slice(start, middle - start))
            start = middle
        except Exception:
            stop = middle
    row = None
    try:
        if stop > start:
            answer(table.slice(start, 1))
    except Exception as alone:
        row, error = start, alone
    text = str(error) if type(error).__name__ == "UserError" else f"{type(error).__name__}: {error}"
    text = re.sub(",? at position [0-9]+", "", text)  # of the row alone, not of the file
    return json.dumps({"row": row, "text": " ".join(text.split())}).encode()

while head := sys.stdin.buffer.read(8):
    table = pyarrow.ipc.open_stream(sys.stdin.buffer.read(int.from_bytes(head, "big"))).read_all()
    try:
        found, kind = pyarrow.Table.from_pandas(answer(table), preserve_index=False), b"A"
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, found.schema) as out:
            out.write_table(found)
        reply = sink.getvalue()
    except Exception as error:
        reply, kind = refused(table, error), b"E"
    answers.write(kind + len(reply).to_bytes(8, "big"))
    answers.write(reply)
    answers.flush()
"""


@dataclass(frozen=True)
class Package:
    """A model package: its folder, the raw columns that it reads, and whether it takes rows as a whole, as a forecast does."""

    folder: Path
    columns: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class Done:
    """Rows that were read, and the wall seconds that it took."""

    rows: int
    seconds: float

    def __str__(self) -> str:
        rate = self.rows / max(self.seconds, 1e-9)
        speed = f"{rate / 1000:,.0f}k" if rate >= 10_000 else f"{rate:,.0f}"
        return f"{self.rows:,} row{'s' * (self.rows != 1)} in {self.seconds:.1f} s ({speed} rows/s)"


class Refused(Exception):
    """The package does not take a block: `row` is the place in it of the first row at fault, None where it is no single row's."""

    def __init__(self, row: int | None, text: str) -> None:
        super().__init__(text)
        self.row = row


def predict(
    source: Path,
    out: Path | None = None,
    *,
    model: str = str(paths.PACKAGE),
    keep: Sequence[str] = (),
    force: bool = False,
    csv: CsvParams | None = None,
    block: int = BLOCK,
) -> Done:
    """Write the package's answers for every row of `source`, in its order; `out` appears when all are there.

    Args:
        source: a table as data.source takes it (CSV, TSV, JSON, Parquet, Arrow, packed ones) or a folder of parts, which are taken in
            the order of their names; several parts have the further column source_file.
        out: .parquet, .csv or .jsonl; None is CSV on standard output.
        model: the folder of a package, or `models:/NAME@ALIAS` or `models:/NAME/VERSION` of the registry.
        keep: columns of the source that stand before the answers.
        force: whether an `out` that is there is replaced.
        csv: how a text table is written, where it cannot be told from the file.
        block: rows that are held and asked at once.

    Raises:
        UserError: the source cannot be read, lacks a column or holds a value of another type; `out` is there already; the package
            fails.  `out` is then as it was.
    """
    started, rows = time.monotonic(), 0
    _check(source, out, force)
    with opened(model) as package:
        if package.whole and keep:
            raise UserError("--keep: a forecast answers with the steps to come, which are no rows of the file")
        columns = list(dict.fromkeys([*package.columns, *keep]))
        waiting: deque[tuple[Block, Future[pa.Table]]] = deque()
        # the pool outside of the child: when the child is gone, nothing in the pool waits for it
        with ThreadPoolExecutor(1) as pool, Child(package) as child, _output(out) as write, _progress() as progress:

            def written() -> int:
                asked, coming = waiting.popleft()
                answer = _answer(asked, coming.result, package)
                write(_joined(asked.table, answer, keep))
                progress.rows(len(asked.table))
                return len(asked.table)

            with closing(_blocks(source, columns, csv or CsvParams(), block, progress)) as read:
                for one in _gathered(read, source) if package.whole else read:
                    waiting.append((one, pool.submit(child.ask, one.table.select(package.columns))))
                    if len(waiting) > AHEAD:
                        rows += written()
            while waiting:
                rows += written()
    return Done(rows, time.monotonic() - started)


def stream(incoming: IO[bytes], out: IO[bytes], *, model: str = str(paths.PACKAGE), keep: Sequence[str] = (), block: int = BLOCK) -> Done:
    """Answer rows as they come in, JSON objects or CSV below a header, one a line, with a JSON object a line.

    What has come in is answered at once and flushed: a single line where the stream is slow, many together where it is fast.

    Raises:
        UserError: a line is no row, lacks a column or holds a value of another type (the lines before it are answered); the
            package fails; the package forecasts, which takes rows as a whole.
    """
    started, rows = time.monotonic(), 0
    with opened(model) as package:
        if package.whole:
            raise UserError("--stdin: a forecast needs the last rows of each series together: give it a file")
        lines = _Lines(tuple(dict.fromkeys([*package.columns, *keep])))
        with Child(package) as child:

            def answer(table: pa.Table, numbers: Sequence[int]) -> None:
                for start in range(0, len(table), block):
                    some = table.slice(start, block)
                    try:
                        found = child.ask(some.select(package.columns))
                    except Refused as refused:
                        if refused.row is None:
                            raise UserError(f"standard input: {refused}") from None
                        if refused.row:
                            answer(some.slice(0, refused.row), numbers[start:])
                        raise UserError(f"standard input: line {numbers[start + refused.row]:,}: {refused}") from None
                    _Json(out).write_table(_joined(some, found, keep))
                    out.flush()

            for table, numbers in lines.tables(_waiting(incoming)):
                answer(table, numbers)
                rows += len(table)
    return Done(rows, time.monotonic() - started)


@contextmanager
def opened(model: str) -> Iterator[Package]:
    """The package that `model` names; one of the registry is fetched for the length of the block.

    Raises:
        UserError: there is none.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        folder = _fetched(model, Path(name)) if model.startswith(REGISTERED) else Path(model)
        try:
            about = YAML(typ="safe").load((folder / "MLmodel").read_text(encoding="utf-8"))
            columns = tuple(column["name"] for column in json.loads(about["signature"]["inputs"]))
            files = folder / about["flavors"]["python_function"]["artifacts"]["files"]["path"]
            whole = json.loads((files / "preprocessor.json").read_text(encoding="utf-8"))["forecast"] is not None
        except (OSError, KeyError, TypeError):
            hint = "; `pipeline run` makes one" if Path(model) == paths.PACKAGE else ""
            raise UserError(f"{model}: expected the folder of a model package{hint}") from None
        yield Package(folder.resolve(), columns, whole)


def _fetched(model: str, into: Path) -> Path:
    from pipeline.tracking import registry

    name, at, alias = model.removeprefix(REGISTERED).partition("@")
    if at:
        version = registry.holding(name, alias)
    else:
        name, _, number = name.partition("/")
        version = next((one for one in registry.versions(name) if str(one.number) == number), None)
    if version is None:
        raise UserError(f"{model}: no such model in the registry; expected models:/NAME@ALIAS or models:/NAME/VERSION")
    return registry.fetch(version, into)


class Child:
    """A package in a fresh process, which answers tables one after another; as a context it ends with the block.

    What the process prints is shown only where it dies.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self.noise = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        # -B: no compiled files in the package; -I: no current folder, no PYTHONPATH, so that the package's own code is what runs
        command = [sys.executable, "-I", "-B", "-c", CHILD, str(package.folder), "whole" if package.whole else "rows"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.noise)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.__exit__(None, None, None)
        self.noise.close()

    def ask(self, table: pa.Table) -> pa.Table:
        """The answers for `table`.

        Raises:
            Refused: the package does not take the rows.
            UserError: its process died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
        sent = sink.getvalue()
        with suppress(BrokenPipeError):
            self.process.stdin.write(len(sent).to_bytes(8, "big"))
            self.process.stdin.write(sent)
            self.process.stdin.flush()
        head = self.process.stdout.read(9)
        size = int.from_bytes(head[1:], "big")
        reply = self.process.stdout.read(size) if len(head) == 9 else b""
        if len(head) < 9 or len(reply) < size:
            raise UserError(self._death())
        if head[:1] == b"E":
            told = json.loads(reply)
            raise Refused(told["row"], told["text"])
        return pa.ipc.open_stream(reply).read_all()

    def _death(self) -> str:
        code = self.process.wait()
        self.noise.seek(0)
        last = (self.noise.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        mistake = last.partition("UserError: ")[2]  # of the package itself, such as a file that was changed
        if mistake:
            return mistake
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}: {last}"
        return f"{self.package.folder}: the model's process {how}"


@dataclass(frozen=True)
class Block:
    """Rows of a part of the source: the part's name and the number of its rows before them."""

    table: pa.Table
    where: str
    before: int


def _blocks(source: Path, columns: Sequence[str], csv: CsvParams, size: int, progress: _Progress) -> Generator[Block]:
    """The columns of the source's rows, at most `size` rows at a time and at least one block, perhaps an empty one."""
    with engine() as backend, scratch() as workspace, _told(str(source)):
        home = archives.unpacked(source, workspace / "unpacked") or source
        parts = _parts(home)
        for part in parts:
            where = str(source) if len(parts) == 1 else str(source / part.relative_to(home))
            with _told(where):
                table = _table(backend, part, columns, csv, workspace / "part", where)
                there = [*table.columns, *([SOURCE_FILE] if len(parts) > 1 else [])]
                if missing := [name for name in columns if name not in there]:
                    raise UserError(f"{where}: {_missing(missing, columns, there)}")
                read = table.select([name for name in columns if name in table.columns])
                if progress.shown and len(parts) == 1:
                    progress.total(int(backend.to_pyarrow(read.count()).as_py()))
                before = 0
                batches = (pa.Table.from_batches([batch]) for batch in backend.to_pyarrow_batches(read, chunk_size=size))
                first = next(batches, read.schema().to_pyarrow().empty_table())
                for some in itertools.chain([first], batches):
                    if SOURCE_FILE in columns and SOURCE_FILE not in read.columns:
                        name = part.relative_to(home).as_posix()
                        some = some.append_column(SOURCE_FILE, pa.repeat(pa.scalar(name), len(some)))
                    yield Block(some, where, before)
                    before += len(some)
            shutil.rmtree(workspace / "part", ignore_errors=True)


def _missing(names: Iterable[str], expected: Iterable[str], found: Iterable[str]) -> str:
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


def _gathered(read: Iterator[Block], source: Path) -> Iterator[Block]:
    """All rows as one block."""
    blocks, rows = list[Block](), 0
    for block in read:
        blocks, rows = [*blocks, block], rows + len(block.table)
        if rows > MOST_WHOLE:
            raise UserError(
                f"{source}: a forecast holds its rows in memory, at most {MOST_WHOLE:,}: keep the last ones of each series only"
            )
    yield Block(pa.concat_tables([block.table for block in blocks], promote_options="permissive"), str(source), 0)


def _answer(block: Block, asked: Callable[[], pa.Table], package: Package) -> pa.Table:
    try:
        answer = asked()
    except Refused as refused:
        row = f"row {block.before + refused.row + 1:,}: " if refused.row is not None else ""
        raise UserError(f"{block.where}: {row}{refused}") from None
    if not package.whole and len(answer) != len(block.table):
        raise UserError(f"{package.folder}: expected an answer a row, got {len(answer)} for {len(block.table)} rows")
    return answer


def _joined(rows: pa.Table, answer: pa.Table, keep: Sequence[str]) -> pa.Table:
    """Kept columns, then the answer's; a column without any value is text."""
    if twice := [name for name in keep if name in answer.column_names]:
        raise UserError(f"--keep {twice[0]}: the answer has a column of this name")
    columns = {name: rows[name] for name in dict.fromkeys(keep)} | {name: answer[name] for name in answer.column_names}
    return pa.table({name: column.cast(pa.string()) if pa.types.is_null(column.type) else column for name, column in columns.items()})


def _check(source: Path, out: Path | None, force: bool) -> None:
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


class _Json:
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


WRITERS: dict[str, Callable[[IO[bytes], pa.Schema], Any]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _Json}


@contextmanager
def _output(out: Path | None) -> Iterator[Callable[[pa.Table], None]]:
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


class _Progress:
    """A bar on standard error where that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.shown = sys.stderr.isatty()
        rate = TextColumn("{task.fields[rate]:,.0f} rows/s")
        columns = (TextColumn("predict"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not self.shown)
        self.task = self.bar.add_task("predict", total=None, rate=0.0)

    def total(self, rows: int) -> None:
        """Tell how many rows will come."""
        self.bar.update(self.task, total=rows)

    def rows(self, more: int) -> None:
        """Tell of rows that are answered."""
        self.bar.update(self.task, advance=more, rate=self.bar.tasks[0].speed or 0.0)


@contextmanager
def _progress() -> Iterator[_Progress]:
    found = _Progress()
    with found.bar:
        yield found


def _waiting(incoming: IO[bytes]) -> Iterator[bytes]:
    """All bytes that have come in since the last time, at least one; a thread takes them in meanwhile."""
    chunks: queue.Queue[bytes] = queue.Queue(UNREAD)

    def pump() -> None:
        while chunk := os.read(incoming.fileno(), 1 << 20):
            chunks.put(chunk)
        chunks.put(b"")

    threading.Thread(target=pump, daemon=True).start()
    more = True
    while more:
        found = [chunks.get()]
        while found[-1] and not chunks.empty():
            found.append(chunks.get())
        more = bool(found[-1])
        yield b"".join(found)


class _Lines:
    """Rows out of the lines of a stream, of JSON objects or of CSV (by its first character), as tables of some columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self.line = 0
        self.dialect: Dialect | None = None

    def tables(self, chunks: Iterator[bytes]) -> Iterator[tuple[pa.Table, list[int]]]:
        """Tables of the rows that are complete after each chunk, with the number of each row's line.

        Raises:
            UserError: a line is no row; the table of the rows before it has been given.
        """
        left, parse = b"", None
        for chunk in itertools.chain(chunks, [b"\n"]):
            text, end, left = (left + chunk).rpartition(b"\n")
            text = text + end if self.line else (text + end).removeprefix(codecs.BOM_UTF8)
            if parse is None and text.strip():
                parse = self._json if text.lstrip()[:1] == b"{" else self._csv
            rows, numbers, begun, mistake = self._read(text.splitlines(keepends=True), parse or self._csv)
            left = begun + left
            if rows:
                yield _typed(rows, self.columns), numbers
            if mistake or len(left) > LONGEST:
                raise UserError(f"standard input: {mistake or f'line {self.line + 1:,}: {ENDLESS}'}")
        if left.strip():
            raise UserError(f"standard input: line {self.line + 1:,}: {ENDLESS}")

    def _read(
        self, lines: list[bytes], parse: Callable[[str, Iterator[str]], list[Any] | None]
    ) -> tuple[list[list[Any]], list[int], bytes, str | None]:
        """The rows up to the first that is none, their lines' numbers, the lines of one that goes on, and what is wrong with one."""
        rows, numbers, before, first = list[list[Any]](), list[int](), self.line, self.line + 1

        def decoded() -> Iterator[str]:
            for line in lines:
                self.line += 1
                yield line.decode()

        texts = decoded()
        try:
            for text in texts:
                first = self.line
                if text.strip() and (row := parse(text, texts)) is not None:
                    rows.append(row)
                    numbers.append(first)
        except UnicodeDecodeError:
            return rows, numbers, b"", f"line {self.line:,}: expected UTF-8 text"
        except text_tables.Error as error:
            if "unexpected end" not in str(error):
                return rows, numbers, b"", f"line {first:,}: {error}"
            self.line = first - 1
            return rows, numbers, b"".join(lines[self.line - before :]), None
        except ValueError as error:
            return rows, numbers, b"", f"line {first:,}: {error}"
        return rows, numbers, b"", None

    def _json(self, text: str, _: Iterator[str]) -> list[Any]:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"expected a JSON object, got {text.strip()[:100]}")
        values = _flat(found)
        if missing := [name for name in self.columns if name not in values]:
            raise ValueError(f"{_missing(missing, self.columns, values)} (null where there is no value)")
        return [values[name] for name in self.columns]

    def _csv(self, text: str, more: Iterator[str]) -> list[Any] | None:
        if self.dialect is None:
            data = DataParams(source="-", target=self.columns[0])
            self.dialect = tell([text], False, data, tab=False)
            if missing := [name for name in self.columns if name not in self.dialect.names]:
                raise ValueError(_missing(missing, self.columns, self.dialect.names))
            self.places = [self.dialect.names.index(name) for name in self.columns]
            return None
        row = next(rows_of(itertools.chain([text], more), self.dialect.delimiter, self.dialect.quote))
        if len(row) != len(self.dialect.names):
            raise ValueError(f"expected {len(self.dialect.names)} values, got {len(row)}")
        return [row[at] or None for at in self.places]


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as columns a.b."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= {f"{name}.{key}": deep for key, deep in _flat(inner).items()} if isinstance(inner, dict) else {name: inner}
    return found


def _typed(rows: list[list[Any]], names: Sequence[str]) -> pa.Table:
    """Rows as a table; a column of several types becomes text, which the package reads, or refuses in words."""
    columns = {}
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):
            texts = (value if value is None or isinstance(value, str) else json.dumps(value) for value in values)
            columns[name] = pa.array(texts, pa.string())
    return pa.table(columns)
