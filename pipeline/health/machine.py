"""The machine: disks, memory, cores, clock and GPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pipeline import paths, resources
from pipeline.health import places
from pipeline.health.finding import Finding, fail, ok, warn

GB = 10**9
SCARCE, TOO_LITTLE = 5 * GB, GB // 2  # bytes of disk
FEW_FILES, TOO_FEW_FILES = 50_000, 1_000
LITTLE_MEMORY, TOO_LITTLE_MEMORY = 4 * GB, 3 * GB // 2
USED = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
QUOTA = Path("/sys/fs/cgroup/cpu.max")
BUSY = 1.5  # processes that want a core, for each there is
AHEAD = 300.0  # seconds
CUDA = ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13")  # of TensorFlow's extra and of JAX's
SYSTEM = ("/usr/local/cuda*/lib64", "/usr/lib/*-linux-gnu", "/usr/lib64")  # where distributions put cuDNN
GPU_LOCK = "LOCK=requirements-gpu.lock make run"
PATIENCE = 3.0


def examine(root: Path, cache: Path, params: Mapping[str, Any]) -> Iterator[Finding]:
    """All that concerns the machine.

    Args:
        params: params.yaml as it is written, mistakes and all.
    """
    yield from disks({"workspace": root, "state": paths.state_folder(), "DVC's cache": cache, "temporary files": temporary()})
    yield from memory(params.get("memory", "auto"))
    yield cores(params)
    yield from clock(root)
    yield from gpu(params)


def temporary() -> Path:
    """Where temporary files lie; `tempfile` would try it by writing."""
    return next((Path(os.environ[name]) for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), Path("/tmp"))


def disks(used: Mapping[str, Path]) -> Iterator[Finding]:
    """Room, files and the right to write, once for each file system."""
    by: dict[int, list[str]] = {}
    place: dict[int, Path] = {}
    for name, folder in used.items():
        there = places.existing(folder)
        by.setdefault(device := there.stat().st_dev, []).append(name)
        place.setdefault(device, there)
        if not os.access(there, os.W_OK):
            yield fail("disk", f"{name}: {there} cannot be written to", f"chown or chmod it, or see `mount`; you are {_user()}")
    for device, names in by.items():
        yield disk(place[device], ", ".join(names))


def disk(folder: Path, names: str) -> Finding:
    """Room and free inodes of the file system of a folder."""
    told = os.statvfs(folder)
    free, files = told.f_bavail * told.f_frsize, told.f_favail if told.f_files else None
    text = f"{_size(free)} free for {names}"
    if files is not None and files < FEW_FILES:
        state = fail if files < TOO_FEW_FILES else warn
        return state(
            "disk", f"{text}, but only {files:,} more files (inodes)", "remove folders of many small files; `dvc gc -w` drops old results"
        )
    if free < SCARCE:
        mend = f"remove what is not needed ({folder}); `dvc gc -w` drops results that no longer belong to dvc.lock"
        return (fail if free < TOO_LITTLE else warn)("disk", text, mend)
    return ok("disk", text)


def memory(asked: Any) -> Iterator[Finding]:
    """Memory of the machine, or of the container, and how much of it is free."""
    whole = resources.machine_memory()
    free = min(psutil.virtual_memory().available, whole)
    for file in USED:
        if file.is_file() and (text := file.read_text().strip()).isdigit() and whole < psutil.virtual_memory().total:
            free = min(free, max(0, whole - int(text)))  # what the container may still take, its file cache counted as used
    text = f"{_size(free)} of {_size(whole)} free"
    mend = "end other programs; for large tables set memory: 1GB in params.yaml"
    if whole < TOO_LITTLE_MEMORY or free < TOO_LITTLE_MEMORY // 2:
        yield fail("memory", f"{text}: a training's libraries alone take 0.7 GB", mend)
    else:
        yield warn("memory", text, mend) if free < LITTLE_MEMORY // 2 else ok("memory", text)
    if isinstance(asked, str) and asked[-2:] in resources.UNITS and (wanted := _bytes(asked)) and wanted > whole:
        yield warn("memory", f"params.yaml: memory is {asked}, more than there is", "memory: auto takes half of the machine's")


def cores(params: Mapping[str, Any]) -> Finding:
    """Cores that may be used, against what is asked of them."""
    there, quota = resources.cores(), _quota()
    text = f"{there} core{'s' if there > 1 else ''}" + (f", of which the container may take {quota:g}" if quota and quota < there else "")
    workers = _of(params, "tune", "workers")
    if isinstance(workers, int) and workers > there:
        return warn("cores", f"{text}, but tune.workers is {workers}", f"tune.workers: {there}")
    load = os.getloadavg()[0]
    if load > BUSY * there:
        return warn("cores", f"{text}, and {load:.1f} processes want them: all takes longer", "`top` shows which")
    return ok("cores", text)


def clock(root: Path) -> Iterator[Finding]:
    """Whether files come from the future: runs and server's logs are ordered by the clock."""
    ahead = [
        file
        for name in ("params.yaml", "dvc.lock", "dvc.yaml")
        if (file := root / name).exists() and file.stat().st_mtime > time.time() + AHEAD
    ]
    if ahead:
        yield warn(
            "clock", f"it is {time.strftime('%Y-%m-%d %H:%M %Z')} here, but {ahead[0].name} was written later", "set the machine's clock"
        )


