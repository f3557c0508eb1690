"""Pairs of idx files, X-images-idx3-ubyte and X-labels-idx1-ubyte, as MNIST has them (yann.lecun.com/exdb/mnist, FILE FORMATS)."""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.sources.encodings import opened
from pipeline.data.sources.parts import Source, mistake, named, stream

NAME = re.compile(r"(?P<side>.+?)[-_.](?P<part>images|labels)[-_.]idx(?P<axes>[1-4])[-_.]ubyte(\.gz)?")
UBYTE = 8  # the code of unsigned bytes
LARGEST = 64_000_000  # pixels of one picture


def read(backend: Backend, files: Sequence[tuple[Path, str]], target: str, *, workspace: Path) -> Source:
    """One row a picture: `image` (PNG bytes, lossless), its class, and `split`, the name before -images.

    Raises:
        UserError: a file has no partner, is no idx file, or the two do not have equally many items.
    """
    pairs: dict[str, dict[str, tuple[Path, str]]] = {}
    for file, name in files:
        match = NAME.fullmatch(file.name.lower())
        assert match  # how the files were chosen
        side = file.name[: match.end("side")]
        if pairs.setdefault(side, {}).setdefault(match["part"], (file, name)) != (file, name):
            raise mistake(name, f"there are two files of {match['part']} for {side}")
    for side, pair in pairs.items():
        if len(pair) == 1:
            (part, (_, name)) = next(iter(pair.items()))
            other = "labels" if part == "images" else "images"
            raise mistake(
                name,
                f"is one of a pair of idx files: its {other} ({side}-{other}-idx{1 if other == 'labels' else 3}-ubyte) are absent; "
                "set data.source to the folder that has both and data.files to '*ubyte*'",
            )
    names = named(["image", target, "split"], files[0][1])
    schema = pa.schema(list(zip(names, (pa.binary(), pa.string(), pa.string()), strict=True)))
    rows = (row for side, pair in sorted(pairs.items()) for row in _pair(side, pair["images"], pair["labels"]))
    return Source(backend.read_parquet(stream(workspace / "idx.parquet", schema, rows)), {"kind": "idx"})


def _pair(side: str, images: tuple[Path, str], labels: tuple[Path, str]) -> Iterator[tuple[bytes, str, str]]:
    with opened(images[0]) as pictures, opened(labels[0]) as classes:
        shape, count = _shape(pictures, images[1]), _shape(classes, labels[1])
        if len(shape) not in (3, 4) or len(count) != 1 or shape[3:] not in ((), (1,), (3,), (4,)):
            raise mistake(images[1], f"expected pictures of 2 or 3 axes and one label each, got shapes {shape} and {count}")
        if shape[0] != count[0]:
            raise mistake(images[1], f"holds {shape[0]} pictures, but {labels[1]} holds {count[0]} labels")
        size = math.prod(shape[1:])
        if not 0 < size <= LARGEST:
            raise mistake(images[1], f"not readable as idx: its items have shape {shape[1:]}")
        for _ in range(shape[0]):
            yield _png(_exactly(pictures, size, images[1]), shape[1:]), str(_exactly(classes, 1, labels[1])[0]), side
        for stream, name in ((pictures, images[1]), (classes, labels[1])):
            if _read(stream, 1, name):
                raise mistake(name, f"holds more than the {shape[0]} items that its head tells")


def cut(file: Path, copy: Path, items: int) -> None:
    """Write the first items of an idx file as one of its own.

    Raises:
        UserError: it is no idx file, or ends before them.
    """
    with opened(file) as source:
        count, *shape = _shape(source, str(file))
        kept = min(count, items)
        body = _exactly(source, kept * math.prod(shape), str(file))
    head = struct.pack(f">4B{1 + len(shape)}I", 0, 0, UBYTE, 1 + len(shape), kept, *shape)
    with gzip.open(copy, "wb", compresslevel=6) if copy.suffix == ".gz" else copy.open("wb") as out:
        out.write(head + body)


def _shape(stream: IO[bytes], name: str) -> tuple[int, ...]:
    head = _exactly(stream, 4, name)
    if head[:2] != b"\0\0" or head[2] != UBYTE or not 1 <= head[3] <= 4:
        raise mistake(name, "not readable as idx: expected unsigned bytes of 1 to 4 axes")
    return struct.unpack(f">{head[3]}I", _exactly(stream, 4 * head[3], name))


def _exactly(stream: IO[bytes], size: int, name: str) -> bytes:
    data = _read(stream, size, name)
    if len(data) < size:
        raise mistake(name, "not readable as idx: it ends before the items that its head tells")
    return data


def _read(stream: IO[bytes], size: int, name: str) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, OSError, zlib.error) as error:
        raise mistake(name, f"not readable as idx: {error}") from None


def _png(picture: bytes, shape: Sequence[int]) -> bytes:
    from PIL import Image

    mode = {(): "L", (1,): "L", (3,): "RGB", (4,): "RGBA"}[tuple(shape[2:])]
    out = io.BytesIO()
    Image.frombytes(mode, (shape[1], shape[0]), picture).save(out, "PNG", compress_level=1)
    return out.getvalue()
