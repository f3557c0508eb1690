"""Whether a trial goes on, by what it has reported since it was begun last.

Optuna knows of no second beginning: its pruners take the last step a trial ever reported for where it stands, and the rungs that
it once reached for reached.  A trial that was cut off and begun anew is judged here as if it had been begun once; so a sweep that
was killed between a verdict and its note comes to the same verdict again.
"""

from __future__ import annotations

import copy
from collections.abc import Container
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

RUNG = "completed_rung_"  # what successive halving notes of a trial


class Judge:
    """The pruner's view of one life of a trial; stands in for the study's storage."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial) -> None:
        self._study, self._trial_id, self._storage = study, trial._trial_id, study._storage
        self._values: dict[int, float] = {}
        self._rungs: dict[str, Any] = {}

    def hopeless(self, step: int, value: float) -> bool:
        """Whether the trial should end, now that it has come to this step."""
        self._values[step] = value
        study = self._study
        seen = optuna.Study(study.study_name, self, study.sampler, study.pruner)  # type: ignore[arg-type]
        return study.pruner.prune(seen, self._alone(self._storage.get_trial(self._trial_id)))

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """All trials, this one as far as it has come in this life."""
        found = self._storage.get_all_trials(study_id, deepcopy, states)
        return [self._alone(trial) if trial._trial_id == self._trial_id else trial for trial in found]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note what the pruner wants to remember, for the other trials too."""
        self._rungs[key] = value
        self._storage.set_trial_system_attr(trial_id, key, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def _alone(self, trial: FrozenTrial) -> FrozenTrial:
        mine = copy.copy(trial)
        mine.intermediate_values = dict(self._values)
        mine.system_attrs = {key: value for key, value in trial.system_attrs.items() if not key.startswith(RUNG)} | self._rungs
        return mine
