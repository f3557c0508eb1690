"""What a folder held when a stage last ran: from DVC's cache, or from the commit in which it has the same digest."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.staleness.hashing import Listing, digest

LOOKED_AT = 6  # commits that touched a folder


def listing(folder: str, known: str, *, cache: Path, root: Path, commits: Sequence[str] = ()) -> Listing | None:
    """Digests of the files that a folder held when its own was `known`; None where nothing tells it.

    Args:
        commits: those to look into first.
    """
    if (found := cached(known, cache)) is not None:
        return found
    for commit in dict.fromkeys([*commits, *_touching(folder, root)]):
        then = dict(_committed(folder, commit, root))
        if then and digest(then) == known:
            return then
    return None


def cached(known: str, cache: Path) -> Listing | None:
    """The files of a folder by its digest, where it is in DVC's cache."""
    try:
        return {one["relpath"]: one["md5"] for one in json.loads(place(known, cache).read_bytes())}
    except (OSError, ValueError):
        return None


def place(known: str, cache: Path) -> Path:
    """Where the cache has a digest."""
    return cache / "files" / "md5" / known[:2] / known[2:]


def is_cached(known: str | None, cache: Path) -> bool:
    """Whether the cache has an output whole."""
    if not known or not place(known, cache).exists():
        return False
    return not known.endswith(".dir") or all(place(one, cache).exists() for one in set((cached(known, cache) or {}).values()))


def _touching(folder: str, root: Path) -> list[str]:
    return _git(root, "log", f"-{LOOKED_AT}", "--format=%H", "--", folder).decode().split()


def _committed(folder: str, commit: str, root: Path) -> Iterator[tuple[str, str]]:
    listed = [line for line in _git(root, "ls-tree", "-r", "-z", commit, "--", f"{folder}/").decode().split("\0") if line]
    named = [(what.split()[2], name) for what, _, name in (line.partition("\t") for line in listed) if what.split()[1] == "blob"]
    held = _git(root, "cat-file", "--batch", given="".join(f"{blob}\n" for blob, _ in named).encode())
    at = 0
    for _, name in named:
        end = held.index(b"\n", at)
        size = int(held[at:end].split()[2])
        content = held[end + 1 : end + 1 + size]
        at = end + size + 2
        yield name.removeprefix(f"{folder.rstrip('/')}/"), hashlib.md5(content, usedforsecurity=False).hexdigest()


def _git(root: Path, *words: str, given: bytes | None = None) -> bytes:
    try:
        return subprocess.run(["git", *words], cwd=root, input=given, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository, or no such commit
        return b""
