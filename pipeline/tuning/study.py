"""The study: which trial comes next, what became of each, and what is kept so that none is lost.

Trial k is drawn by a sampler seeded by (seed, k), and one that was cut off is run again as trial k.  So a sweep with one
worker that was killed and resumed equals one that was not.  Where machines share a database they do not know of each
other: a trial without a sign of life for a while counts as failed, and its values wait to be taken anew.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import Interval, TuneParams
from pipeline.tuning import results, samplers
from pipeline.tuning.judging import Judge
from pipeline.tuning.reading import SURPLUS, front, importances, over, told
from pipeline.tuning.space import Values, flat, inside, suggested
from pipeline.tuning.stores import BEATS, called, opened, quiet, require


@dataclass(frozen=True)
class Task:
    """A trial to run: its number and the values of the space's keys."""

    number: int
    values: Values


@dataclass(frozen=True)
class Aim:
    """What a sweep is after.

    Args:
        objectives: by name, whether less is better.
        bounds: by name, the bound and whether it is an upper one.
        steps: the most steps at which a trial is judged, epochs or folds; 0 never judges.
    """

    objectives: Mapping[str, bool]
    bounds: Mapping[str, tuple[float, bool]]
    steps: int

    @property
    def prunes(self) -> bool:
        """Whether trials may be ended early: Optuna has no pruning for several objectives."""
        return len(self.objectives) == 1 and self.steps > 0


