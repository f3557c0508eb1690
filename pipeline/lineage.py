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

import psutil

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


def machine() -> dict[str, str]:
    """The processor, the cores this process may use, the memory, and the GPUs with their driver where there are any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine.processor": _processor(Path("/proc/cpuinfo")),
        "machine.cores": str(cores),
        "machine.memory_gb": f"{psutil.virtual_memory().total / 1e9:.1f}",
        **_gpu(),
    }


def _processor(told: Path) -> str:
    """The model of the processor by Linux's list of them, else what Python knows."""
    lines = told.read_text(errors="replace").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu() -> dict[str, str]:
    """What nvidia-smi tells within five seconds; several are counted."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=5).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}
    found = [tuple(line.rsplit(", ", 1)) for line in lines if ", " in line]
    if not found:
        return {}
    names = [name for name, _ in found]
    several = [f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
    return {"gpu": ", ".join(several), "gpu.driver": found[0][1]}
