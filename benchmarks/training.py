"""What training costs: an epoch against that of a naive Keras `fit`, and what reading takes of it for a table of 10 million rows.

Run: `python benchmarks/training.py`.  Takes about three minutes.

The first part trains a perceptron of 3 x 256 units at batch 256 on 39,000 x 108 numbers in two ways that take turns: by
Keras' `fit` on numpy arrays, and by this project's loop, both with the same optimizer.  Beside them stands the floor:
the matrix products of that epoch alone, in TensorFlow.  The second part writes a table of 10 million rows and 24 columns as the
blocks of `normalize`, reads an epoch of it in the order of training, trains on its first tenth, and compares; memory is what the process
reached at most beyond what it held after a first step on a few rows.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import workspace

from pipeline.models import device

RATIO, READING, PEAK_MB = 0.6, 0.05, 1000
ROWS, COLUMNS, WIDTH, BATCH, TURNS = 39_000, 108, 256, 256, 9
MANY, FEW_COLUMNS, TRAINED = 10_000_000, 24, 10  # the large table, of which one part in TRAINED is trained on


def fitted(columns: int) -> Any:
    """Preprocessing of that many numbers for a binary target."""
    from pipeline.data.fitted import GRID, Number, Preprocessor, Target

    grid = tuple(np.linspace(-1, 1, GRID + 1).tolist())
    numbers = tuple(Number(f"x{at}", "value", grid=grid) for at in range(columns))
    return Preprocessor("binary", Target("y", ("no", "yes")), numbers, (), {})


def side(number: np.ndarray, target: np.ndarray) -> Any:
    from pipeline.data.arrays import Side

    return Side(number, np.empty((len(target), 0), np.int32), target, np.arange(len(target)))


class Ours:
    """This project's loop on a table, an epoch a call."""

    def __init__(self, table: Any) -> None:
        from pipeline.config import TrainParams
        from pipeline.models import heads
        from pipeline.models.feeding import feed
        from pipeline.models.optimization import optimizer
        from pipeline.models.stepping import stepper

        self.params, columns = TrainParams(batch_size=BATCH), fitted(table.number.shape[1])
        self.feed, network = feed(table, columns, self.params), perceptron(table.number.shape[1])
        self.steps = stepper(network, heads.loss(columns, self.params), optimizer(self.params, network), batch=BATCH)
        self.epochs = 0

    def read(self) -> Iterator[Any]:
        """The chunks of one epoch, each made while the one before it is used."""
        from pipeline.models.feeding import ahead, chunks

        self.epochs += 1
        return ahead(chunks(self.feed, self.params, seed=0, epoch=self.epochs))

    def train(self, rows: int | None = None) -> int:
        """Train on one epoch, or on its first rows; the number of rows."""
        done = 0
        for chunk in self.read():
            rates = np.full(-(-len(chunk) // BATCH), 1e-3, "float32")
            self.steps.run(chunk.x, chunk.y, chunk.weight, rates)
            done += len(chunk)
            if rows and done >= rows:
                break
        return done


def perceptron(columns: int) -> Any:
    from pipeline.config import ModelParams
    from pipeline.models.build import build

    return build(fitted(columns), ModelParams(layers=3, width=WIDTH, bins=0, dropout=0, activation="relu"), seed=0)


def naive(table: Any) -> Callable[[], Any]:
    """Keras' fit of the same network with the same optimizer."""
    from pipeline.config import TrainParams
    from pipeline.models.optimization import optimizer

    network = perceptron(table.number.shape[1])
    network.compile(optimizer=optimizer(TrainParams(), network), loss="binary_crossentropy")
    return lambda: network.fit({"number": table.number}, table.target, batch_size=BATCH, epochs=1, verbose=0)


def floor(table: Any) -> Callable[[], Any]:
    """The matrix products of an epoch, forward and back, without anything else."""
    import tensorflow as tf

    sizes = [table.number.shape[1], WIDTH, WIDTH, WIDTH, 1]
    kernels = [tf.random.normal((a, b)) for a, b in pairwise(sizes)]
    x = tf.constant(table.number[:BATCH])

    @tf.function(autograph=False)
    def products(batches: Any) -> Any:
        def body(at: Any, total: Any) -> Any:
            seen = [x + total]  # so that no batch's products are left out as known already
            for kernel in kernels:
                seen.append(seen[-1] @ kernel)
            back, used = seen[-1], 0.0
            for kernel, given in zip(kernels[::-1], seen[-2::-1], strict=True):
                used += 0.0 * tf.matmul(given, back, transpose_a=True)[0, 0]
                back = tf.matmul(back, kernel, transpose_b=True) if given is not x else back
            return at + 1, total + 0.0 * used + 0.0 * back[0, 0]

        return tf.while_loop(lambda at, _: at < batches, body, (0, 0.0))[1]

    return lambda: float(products(-(-len(table.target) // BATCH)))


def epochs() -> bool:
    """Print an epoch's seconds for each way; whether the ratio is reached."""
    rng = np.random.default_rng(0)
    number = rng.normal(size=(ROWS, COLUMNS)).astype("float32")
    table = side(number, (number[:, 0] > 0).astype("int32"))
    ours = Ours(table)
    ways = {"naive Keras fit": naive(table), "this project": ours.train, "matrix products": floor(table)}
    for way in (*ways.values(), *ways.values()):
        way()  # compiles, warms up
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            started, used = time.perf_counter(), time.process_time()
            way()
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - used)
    print(f"an epoch of {ROWS:,} x {COLUMNS}, 3 x {WIDTH} units, batch {BATCH}; {TURNS} turns; {workspace.machine()}")
    print(f"{'':18} {'median s':>9} {'lowest':>7} {'CPU s':>7}")
    for name in ways:
        print(f"{name:18} {statistics.median(wall[name]):9.3f} {min(wall[name]):7.3f} {statistics.median(cpu[name]):7.3f}")
    single = sorted(a / b for a, b in zip(wall["this project"], wall["naive Keras fit"], strict=True))
    ratio = statistics.median(single)
    print(f"ratio to naive {ratio:.2f} (of single turns: {single[0]:.2f} to {single[-1]:.2f})")
    return ratio <= RATIO


def large() -> bool:
    """Print what reading the large table takes; whether share and memory are kept."""
    from pipeline.data import arrays

    with tempfile.TemporaryDirectory() as name:
        kinds = {"number": ((FEW_COLUMNS,), np.float32), "target": ((), np.int32)}
        rng = np.random.default_rng(0)
        with arrays.growing(Path(name), MANY, kinds) as out:
            for _ in range(0, MANY, 100_000):
                block = rng.standard_normal((100_000, FEW_COLUMNS), "float32")
                block.tofile(out["number"])
                (block[:, 0] > 0).astype("int32").tofile(out["target"])
        table = side(*(np.load(Path(name) / f"{kind}.npy", mmap_mode="r") for kind in kinds))
        before = Ours(side(np.zeros((BATCH, FEW_COLUMNS), "float32"), np.zeros(BATCH, "int32")))
        before.train()
        held = peak_mb()
        ours = Ours(table)
        started = time.perf_counter()
        rows = sum(len(chunk) for chunk in ours.read())
        reading = time.perf_counter() - started
        assert rows == MANY
        for _ in islice(ours.read(), 1):
            pass
        started = time.perf_counter()
        trained = ours.train(MANY // TRAINED)
        epoch = (time.perf_counter() - started) * MANY / trained
        peak = peak_mb() - held
    share = reading / epoch
    print(f"\n{MANY:,} rows x {FEW_COLUMNS}: reading {reading:.1f} s ({MANY / reading / 1e6:.1f}M rows/s), an epoch {epoch:.0f} s")
    print(f"reading is {share:.1%} of an epoch; {peak:.0f} MB beyond what Keras with a network holds ({held:.0f} MB)")
    return share < READING and peak < PEAK_MB


def peak_mb() -> float:
    """The most memory that this process held, in MB; mapped files count as far as they were read."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    device.start("cpu")
    parts = {"epoch": epochs, "reading": large}
    chosen = sys.argv[1:] or list(parts)
    kept = [parts[name]() for name in chosen]
    workspace.verdict(
        f"an epoch at most {RATIO} of naive Keras; reading under {READING:.0%} of an epoch, with less than {PEAK_MB} MB", all(kept)
    )


if __name__ == "__main__":
    main()
