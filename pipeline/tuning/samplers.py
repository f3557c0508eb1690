"""Optuna's samplers and pruners by name, and what a sampler suggests for a range."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optuna

from pipeline.config import Interval, Scalar, TuneParams
from pipeline.errors import UserError

REDUCTION = 3  # of the trials judged together, one in so many goes on
SEEDS = 100_003  # apart: no two trials of any two seeds share one, up to so many trials


def pruner(tune: TuneParams, *, steps: int, seed: int) -> optuna.pruners.BasePruner:
    """tune.pruner for trials that are judged at most so many times.

    Raises:
        UserError: Optuna has no such pruner, or it cannot be made.
    """
    first = max(1, steps // REDUCTION**2)  # steps before a trial is judged: then twice more, at three times as many each
    make = _maker(optuna.pruners, optuna.pruners.BasePruner, tune.pruner, tune.pruner_config, "tune.pruner")
    settings = {"min_resource": first, "max_resource": max(steps, 1), "reduction_factor": REDUCTION, "n_warmup_steps": first, "seed": seed}
    made: optuna.pruners.BasePruner = make(**settings)
    return made


def sampler(tune: TuneParams, space: Mapping[str, Interval], *, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """tune.sampler as it draws trial `number`.

    Raises:
        UserError: Optuna has no such sampler, or it cannot be made.
    """
    settings: dict[str, Any] = {"seed": seed * SEEDS + number}
    if tune.sampler == "TPESampler":  # keys that only some trials have are learnt together all the same
        settings |= {"multivariate": True, "group": tune.sampler_config.get("multivariate", True)}
    if tune.sampler == "GridSampler":  # which numbers its combinations by the seed
        settings |= {"search_space": _grid(space), "seed": seed}
    make = _maker(optuna.samplers, optuna.samplers.BaseSampler, tune.sampler, tune.sampler_config, "tune.sampler")
    made: optuna.samplers.BaseSampler = make(**settings)
    return made


def suggest(trial: optuna.Trial, name: str, interval: Interval) -> Scalar:
    """The trial's value in a range."""
    if interval.log:
        return trial.suggest_float(name, *interval.log, log=True)
    if interval.uniform:
        return trial.suggest_float(name, *interval.uniform)
    if interval.int_:
        return trial.suggest_int(name, *interval.int_)
    chosen: Scalar = trial.suggest_categorical(name, interval.choice or ())  # type: ignore[assignment]
    return chosen


def _grid(space: Mapping[str, Interval]) -> dict[str, list[Scalar]]:
    found: dict[str, list[Scalar]] = {}
    for key, interval in space.items():
        if interval.each is not None or not (interval.choice or interval.int_):
            raise UserError(f"tune.sampler: GridSampler tries every value, but {key} is no choice and no range of whole numbers")
        found[key] = list(interval.choice) if interval.choice else list(range(interval.int_[0], interval.int_[1] + 1))  # type: ignore[index]
    return found


def _maker(module: Any, base: type, name: str, config: Mapping[str, Any], key: str) -> Callable[..., Any]:
    """The class called `name`, made with `config` and with those further arguments that it knows.

    Raises:
        UserError: Optuna has no such class.  What is returned raises it too, where the class cannot be made.
    """
    known = sorted(n for n in dir(module) if inspect.isclass(c := getattr(module, n)) and issubclass(c, base) and not inspect.isabstract(c))
    if name not in known:
        raise UserError(f"{key}: expected one of {', '.join(known)}, got {name!r}")
    made = getattr(module, name)
    accepted = inspect.signature(made).parameters
    if unknown := sorted(set(config) - set(accepted)):
        raise UserError(f"{key}_config: {name} has no {', '.join(unknown)}; it has {', '.join(accepted)}")

    def make(**settings: Any) -> Any:
        try:
            return made(**{**{k: v for k, v in settings.items() if k in accepted}, **config})
        except (TypeError, ValueError, ImportError) as error:
            raise UserError(f"{key}: {name} cannot be made: {(str(error).splitlines() or [''])[0]}") from None

    return make
