"""A worker: a process that imports Keras once and trains one trial after another.

It knows nothing of the study: it is sent numbers and values, and sends back what it sees, one message at a time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from typing import TYPE_CHECKING, Any

from pipeline import paths
from pipeline.config import ModelParams, NormalizeParams, Section, SplitParams, TrainParams, override
from pipeline.data import prepared
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.models.fit import Epoch

LATENCY_TIMES = 30  # predictions of one row
VIEWS = 4  # of the data that a worker keeps
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know beforehand; sections as JSON, since processes exchange plain values."""

    seed: int
    sections: Mapping[str, str]
    """split, normalize, model and train."""
    objectives: tuple[str, ...]
    extra: tuple[str, ...] = ()
    """Further things to measure, those of the constraints."""
    folds: bool = False
    cores: tuple[int, ...] = ()
    """Processor cores to keep to; none means all."""
    gpu: str = ""
    """The one GPU to see; empty means all."""


@dataclass(frozen=True)
class Ready:
    """The worker can take trials."""

    device: str


@dataclass(frozen=True)
class Step:
    """A trial has come to the end of an epoch (or of a fold); the answer is whether it goes on."""

    number: int
    step: int
    value: float
    epochs: int


@dataclass(frozen=True)
class Done:
    """A trial is over: `stopped` where the answer to a step was no, `kind` and `reason` where it failed."""

    number: int
    measured: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[int, float] = field(default_factory=dict)
    epochs: int = 0
    stopped: bool = False
    kind: str = ""
    reason: str = ""
    details: str = ""


@dataclass(frozen=True)
class Broken:
    """The worker cannot start: a user's mistake."""

    messages: Sequence[str]


class Stopped(Exception):
    """The trial is not to go on."""


def main(pipe: connection.Connection, setup: Setup) -> None:
    """Train what comes through the pipe until it is closed."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent sees to it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if setup.cores:
        for name in THREADS:
            os.environ[name] = str(len(setup.cores))
        with contextlib.suppress(AttributeError, OSError):  # elsewhere than on Linux
            os.sched_setaffinity(0, setup.cores)
    if setup.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = setup.gpu
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            trainer = Trainer(setup)
        except UserError as error:
            pipe.send(Broken(error.messages))
            return
        pipe.send(Ready(trainer.device))
        while (task := pipe.recv()) is not None:
            number, values = task
            pipe.send(trainer.run(number, values, _asking(pipe)))


def _asking(pipe: connection.Connection) -> Callable[[Step], bool]:
    def ask(step: Step) -> bool:
        pipe.send(step)
        return bool(pipe.recv())

    return ask


def _end_with_parent() -> None:
    """Leave no process behind whose parent was killed: it would train on, for nobody."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@dataclass(frozen=True)
class View:
    """The data as a network sees them under one preprocessing."""

    fitted: Preprocessor
    learn: Side
    validation: Side


