"""Sweeps: an Optuna study whose trials go through the same `fit` as training.

The study lives in a journal file that outlives the stage.  Trial k draws from a generator seeded by (seed, k), and a
trial that was cut off is run again as trial k, so that a sweep that was killed and resumed equals one that was not.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pipeline.config import Interval, Scalar, TuneParams
from pipeline.errors import UserError

Report = Callable[[int, float], None]
Objective = Callable[[Mapping[str, Scalar], Report], float]

DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def sweep(
    objective: Objective,
    tune: TuneParams,
    *,
    defaults: Mapping[str, Scalar | None],
    epochs: int,
    seed: int,
    journal: Path,
    on_trial: Callable[[optuna.trial.FrozenTrial], None],
) -> optuna.Study:
    """Run trials until `tune.trials` of them are done, those of earlier calls on the same journal included.

    Args:
        objective: the loss to minimize for given values of the space's keys; it calls its second argument with each
            epoch and loss, which raises `optuna.TrialPruned` to end a hopeless trial.
        defaults: the values of the space's keys in params.yaml, which are trial 0.
        epochs: the most epochs of a trial.

    Raises:
        UserError: Optuna has no such sampler or pruner, or it cannot be made.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    sampler = _maker(optuna.samplers, optuna.samplers.BaseSampler, tune.sampler, "tune.sampler")
    pruner = _maker(optuna.pruners, optuna.pruners.BasePruner, tune.pruner, "tune.pruner")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
            study_name="sweep",  # Hyperband draws brackets from the name: the same for all
            direction="minimize",
            load_if_exists=True,
            pruner=pruner(min_resource=3, max_resource=epochs, n_warmup_steps=3, seed=seed),
        )
        for number in range(tune.trials):
            trials = study.get_trials(deepcopy=False)
            if number < len(trials) and trials[number].state in DONE:
                continue
            study.sampler = sampler(seed=seed * 100_003 + number)
            if number < len(trials):  # cut off, or waiting: the same trial once more
                trial = optuna.Trial(study, trials[number]._trial_id)
            else:
                trial = study.ask() if number else _first(study, defaults, tune.space)
            _run(study, trial, objective, tune.space)
            on_trial(study.get_trials(deepcopy=False)[number])
    if not any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        errors = [trial.user_attrs.get("error", trial.state.name) for trial in study.get_trials(deepcopy=False)]
        raise UserError(f"tune: none of {len(errors)} trials came to an end; the first: {errors[0]}")
    return study


def best(study: optuna.Study) -> dict[str, Scalar]:
    """The values that the best trial changed: none where it is trial 0, params.yaml itself."""
    return dict(study.best_trial.params) if study.best_trial.number else {}


def _first(study: optuna.Study, defaults: Mapping[str, Scalar | None], space: Mapping[str, Interval]) -> optuna.Trial:
    """Trial 0: params.yaml's values, those outside their searched range noted beside the params."""
    inside = {key: value for key, value in defaults.items() if _holds(space[key], value)}
    study.enqueue_trial(inside, user_attrs={"outside": {k: v for k, v in defaults.items() if k not in inside}})
    return study.ask()


def _holds(interval: Interval, value: Scalar | None) -> bool:
    if value is None:  # left to the network
        return False
    if interval.choice:
        return value in interval.choice
    low, high = interval.ends
    return low <= value <= high  # type: ignore[operator]


def _run(study: optuna.Study, trial: optuna.Trial, objective: Objective, space: Mapping[str, Interval]) -> None:
    def report(epoch: int, loss: float) -> None:
        trial.report(loss, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    with warnings.catch_warnings():
        # a trial run again reports epochs it reported before: with the same values, since it has the same seed
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        outside: dict[str, Any] = trial.user_attrs.get("outside", {})
        values = {key: outside[key] if key in outside else _suggest(trial, key, interval) for key, interval in space.items()}
        try:
            study.tell(trial, objective(values, report))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except UserError as error:  # diverged: no reason to end the sweep
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=TrialState.FAIL)


def _suggest(trial: optuna.Trial, key: str, interval: Interval) -> Scalar:
    if interval.log:
        return trial.suggest_float(key, *interval.log, log=True)
    if interval.uniform:
        return trial.suggest_float(key, *interval.uniform)
    if interval.int_:
        return trial.suggest_int(key, *interval.int_)
    chosen: Scalar = trial.suggest_categorical(key, interval.choice or ())  # type: ignore[assignment]
    return chosen


def _maker(module: Any, base: type, name: str, key: str) -> Callable[..., Any]:
    """The class called `name`, taking those keyword arguments that it knows.

    Raises:
        UserError: Optuna has no such class, or it needs more than a name.
    """
    known = sorted(n for n in dir(module) if inspect.isclass(c := getattr(module, n)) and issubclass(c, base) and not inspect.isabstract(c))
    if name not in known:
        raise UserError(f"{key}: expected one of {', '.join(known)}, got {name!r}")
    made = getattr(module, name)
    accepted = inspect.signature(made).parameters

    def make(**settings: Any) -> Any:
        try:
            return made(**{k: v for k, v in settings.items() if k in accepted})
        except (TypeError, ValueError, ImportError) as error:
            raise UserError(f"{key}: {name} cannot be made: {error}") from None

    return make


def table(study: optuna.Study) -> list[dict[str, Any]]:
    """The trials as rows: number, state, value, epochs, params, curve, start and end in milliseconds."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state in DONE:
            start, end = (int(time.mktime(t.timetuple()) * 1000) for t in (trial.datetime_start, trial.datetime_complete))  # type: ignore[union-attr]
            rows.append(
                {
                    "number": trial.number,
                    "state": trial.state.name,
                    "value": trial.value if trial.state == TrialState.COMPLETE else None,
                    "epochs": len(trial.intermediate_values),
                    "params": dict(trial.params) | trial.user_attrs.get("outside", {}),
                    "curve": dict(trial.intermediate_values),
                    "start": start,
                    "end": end,
                }
            )
    return rows
