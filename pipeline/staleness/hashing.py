"""The digests of files and folders as dvc.lock has them, each file read once and again only when it was written to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from pipeline import files, resources
from pipeline.errors import UserError

IGNORED = (".git", ".dvc", ".hg")  # by DVC itself
WORTH_KEEPING = 64_000_000  # bytes read, from which on their digests are kept for the next time
BLOCK = 1 << 20
Listing = Mapping[str, str]  # digests by the names in a folder


def digest(listing: Listing) -> str:
    """The digest of a folder: that of its listing, as DVC writes it."""
    return hashlib.md5(listing_bytes(listing), usedforsecurity=False).hexdigest() + ".dir"


def listing_bytes(listing: Listing) -> bytes:
    """A listing as it stands in DVC's cache."""
    return json.dumps([{"md5": listing[name], "relpath": name} for name in sorted(listing)], sort_keys=True).encode()


def patterns(root: Path) -> tuple[str, ...]:
    """What .dvcignore leaves out: names and paths with wildcards; what it takes back by `!` is not read."""
    file = root / ".dvcignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return (*IGNORED, *(line.strip().rstrip("/") for line in lines if line.strip() and line.lstrip()[0] not in "#!"))


class Hasher:
    """Digests of what lies in a workspace now.

    Args:
        kept: a file that holds digests of large files between two calls, valid as long as size, time and inode are the same.
    """

    def __init__(self, root: Path, kept: Path | None = None) -> None:
        self.root = root
        self._ignored = patterns(root)
        self._file = kept
        self._seen: dict[str, tuple[int, int, int, str]] = {}
        self._read = 0

    @cached_property
    def _kept(self) -> dict[str, tuple[int, int, int, str]]:
        try:
            return {name: tuple(known) for name, known in files.read_json(self._file).items()} if self._file else {}
        except (OSError, ValueError, AttributeError):
            return {}

    def of(self, path: str) -> str | None:
        """The digest of a file or folder; None where there is none."""
        place = self.root / path
        if place.is_dir():
            return digest(self.listing(path))
        return self._of_file(place) if place.is_file() else None

    def listing(self, folder: str) -> Listing:
        """Digests of the files in a folder."""
        place = self.root / folder
        there = list(self._files(place))
        with ThreadPoolExecutor(min(8, resources.cores())) as pool:
            return {file.relative_to(place).as_posix(): found for file, found in zip(there, pool.map(self._of_file, there), strict=True)}

    def names(self, folder: str) -> Iterable[str]:
        """The files in a folder, by name."""
        return [file.relative_to(self.root / folder).as_posix() for file in self._files(self.root / folder)]

    def keep(self) -> None:
        """Remember the digests where reading took long."""
        if self._file and self._file.parent.is_dir() and self._read >= WORTH_KEEPING:
            files.write_json(self._file, {name: list(known) for name, known in self._seen.items()})

    def _files(self, folder: Path) -> Iterator[Path]:
        for place, folders, names in os.walk(folder, followlinks=True):
            at = Path(place)
            folders[:] = sorted(name for name in folders if not self._is_ignored(at / name))
            yield from (at / name for name in sorted(names) if not self._is_ignored(at / name))

    def _is_ignored(self, place: Path) -> bool:
        path = os.path.relpath(place, self.root)
        return any(fnmatch(path, pattern.lstrip("/")) if "/" in pattern else fnmatch(place.name, pattern) for pattern in self._ignored)

    def _of_file(self, file: Path) -> str:
        try:
            return self._digest(file)
        except FileNotFoundError:  # a stage at work has removed it meanwhile
            return ""
        except PermissionError:
            raise UserError(f"{os.path.relpath(file, self.root)}: cannot be read: permission denied") from None

    def _digest(self, file: Path) -> str:
        stat = file.stat()
        name, now = str(file.resolve()), (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        known = self._seen.get(name) or self._kept.get(name)
        if known is None or known[:3] != now:
            made = hashlib.md5(usedforsecurity=False)
            with file.open("rb") as stream:
                while block := stream.read(BLOCK):
                    made.update(block)
            known = (*now, made.hexdigest())
            self._read += stat.st_size
        self._seen[name] = known
        return known[3]