class Study:
    """An Optuna study that outlives its processes."""

    def __init__(
        self,
        tune: TuneParams,
        aim: Aim,
        space: Mapping[str, Interval],
        *,
        seed: int,
        store: str,
        made_from: Mapping[str, Any],
        join: bool = False,
    ):
        """Open the study of `made_from` in `store`, or make it.

        Args:
            store: path of a journal file, or the URL of a database.
            made_from: key, its name, and what that was made from, for those who ask why a study is another one.
            join: whether it must be there already.

        Raises:
            UserError: the store is out of reach, it has no such study, or Optuna has no such sampler or pruner.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.tune, self.aim, self.space, self.seed, self.made_from = tune, aim, space, seed, dict(made_from)
        self.key: str = made_from["key"]
        self.shared, self.joined, self.exhausted = "://" in store, join, False
        self._live: dict[int, optuna.Trial] = {}
        self._judges: dict[int, Judge] = {}  # of the same trials
        self._anew: list[int] = []  # trials whose worker died
        with quiet():
            storage = opened(store, heartbeat=tune.heartbeat, retries=tune.retries)
            self._sampler(0)  # a mistake in its settings should show before anything runs
            judge = samplers.pruner(tune, steps=aim.steps, seed=seed)
            if join:
                require(storage, made_from)
            way = optuna.study.StudyDirection
            directions = [way.MINIMIZE if lower else way.MAXIMIZE for lower in aim.objectives.values()]
            self._study = optuna.create_study(
                storage=storage,
                study_name=called(store, self.key),
                directions=directions,
                load_if_exists=True,
                pruner=judge if aim.prunes else None,
            )
        self._study.stop = self._exhaust  # type: ignore[method-assign]  # what samplers call that have tried everything
        self._before = float(self._study.user_attrs.get("seconds", 0.0))
        self._since = time.monotonic()
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True) if self.shared else None
        if self._beating:
            self._beating.start()

    def close(self) -> None:
        """Give no more signs of life, and note the time spent."""
        self.spent(save=True)
        self._stop.set()
        if self._beating:
            self._beating.join()

    def begin(self, defaults: Values, first: Callable[[], Iterable[Values]]) -> bool:
        """Put params.yaml's values and those to try first into a study that has no trials; False where it has some."""
        within = inside(self.space, defaults)
        outside = {key: value for key, value in defaults.items() if key not in within}
        notes: Mapping[str, Any] = {"given": outside, "from": "params.yaml"}
        trials, waiting = self._trials(), [(within, notes)]
        if any(trial.state != TrialState.WAITING for trial in trials):
            return False
        self._study.set_user_attr("made_from", self.made_from)
        waiting += [(inside(self.space, values), {"from": "params.yaml's tune section"}) for values in first()]
        for values, note in waiting[len(trials) :]:  # a call that was killed here may have put some
            self._study.enqueue_trial(flat(values), user_attrs=dict(note))
        return not trials

    def take(self) -> Task | None:
        """The next trial, which is now running; None where the budget is spent, or the rest of it runs elsewhere."""
        with quiet():
            if self.shared:
                optuna.storages.fail_stale_trials(self._study)
            trials = self._trials()
            if (number := self._cut_off(trials)) is not None:
                trial = self._drawn(number, trials[number]._trial_id)
            else:
                if not self._budget(trials):
                    return None
                waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
                self._study.sampler = sampler = self._sampler(min(waiting, default=len(trials)))
                if self.exhausted or (
                    isinstance(sampler, optuna.samplers.GridSampler) and not waiting and sampler.is_exhausted(self._study)
                ):
                    self.exhausted = True
                    return None
                trial = self._study.ask()
                if self.shared:  # another machine may have taken the number that was expected: no two draw with one seed
                    trial = self._drawn(trial.number, trial._trial_id)
            if self.shared:
                self._study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
                if self._surplus(trial.number):
                    self._close(trial, TrialState.FAIL, {"kind": SURPLUS, "reason": "another machine took the last one"})
                    return None
            values = suggested(
                self.space, lambda name, interval: samplers.suggest(trial, name, interval), trial.user_attrs.get("given", {})
            )
        self._live[trial.number] = trial
        self._judges[trial.number] = Judge(self._study, trial)
        return Task(trial.number, values)

    def started(self, number: int, worker: str) -> None:
        """Note who runs a trial, and since when."""
        self._live[number].set_user_attr("run", {"worker": worker, "started": time.time()})

    def report(self, number: int, step: int, value: float) -> bool:
        """Note the objective after a step of a trial; False where the trial is hopeless."""
        if not self.aim.prunes or not math.isfinite(value):
            return True
        with quiet():
            self._live[number].report(value, step)
            return not self._judges[number].hopeless(step, value)

    def complete(self, number: int, measured: Mapping[str, float], curve: Mapping[int, float], epochs: int) -> None:
        """End a trial with what was measured; it has failed where an objective is not a number."""
        trial = self._live[number]
        values = [measured.get(name, math.nan) for name in self.aim.objectives]
        undefined = [name for name in {**self.aim.objectives, **self.aim.bounds} if not math.isfinite(measured.get(name, math.nan))]
        if undefined:
            self.fail(number, "undefined", f"{', '.join(undefined)} is not defined on the validation rows", epochs)
            return
        for name, (bound, upper) in self.aim.bounds.items():
            trial.set_constraint(name, measured[name] - bound if upper else bound - measured[name])
        self._close(trial, TrialState.COMPLETE, {"measured": dict(measured), "curve": _keys(curve), "epochs": epochs}, values)

    def prune(self, number: int, reason: str, curve: Mapping[int, float], epochs: int) -> None:
        """End a hopeless trial."""
        self._close(self._live[number], TrialState.PRUNED, {"reason": reason, "curve": _keys(curve), "epochs": epochs})

    def fail(self, number: int, kind: str, reason: str, epochs: int = 0) -> None:
        """End a trial that came to nothing: it diverged, say, and would do so again."""
        self._close(self._live[number], TrialState.FAIL, {"kind": kind, "reason": reason, "epochs": epochs})

    def again(self, number: int, kind: str, reason: str) -> bool:
        """Run a trial anew whose worker died or had too little memory; False where it has failed, since that happened too often."""
        trial = self._live[number]
        attempts = trial.user_attrs.get("attempts", 0) + 1
        trial.set_user_attr("attempts", attempts)
        if attempts > self.tune.retries:
            self.fail(number, kind, f"{reason} ({attempts} times)" if attempts > 1 else reason)
            return False
        self._anew.append(number)
        return True

    def spent(self, *, save: bool = False) -> float:
        """Seconds of this and of earlier calls."""
        seconds = self._before + time.monotonic() - self._since
        if save and not self.joined:
            self._study.set_user_attr("seconds", seconds)
        return seconds

    def elsewhere(self) -> bool:
        """Whether other machines have trials in hand, or left some to be begun anew."""
        if not self.shared:
            return False
        with quiet():
            optuna.storages.fail_stale_trials(self._study)
        return any(trial.state in (TrialState.RUNNING, TrialState.WAITING) and trial.number not in self._live for trial in self._trials())

    def finished(self, known: Collection[int] = ()) -> list[results.Trial]:
        """The trials that are over and not known yet, in the order of their numbers."""
        return [told(trial, self.space) for trial in over(self._trials()) if trial.number not in known]

    def done(self) -> int:
        """Trials of the budget that are over."""
        return sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in self._trials())

    def failures(self) -> int:
        """Trials that failed."""
        return sum(trial.state == TrialState.FAIL for trial in over(self._trials()))

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _cut_off(self, trials: list[FrozenTrial]) -> int | None:
        """A trial to run again as itself: its worker died, or, in a file that no other process writes, all of them did."""
        if self._anew:
            return self._anew.pop(0)
        if self.shared:
            return None
        return next((trial.number for trial in trials if trial.state == TrialState.RUNNING and trial.number not in self._live), None)

    def _budget(self, trials: list[FrozenTrial]) -> bool:
        """Whether one more trial may run: each that runs now is taken to come to an end."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return sum(trial.state in states for trial in trials) < self.tune.trials

    def _surplus(self, number: int) -> bool:
        """Whether two machines took the last trial at once, and this is the later one."""
        return sum(trial.state != TrialState.FAIL for trial in self._trials() if trial.number < number) >= self.tune.trials

    def result(self, source: str, details: Mapping[str, Any], *, epochs: int) -> results.Sweep:
        """All of it as plain data."""
        trials, lower = self.finished(), tuple(self.aim.objectives.values())
        unbeaten, sign = front(trials, lower), 1 if lower[0] else -1
        best = min(unbeaten, key=lambda trial: (sign * trial.values[0], trial.number), default=None)
        with quiet():
            shares = importances(self._study)
        return results.Sweep(
            key=self.key,
            source=source,
            objectives=tuple(self.aim.objectives),
            lower=lower,
            trials=tuple(trials),
            best=best.number if best else None,
            front=tuple(trial.number for trial in unbeaten) if len(lower) > 1 else (),
            importances=shares,
            logarithmic=tuple(key for key, interval in self.space.items() if interval.log),
            folds=self.tune.folds,
            epochs=epochs,
            details=details,
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return samplers.sampler(self.tune, self.space, seed=self.seed, number=number)

    def _drawn(self, number: int, trial_id: int) -> optuna.Trial:
        self._study.sampler = self._sampler(number)
        return optuna.Trial(self._study, trial_id)

    def _exhaust(self) -> None:
        self.exhausted = True

    def _close(self, trial: optuna.Trial, state: TrialState, note: Mapping[str, Any], values: list[float] | None = None) -> None:
        trial.set_user_attr("note", dict(note))
        with quiet():
            self._study.tell(trial, values, state)
        self._live.pop(trial.number, None)
        self._judges.pop(trial.number, None)

    def _beat(self) -> None:
        while not self._stop.wait(self.tune.heartbeat / BEATS):
            for trial in list(self._live.values()):
                self._study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]


def _keys(curve: Mapping[int, float]) -> dict[str, float]:
    return {str(step): value for step, value in curve.items()}