def gpu(params: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether there is a GPU, its driver, and libraries that can use it; against train.device and train.backend."""
    asked = _of(params, "train", "backend")
    backend = asked or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in ("tensorflow", "jax"):
        mend = "train.backend: tensorflow" if asked else "unset KERAS_BACKEND"
        yield fail("backend", f"{backend} is asked for; networks run on tensorflow or jax", mend)
    elif importlib.util.find_spec(backend) is None:
        mend = f"pip install '{'experiment-pipeline[jax]' if backend == 'jax' else backend}'"
        yield fail("backend", f"{backend} is asked for, but it is not installed", mend)
    yield card(str(backend), str(_of(params, "train", "device") or "auto"))


def card(backend: str, device: str) -> Finding:
    """The GPU in a line: whether what train.device asks for can be had."""
    cards, why = driver()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    amiss = fail if device == "gpu" else warn
    if not cards and device == "gpu":
        return fail("gpu", f"train.device is gpu, but {why or 'there is none'}", "train.device: auto trains on the CPU")
    if not cards:
        return warn("gpu", why, "see `nvidia-smi`") if why else ok("gpu", "none: networks train on the CPU")
    if device == "cpu":
        return ok("gpu", f"{cards}, unused: train.device is cpu")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return amiss("gpu", f"{cards}, hidden by CUDA_VISIBLE_DEVICES={hidden!r}", "unset CUDA_VISIBLE_DEVICES")
    if not (ready := libraries(backend)):
        name = "TensorFlow" if backend == "tensorflow" else "JAX"
        return amiss("gpu", f"{cards}, but {name} is installed without CUDA: it computes on the CPU", GPU_LOCK)
    return ok("gpu", f"{cards}; {ready}")


def driver() -> tuple[str, str]:
    """The GPUs with their driver, in words, and, where there are none, what stands in the way of one that is there."""
    if (tool := shutil.which("nvidia-smi")) is not None:
        asked = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            return "", f"nvidia-smi does not answer ({type(error).__name__})"
        rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.count(",") == 2]
        if done.returncode == 0 and rows:
            count = f"{len(rows)} x " if len(rows) > 1 else ""
            return f"{count}{rows[0][0]}, {rows[0][1]}, driver {rows[0][2]}", ""
        return "", f"nvidia-smi: {(done.stdout + done.stderr).strip().splitlines()[0] if (done.stdout + done.stderr).strip() else 'no GPU'}"
    if Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists():
        return "a GPU with its driver (nvidia-smi is not on the path)", ""
    if Path("/dev/dxg").exists():
        return "", "this Windows may have a GPU, but no NVIDIA driver for WSL"
    return "", ""


def libraries(backend: str) -> str:
    """The CUDA libraries that the backend would load: those installed with it, else the system's; empty where there are none."""
    names = CUDA if backend == "tensorflow" else ("jax-cuda12-plugin", "jax-cuda13-plugin")
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep), *SYSTEM]
    found = next((file for folder in folders if folder for file in sorted(Path("/").glob(f"{folder.strip('/')}/libcudnn.so*"))), None)
    return f"CUDA of the system ({found})" if found and backend == "tensorflow" else ""


def _of(params: Mapping[str, Any], *keys: str) -> Any:
    found: Any = params
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _quota() -> float | None:
    """Cores' worth of time that the container may take."""
    words: Iterable[str] = QUOTA.read_text().split() if QUOTA.is_file() else ()
    given = [int(word) for word in words if word.isdigit()]
    return given[0] / given[1] if len(given) == 2 else None


def _bytes(size: str) -> int:
    try:
        return int(float(size[:-2]) * resources.UNITS[size[-2:]])
    except ValueError:
        return 0


def _size(count: float) -> str:
    return f"{count / GB:.1f} GB" if count >= GB / 10 else f"{count / 10**6:.0f} MB"


def _user() -> str:
    return f"user {os.getuid()}" if hasattr(os, "getuid") else "another user"
