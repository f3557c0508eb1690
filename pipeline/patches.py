"""The uncommitted changes of a git repository, new files included, as a patch; secrets and large files are left out and named."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline import secrets

LOCK = "dvc.lock"  # never too large: without it nobody knows the data
SUBMODULE = "160000"  # git's mode of one
SETTINGS = (  # of the user's, that would change the patch or the repository
    *("core.autocrlf=false", "core.safecrlf=false", "core.attributesFile=/dev/null", "core.quotePath=true", "core.splitIndex=false"),
    *("core.fsmonitor=false", "core.hooksPath=/dev/null", "diff.suppressBlankEmpty=false"),
)
DIFF = ("diff-index", "--cached", "--no-renames", "--full-index", "--ignore-submodules=none")
SHOWN = (
    *("--patch", "--binary", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
    *("--no-color", "--no-ext-diff", "--no-textconv", "--no-relative", "--diff-algorithm=myers"),
)
Git = Callable[..., bytes]


@dataclass(frozen=True)
class Patch:
    """What `git apply --binary` makes of a checkout of the commit: the workspace, but for the files left out."""

    content: bytes = b""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Files, and why in words."""


@dataclass(frozen=True)
class Change:
    """A file that differs from the commit: git's modes and object names of what was and what is."""

    file: str
    modes: tuple[str, str]
    blobs: tuple[str, str]
    kind: str  # D for deleted, T for a file that became a link or the other way round


def of_workspace(*, without: Collection[str] = (), limit: int = 1_000_000) -> Patch:
    """The changes of the whole repository that the current folder is in; nothing outside a repository.

    The repository is left as it is: index and objects are made in a temporary folder.

    Args:
        without: paths from the repository's top that are left out, unnamed.
        limit: bytes of the patch, and of a file and its part in it.
    """
    try:
        top = Path(_line(_git(Path.cwd(), {}, "rev-parse", "--show-toplevel")))
        objects, index = ((top / _line(_git(top, {}, "rev-parse", "--git-path", name))).resolve() for name in ("objects", "index"))
        empty = _line(_git(top, {}, "hash-object", "-t", "tree", "--stdin"))
        head = _line(_git(top, {}, "rev-parse", "--verify", "--quiet", "HEAD^{tree}", check=False)) or empty
    except (OSError, subprocess.CalledProcessError):
        return Patch()
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        own = {
            "GIT_INDEX_FILE": f"{name}/index",
            "GIT_OBJECT_DIRECTORY": f"{name}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": '"{}"'.format(str(objects).replace("\\", "\\\\").replace('"', '\\"')),
        }
        Path(name, "objects").mkdir()
        if index.exists():
            shutil.copy2(index, f"{name}/index")  # with what git knows of unchanged files

        def git(*words: str, given: bytes = b"") -> bytes:
            return _git(top, own, *words, given=given)

        left_out = _take_in(git, top, without, limit)
        unwanted = []
        for change in _changes(git, head):
            if why := left_out.get(change.file) or _unfit(top, change, limit):
                left_out[change.file] = why
            if why or change.file in without:
                unwanted.append(change)
        _restore(git, unwanted)
        parts = _parts(git, head, left_out, limit)
    for file in sorted(parts, key=lambda one: -len(parts[one])):
        if sum(map(len, parts.values())) <= limit:
            break
        if PurePosixPath(file).name != LOCK:
            left_out[file] = _size(len(parts.pop(file)))
    return Patch(b"".join(parts.values()), {_printable(file): why for file, why in left_out.items() if file not in without})


