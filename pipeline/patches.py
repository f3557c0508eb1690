"""The uncommitted changes of a git repository, new files included, as a patch; secrets and large files are left out and named."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import secrets

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git's tree without files
PLAIN = ("diff.noprefix=false", "diff.mnemonicPrefix=false", "core.quotePath=false", "diff.renames=false", "core.safecrlf=false")


@dataclass(frozen=True)
class Patch:
    """What `git apply --binary` makes of a checkout of the commit: the workspace, but for the files left out."""

    content: bytes = b""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Files, and why in words."""


def of_workspace(*, without: Collection[str] = (), limit: int = 1_000_000) -> Patch:
    """The changes of the whole repository that the current folder is in; nothing outside a repository.

    The repository is left as it is: index and objects are made in a temporary folder.

    Args:
        without: paths from the repository's top that are left out, unnamed.
        limit: bytes of the patch, and of a file's part in it.
    """
    try:
        top = Path(_git(Path.cwd(), {}, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
        objects, index = (
            (top / _git(top, {}, "rev-parse", "--git-path", name).decode().rstrip("\n")).resolve() for name in ("objects", "index")
        )
        head = _git(top, {}, "rev-parse", "--verify", "--quiet", "HEAD^{tree}", check=False).decode().strip() or EMPTY
    except (OSError, subprocess.CalledProcessError):
        return Patch()
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        own = {
            "GIT_INDEX_FILE": f"{name}/index",
            "GIT_OBJECT_DIRECTORY": f"{name}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        Path(name, "objects").mkdir()
        if index.exists():
            shutil.copy2(index, f"{name}/index")  # with what git knows of unchanged files
        _git(top, own, "add", "--all", "--ignore-errors", check=False)
        changed = [
            file
            for file in _git(top, own, "diff-index", "--cached", "-z", "--name-only", head).decode(errors="surrogateescape").split("\0")
            if file
        ]
        parts: dict[str, bytes] = {}
        left_out: dict[str, str] = {}
        for file in changed:
            if file in without:
                continue
            why = _private(file) or _large((top / file), limit)
            if not why:
                words = ("diff-index", "--cached", "-p", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", head)
                parts[file] = _git(top, own, *words, "--", f":(literal,top){file}")
                why = _secret(parts[file]) or _size(len(parts[file]), limit)
            if why:
                left_out[file] = why
                parts.pop(file, None)
    for file in sorted(parts, key=lambda one: -len(parts[one])):
        if sum(map(len, parts.values())) <= limit:
            break
        left_out[file] = _size(len(parts.pop(file)), 0)
    return Patch(b"".join(parts.values()), left_out)


def _private(file: str) -> str:
    return "private by its name" if secrets.private(file) else ""


def _large(file: Path, limit: int) -> str:
    return _size(file.stat().st_size, limit) if file.is_file() and not file.is_symlink() else ""


def _size(size: int, limit: int) -> str:
    return f"too large ({size:,} bytes)" if size > limit else ""


def _secret(part: bytes) -> str:
    """Whether what the patch adds or shows holds a secret; what it takes away is in the commit already."""
    shown = b"\n".join(line[1:] for line in part.split(b"\n") if line[:1] in (b"+", b" "))
    return "holds what looks like a secret" if secrets.holds_secret(shown.decode(errors="replace")) else ""


def _git(folder: Path, own: Mapping[str, str], *words: str, check: bool = True) -> bytes:
    settings = [word for setting in PLAIN for word in ("-c", setting)]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", **own}
    return subprocess.run(["git", *settings, *words], cwd=folder, env=environment, capture_output=True, check=check).stdout
