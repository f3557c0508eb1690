"""Text tables: CSV, TSV and the like.  Every value stays text as it is written; an empty one is missing.

DuckDB reads a regular file, with every option stated: left to guess, it takes lines as comments or preamble and drops
them without a word.  What it refuses (ragged rows, line ends of several kinds, fields of many megabytes) is read by
Python's csv, at about a tenth of the speed, which tells for each row the line it stands on.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.config import DataParams
from pipeline.data.engine import SOURCE_FILE
from pipeline.data.sources.dialect import Dialect, encloses, rows_of, tell
from pipeline.data.sources.encodings import Utf8, as_utf8
from pipeline.data.sources.parts import LONGEST, REJECTED, Source, mistake, named, stream

SNIFFED = 1 << 20  # characters from which the dialect is told
SNIFFED_LINES = 1000
SMALL = 64 << 20  # bytes of text that are copied when they are checked
TOLERATED = 0.01  # share of ragged rows that ragged: auto sets aside


@dataclass(frozen=True)
class _File:
    path: Path
    name: str
    text: Utf8
    dialect: Dialect


@dataclass
class _Ragged:
    """Rows of a file with too few or too many values."""

    rows: list[tuple[str, int, str, str]] = field(default_factory=list)
    count: int = 0
    read: int = 0


def read(backend: Backend, files: Sequence[tuple[Path, str]], data: DataParams, *, workspace: Path) -> Source:
    """The rows of one or more text tables of the same columns; where there are several, source_file tells which.

    Args:
        files: each file and the name that it goes by.

    Raises:
        UserError: a file is no text, has no header, other columns than the first, or rows that cannot be read.
    """
    several = len(files) > 1
    opened = [_open(path, name, data, workspace / "utf8" / (name if several else "text")) for path, name in files]
    first = opened[0]
    for other in opened[1:]:
        _same_columns(first, other)
    tables: list[ir.Table] = []
    rejected: list[tuple[str, int, str, str]] = []
    quotes = {file.name: file.dialect.quote for file in opened}
    groups = defaultdict(list)
    for file in opened:
        by_python = file.text.mixed or _quoted_above(file) or _broken_header(file)
        groups[(file.dialect, file.name if by_python else "", file.text.path == file.path)].append(file)
    at = 0
    for (dialect, alone, _), group in groups.items():
        irregular = group
        if not alone:
            table = _fast(backend, group, dialect, several, workspace)
            readable = [] if table is None and len(group) > 1 else group
            if table is None and len(group) > 1:
                readable = [file for file in group if _fast(backend, [file], dialect, several, workspace) is not None]
                table = _fast(backend, readable, dialect, several, workspace) if readable else None
            irregular = [file for file in group if file not in readable or table is None]
            if table is not None:
                tables.append(table)
        for file in irregular:
            table, quotes[file.name] = _slow(backend, file, data, workspace / f"rows{at}.parquet", rejected, several)
            tables.append(table)
            at += 1
    columns = tables[0].columns
    table = tables[0] if len(tables) == 1 else ibis.union(*(each.select(*columns) for each in tables))
    rejects = stream(workspace / "rejects.parquet", REJECTED, rejected) if rejected else None
    dialect = first.dialect
    found = {
        "kind": "csv",
        "encoding": first.text.encoding,
        "delimiter": dialect.delimiter,
        "quote": quotes[first.name],
        "header": dialect.header,
        "skip": max(0, dialect.skip - max(0, dialect.header - 1)),
        "comment": dialect.comment,
    }
    return Source(table, found, rejects)


def _open(path: Path, name: str, data: DataParams, copy: Path) -> _File:
    text = as_utf8(path, data.csv.encoding, copy)
    with text.path.open(encoding="utf-8-sig", newline="") as stream:
        head = stream.read(SNIFFED)
        whole = not stream.read(1)
    lines = [line for line, _ in zip(io.StringIO(head, newline=""), range(SNIFFED_LINES + 1), strict=False)]
    if len(lines) > SNIFFED_LINES or (not whole and len(lines) > 1):
        lines, whole = lines[:-1], False
    if whole and not any(line.strip() for line in lines):
        raise mistake(name, "expected a header line, found blank lines only" if lines else "the file is empty")
    if re.match(r"\s*<(!doctype html|html|\?xml)\b", head, re.IGNORECASE):
        raise mistake(
            name, f"expected a table, found a page ({head.split('>')[0].strip()[:40]}>): was it downloaded from the right address?"
        )
    dialect = tell(lines, whole, data, path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")))
    return _File(path, name, text, replace(dialect, names=tuple(named(dialect.names, name))))


def _same_columns(first: _File, other: _File) -> None:
    ours, theirs = set(first.dialect.names), set(other.dialect.names)
    if ours == theirs:
        return
    told = [
        f"{word} {', '.join(map(repr, sorted(names)))}" for word, names in (("lacks", ours - theirs), ("has also", theirs - ours)) if names
    ]
    raise mistake(other.name, f"expected the columns of {first.name}, but it {' and '.join(told)}")


def _quoted_above(file: _File) -> bool:
    """Whether lines above the header hold a quote, over which DuckDB would count them wrongly."""
    dialect = file.dialect
    if not dialect.skip or not dialect.quote:
        return False
    with file.text.path.open(encoding="utf-8-sig", newline="") as lines:
        return any(dialect.quote in line for line, _ in zip(lines, range(dialect.skip), strict=False))


def _broken_header(file: _File) -> bool:
    """Whether a file with a byte order mark has a header that spans lines: DuckDB may take its rest for a row."""
    if not file.dialect.header or file.dialect.skip or not file.dialect.quote:
        return False
    with file.text.path.open("rb") as lines:
        first = lines.readline(SNIFFED)
    return first.startswith(codecs.BOM_UTF8) and re.split(rb"[\r\n]", first)[0].count(file.dialect.quote.encode()) % 2 == 1


def _fast(backend: Backend, files: Sequence[_File], dialect: Dialect, several: bool, workspace: Path) -> ir.Table | None:
    """The rows by DuckDB, or None where it finds a row that is not regular."""
    columns = {f"c{at}": "string" for at in range(len(dialect.names))}
    paths = [str(file.text.path.absolute()) for file in files]  # as they come back, and are cut to names below
    if len(dialect.delimiter.encode()) > 4 or any(set("*?[") & set(path) for path in paths):
        return None
    try:
        table = backend.read_csv(
            paths,
            columns=columns,
            delim=dialect.delimiter,
            quote=dialect.quote,
            escape=dialect.quote,
            header=dialect.header > 0,
            skip=dialect.skip,
            comment="",
            null_padding=False,
            auto_detect=False,
            compression="none",
            parallel=True,  # without, rows after a quote that is never closed are lost in silence (DuckDB 1.5.6)
            **({"filename": "__file__"} if several else {}),
        )
        if sum(file.text.path.stat().st_size for file in files) < SMALL:  # what is checked is what is used
            with tempfile.NamedTemporaryFile(dir=workspace, suffix=".parquet", delete=False) as copy:
                table.to_parquet(copy.name)
            table = backend.read_parquet(copy.name)
        count = int(backend.to_pyarrow(table.count()).as_py())  # read it all now: a ragged row is found here
    except duckdb.Error:
        return None
    if not any(dialect.quote and file.text.quoted for file in files):  # one row a line, so that no row can be lost unseen
        lines = sum(file.text.lines - dialect.skip - min(dialect.header, 1) for file in files)
        if count != lines and count != lines - sum(map(_blank, files)):
            return None
    if len(columns) == 1:
        table = table.filter(table.c0.notnull())  # blank lines
    kept = [table[f"c{at}"].name(name) for at, name in enumerate(dialect.names)]
    prefix = len(paths[0]) - len(files[0].name)
    return table.select(kept + ([table["__file__"].substr(prefix).name(SOURCE_FILE)] if several else []))


def _blank(file: _File) -> int:
    """Blank lines below the header."""
    with file.text.path.open(encoding="utf-8-sig", newline="") as lines:
        return sum(at >= file.dialect.skip and not line.strip("\r\n") for at, line in enumerate(lines))


def _slow(
    backend: Backend, file: _File, data: DataParams, out: Path, rejected: list[tuple[str, int, str, str]], several: bool
) -> tuple[ir.Table, str]:
    """The rows by Python's csv, with ragged ones treated as data.csv.ragged says, and the quote (none where quotes turn out to be text)."""
    dialect, ragged = file.dialect, _Ragged()
    names = [*dialect.names, *((SOURCE_FILE,) if several else ())]
    schema = pa.schema([(name, pa.string()) for name in names])
    if several:
        named(names, file.name)
    rows = _rows(file, data.csv.ragged, ragged)
    last = (file.name,) if several else ()
    try:
        stream(out, schema, ((*row, *last) for row in rows))
    except csv.Error as error:
        plain = replace(file, dialect=replace(dialect, quote=""))
        if data.csv.quote != "auto" or not dialect.quote or not _regular(plain):
            raise mistake(file.name, f"not readable as CSV: {error}; mend it, or set data.csv.quote") from None
        return _slow(backend, plain, data, out, rejected, several)
    count, policy = ragged.count, data.csv.ragged
    if count and (policy == "fail" or (policy == "auto" and count > TOLERATED * (ragged.read + count))):
        _, line, reason, _ = ragged.rows[0]
        more = f", and {count - 1} more rows of {ragged.read + count} are ragged" if count > 1 else ""
        raise mistake(file.name, f"line {line}: {reason}{more}; mend the file, or set data.csv.ragged: reject (sets them aside) or pad")
    rejected += ragged.rows
    return backend.read_parquet(out), dialect.quote