def _take_in(git: Git, top: Path, without: Collection[str], limit: int) -> dict[str, str]:
    """Bring the index up to date with what stands in the workspace, and tell what was left out."""
    touched = _names(git("diff-files", "-z", "--name-only", "--ignore-submodules=none"))
    new = _names(git("ls-files", "-z", "--others", "--exclude-standard"))
    files = sorted({file.rstrip("/") for file in (*touched, *new)} - set(without))
    left_out = {file: why for file in files if (why := _unfit(top, Change(file, ("", ""), ("", ""), ""), limit))}

    def take(some: list[str]) -> None:
        try:
            git("update-index", "-z", "--add", "--remove", "--replace", "--stdin", given=_zeros(some))
        except subprocess.CalledProcessError:
            if len(some) == 1:
                left_out[some[0]] = "git cannot read it"
                return
            take(some[: len(some) // 2])
            take(some[len(some) // 2 :])

    if fit := [file for file in files if file not in left_out]:
        take(fit)
    return left_out


def _unfit(top: Path, change: Change, limit: int) -> str:
    """Why a file has no place in a patch, before a look at its content."""
    place = top / change.file
    if SUBMODULE in change.modes or (place / ".git").exists():
        return "a repository of its own"
    if secrets.private(change.file):
        return "private by its name"
    size = place.lstat().st_size if place.is_file() and not place.is_symlink() else 0
    return _size(size) if size > limit and place.name != LOCK else ""


def _changes(git: Git, head: str) -> list[Change]:
    """What differs between the commit and the index, in git's order."""
    words = _names(git(*DIFF, "--raw", "-z", head))
    found = []
    for told, file in zip(words[::2], words[1::2], strict=True):
        old, new, was, is_, kind = told.lstrip(":").split(" ")
        found.append(Change(file, (old, new), (was, is_), kind[0]))
    return found


def _restore(git: Git, changes: list[Change]) -> None:
    """Have files in the index as they are in the commit."""
    lines = [f"{change.modes[0].lstrip('0') or '0'} {change.blobs[0]}\t{change.file}" for change in changes]
    git("update-index", "-z", "--replace", "--index-info", given=_zeros(lines))


def _parts(git: Git, head: str, left_out: dict[str, str], limit: int) -> dict[str, bytes]:
    """Each file's part of the patch, in git's order, deletions first where they must be.  What cannot stay goes to `left_out`."""
    sections = iter(re.split(rb"(?m)^(?=diff --git )", git(*DIFF, *SHOWN, head))[1:])
    parts: dict[str, bytes] = {}
    changes = _changes(git, head)
    for change in changes:
        blobs = {"D": [""], "T": ["", change.blobs[1]]}.get(change.kind, [change.blobs[1]])  # of each section, empty where it deletes
        safe = [_safe(git, next(sections), blob) for blob in blobs]
        part = b"".join(filter(None, safe))
        if None in safe:
            left_out[change.file] = "holds what looks like a secret"
        elif len(part) > limit and PurePosixPath(change.file).name != LOCK:
            left_out[change.file] = _size(len(part))
        else:
            parts[change.file] = part
    return parts


def _safe(git: Git, section: bytes, blob: str) -> bytes | None:
    """A section of a patch without what the file held before, where that is not for others; None where what it holds now is not."""
    section = re.sub(rb"(?m)^(@@ -[\d,]+ \+[\d,]+ @@).*$", rb"\1", section)  # headings are lines from elsewhere in the file
    if b"\nGIT binary patch\n" in section:
        section = section.partition(b"\n\n")[0] + b"\n\n"  # what follows is the way back
        shown = _content(git, blob)
    else:
        shown = b"\n".join(line[1:] for line in section.split(b"\n") if line[:1] in (b"+", b" "))
        if not _secret(shown) and _secret(section):
            section = _whole(section, _content(git, blob))
    return None if _secret(shown) or _secret(section) else section


def _content(git: Git, blob: str) -> bytes:
    return git("cat-file", "blob", blob) if blob else b""


def _whole(section: bytes, new: bytes) -> bytes:
    """The section as a binary one, which holds all of the new content and nothing of the old."""
    packed = zlib.compress(new)
    pieces = [packed[at : at + 52] for at in range(0, len(packed), 52)]
    lines = [bytes([len(piece) + (64 if len(piece) <= 26 else 70)]) + base64.b85encode(piece, pad=True) for piece in pieces]  # A-Z, a-z
    return b"\n".join([section.partition(b"\n--- ")[0], b"GIT binary patch", b"literal %d" % len(new), *lines, b"", b""])


def _secret(content: bytes) -> bool:
    return secrets.holds_secret(content.replace(b"\0", b"").decode(errors="replace"))  # without zeros: UTF-16


def _size(size: int) -> str:
    return f"too large ({size:,} bytes)"


def _names(told: bytes) -> list[str]:
    return [os.fsdecode(name) for name in told.split(b"\0") if name]


def _zeros(names: Collection[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _line(told: bytes) -> str:
    return os.fsdecode(told).rstrip("\n")


def _printable(file: str) -> str:
    """A file's name with the bytes that are no text as \\xff."""
    return os.fsencode(file).decode(errors="backslashreplace")


def _git(folder: Path, own: Mapping[str, str], *words: str, given: bytes = b"", check: bool = True) -> bytes:
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIFF_OPTS", "GIT_EXTERNAL_DIFF")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", **own}
    return subprocess.run(["git", *settings, *words], cwd=folder, env=environment, input=given, capture_output=True, check=check).stdout
