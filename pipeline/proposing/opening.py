"""A source that nothing is known of: which of its files to read, how many rows it has, and a bounded sample of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import DataParams
from pipeline.data.engine import ROW_ID, read, with_row_id, write
from pipeline.data.sources import archives, classes, folders, remote
from pipeline.data.sources.parts import mistake

ROWS = 200_000  # up to which every row is looked at; of more, about so many
FIRST = 50_000  # rows in the source's own order, from which order and series are told
FILES = 5_000  # pictures or sounds up to which every file is looked at
TABLES = ("csv", "parquet", "arrow", "json", "ts")
MADE = ("folders of images", "folders of audios", "idx", "ts")  # kinds of source that hold classes rather than a column of them
LABEL = "label"  # what such a column is called where nobody says


@dataclass(frozen=True)
class Opened:
    """A source as `data` names it.

    `table` holds all its rows (of many media files a part), `rows` counts them, `made` tells whether the form of the source
    gives the target, so that there is nothing to choose.
    """

    data: DataParams
    table: ir.Table
    rows: int
    kind: str
    made: bool
    whole: bool


def opened(backend: Backend, given: str, target: str | None, workspace: Path) -> Opened:
    """Read a source as `collect` will.

    Raises:
        UserError: it is absent, empty, or cannot be read.
    """
    data = DataParams(source=given, target=target or LABEL)
    shown = remote.shown(given)
    path = remote.fetch(data, workspace / "fetched") if remote.is_remote(given) else Path(given)
    if not path.exists():
        raise mistake(shown, "no such file or folder")
    if path.suffix.lower() == ".sql":
        raise mistake(shown, "a query needs its connection: write params.yaml by hand with data.connection, see docs/data.md")
    if path.is_file() and path.stat().st_size == 0:
        raise mistake(shown, "the file is empty")
    home = archives.unpacked(path, workspace / "unpacked") or path
    pattern = _pattern(home)
    data = data.model_copy(update={"files": pattern})
    if media := _many_media(home, data):
        kind, files = media
        kept = [file for file in files if _drawn(file.relative_to(home).as_posix(), len(files))]
        named = [(file, file.relative_to(home).as_posix()) for file in kept]
        source = classes.read(backend, home, named, kind, data.targets[0], workspace=workspace)
        return Opened(data, source.table, len(files), str(source.found["kind"]), made=True, whole=False)
    source = folders.read(backend, home, data, workspace=workspace)
    kind = str(source.found["kind"])
    rows = int(backend.to_pyarrow(source.table.count()).as_py())
    return Opened(data, source.table, rows, kind, made=any(kind.startswith(each) for each in MADE), whole=rows <= ROWS)


def sampled(backend: Backend, table: ir.Table, rows: int, file: Path) -> ir.Table:
    """All rows or about `ROWS` of them, drawn by their content, stored with row ids as `collect` stores them."""
    if rows > ROWS:
        parts = -(-rows // ROWS)
        table = table.filter(ibis.struct({name: table[name] for name in table.columns}).hash().abs() % parts == 0)
    write(with_row_id(table), file, what="a sample")
    return read(backend, file)


def series_of(backend: Backend, opened: Opened, name: str, rows_each: float) -> ir.Table:
    """The rows of all series, or of so many whole ones that they are about `ROWS`."""
    table = opened.table
    parts = -(-opened.rows // max(ROWS, int(rows_each)))
    return table if parts < 2 else table.filter(table[name].hash().abs() % parts == 0)


def columns_of(table: ir.Table) -> list[str]:
    """The source's own columns."""
    return [name for name in table.columns if name != ROW_ID]


def _pattern(home: Path) -> str | None:
    """`data.files` for a folder of several tables: those of the ending that most files have; None where there is no choice."""
    if not home.is_dir() or (home / "load.py").is_file():
        return None
    inside = folders.inside_of(home)
    kinds = {file: folders.kind_of(file) for file in inside}
    if "idx" in kinds.values() or _in_folders(home, [file for file in inside if kinds[file] in folders.MEDIA]):
        return None
    endings: dict[str, list[Path]] = defaultdict(list)
    for file in inside:
        if kinds[file] in TABLES:
            endings["".join(file.suffixes[-2:] if file.suffix.lower() == ".gz" else file.suffixes[-1:])].append(file)
    if sum(map(len, endings.values())) < 2:
        return None
    ending, chosen = max(endings.items(), key=lambda item: (len(item[1]), sum(file.stat().st_size for file in item[1]), item[0]))
    return ("**/*" if any(file.parent != home for file in chosen) else "*") + ending


def _in_folders(home: Path, files: list[Path]) -> bool:
    return bool(files) and all(file.parent != home for file in files)


def _many_media(home: Path, data: DataParams) -> tuple[str, list[Path]] | None:
    """Pictures or sounds in class folders, where they are so many that reading them all would take long."""
    if not home.is_dir() or data.files or (home / "load.py").is_file():
        return None
    files = folders.chosen(home, data)
    kind = folders.kind_of(files[0])
    return (kind, files) if kind in folders.MEDIA and len(files) > FILES else None


def _drawn(name: str, of: int) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) * of < FILES * 2**32
