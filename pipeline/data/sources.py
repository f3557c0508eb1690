"""Sources: one path becomes one table of rows as the source has them.

A CSV file keeps every value as text (types are inferred by `clean`, over all rows); Parquet and `load.py` keep
their own types.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import hashlib
import itertools
import linecache
import runpy
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from pipeline.errors import UserError

CHUNK = 1 << 20
DELIMITERS = (",", ";", "\t", "|")
QUOTE = '"'
SNIFFED = 1000  # lines from which the delimiter is told


def read(backend: Backend, source: str, *, encoding: str, workspace: Path) -> tuple[ir.Table, dict[str, Any]]:
    """The source's rows, and what was found out about it (kind, files, sha256, for CSV the delimiter).

    Args:
        source: path of a `.csv`/`.tsv`/`.txt` or `.parquet` file, or of a folder with a `load.py`.
        encoding: Python's name of a CSV file's encoding.
        workspace: folder for a re-encoded copy.

    Raises:
        UserError: the source is absent, empty, of an unknown kind, or cannot be read.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"data.source: {source}: no such file or folder")
    if path.is_dir():
        if not (path / "load.py").is_file():
            raise UserError(f"data.source: {source}: expected a folder with a load.py, found {_listing(path)}")
        table, found = _call_loader(backend, path / "load.py"), {"kind": "load.py"}
    elif path.stat().st_size == 0:
        raise UserError(f"data.source: {source}: the file is empty")
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        table, found = _read_csv(backend, path, encoding, workspace)
    elif path.suffix.lower() in (".parquet", ".pq"):
        table, found = _read_parquet(backend, path), {"kind": "parquet"}
    else:
        raise UserError(f"data.source: {source}: expected .csv, .tsv, .txt, .parquet or a folder with load.py")
    return table, {"source": source, **found, "sha256": digest(path)}


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents (without __pycache__)."""
    sha = hashlib.sha256()
    files = sorted(f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            sha.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                sha.update(chunk)
    return sha.hexdigest()


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"


def _read_csv(backend: Backend, path: Path, encoding: str, workspace: Path) -> tuple[ir.Table, dict[str, Any]]:
    utf8 = _as_utf8(path, encoding, workspace)
    delimiter, header, skip = _dialect(path, utf8)
    names = _named([name.strip() or f"column{at}" for at, name in enumerate(header)], path)
    columns = {f"c{at}": "string" for at in range(len(names))}
    try:
        # every option is stated: left to guess, DuckDB takes lines as comments or preamble and drops them without a word
        table = backend.read_csv(
            utf8, columns=columns, delim=delimiter, quote=QUOTE, escape=QUOTE, header=True, skip=skip, comment="", null_padding=False
        )
        backend.to_pyarrow(table.count())  # read it all now: a ragged row is found here, with its line
    except duckdb.Error as error:
        raise UserError(f"data.source: {path}: not readable as CSV: {_cause(str(error))}") from None
    return table.rename(dict(zip(names, columns, strict=True))), {"kind": "csv", "encoding": encoding, "delimiter": delimiter}


def _dialect(path: Path, utf8: Path) -> tuple[str, list[str], int]:
    """The delimiter under which most of the first rows have as many values as the header, the header, and blank lines above it."""
    with utf8.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(itertools.islice(stream, SNIFFED))
    skip = next((at for at, line in enumerate(lines) if line.strip()), None)
    if skip is None:
        raise UserError(f"data.source: {path}: expected a header line, found blank lines only")
    best: tuple[tuple[bool, float, int], str, list[str]] | None = None
    for delimiter in sorted(DELIMITERS, key=lambda d: (d == "\t") != (path.suffix.lower() == ".tsv")):
        rows: list[list[str]] = []
        with contextlib.suppress(csv.Error):  # a field past Python's limit: the rows so far will do
            rows.extend(row for row in csv.reader(lines[skip:], delimiter=delimiter, quotechar=QUOTE) if row)
        header = rows[0] if rows else [lines[skip].strip()]
        score = len(header) > 1, sum(len(row) == len(header) for row in rows) / max(len(rows), 1), len(header)
        if best is None or score > best[0]:
            best = score, delimiter, header
    assert best is not None
    return best[1], best[2], skip


def _cause(error: str) -> str:
    """The line and the fault from DuckDB's long message."""
    told = [line.strip() for line in error.split("Possible")[0].splitlines() if line.strip()]
    if "invalid state" in told[0]:
        return "its lines end in more than one way (LF, CRLF, CR): save it with one kind of line end"
    place = told[0].rpartition("Line: ")[2]
    return f"line {place}: {told[-1][:200]}" if place.isdigit() else told[0]


