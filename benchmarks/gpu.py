"""What a GPU gives: every example trained on it, where its numbers live, in which precision, how fast, and beside a hand-written JAX loop.

Run: `make check-gpu`, or `python benchmarks/gpu.py [--device gpu]`.  Works with TensorFlow or with JAX alone (the first that is
installed, or KERAS_BACKEND).  On a GPU it writes docs/gpu.md and ends with exit code 1 where a promise is broken; `--device cpu` goes
the same way without a GPU, prints, and promises nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import workspace

from examples import examples
from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import device
from pipeline.params_file import load

RATIO = 0.8  # of the hand-written loop's rows a second
EPOCHS, TURNS = 6, 5
ROWS, COLUMNS, WIDTH, LAYERS, BATCH = 200_000, 108, 256, 3, 1024  # of the table that both loops train on
PAGE = workspace.ROOT / "docs" / "gpu.md"


@dataclass
class Watched:
    """What nvidia-smi told while a block ran: percent of time with work, and MB held at most."""

    busy: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def told(self) -> str:
        return f"{statistics.mean(self.busy):.0f} | {max(self.memory):,.0f}" if self.busy else "- | -"


@contextmanager
def watching() -> Iterator[Watched]:
    """Sample the first GPU five times a second; nothing where there is no nvidia-smi."""
    found, over = Watched(), threading.Event()
    tool = shutil.which("nvidia-smi")

    def sample() -> None:
        asked = [str(tool), "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while not over.wait(0.2):
            told = subprocess.run(asked, capture_output=True, text=True).stdout.split(",")
            if len(told) == 2:
                found.busy.append(float(told[0]))
                found.memory.append(float(told[1]))

    thread = threading.Thread(target=sample)
    if tool:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        if tool:
            thread.join()


def example(name: str, computer: str) -> tuple[str, list[str]]:
    """Prepare an example as its user would and train a few epochs: its line of the table, and what was wrong."""
    import keras

    from pipeline.models.fit import fit

    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as folder:
        os.chdir(folder)
        shutil.copytree(workspace.ROOT / "examples", "examples", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(Path("examples") / name / paths.PARAMS, paths.PARAMS)
        params = load(paths.PARAMS)
        for stage in ("collect", "clean", "split", "normalize"):
            run_stage(stage, params)
        fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
        train, validation = (arrays.load(side) for side in paths.SIDES[:2])
        seconds: list[float] = []
        losses: list[float] = []

        def tell(epoch: int, row: Mapping[str, float]) -> None:
            seconds.append(row["seconds"])
            losses.append(row["train/loss"])

        with watching() as watched:
            shorter = params.train.model_copy(update={"epochs": EPOCHS, "early_stopping": 0})
            result = fit(fitted, train, validation, model=params.model, params=shorter, seed=params.seed, on_epoch=tell)
        heavy = bool(fitted.images or fitted.audios or fitted.texts)
        with device.precision(params.train.precision, heavy=heavy):
            policy = keras.config.dtype_policy().name
        os.chdir(workspace.ROOT)
    place, wrong = placed(result.model.weights[0]), []
    if computer != "cpu" and "gpu" not in place.lower() and "cuda" not in place.lower():
        wrong.append(f"{name}: weights lie on {place}")
    if computer != "cpu" and heavy and not policy.startswith("mixed"):
        wrong.append(f"{name}: trained in {policy}, not in mixed precision")
    if not losses[-1] < losses[0]:
        wrong.append(f"{name}: the loss did not fall ({losses[0]:.4f} to {losses[-1]:.4f})")
    rate = len(train) / statistics.median(seconds[1:])
    return f"| {name} | {place} | {policy} | {len(train):,} | {losses[0]:.3f} to {losses[-1]:.3f} | {rate:,.0f} | {watched.told()} |", wrong


def placed(weight: Any) -> str:
    """The device that holds a weight."""
    value = weight.value
    if hasattr(value, "devices"):
        return ", ".join(sorted(str(one) for one in value.devices()))
    return str(value.device).rpartition("/device:")[2]


def ours(number: np.ndarray, target: np.ndarray) -> Callable[[], float]:
    """An epoch by this project's feeding and steps."""
    from training import fitted, side

    from pipeline.config import ModelParams, TrainParams
    from pipeline.models import heads
    from pipeline.models.build import build
    from pipeline.models.feeding import ahead, chunks, feed
    from pipeline.models.optimization import optimizer
    from pipeline.models.stepping import stepper

    params, columns = TrainParams(batch_size=BATCH), fitted(COLUMNS)
    network = build(columns, ModelParams(layers=LAYERS, width=WIDTH, bins=0, dropout=0, activation="relu"), seed=0)
    rows = feed(side(number, target), columns, params)
    steps = stepper(network, heads.loss(columns, params), optimizer(params, network), batch=BATCH)
    done = 0

    def epoch() -> float:
        nonlocal done
        total, done = 0.0, done + 1
        for chunk in ahead(chunks(rows, params, seed=0, epoch=done)):
            total += steps.run(chunk.x, chunk.y, chunk.weight, np.full(-(-len(chunk) // BATCH), 1e-3, "float32"))
        return total / len(rows)

    return epoch


def by_hand(number: np.ndarray, target: np.ndarray) -> Callable[[], float]:
    """An epoch of the same network with AdamW and clipped gradients as one would write it in JAX: rows on the device, one scan an epoch."""
    import jax
    import jax.numpy as jnp

    sizes, rng = [COLUMNS, *[WIDTH] * LAYERS, 1], np.random.default_rng(0)
    weights = [(jnp.asarray(rng.normal(0, (2 / a) ** 0.5, (a, b)).astype("float32")), jnp.zeros(b)) for a, b in pairwise(sizes)]
    x, y = jax.device_put(number), jax.device_put(target.astype("float32"))
    steps = len(number) // BATCH

    def loss(weights: Any, x: Any, y: Any) -> Any:
        for kernel, bias in weights[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        logit = (x @ weights[-1][0] + weights[-1][1])[:, 0]
        return jnp.mean(jnp.maximum(logit, 0) - logit * y + jnp.log1p(jnp.exp(-jnp.abs(logit))))

    def clipped(g: Any) -> Any:
        return g * jnp.minimum(1.0, 1.0 / jnp.maximum(jnp.linalg.norm(g), 1e-12))

    @jax.jit
    def epoch(state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, len(x))[: steps * BATCH].reshape(steps, BATCH)

        def step(state: Any, rows: Any) -> Any:
            weights, mean, square, at = state
            value, gradients = jax.value_and_grad(loss)(weights, x[rows], y[rows])
            gradients, at = jax.tree.map(clipped, gradients), at + 1
            mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
            square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, gradients)
            rate = 1e-3 * jnp.sqrt(1 - 0.999**at) / (1 - 0.9**at)
            weights = jax.tree.map(
                lambda w, m, s: w - rate * m / (jnp.sqrt(s) + 1e-7) - (1e-5 * w if w.ndim == 2 else 0), weights, mean, square
            )
            return (weights, mean, square, at), value

        return jax.lax.scan(step, state, order)

    state, keys = (weights, *[jax.tree.map(jnp.zeros_like, weights)] * 2, jnp.float32(0)), iter(jax.random.split(jax.random.key(0), 100))

    def run() -> float:
        nonlocal state
        state, values = epoch(state, next(keys))
        return float(values.mean())

    return run


def speed() -> tuple[list[str], float | None]:
    """Rows a second of both loops, and the ratio; None where JAX is not installed."""
    import importlib.util

    rng = np.random.default_rng(0)
    number = rng.standard_normal((ROWS, COLUMNS), "float32")
    target = (number[:, 0] > 0).astype("int32")
    ways = {"this project": ours(number, target)} | ({"JAX by hand": by_hand(number, target)} if importlib.util.find_spec("jax") else {})
    lines, rates = [], {}
    for name, way in ways.items():
        first = way()
        with watching() as watched:
            spent = []
            for _ in range(TURNS):
                started = time.perf_counter()
                last = way()
                spent.append(time.perf_counter() - started)
        rates[name] = ROWS / statistics.median(spent)
        lines.append(f"| {name} | {rates[name]:,.0f} | {watched.told()} | {first:.4f} to {last:.4f} |")
    return lines, rates["this project"] / rates["JAX by hand"] if len(rates) == 2 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="cpu tries the way without a GPU (default gpu)")
    asked = parser.parse_args()
    for name in workspace.FOREIGN:
        os.environ.pop(name, None)
    logging.getLogger("pipeline").setLevel(logging.ERROR)
    computer = device.start(asked.device)
    import keras

    wrong: list[str] = []
    page = [
        "# On a GPU",
        "",
        f"`make check-gpu` on {computer}, Keras {keras.__version__} on {keras.backend.backend()}; {workspace.machine()}.",
        "",
        f"Each example trained for {EPOCHS} epochs; rows a second without the first epoch, which compiles. Busy and MB by nvidia-smi.",
        "",
        "| example | weights lie on | precision | rows | loss | rows/s | busy % | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in examples():
        line, found = example(name, computer)
        page.append(line)
        wrong += found
    lines, ratio = speed()
    page += [
        "",
        f"One network ({LAYERS} x {WIDTH} units, batch {BATCH}) on {ROWS:,} rows x {COLUMNS}: this project's loop, which shuffles on "
        "the host, and a loop written by hand in JAX with all rows on the device.",
        "",
        "| loop | rows/s | busy % | MB | loss |",
        "|---|---|---|---|---|",
        *lines,
        "",
        f"Ratio {ratio:.2f}; promised {RATIO}." if ratio is not None else "JAX is not installed here, so there is no ratio.",
    ]
    print("\n".join(page))
    if ratio is not None and ratio < RATIO:
        wrong.append(f"ratio {ratio:.2f}")
    if computer != "cpu":
        PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")
        workspace.verdict(
            f"all on the GPU, mixed precision where it pays, at least {RATIO} of JAX by hand{': ' + '; '.join(wrong) if wrong else ''}",
            not wrong,
        )
    elif wrong:
        print("; ".join(wrong))


if __name__ == "__main__":
    main()
