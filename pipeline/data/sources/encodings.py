"""Text files of any encoding as UTF-8: the encoding is told from the bytes of the whole file."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from pipeline.data.sources.parts import mistake
from pipeline.errors import UserError

CHUNK = 4 << 20
UNUSED = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))  # mean nothing in Windows-1252


@dataclass(frozen=True)
class Utf8:
    """A file of sound UTF-8 text, the encoding it came from, its lines, whether they end in several ways, and whether it holds quotes."""

    path: Path
    encoding: str
    lines: int
    mixed: bool
    quoted: bool


def as_utf8(path: Path, encoding: str, copy: Path) -> Utf8:
    """`path` itself where it is sound UTF-8, else a copy of it in UTF-8; gzip is unpacked.

    Raises:
        UserError: no text, or not of the encoding that was named.
    """
    chosen = _told(path) if encoding == "auto" else _known(encoding)
    try:
        return _copied(path, chosen, copy)
    except UnicodeDecodeError as error:
        if encoding == "auto" and chosen == "utf-8":
            single = "latin-1" if any(chunk.translate(None, UNUSED) != chunk for chunk in chunks(path)) else "windows-1252"
            return _copied(path, single, copy)
        byte = error.object[error.start]
        likely = "utf-16" if byte in (0xFE, 0xFF) and error.reason.startswith("line 1:") and not error.start else "windows-1252"
        told = f"expected {chosen if encoding == 'auto' else encoding} text, but {error.reason.partition(':')[0]} has byte 0x{byte:02x}"
        raise mistake(path, f"{told}; name the file's encoding, for example data.csv.encoding: {likely}") from None


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is gzip."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")


def chunks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes of a file.

    Raises:
        UserError: the gzip is broken.
    """
    try:
        with opened(path) as raw:
            while chunk := raw.read(CHUNK):
                yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise mistake(path, f"the gzip is broken: {error}") from None


def _told(path: Path) -> str:
    """UTF-16 by its mark, or by NULs at every second byte; else UTF-8, which a whole pass confirms."""
    head = next(chunks(path), b"")[:4096]
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > 0.3 * len(head) / 2 and min(even, odd) < 0.1 * max(even, odd):
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)  # some codecs, such as base64, are no text encodings
        return codecs.lookup(encoding).name
    except LookupError:
        raise UserError(f"data.csv.encoding: expected a name such as utf-8, latin-1 or windows-1252, got {encoding!r}") from None


def _copied(path: Path, encoding: str, copy: Path) -> Utf8:
    decoder = codecs.getincrementaldecoder("utf-8" if encoding == "utf-8-sig" else encoding)()
    plain = encoding in ("utf-8", "utf-8-sig")
    with path.open("rb") as raw:
        as_it_is = plain and raw.read(2) != b"\x1f\x8b"
    out: IO[str] | None = None
    if not as_it_is:
        copy.parent.mkdir(parents=True, exist_ok=True)
        out = copy.open("w", encoding="utf-8", newline="")
    lf = cr = crlf = line = 0
    last, quoted = "", False
    read = chunks(path)
    try:
        more = True
        while more:
            chunk = next(read, b"")
            more = bool(chunk)
            try:
                text = decoder.decode(chunk, final=not more)
            except UnicodeDecodeError as error:
                at = line + error.object[: error.start].count(b"\n") + 1
                raise UnicodeDecodeError(error.encoding, error.object, error.start, error.end, f"line {at}: {error.reason}") from None
            if "\0" in text:
                at = line + text[: text.index("\0")].count("\n") + 1
                raise mistake(path, f"line {at} holds a NUL byte: expected text; if it is UTF-16, set data.csv.encoding: utf-16-le")
            line += text.count("\n")
            pair = "\r" in text or last == "\r"
            lf, cr = lf + text.count("\n"), cr + (text.count("\r") if pair else 0)
            crlf += (text.count("\r\n") + (last == "\r" and text.startswith("\n"))) if pair else 0
            last = text[-1:] or last
            quoted = quoted or '"' in text or "'" in text
            if out:
                out.write(text)
    finally:
        if out:
            out.close()
    lines = lf + cr - crlf + (last not in ("\n", "\r", ""))
    mixed = (lf > crlf) + (cr > crlf) + (crlf > 0) > 1
    return Utf8(path if as_it_is else copy, "utf-8" if plain else encoding, lines, mixed, quoted)
