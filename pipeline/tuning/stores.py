"""Where studies lie: a journal file, or a database that many machines share."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import Interval
from pipeline.errors import UserError, masked
from pipeline.tuning.space import Values, flat, gathered, inside

ATTEMPTS = 4  # to open a database in which others may be making tables
BEATS = 3  # signs of life in the time after which a machine is taken for dead


def address(storage: str | None, file: Path) -> str:
    """Where a study lies: `file`, or the URL that tune.storage is or names, with the driver that is installed.

    Raises:
        UserError: the environment variable is not set.
    """
    if storage is None:
        return str(file)
    if "://" not in storage and (storage := os.environ.get(name := storage, "")) == "":
        raise UserError(f"tune.storage: expected a URL, or the name of an environment variable that holds one; {name} is not set")
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", storage)


def called(store: str, key: str) -> str:
    """What Optuna calls the study of that key: in a file, where it is alone, always the same, since Hyperband draws brackets from it."""
    return key if "://" in store else "sweep"


def opened(store: str, *, heartbeat: int = 60, retries: int = 0) -> optuna.storages.BaseStorage:
    """The storage at an address: the path of a journal file, or the URL of a database.

    Args:
        heartbeat: seconds without a sign of life after which a database's trial is taken for dead, and begun anew `retries` times at most.

    Raises:
        UserError: the database cannot be used.
    """
    if "://" not in store:
        Path(store).parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(JournalFileBackend(store))
    from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

    attempt = 0
    while True:
        try:
            return optuna.storages.RDBStorage(
                store,
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=max(1, heartbeat // BEATS),
                grace_period=heartbeat,
                heartbeat_stale_trial_callback=lambda study, trial: _begin_anew(study, trial, retries),
            )
        except (SQLAlchemyError, ImportError, ValueError) as error:
            attempt += 1
            if isinstance(error, IntegrityError | ProgrammingError) and attempt < ATTEMPTS:
                time.sleep(attempt)  # another machine makes the tables at this moment
                continue
            reason = masked((str(error).splitlines() or [""])[0])[:200]
            raise UserError(f"tune.storage: {masked(store)} cannot be used ({type(error).__name__}: {reason})") from None


def _begin_anew(study: optuna.Study, trial: FrozenTrial, retries: int) -> None:
    """Let the values of a trial whose machine died wait for whoever comes."""
    kept = {key: value for key, value in trial.user_attrs.items() if key in ("given", "from")}
    attempts = trial.user_attrs.get("attempts", 0) + 1
    if attempts <= retries:
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={**kept, "instead_of": trial.number, "attempts": attempts},
                system_attrs={key: value for key, value in trial.system_attrs.items() if key == "fixed_params"},
            )
        )


def earlier(store: str, key: str, space: Mapping[str, Interval], count: int) -> list[Values] | None:
    """The best trials of another study in `store` by its first objective, as far as their values lie in this space.

    None where there is no such study.
    """
    if "://" not in store and not Path(store).exists():
        return None
    with quiet():
        try:
            study = optuna.load_study(study_name=called(store, key), storage=opened(store))
        except KeyError:
            return None
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    sign = 1 if study.directions[0] == optuna.study.StudyDirection.MINIMIZE else -1
    ranked = sorted(complete, key=lambda trial: sign * trial.values[0])[:count]
    params = ({**trial.params, **flat(trial.user_attrs.get("given", {}))} for trial in ranked)
    return [values for each in params if (values := inside(space, gathered(each, space)))]


def require(storage: optuna.storages.BaseStorage, mine: Mapping[str, Any]) -> None:
    """Raise UserError unless the storage has the study that was made from this: it says in what the most similar one differs."""
    there = {summary.study_name: summary.user_attrs.get("made_from", {}) for summary in optuna.get_all_study_summaries(storage)}
    if mine["key"] in there:
        return
    others = sorted((differences(mine, other) for other in there.values() if other.get("source") == mine["source"]), key=len)
    reason = "; ".join(others[0]) if others and others[0] else f"there is none for {mine['source']}"
    raise UserError(f"tune --join: the store has no sweep of this commit, params and data: {reason}")


def differences(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """In what two studies differ, in words: code, data, and each param."""
    here, there = ({**made.get("params", {})} for made in (mine, other))
    told = [name for name in ("code", "data") if mine.get(name) != other.get(name)]
    commits = mine.get("commit"), other.get("commit")
    named = {
        "code": commits if commits[0] != commits[1] else (mine.get("code"), other.get("code")),
        "data": (mine.get("data"), other.get("data")),
    }
    found = [f"{name} is another ({named[name][0]}, there {named[name][1]})" for name in told]
    keys = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    return found + [f"{key} is {here.get(key, 'not set')}, there {there.get(key, 'not set')}" for key in keys]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's warnings of what is experimental, and of epochs that a trial run again reports once more, with the same values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        warnings.filterwarnings("ignore", message="The constraint value is ignored")
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used with Study.optimize")
        for message in ("Some regimes for parameter", "PedAnovaImportanceEvaluator computes"):  # of importances: few trials say little
            warnings.filterwarnings("ignore", message=message)
        yield
