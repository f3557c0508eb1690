"""Progress: how far a training has come, in memory and in a checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.models.diagnosis import Look


@dataclass
class Progress:
    """Everything that a training needs to go on as if nothing had happened."""

    history: list[dict[str, float]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        """Validation losses, an epoch each."""
        return [row["validation/loss"] for row in self.history]

    def add(self, row: dict[str, float], weights: Callable[[], list[np.ndarray]]) -> None:
        """Note an epoch; keep the weights if it is the best."""
        self.history.append(row)
        if len(self.history) == 1 or row["validation/loss"] < self.history[self.best_epoch]["validation/loss"]:
            self.best_epoch = len(self.history) - 1
            self.best_weights = weights()

    def write(self, file: Path, state: Sequence[Any]) -> None:
        """Write this and the values of the variables `state` to `file`, in one step."""
        arrays = {f"state_{at}": np.asarray(variable) for at, variable in enumerate(state)}
        arrays |= {f"best_{at}": weight for at, weight in enumerate(self.best_weights)}
        meta = {"history": self.history, "looks": self.looks, "best_epoch": self.best_epoch}
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.stem}.new.npz")
        np.savez(fresh, allow_pickle=False, meta=json.dumps(meta), **arrays)
        os.replace(fresh, file)

    @classmethod
    def read(cls, file: Path | None, state: Sequence[Any]) -> Progress:
        """The progress in `file`, its values put into the variables `state`; none where there is no file."""
        if file is None or not file.exists():
            return cls()
        with np.load(file, allow_pickle=False) as saved:
            for at, variable in enumerate(state):
                variable.assign(saved[f"state_{at}"])
            best = [saved[f"best_{at}"] for at in range(sum(name.startswith("best_") for name in saved.files))]
            return cls(**json.loads(str(saved["meta"])), best_weights=best)
