"""What a path holds: one table, several files of one kind, folders of classes, idx pairs, series, or a load.py."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from ibis.backends.duckdb import Backend

from pipeline.config import DataParams
from pipeline.data.sources import classes, delimited, idx, loader, manifest, rectangular, timeseries
from pipeline.data.sources.parts import Source, listing, mistake
from pipeline.errors import UserError

TEXT = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
KINDS = {
    **dict.fromkeys(TEXT, "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), "arrow"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    ".ts": "ts",
    **dict.fromkeys(classes.IMAGES, "image"),
    **dict.fromkeys(classes.SOUNDS, "audio"),
}
MEDIA = ("image", "audio")  # kinds of which a file is one value
EXPECTED = "expected a text table (.csv, .tsv, .txt), .json, .jsonl, .parquet, .arrow, .ts, .sql, an archive (.zip, .tar.gz) or a folder"


def read(backend: Backend, path: Path, data: DataParams, *, workspace: Path) -> Source:
    """The rows of a file or folder.

    Raises:
        UserError: there is nothing that can be read, or more than one thing it could be.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        return _files(backend, path.parent, [path], data, workspace)
    if data.files is None and (path / "load.py").is_file():
        return loader.read(backend, path / "load.py")
    return _files(backend, path, chosen(path, data), data, workspace)


def chosen(folder: Path, data: DataParams) -> list[Path]:
    """The files of a folder that `data` names, or that it is about where it has no load.py.

    Raises:
        UserError: there is none, or more than one choice.
    """
    inside = inside_of(folder)
    if data.files is None:
        return _obvious(folder, inside)
    if found := [file for file in inside if _matches(file.relative_to(folder).as_posix(), data.files)]:
        return found
    raise UserError(f"data.files: no file in {folder} matches {data.files!r}; it holds {_names(folder, inside)}")


def inside_of(folder: Path) -> list[Path]:
    """The files in a folder and its folders; hidden ones, links that lead out of it and what systems leave behind are left out."""
    home = folder.resolve()
    found = []
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if any(part.startswith((".", "__MACOSX", "__pycache__")) for part in parts) or file.name in ("Thumbs.db", "desktop.ini"):
            continue
        if file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(home)):  # links to folders are not followed
            found.append(file)
    return found


def _matches(name: str, pattern: str) -> bool:
    """As a shell does: `*.csv` is of the top, `**/*.csv` of every depth."""
    parts, wanted = name.split("/"), pattern.split("/")

    def fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
        if not wanted:
            return not parts
        if wanted[0] == "**":
            return any(fits(parts[at:], wanted[1:]) for at in range(len(parts) + 1))
        return bool(parts) and fnmatch(parts[0], wanted[0]) and fits(parts[1:], wanted[1:])

    return fits(parts, wanted)


def _names(path: Path, files: Sequence[Path]) -> str:
    return listing(file.relative_to(path).as_posix() for file in files)


def _obvious(path: Path, inside: list[Path]) -> list[Path]:
    """The files that a folder is about, where there can be no doubt."""
    kinds = {file: kind_of(file) for file in inside}
    tables = [file for file in inside if kinds[file] in ("csv", "parquet", "arrow", "json", "ts")]
    for kind in ("idx", *MEDIA):
        chosen = [file for file in inside if kinds[file] == kind]
        one_folder = len({file.parent for file in chosen}) == 1  # no classes: what the table beside it names
        if chosen and (kind == "idx" or (all(file.parent != path for file in chosen) and not (one_folder and tables))):
            return chosen
    if len(tables) == 1:
        return tables
    what = f"found {_names(path, inside)}"
    if not tables:
        raise mistake(path, f"expected a folder with a load.py, class folders of pictures or sounds, idx files, or tables, {what}")
    raise mistake(path, f"holds several tables: name those to read, for example data.files: '*{tables[0].suffix}'; {what}")


def kind_of(file: Path) -> str | None:
    """What a file is by its name, that of the unpacked one for .gz."""
    name = file.name.lower()
    if idx.NAME.fullmatch(name):
        return "idx"
    if name.endswith(".gz"):
        kind = KINDS.get(Path(name.removesuffix(".gz")).suffix)
        return kind if kind in ("csv", "json") else None
    return KINDS.get(file.suffix.lower())


def _files(backend: Backend, home: Path, chosen: list[Path], data: DataParams, workspace: Path) -> Source:
    kinds = {kind_of(file) for file in chosen}
    single = len(chosen) == 1 and not home.samefile(chosen[0].parent)
    files = [(file, str(file) if len(chosen) == 1 and not single else file.relative_to(home).as_posix()) for file in chosen]
    if len(kinds) > 1:
        raise mistake(home, f"expected files of one kind, found {_names(home, chosen)}; name those to read with data.files")
    kind = kinds.pop()
    if kind not in MEDIA and (empty := next((name for file, name in files if not file.stat().st_size), None)):
        raise mistake(empty, "the file is empty")  # an empty picture or sound is one row, which clean rejects
    if kind is None:
        raise mistake(files[0][1], EXPECTED)
    if kind == "csv":
        source = manifest.with_media(backend, delimited.read(backend, files, data, workspace=workspace), home, workspace=workspace)
    elif kind in MEDIA:
        source = classes.read(backend, home, files, kind, data.targets[0], workspace=workspace)
    elif kind == "idx":
        if data.files is None and Path(data.source) in chosen:
            raise mistake(files[0][1], "is one of a pair of idx files: set data.source to its folder and data.files to '*ubyte*'")
        source = idx.read(backend, files, data.targets[0], workspace=workspace)
    elif kind == "ts":
        source = timeseries.read(backend, files, data.targets[0], workspace=workspace)
    else:
        source = rectangular.read(backend, files, kind, workspace=workspace)
    return Source(source.table, {**source.found, "files": len(files)} if len(files) > 1 else source.found, source.rejects)
