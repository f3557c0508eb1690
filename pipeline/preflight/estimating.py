"""What each stage will take: as it took last time where nothing changed, else by a simple model, as a range.

The model, in seconds on the machine that it was fitted to (2 cores of 107 billion operations a second in products of small matrices):

- a stage that prepares data: its start, and so much a million values (rows x columns): `READING`;
- a training: 8 s for TensorFlow's start, then for each epoch 2 ms a step and 6 operations for each product of a row (forward once,
  backward twice, two operations a product) at 28% of a core's speed in such products; 1.5 s more for each network to be compiled;
- a sweep: between a quarter of its trials and two fifths of them run to their end, the others to a ninth of it;
- early stopping ends a training between `early_stopping` + 5 epochs and all of them;
- evaluate, register and monitor: their start, a pass of all rows through the network, the baselines, and 3.2 s for each window.

Another machine takes these times by its own speed, measured for a fifth of a second, with nothing else running.  Against real runs on 2
cores (RAND, Telco, California, digits, co2) the time of the whole lay within the range; a single stage can lie outside of it by a half.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline import files, paths, resources
from pipeline.config import Params
from pipeline.preflight import locked
from pipeline.preflight.network import Load, Shape, load_of

READING = {"collect": (1.2, 0.17), "clean": (1.7, 0.25), "split": (3.0, 0.4), "normalize": (1.5, 0.15)}  # start; a million values
STAGES = (*READING, "tune", "train", "evaluate", "register", "monitor", "report")
STARTS = {"tune": 8.0, "train": 8.0, "evaluate": 9.0, "register": 11.0, "monitor": 7.0, "report": 0.5}  # of Python and its libraries
REFERENCE, CORES = 107e9, 2  # operations a second of a core in products of matrices, and cores, of the machine that was fitted
SIDE = 96  # of the matrices: one core's work, which stays in its cache
STEP = 2e-3  # seconds of a gradient step beside its products
COMPILING = 1.5  # seconds of a network's first step
SERIAL = 2e-5  # seconds of a step of a recurrent layer that waits for the one before, forward and backward
USED = 0.28  # share of a core's speed in products of matrices that training reached there; it grows with the root of the cores
WINDOW = 3.2  # seconds of a monitored window
MEDIA, PIXEL = 3e-4, 5e-8  # seconds to decode and store a picture or sound, and for each of its numbers
LOW, HIGH = 0.65, 1.4  # of each stage: what another machine, disk or load make of it
FEW, MANY = 0.25, 0.4  # share of the trials that run to their end, at least and at most
NUMBER = 4  # bytes of a float32
TENSORFLOW, TABLES = 950e6, 250e6  # bytes of a process
LESS_MEMORY = {  # what helps
    **dict.fromkeys(READING, "set memory to less, so that the table engine spills to disk"),
    "tune": "set tune.workers to fewer, or train.batch_size to less",
    "train": "set train.batch_size to less, or a smaller model.width",
    "evaluate": "take fewer rows, or smaller pictures (normalize.image)",
    "register": "set a smaller model.width, or smaller pictures (normalize.image)",
    "monitor": "take fewer rows, or smaller pictures (normalize.image)",
    "report": "free some",
}


@dataclass(frozen=True)
class Work:
    """How much there is to do; `sides` are the rows on each side, as far as they are known."""

    rows: int
    columns: int
    bytes: int
    shape: Shape
    sides: Mapping[str, int]
    task: str


@dataclass(frozen=True)
class Estimate:
    """Seconds of a stage, at least and at most, and its peak of memory in bytes; `measured` where it took so much before."""

    stage: str
    low: float
    high: float
    memory: float
    measured: bool = False


def estimates(work: Work, params: Params, *, fresh: bool, speed: float | None = None) -> list[Estimate]:
    """An estimate for each stage.

    Args:
        fresh: whether data/raw holds the source as it is, so that what stages took last time counts.
        speed: operations a second of a core in products of matrices; measured where it is not given.
    """
    before = _before(params) if fresh else {}
    pace = REFERENCE / (speed or matrix_speed())
    modelled = [*_reading(work, pace, params), *_learning(work, params, pace)]
    return [before.get(estimate.stage, estimate) for estimate in modelled]


def matrix_speed(seconds: float = 0.2) -> float:
    """Operations a second of one core in products of small float32 matrices: the best of many, so that other work hardly counts."""
    import numpy as np

    a = np.ones((SIDE, SIDE), np.float32)
    out, best = a @ a, 0.0
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or not best:
        np.matmul(a, a, out=out)
        best = max(best, 2 * SIDE**3 / (time.perf_counter() - start))
    return best


def total(found: list[Estimate]) -> tuple[float, float]:
    """Seconds of all stages one after the other."""
    return sum(one.low for one in found), sum(one.high for one in found)


def too_large(found: list[Estimate]) -> list[Estimate]:
    """Stages that take more memory than the machine has."""
    return [one for one in found if one.memory > resources.machine_memory()]


def _before(params: Params) -> dict[str, Estimate]:
    """What the stages of this workspace took with these params.  A change before a stage changes little of its time."""
    if not paths.costs().is_file():
        return {}
    found = {}
    for stage, cost in files.read_json(paths.costs()).items():
        if stage in STAGES and locked.ran_with(stage, params):
            seconds = cost["wall_seconds"]
            found[stage] = Estimate(stage, 0.9 * seconds, 1.1 * seconds, cost["peak_memory_mb"] * 1e6, measured=True)
    return found


def _reading(work: Work, pace: float, params: Params) -> list[Estimate]:
    values, media = work.rows * work.columns / 1e6, work.rows * bool(work.shape.picture[0])
    room = min(resources.machine_memory() / 2, 20.0 * work.rows * work.columns + 2.0 * work.bytes)
    found = []
    for stage, (start, each) in READING.items():
        seconds = pace * (
            start + each * values + ((MEDIA + PIXEL * _pixels(work.shape)) * media if stage in ("collect", "normalize") else 0)
        )
        found.append(Estimate(stage, LOW * seconds, HIGH * seconds, TABLES + room + (90e6 if stage == "split" else 0)))  # the audit
    return found


def _learning(work: Work, params: Params, pace: float) -> list[Estimate]:
    load = load_of(work.shape, params.model, forecast=work.task == "forecast")
    rows = _rows(work, params)
    epochs, least = params.train.epochs, _least(params)
    folds = params.split.folds if params.train.cross_validation else 0
    networks = params.train.ensemble + folds + (sum(params.evaluate.shares, 0.0))

    def trained(count: float, some: int) -> float:
        return pace * (COMPILING + some * epoch(load, rows["train"], params)) * count

    tune = params.tune
    low = high = pace * 0.8
    if tune.trials:
        folds_ = params.split.folds if tune.folds else 1
        own = int(tune.fixed.get("train.epochs", epochs))
        pruned = 0 if tune.pruner == "NopPruner" or len(tune.objectives) > 1 else max(own // 9, 1)
        few = pruned or min(own, least)
        some = max(1, int(FEW * tune.trials))
        low = trained(some, min(own, least)) + trained(tune.trials - some, few)
        some = max(1, round(MANY * tune.trials)) if pruned else tune.trials
        high = trained(some, own) + trained(tune.trials - some, pruned or own)
        workers = min(tune.workers, tune.trials)
        low, high = ((STARTS["tune"] * pace + seconds * folds_ / min(workers, resources.cores())) for seconds in (low, high))
        high = min(high, STARTS["tune"] * pace + 60 * tune.minutes + trained(1, own)) if tune.minutes else high
        low = min(low, high)
    activity = (params.train.batch(rows["train"]) * load.held * 3 + load.weights * 4) * NUMBER
    arrays = sum(rows.values()) * (work.shape.columns + _pixels(work.shape)) * NUMBER
    passes = pace * sum(rows.values()) * 2 * load.products / _rate()
    baselines = pace * (2.0 + 1.5e-6 * rows["train"] * (work.shape.columns + _pixels(work.shape) / 4) * work.shape.outputs**0.5)
    windows = _windows(rows, params)
    spans = {
        "tune": (low, high),
        "train": (STARTS["train"] * pace + trained(networks, least), STARTS["train"] * pace + trained(networks, epochs)),
        "evaluate": 2 * (STARTS["evaluate"] * pace + 6 * passes + baselines * params.evaluate.replicates**0.1 / 2,),
        "register": 2 * (STARTS["register"] * pace + passes,),
        "monitor": 2 * (STARTS["monitor"] * pace + windows * WINDOW * pace * max(1.0, work.shape.columns / 12) + passes,),
        "report": 2 * (STARTS["report"] * pace,),
    }
    memory = {
        "tune": (TENSORFLOW + activity) * max(1, min(tune.workers, tune.trials)) if tune.trials else TABLES,
        "train": TENSORFLOW + activity,
        "evaluate": TENSORFLOW + 150e6 + activity + 2 * arrays,
        "register": TENSORFLOW + 50e6 + activity / 3,
        "monitor": TENSORFLOW + 50e6 + activity / 3 + arrays,
        "report": 90e6,
    }
    return [Estimate(stage, LOW * span[0], HIGH * span[-1], memory[stage]) for stage, span in spans.items()]


def epoch(load: Load, rows: int, params: Params) -> float:
    """Seconds of an epoch on the machine that was fitted."""
    batch = params.train.batch(rows)
    steps = -(-rows // batch)
    return steps * (STEP + SERIAL * load.serial) + 6 * load.products * rows / _rate()


def _rate() -> float:
    """Operations of a training a second, with so many cores as there are here, each as fast as one of the fitted machine's."""
    return USED * REFERENCE * (min(resources.cores(), 16) / CORES) ** 0.5


def _rows(work: Work, params: Params) -> dict[str, int]:
    """Rows on each side: as they were counted, else by the shares."""
    if work.sides.get("train"):
        return {side: work.sides.get(side, 0) for side in paths.SIDES}
    split = params.split
    shares = {"train": 1 - split.validation - split.test, "validation": split.validation, "test": split.test, "production": 0.0}
    return {side: round(work.rows * share) for side, share in shares.items()}


def _least(params: Params) -> int:
    """Epochs after which early stopping may end a training."""
    train = params.train
    return min(train.epochs, train.early_stopping + 5) if train.early_stopping else train.epochs


def _windows(rows: Mapping[str, int], params: Params) -> int:
    monitor = params.monitor
    size = monitor.window if isinstance(monitor.window, int) else 1000
    return sum(min(max(1, rows[side] // size), monitor.max_windows) for side in ("test", "production") if rows[side])


def _pixels(shape: Shape) -> int:
    height, width, channels = shape.picture
    return height * width * channels + shape.steps[0] * shape.steps[1] + shape.text
