"""What a sweep costs: against one process a trial, against one that prunes nothing, with a second worker, in store and in memory.

Run: `python benchmarks/tuning.py [PART ...]`.  All parts take some 25 minutes on two cores.

A perceptron of 3 x 256 units learns from 10,000 rows x 108 numbers for at most 9 epochs, in 30 trials over step length,
weight decay, dropout, width and depth.  The parts:

    processes   CPU of the sweep as `pipeline tune` runs it, against a process for each trial (a sixth of the trials is timed)
    pruning     CPU of the sweep with its usual pruner, against one that prunes nothing, and the best values of both, over 5 seeds
    workers     wall time of two workers, against one, on the same trials
    store       time that the study and MLflow take a trial, with what they do beside the training
    memory      growth of a worker's memory over 100 trials
    examples    the best of six trials on three examples, with the usual space, against params.yaml's own
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import workspace
from ruamel.yaml import YAML

ROWS, COLUMNS, TRIALS, EPOCHS, SEEDS = 10_000, 108, 30, 9, 5
PROCESSES, PRUNING, WORKERS, STORE_MS, MEMORY_MB = 0.5, 0.75, 0.65, 100, 100
SPACE = {
    "train.learning_rate": {"log": [3e-4, 1e-2]},
    "train.weight_decay": {"log": [1e-4, 1e-1]},
    "model.dropout": {"uniform": [0.0, 0.5]},
    "model.width": {"choice": [64, 128, 192, 256]},
    "model.layers": {"int": [1, 4]},
}
ONE = """
import json, sys
from pipeline.config import ModelParams, TrainParams, override
from pipeline.params_file import load
from pipeline import paths
from pipeline.models import device
params = load(paths.PARAMS)
device.start("cpu")
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models.fit import fit
fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text())
now = override({"model": params.model, "train": params.train}, json.loads(sys.argv[1]))
fit(fitted, arrays.load("train"), arrays.load("validation"), model=now["model"], params=now["train"], seed=params.seed)
"""


def prepare(folder: Path) -> None:
    """Rows whose target follows from a few of their numbers, with noise, through the data stages."""
    rng = np.random.default_rng(0)
    total = round(ROWS / 0.8)
    x = rng.normal(size=(total, COLUMNS)).astype("float32")
    score = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + x[:, 3:10].sum(axis=1) / 3 + rng.normal(size=total)
    frame = pd.DataFrame(np.round(x, 4), columns=[f"x{at}" for at in range(COLUMNS)])
    frame["y"] = np.where(score > 0, "yes", "no")
    frame.to_csv(folder / "rows.csv", index=False)
    write(folder)
    for stage in ("collect", "clean", "split", "normalize"):
        workspace.cost(folder, "-m", "pipeline", stage)


def write(folder: Path, seed: int = 0, epochs: int = EPOCHS, **tune: Any) -> None:
    """params.yaml with another tune section."""
    params: dict[str, Any] = {name: {} for name in ("clean", "normalize", "evaluate", "register", "monitor")}
    params |= {"seed": seed, "data": {"source": "rows.csv", "target": "y"}, "split": {"validation": 0.1, "test": 0.1}}
    params |= {"model": {"layers": 3, "width": 256, "bins": 0}, "train": {"epochs": epochs, "batch_size": 256, "device": "cpu"}}
    params["tune"] = {"trials": TRIALS, "space": SPACE, **tune}
    with (folder / "params.yaml").open("w", encoding="utf-8") as out:
        YAML().dump(params, out)


def sweep(folder: Path, **settings: Any) -> tuple[workspace.Cost, float]:
    """A new sweep: its cost, and its best value."""
    write(folder, **settings)
    for file in (folder / ".state" / "studies").glob("*"):
        file.unlink()
    cost = workspace.cost(folder, "-m", "pipeline", "tune")
    best = YAML(typ="safe").load((folder / "reports" / "tune" / "best.yaml").read_text(encoding="utf-8"))
    return cost, best["from"]["value"]


def processes(folder: Path) -> bool:
    """One worker for all trials against a process for each."""
    together, _ = sweep(folder, pruner="NopPruner")
    with (folder / "reports" / "tune" / "trials.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[::6]
    apart = [workspace.cost(folder, "-c", ONE, json.dumps({key: _number(row[key]) for key in SPACE})).cpu for row in rows]
    each = statistics.fmean(apart)
    ratio = together.cpu / (each * TRIALS)
    print(f"processes: sweep {together.cpu:.0f} CPU s, a process for each trial {each * TRIALS:.0f} ({each:.1f} each, {len(apart)} timed)")
    print(f"processes: ratio {ratio:.2f}, at most {PROCESSES}\n", flush=True)
    return ratio <= PROCESSES


def pruning(folder: Path) -> bool:
    """The usual pruner against none: CPU, and the best validation losses."""
    print("| seed | CPU s pruned | CPU s unpruned | best pruned | best unpruned |\n|---|---|---|---|---|")
    found = []
    for seed in range(SEEDS):
        (pruned, a), (unpruned, b) = sweep(folder, seed=seed), sweep(folder, seed=seed, pruner="NopPruner")
        found.append((pruned.cpu, unpruned.cpu, a, b))
        print(f"| {seed} | {pruned.cpu:.0f} | {unpruned.cpu:.0f} | {a:.4f} | {b:.4f} |", flush=True)
    cpu, whole, best, other = (statistics.fmean(column) for column in zip(*found, strict=True))
    spread = statistics.stdev(b for *_, b in found)
    print(f"| mean | {cpu:.0f} | {whole:.0f} | {best:.4f} | {other:.4f} |")
    print(
        f"pruning: ratio {cpu / whole:.2f}, at most {PRUNING}; best value {best - other:+.4f} (deviation over seeds {spread:.4f})\n",
        flush=True,
    )
    return cpu / whole <= PRUNING and best <= other


def workers(folder: Path) -> bool:
    """Two workers against one on the same trials: random ones, none pruned."""
    same = {"sampler": "RandomSampler", "pruner": "NopPruner"}
    (one, _), (two, _) = sweep(folder, **same), sweep(folder, workers=2, **same)
    ratio = two.wall / one.wall
    print(f"workers: one {one.wall:.0f} s, two {two.wall:.0f} s; ratio {ratio:.2f}, at most {WORKERS}\n", flush=True)
    return ratio <= WORKERS


def store(folder: Path) -> bool:
    """Time inside the study and inside MLflow's calls, trial by trial."""
    write(folder)
    for file in (folder / ".state" / "studies").glob("*"):
        file.unlink()
    done = workspace.cost(folder, str(Path(__file__).resolve()), "--inside")
    found = json.loads(done.output.splitlines()[-1])
    study, mlflow = found["study"], found["mlflow"]
    print(
        f"store: study {study:.0f} ms a trial, MLflow {mlflow:.0f} ms a trial (beside the training); together at most {STORE_MS}\n",
        flush=True,
    )
    return study + mlflow <= STORE_MS


