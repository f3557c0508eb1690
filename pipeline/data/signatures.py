"""What kind of file bytes are, told by how they begin."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.data.engine import sample

IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6")
SOUNDS = (b"fLaC", b"OggS", b"ID3", b"FORM", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b".snd")
LOOKED_AT = 1000
HEAD = 12


@ibis.udf.scalar.builtin(name="array_slice")
def slice_of(data: dt.binary, start: int, end: int) -> dt.binary:
    """Bytes from `start` to `end`, counted from 1."""
    raise NotImplementedError


def medium(head: bytes) -> str | None:
    """`image` or `audio`, or None where the first bytes are those of neither."""
    if head.startswith(b"RIFF"):
        return {b"WAVE": "audio", b"WEBP": "image"}.get(head[8:12])
    return "image" if head.startswith(IMAGES) else "audio" if head.startswith(SOUNDS) else None


def told_by_bytes(backend: Backend, table: ir.Table, name: str) -> tuple[str, str]:
    """The kind of a binary column and why: that of most of its first values."""
    some = sample(table.filter(table[name].notnull()), LOOKED_AT)
    heads = backend.to_pyarrow(some.select(head=slice_of(some[name], 1, HEAD)))["head"].to_pylist()
    kinds = [medium(head) for head in heads]
    for kind in ("image", "audio"):
        if 2 * kinds.count(kind) > len(kinds):
            return kind, f"{kinds.count(kind)} of {len(kinds)} values looked at begin as {kind} files do"
    return (
        "ignore",
        f"bytes of no known form, such as {heads[0][:8].hex(' ')}: expected PNG, JPEG, GIF, BMP, TIFF, WebP, WAV, FLAC, Ogg, MP3 or AIFF",
    )