class Trainer:
    """Data and settings that all trials share."""

    def __init__(self, setup: Setup) -> None:
        from pipeline.models import device

        self.setup = setup
        kinds: dict[str, type[Section]] = {"normalize": NormalizeParams, "model": ModelParams, "train": TrainParams}
        self.split = SplitParams.model_validate_json(setup.sections["split"])
        self.sections = {name: kind.model_validate_json(setup.sections[name]) for name, kind in kinds.items()}
        train: Any = self.sections["train"]
        self.device = device.start(train.device, train.backend)
        from pipeline.models import fit  # noqa: F401  (imported before what is there settles)
        from pipeline.models.compiled import Shelf

        self.shared: dict[str, Any] = {"seed": setup.seed, "shelf": Shelf()}  # of all trainings
        self._views: dict[str, tuple[ExitStack, View]] = {}
        device.settle()

    def run(self, number: int, values: Mapping[str, Any], ask: Callable[[Step], bool]) -> Done:
        """Train one trial; whatever goes wrong with it is told, and is no reason to end the worker."""
        from pipeline.models import device

        trial = _Trial(number, self.setup.objectives[0], ask)
        try:
            sections = override(self.sections, values)
            view = self._view(sections.pop("normalize"))
            return Done(number, self._measure(trial, view, **sections), trial.curve, trial.epochs)
        except Stopped:
            return Done(number, curve=trial.curve, epochs=trial.epochs, stopped=True)
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # of a library, for values that it cannot do with: the next trial has others
            kind = "memory" if device.out_of_memory(error) else "refused" if isinstance(error, UserError) else type(error).__name__
            first = (str(error).splitlines() or [""])[0]
            reason = first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
            return Done(number, curve=trial.curve, epochs=trial.epochs, kind=kind, reason=reason[:500], details=traceback.format_exc())
        finally:
            device.free()

    def _view(self, normalize: NormalizeParams) -> View:
        """The data under this preprocessing; the last few are kept."""
        key = normalize.model_dump_json()
        if key not in self._views:
            same = normalize == self.sections["normalize"]
            text = paths.PREPROCESSOR.read_text(encoding="utf-8")
            fitted = Preprocessor.from_json(text) if same else prepared.refitted(self.split, normalize)
            while len(self._views) >= VIEWS:
                self._views.pop(next(iter(self._views)))[0].close()
            stack = ExitStack()
            sides = stack.enter_context(prepared.sides(fitted, self.split, paths.SIDES[:2]))
            self._views[key] = stack, View(fitted, *sides.values())
        return self._views[key][1]

    def _measure(self, trial: _Trial, view: View, model: ModelParams, train: TrainParams) -> dict[str, float]:
        from pipeline.models.fit import fit

        if self.setup.folds:
            return self._over_folds(trial, view, model, train)
        result = fit(view.fitted, view.learn, view.validation, model=model, params=train, on_epoch=trial.epoch, **self.shared)
        return _named(result.best) | self._costs(result.model, view)

    def _over_folds(self, trial: _Trial, view: View, model: ModelParams, train: TrainParams) -> dict[str, float]:
        """The mean over folds that took no part in training, neither to learn nor to stop."""
        from pipeline.models.fit import actual, fit, measures, outputs
        from pipeline.training.crossvalidation import folds

        found: list[dict[str, float]] = []
        costs: dict[str, float] = {}
        for rest, stopping, held in folds(view.learn, view.validation, view.fitted):
            result = fit(view.fitted, rest, stopping, model=model, params=train, on_epoch=trial.count, **self.shared)
            found.append(_named(measures(view.fitted, actual(held, view.fitted), outputs(result.model, view.fitted, held))))
            costs = costs or self._costs(result.model, view)
            trial.fold(statistics.fmean(fold.get(trial.metric, fold["loss"]) for fold in found))
        return {name: statistics.fmean(fold[name] for fold in found) for name in found[0]} | costs

    def _costs(self, network: Any, view: View) -> dict[str, float]:
        costs = {"parameters": float(network.count_params())}
        if "latency" in (*self.setup.objectives, *self.setup.extra):
            costs["latency"] = _latency(network, view.fitted, view.validation)
        return costs


class _Trial:
    """Epochs of a trial as they come, told to the parent."""

    def __init__(self, number: int, metric: str, ask: Callable[[Step], bool]) -> None:
        self.number, self.metric, self.ask = number, metric, ask
        self.curve: dict[int, float] = {}
        self.epochs = 0

    def epoch(self, at: int, row: Epoch) -> None:
        self.epochs += 1
        self._told(at, float(row.get(f"validation/{self.metric}", row["validation/loss"])))

    def count(self, at: int, row: Epoch) -> None:
        self.epochs += 1

    def fold(self, value: float) -> None:
        self._told(len(self.curve), value)

    def _told(self, step: int, value: float) -> None:
        self.curve[step] = value
        if not self.ask(Step(self.number, step, value, self.epochs)):
            raise Stopped


def _named(row: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("validation/"): float(value) for name, value in row.items() if name.startswith("validation/")}


def _latency(network: Any, fitted: Any, side: Any) -> float:
    """Milliseconds for the prediction of one row, the median of many."""
    from pipeline.models.feeding import inputs

    row, took = inputs(side, fitted, slice(0, 1)), []
    for _ in range(LATENCY_TIMES + 3):
        started = time.perf_counter()
        network.predict_on_batch(row)
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took[3:])  # the first ones compile