def inside() -> None:
    """Run the sweep of the current folder with clocks in the calls of study and MLflow."""
    from pipeline import paths
    from pipeline.commands.stages import run_stage
    from pipeline.params_file import load
    from pipeline.tracking import sending
    from pipeline.tuning.study import Study

    spent = {"study": 0.0, "mlflow": 0.0}

    def timed(owner: Any, name: str, kind: str) -> None:
        plain = getattr(owner, name)

        def call(*args: Any, **keys: Any) -> Any:
            started = time.thread_time() if kind == "mlflow" else time.perf_counter()
            try:
                return plain(*args, **keys)
            finally:
                spent[kind] += (time.thread_time() if kind == "mlflow" else time.perf_counter()) - started

        setattr(owner, name, call)

    for name in ("take", "started", "report", "complete", "prune", "fail", "finished"):
        timed(Study, name, "study")
    timed(sending, "send", "mlflow")
    run_stage("tune", load(paths.PARAMS))
    print(json.dumps({kind: 1000 * seconds / TRIALS for kind, seconds in spent.items()}))


def memory(folder: Path) -> bool:
    """The worker's resident memory after 10 trials and after 100 more."""
    write(folder, epochs=2, trials=110, pruner="NopPruner")
    for file in (folder / ".state" / "studies").glob("*"):
        file.unlink()
    words = [sys.executable, "-m", "pipeline", "tune"]
    held: dict[int, float] = {}
    with subprocess.Popen(words, cwd=folder, env=workspace.environment(folder), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if told := re.match(r"trial (\d+) of", line):
                children = psutil.Process(process.pid).children(recursive=True)
                held[int(told[1])] = max((child.memory_info().rss for child in children), default=0) / 1e6
    if process.returncode:
        raise SystemExit("the sweep failed")
    grown = held[109] - held[9]
    shown = ", ".join(f"{at}: {held[at]:.0f}" for at in range(9, 110, 20))
    print(f"memory: {grown:+.0f} MB over 100 trials, at most {MEMORY_MB} (MB after trial {shown})\n", flush=True)
    return grown < MEMORY_MB


def examples(folder: Path) -> bool:
    """Validation loss of the best trial and of params.yaml's own, trial 0; trials are short."""
    print("| example | keys searched | params.yaml | best | trial |\n|---|---|---|---|---|")
    kept = True
    for name in ("rand_health", "digits", "co2"):
        with workspace.copy() as project:
            workspace.cost(project, "-m", "pipeline", "init", "--example", name, "--force")
            file = project / "params.yaml"
            params = YAML().load(file.read_text(encoding="utf-8"))
            params["tune"] = {"trials": 6, "fixed": {"train.epochs": 10}}
            with file.open("w", encoding="utf-8") as out:
                YAML().dump(params, out)
            for stage in ("collect", "clean", "split", "normalize", "tune"):
                workspace.cost(project, "-m", "pipeline", stage)
            best = YAML(typ="safe").load((project / "reports" / "tune" / "best.yaml").read_text(encoding="utf-8"))
            with (project / "reports" / "tune" / "trials.csv").open(encoding="utf-8") as stream:
                first, *_ = rows = list(csv.DictReader(stream))
            keys = ", ".join(key for key in rows[0] if "." in key)
            value, own = best["from"]["value"], float(first["loss"])
            print(f"| {name} | {keys} | {own:.4f} | {value:.4f} | {best['from']['best_trial']} |", flush=True)
            kept &= value <= own
    print(flush=True)
    return kept


def _number(text: str) -> float | int:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def main() -> None:
    parts = {"processes": processes, "pruning": pruning, "workers": workers, "store": store, "memory": memory, "examples": examples}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default all: {', '.join(parts)}")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        inside()
        return
    if unknown := set(asked.parts) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    for name in workspace.FOREIGN:
        os.environ.pop(name, None)
    print(f"{workspace.machine()}\n")
    with workspace.copy(project=False) as folder:
        prepare(folder)
        kept = {name: parts[name](folder) for name in asked.parts or parts}
    workspace.verdict(
        "each part within its bound (" + ", ".join(f"{name} {'yes' if ok else 'no'}" for name, ok in kept.items()) + ")", all(kept.values())
    )


if __name__ == "__main__":
    main()
