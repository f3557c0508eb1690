"""Rows that come in line by line on standard input."""

from __future__ import annotations

import codecs
import csv as text_tables
import itertools
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from pipeline.batch.reading import missing_columns
from pipeline.config import DataParams
from pipeline.data.sources.dialect import Dialect, rows_of, tell
from pipeline.errors import UserError

LONGEST = 1 << 24  # bytes of a row of standard input
ENDLESS = "a quote is opened and never closed, or the row has no end"
UNREAD = 256  # chunks of standard input (64 KiB each, as pipes give them) that wait


def waiting(incoming: IO[bytes]) -> Iterator[bytes]:
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


class Lines:
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
            raise ValueError(f"{missing_columns(missing, self.columns, values)} (null where there is no value)")
        return [values[name] for name in self.columns]

    def _csv(self, text: str, more: Iterator[str]) -> list[Any] | None:
        if self.dialect is None:
            data = DataParams(source="-", target=self.columns[0])
            self.dialect = tell([text], False, data, tab=False)
            if missing := [name for name in self.columns if name not in self.dialect.names]:
                raise ValueError(missing_columns(missing, self.columns, self.dialect.names))
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