def _regular(file: _File) -> bool:
    """Whether quotes are text in this file: without them hardly a row is ragged, and hardly one has a value that they enclose."""
    ragged, enclosing = _Ragged(), 0
    for row in _rows(file, "auto", ragged):
        enclosing += encloses(row)
    return ragged.count + enclosing <= TOLERATED * (ragged.read + ragged.count)


def _rows(file: _File, policy: str, ragged: _Ragged) -> Iterator[list[str | None]]:
    dialect, width = file.dialect, len(file.dialect.names)
    with file.text.path.open(encoding="utf-8-sig", newline="") as lines:
        for _ in range(dialect.skip):
            next(lines, None)
        seen: list[str] = []

        def told() -> Iterator[str]:
            for line in lines:
                seen.append(line)
                yield line

        at, header = dialect.skip, dialect.header > 0
        try:
            for row in rows_of(told(), dialect.delimiter, dialect.quote):
                line, at = at + 1, at + len(seen)
                if len(row) == width + 1 and not row[-1]:
                    row.pop()  # as DuckDB does: rows may end with a delimiter
                if header:
                    header = False
                elif len(row) == width and (width > 1 or row[0]):
                    ragged.read += 1
                    yield [value or None for value in row]
                elif len(row) > 1 or (row and row[0].strip()):
                    if policy == "pad" and len(row) < width:
                        ragged.read += 1
                        yield [*(value or None for value in row), *[None] * (width - len(row))]
                    else:
                        ragged.count += 1
                        if policy != "auto" or ragged.count <= 1 + TOLERATED * file.text.lines:  # beyond, auto fails
                            reason = f"expected {width} values, got {len(row)}"
                            ragged.rows.append((file.name, line, reason, "".join(seen).rstrip("\r\n")[:LONGEST]))
                seen.clear()
        except csv.Error as error:
            raise csv.Error(f"line {at + 1}: {_fault(str(error), dialect)}") from None


def _fault(error: str, dialect: Dialect) -> str:
    if "unexpected end" in error:
        return f"a quote ({dialect.quote}) is opened and never closed"
    if "expected after" in error:
        return f"a value goes on after its closing quote ({dialect.quote})"
    return error