def _named(names: list[str], path: Path) -> list[str]:
    """`names`, each of which must differ from all others in more than case: in SQL, Age and age are one column."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise UserError(f"data.source: {path}: columns {seen[name.lower()]!r} and {name!r} have the same name (case aside): rename one")
        seen[name.lower()] = name
    return names


def _as_utf8(path: Path, encoding: str, workspace: Path) -> Path:
    """`path` itself where it is sound UTF-8, else a copy of it in UTF-8; byte order marks are left out."""
    try:
        "".encode(encoding)  # some codecs, such as base64, are no text encodings
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise UserError(f"data.encoding: expected a name such as utf-8, latin-1 or windows-1252, got {encoding!r}") from None
    utf8 = codecs.lookup(encoding).name == "utf-8"
    copy = workspace / "utf8.csv"
    with path.open("rb") as raw, copy.open("w", encoding="utf-8", newline="") as out:
        done, more = 0, True
        try:
            while more:
                chunk = raw.read(CHUNK)
                more = bool(chunk)
                text = decoder.decode(chunk, final=not more)
                if "\0" in text:
                    line = done + text[: text.index("\0")].count("\n") + 1
                    raise UserError(
                        f"data.source: {path}: line {line} holds a NUL byte: expected text; if it is UTF-16, set data.encoding: utf-16"
                    )
                done += text.count("\n")
                if not utf8:
                    out.write(text)
        except UnicodeDecodeError as error:
            line = done + error.object[: error.start].count(b"\n") + 1
            byte = error.object[error.start]
            likely = "utf-16" if line == 1 and byte in (0xFE, 0xFF) and not error.start else "windows-1252"
            raise UserError(
                f"data.source: {path}: expected {encoding} text, but line {line} has byte 0x{byte:02x}; "
                f"name the file's encoding, for example data.encoding: {likely}"
            ) from None
    return path if utf8 else copy


def _read_parquet(backend: Backend, path: Path) -> ir.Table:
    try:
        names = pq.read_schema(path).names
    except pa.ArrowException as error:
        raise UserError(f"data.source: {path}: not readable as Parquet: {str(error).splitlines()[0]}") from None
    _named(names, path)
    try:
        table = backend.read_parquet(path)
        backend.to_pyarrow(table.limit(1))
    except duckdb.Error as error:
        raise UserError(f"data.source: {path}: not readable as Parquet: {str(error).splitlines()[0]}") from None
    return table


def _call_loader(backend: Backend, file: Path) -> ir.Table:
    """What `load()` of the user's load.py returns: a pandas or Arrow table, or a mapping of columns."""
    try:
        module = runpy.run_path(str(file))
        if not callable(module.get("load")):
            raise UserError(f"data.source: {file}: expected a function load() that returns a table")
        loaded = module["load"]()
    except UserError:
        raise
    except Exception as error:
        raise _loader_error(file, error) from error
    if hasattr(loaded, "to_pandas") and not isinstance(loaded, pa.Table):  # Ibis, Polars
        loaded = loaded.to_pandas()
    try:
        if hasattr(loaded, "iloc"):
            arrow = pa.Table.from_pandas(loaded, preserve_index=False)
        else:
            arrow = loaded if isinstance(loaded, pa.Table) else pa.table(loaded)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UserError(f"data.source: {file}: load() returned no table ({type(loaded).__name__}): {error}") from None
    return backend.create_table("loaded", _storable(arrow, file))


def _storable(table: pa.Table, file: Path) -> pa.Table:
    """`table` with a name for every column and with text as the type of columns that hold nothing."""
    if not table.column_names:
        raise UserError(f"data.source: {file}: load() returned a table without columns")
    if odd := [f"{f.name} ({f.type})" for f in table.schema if pa.types.is_duration(f.type) or isinstance(f.type, pa.BaseExtensionType)]:
        raise UserError(
            f"data.source: {file}: load() returned columns of a type that has no place here: {', '.join(odd)}; make them numbers or text"
        )
    names = _named([name or f"column{at}" for at, name in enumerate(table.column_names)], file)
    types = [pa.string() if pa.types.is_null(kind) else kind for kind in table.schema.types]
    return table.rename_columns(names).cast(pa.schema(list(zip(names, types, strict=True))))


def _loader_error(file: Path, error: Exception) -> UserError:
    trace, line = error.__traceback__, (error.lineno or 0) if isinstance(error, SyntaxError) and error.filename == str(file) else 0
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    code = linecache.getline(str(file), line).strip()
    return UserError(f"data.source: {file}:{line}: load() raised {type(error).__name__}: {error}" + (f"  [{code}]" if code else ""))
