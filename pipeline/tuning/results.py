"""What a sweep found, as plain data: for the reports, the terminal and MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.config import Scalar

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"


@dataclass(frozen=True)
class Trial:
    """A finished trial."""

    number: int
    state: str
    """complete, pruned or failed."""
    params: Mapping[str, Scalar | None]
    """The keys of the space that this trial had, each with its value; null leaves it to the network."""
    values: tuple[float, ...] = ()
    """One for each objective; none unless complete."""
    curve: Mapping[int, float] = field(default_factory=dict)
    """The first objective after each epoch (after each fold, where there are folds), from 0."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """All that was measured on validation in the best epoch, and parameters; latency where it was asked for."""
    reason: str = ""
    """Why it was pruned or failed, in words."""
    epochs: int = 0
    """Epochs that were trained, over all folds."""
    feasible: bool = True
    """Whether it keeps every constraint."""
    started: float = 0.0
    """Seconds since 1970."""
    ended: float = 0.0
    """Seconds since 1970."""
    worker: str = ""
    """Which worker ran it."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as far as it has come."""

    key: str
    """Fingerprint of its code, data and params."""
    source: str
    """Name of the data."""
    objectives: tuple[str, ...]
    """Names of what is optimized, such as loss, auc, latency."""
    lower: tuple[bool, ...]
    """For each objective, whether less is better."""
    trials: tuple[Trial, ...]
    """In the order of their numbers; trial 0 is params.yaml."""
    best: int | None = None
    """Number of the trial in best.yaml; with several objectives the one on the front that is best in the first."""
    front: tuple[int, ...] = ()
    """Numbers of the trials that no other beats in all objectives (the Pareto front)."""
    importances: Mapping[str, float] = field(default_factory=dict)
    """Share of each key in the differences of the first objective (PED-ANOVA); empty where trials are too few."""
    logarithmic: tuple[str, ...] = ()
    """Keys that are searched in their logarithm."""
    folds: bool = False
    """Whether a trial is measured over folds; its curve then has a step for each."""
    epochs: int = 0
    """Epochs of a trial (of each fold) that nothing stops early."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Sampler, pruner, workers, minutes, and other facts to show, by name; nothing that depends on the clock."""

    def of(self, number: int) -> Trial:
        """The trial of that number."""
        return next(trial for trial in self.trials if trial.number == number)

    def count(self, state: str) -> int:
        """Trials in that state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def trained(self) -> int:
        """Epochs that were trained."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def saved(self) -> int:
        """Epochs that pruned trials would have gone on for, had each run as long as complete ones do on average."""
        complete = [trial.epochs for trial in self.trials if trial.state == COMPLETE]
        usual = sum(complete) / len(complete) if complete else 0
        return round(sum(max(usual - trial.epochs, 0) for trial in self.trials if trial.state == PRUNED))


def rows(sweep: Sweep) -> list[dict[str, Any]]:
    """The trials as rows of a table with equal columns; nothing in it depends on the clock, unless latency was asked for."""
    keys = dict.fromkeys(key for trial in sweep.trials for key in trial.params)
    measured = dict.fromkeys(name for trial in sweep.trials for name in trial.measured if name not in sweep.objectives)
    return [
        {"number": trial.number, "state": trial.state, **_values(sweep, trial), "epochs": trial.epochs, "feasible": trial.feasible}
        | {key: trial.params.get(key) for key in keys}
        | {name: trial.measured.get(name) for name in measured}
        | {"reason": trial.reason}
        for trial in sweep.trials
    ]


def _values(sweep: Sweep, trial: Trial) -> dict[str, float | None]:
    """Each objective; `value` is the first one, for plots that look for a fixed name."""
    found = dict(zip(sweep.objectives, trial.values, strict=True)) if trial.values else dict.fromkeys(sweep.objectives)
    return {"value": found[sweep.objectives[0]], **found}
