"""Where runs would be kept, and what stages have left there; looking makes no folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pipeline import paths


def store() -> str:
    """The address of the MLflow store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.state_folder() / 'mlflow.db'}"


def has_state() -> bool:
    """Whether stages have left anything there."""
    return (paths.state_folder() / "locks").is_dir()


def existing(folder: Path) -> Path:
    """A folder, or what there is above it."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def running(read: Callable[[Path], list[int]]) -> dict[str, list[int]]:
    """Stages that run in this workspace now, with their processes; `read` tells who holds a lock."""
    start = f"{paths.workspace()}-"
    found = {file.stem.removeprefix(start): read(file) for file in sorted((paths.state_folder() / "locks").glob(f"{start}*.lock"))}
    return {stage: pids for stage, pids in found.items() if pids}
