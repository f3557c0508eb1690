"""A file, or what comes in on standard input, through a package: blocks are read, answered and written side by side."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from pipeline import paths
from pipeline.batch import remote
from pipeline.batch.lines import Lines, waiting
from pipeline.batch.reading import Block, Long, blocks, gathered
from pipeline.batch.writing import Json, check, output
from pipeline.child import Child, Refused
from pipeline.config import CsvParams, SeriesParams
from pipeline.errors import UserError
from pipeline.packaging import Package, opened
from pipeline.terminal.progress import step

BLOCK = 65_536  # rows that are asked at once
AHEAD = 2  # blocks that wait for the package


@dataclass(frozen=True)
class Done:
    """Rows that were read, the wall seconds that it took, and how many answers are refusals."""

    rows: int
    seconds: float
    refused: int = 0

    def __str__(self) -> str:
        rate = self.rows / max(self.seconds, 1e-9)
        speed = f"{rate / 1000:,.0f}k" if rate >= 10_000 else f"{rate:,.0f}"
        refused = f", {self.refused:,} refused" if self.refused else ""
        return f"{self.rows:,} row{'s' * (self.rows != 1)}{refused} in {self.seconds:.1f} s ({speed} rows/s)"


def predict(
    source: Path,
    out: Path | None = None,
    *,
    model: str = str(paths.PACKAGE),
    keep: Sequence[str] = (),
    force: bool = False,
    csv: CsvParams | None = None,
    series: SeriesParams | None = None,
    block: int = BLOCK,
) -> Done:
    """Write the package's answers for every row of `source`, in its order; `out` appears when all are there.

    Args:
        source: a table as data.source takes it (CSV, TSV, JSON, Parquet, Arrow, packed ones) or a folder of parts, which are taken in
            the order of their names; several parts have the further column source_file.
        out: .parquet, .csv or .jsonl; None is CSV on standard output.
        model: the folder of a package, `models:/NAME@ALIAS` or `models:/NAME/VERSION` of the registry, or the URL of a server.
        keep: columns of the source that stand before the answers.
        force: whether an `out` that is there is replaced.
        csv: how a text table is written, where it cannot be told from the file.
        series: what tells the series of long rows, where the source has such: each has one answer, with its id, in the order of the ids.
        block: rows that are held and asked at once.

    Raises:
        UserError: the source cannot be read, lacks a column or holds a value of another type; `out` is there already; the package
            fails.  `out` is then as it was.
    """
    started, rows, refused = time.monotonic(), 0, 0
    check(source, out, force)
    with _there(model) as (package, begin):
        if package.whole and keep:
            raise UserError("--keep: a forecast answers with the steps to come, which are no rows of the file")
        long = Long(series, package.sequences) if series and not package.whole else None
        columns = list(dict.fromkeys([*package.columns, *keep]))
        block = min(block, remote.BLOCK) if isinstance(package, remote.Model) else block
        asked_for: deque[tuple[Block, Future[pa.Table]]] = deque()
        # the pool outside of the child: when the child is gone, nothing in the pool waits for it
        with ThreadPoolExecutor(1) as pool, begin() as child, output(out) as write, step("predict", unit="rows") as shown:

            def written() -> None:
                nonlocal rows, refused
                asked, coming = asked_for.popleft()
                answer = _answer(asked, coming.result, package)
                ids = [series.id] if long and series and series.id in asked.table.column_names else []
                write(_joined(asked.table, answer, [*ids, *keep]))
                shown.advance(len(asked.table))
                rows += len(asked.table)
                refused += len(answer) - answer["refused"].null_count if "refused" in answer.column_names else 0

            with closing(blocks(source, columns, csv or CsvParams(), block, shown, long=long)) as read:
                for one in gathered(read, source) if package.whole else read:
                    asked_for.append((one, pool.submit(child.ask, one.table.select(package.columns))))
                    if len(asked_for) > AHEAD:
                        written()
            while asked_for:
                written()
    return Done(rows, time.monotonic() - started, refused)


def stream(incoming: IO[bytes], out: IO[bytes], *, model: str = str(paths.PACKAGE), keep: Sequence[str] = (), block: int = BLOCK) -> Done:
    """Answer rows as they come in, JSON objects or CSV below a header, one a line, with a JSON object a line.

    What has come in is answered at once and flushed: a single line where the stream is slow, many together where it is fast.

    Raises:
        UserError: a line is no row, lacks a column or holds a value of another type (the lines before it are answered); the
            package fails; the package forecasts, which takes rows as a whole.
    """
    started, rows = time.monotonic(), 0
    with _there(model) as (package, begin):
        if package.whole:
            raise UserError("--stdin: a forecast needs the last rows of each series together: give it a file")
        lines = Lines(tuple(dict.fromkeys([*package.columns, *keep])))
        with begin() as child:

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
                    Json(out).write_table(_joined(some, found, keep))
                    out.flush()

            for table, numbers in lines.tables(waiting(incoming)):
                answer(table, numbers)
                rows += len(table)
    return Done(rows, time.monotonic() - started)


@contextmanager
def _there(model: str) -> Iterator[tuple[Package | remote.Model, Callable[[], AbstractContextManager[Child | remote.Remote]]]]:
    """What is known of the package, and what begins the process, or the connection, that answers."""
    if model.startswith(("http://", "https://")):
        with remote.Remote(model) as server:
            yield server.model, lambda: nullcontext(server)
    else:
        with opened(model) as package:
            yield package, lambda: Child(package)


def _answer(block: Block, asked: Callable[[], pa.Table], package: Package | remote.Model) -> pa.Table:
    try:
        answer = asked()
    except Refused as refused:
        row = f"row {block.before + refused.row + 1:,}: " if refused.row is not None else ""
        raise UserError(f"{block.where}: {row}{refused}") from None
    if not package.whole and len(answer) != len(block.table):
        raise UserError(f"{block.where}: expected an answer a row, got {len(answer)} for {len(block.table)} rows")
    return answer


def _joined(rows: pa.Table, answer: pa.Table, keep: Sequence[str]) -> pa.Table:
    """Kept columns, then the answer's; a column without any value is text."""
    if twice := [name for name in keep if name in answer.column_names]:
        raise UserError(f"--keep {twice[0]}: the answer has a column of this name")
    columns = {name: rows[name] for name in dict.fromkeys(keep)} | {name: answer[name] for name in answer.column_names}
    return pa.table({name: column.cast(pa.string()) if pa.types.is_null(column.type) else column for name, column in columns.items()})
