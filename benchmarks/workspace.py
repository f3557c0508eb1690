"""A throw-away copy of the project for the benchmarks: its own git and DVC repository, with all state inside it.

Nothing here touches the checkout.  CPU seconds (user + system) are read from the kernel's account of a finished process
and of the children that it waited for, so a busy machine disturbs them less than wall time.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("pipeline", "extensions", "examples", "dvc.yaml", "params.yaml", ".dvc/config", ".dvcignore", ".gitignore")
FOREIGN = ("DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE", "MLFLOW_TRACKING_URI", "PIPELINE_STATE", "PYTHONPATH")  # settings of an outer run


@dataclass(frozen=True)
class Cost:
    """What a finished process used: CPU and wall in seconds, peak resident memory of its largest process in MB, its output."""

    cpu: float
    wall: float
    peak_mb: float
    output: str


@contextmanager
def copy(*, project: bool = True) -> Iterator[Path]:
    """A temporary git repository, gone after the block: with the project's files, or empty but for an initialized DVC."""
    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as name:
        folder = Path(name) / "workspace"
        folder.mkdir()
        for item in COPIED if project else (".dvc/config", ".dvcignore"):
            source, target = ROOT / item, folder / item
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        git(folder, "init", "--quiet")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "benchmark")
        yield folder


def git(folder: Path, *words: str) -> None:
    """A git command in `folder`, with an author of its own and without the user's hooks."""
    settings = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "-c", f"core.hooksPath={os.devnull}")
    subprocess.run(["git", *settings, *words], cwd=folder, check=True)


def environment(folder: Path) -> dict[str, str]:
    """This environment for commands in `folder`: this Python first on the path, state and DVC's own files beside the copy."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PIPELINE_STATE": str(folder / ".state"),
        "DVC_SITE_CACHE_DIR": str(folder.parent / "dvc-site"),
        "DVC_GLOBAL_CONFIG_DIR": str(folder.parent / "dvc-global"),
        "DO_NOT_TRACK": "true",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def cost(folder: Path, *command: str) -> Cost:
    """Run a command of this Python in `folder` to its end: `cost(folder, "-m", "dvc", "repro")`.

    Raises:
        SystemExit: the command failed; its output is the message.
    """
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=environment(folder), stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB elsewhere
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * unit / 1e6, text)


def machine() -> str:
    """The machine in general words, with its load, which wall times depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def verdict(promise: str, kept: bool) -> None:
    """Print whether a promise was kept; end with exit code 1 where it was not."""
    print(f"promise: {promise}: {'kept' if kept else 'BROKEN'}")
    if not kept:
        raise SystemExit(1)
