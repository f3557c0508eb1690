"""Sources: one path becomes one table of rows as the source has them.

A CSV file keeps every value as text (types are inferred by `clean`, over all rows); Parquet and `load.py` keep
their own types.
"""

from __future__ import annotations

import codecs
import hashlib
import linecache
import runpy
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.errors import UserError

CHUNK = 1 << 20


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
    try:
        # every option that matters is stated: DuckDB guesses the dialect alone
        table = backend.read_csv(utf8, all_varchar=True, header=True, ignore_errors=False, null_padding=False)
        rows = backend.con.execute("SELECT Delimiter, Quote FROM sniff_csv(?, all_varchar=true, header=true)", [str(utf8)])
        delimiter, quote = rows.fetchone() or ("", "")
        backend.to_pyarrow(table.count())  # read it all now: a ragged row is found here, with its line
    except duckdb.Error as error:
        line = next((text for text in str(error).splitlines() if text.strip()), "unreadable")
        raise UserError(f"data.source: {path}: not readable as CSV: {line.strip()}") from None
    return table, {"kind": "csv", "encoding": encoding, "delimiter": delimiter, "quote": quote}


def _as_utf8(path: Path, encoding: str, workspace: Path) -> Path:
    """`path` itself where it is sound UTF-8, else a copy of it in UTF-8; byte order marks are left out."""
    try:
        reader = codecs.lookup(encoding).streamreader
    except LookupError:
        raise UserError(f"data.encoding: expected a name such as utf-8, latin-1 or windows-1252, got {encoding!r}") from None
    utf8 = codecs.lookup(encoding).name == "utf-8"
    copy = workspace / "utf8.csv"
    with path.open("rb") as raw, copy.open("w", encoding="utf-8", newline="") as out:
        stream = reader(raw, errors="strict")
        done = 0
        try:
            while text := stream.read(CHUNK):
                done += text.count("\n")
                if "\0" in text:
                    raise UserError(f"data.source: {path}: holds NUL bytes near line {done}: expected text, is it UTF-16?")
                if not utf8:
                    out.write(text)
        except UnicodeDecodeError as error:
            line = done + error.object[: error.start].count(b"\n") + 1
            byte = error.object[error.start]
            raise UserError(
                f"data.source: {path}: expected {encoding} text, but line {line} has byte 0x{byte:02x}; "
                "name the file's encoding, for example data.encoding: windows-1252"
            ) from None
    if utf8:
        return path
    return copy


def _read_parquet(backend: Backend, path: Path) -> ir.Table:
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
        loaded = module["load"]()
    except KeyError as error:
        if error.args != ("load",):
            raise _loader_error(file, error) from error
        raise UserError(f"data.source: {file}: expected a function load() that returns a table") from None
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
    return backend.create_table("loaded", arrow)


def _loader_error(file: Path, error: Exception) -> UserError:
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    code = linecache.getline(str(file), line).strip()
    return UserError(f"data.source: {file}:{line}: load() raised {type(error).__name__}: {error}" + (f"  [{code}]" if code else ""))

