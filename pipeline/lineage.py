"""Where a result comes from: fingerprints of its inputs, the commit, the environment."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.imports import closure


def digest(files: Iterable[Path]) -> str:
    """16 hex digits of the bytes of `files`, in their order."""
    sha = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()[:16]


def fingerprint(*, code: Path, data: Iterable[Path], params: Any) -> str:
    """16 hex digits of all that decides a result: the code that `code` imports, the bytes of `data`, and `params`."""
    return text_digest(json.dumps(params, sort_keys=True, default=str) + digest(sorted(closure(code))) + digest(data))


def text_digest(text: str) -> str:
    """16 hex digits of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def commit() -> dict[str, str]:
    """The git commit of this workspace, its branch and whether files differ from it; nothing outside a repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "git.commit": git("rev-parse", "HEAD"),
            "git.branch": git("rev-parse", "--abbrev-ref", "HEAD"),
            "git.dirty": str(bool(git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def environment() -> dict[str, str]:
    """Python, platform, versions of the libraries that decide numbers, the lock's digest, DVC's experiment name."""
    libraries = ("tensorflow", "keras", "numpy", "duckdb", "optuna", "mlflow", "dvc", "evidently", "scikit-learn")
    found = {f"version.{name}": importlib.metadata.version(name) for name in libraries}
    lock = Path("requirements.lock")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **found,
        **({"lock": digest([lock])} if lock.exists() else {}),
        **({"dvc.experiment": name} if (name := os.environ.get("DVC_EXP_NAME")) else {}),
    }
