"""A folder of class folders of pictures or sounds: each file is a row, its folder the class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.sources.parts import Source, mistake, named, stream
from pipeline.terminal import progress

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


def read(backend: Backend, home: Path, files: Sequence[tuple[Path, str]], kind: str, target: str, *, workspace: Path) -> Source:
    """One row a file: its bytes (`image` or `audio`), `path`, its class, and with train/cat/x.png the upper folder as `split`.

    Raises:
        UserError: files lie at different depths, or not in folders.
    """
    depths = {len(Path(name).parts) - 1 for _, name in files}
    if len(depths) > 1 or not depths <= {1, 2}:
        raise mistake(
            home,
            "expected class/file or side/class/file for every file, found "
            + ", ".join(next(name for _, name in files if len(Path(name).parts) - 1 == depth) for depth in sorted(depths)),
        )
    two = depths == {2}
    names = named([kind, "path", target, *(["split"] if two else [])], home)
    schema = pa.schema([(name, pa.binary() if name == kind else pa.string()) for name in names])

    def rows() -> Iterator[tuple[bytes | str, ...]]:
        for file, name in progress.over(files, f"reading {kind}s", len(files)):
            *above, of = Path(name).parts[:-1]
            yield file.read_bytes(), name, of, *above

    return Source(backend.read_parquet(stream(workspace / "media.parquet", schema, rows())), {"kind": f"folders of {kind}s"})
