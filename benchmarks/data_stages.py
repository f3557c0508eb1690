"""CPU seconds and peak memory of the stages that prepare data, and proof that none of them imports a heavy library.

Run: `python benchmarks/data_stages.py`.  Takes about a minute.

collect, clean, split and normalize run in their order on the default example, each as the process that DVC would
start (`python -m pipeline collect`), several rounds after one that warms up; the figures are medians over the rounds.
CPU is user + system, so two busy cores count twice; memory is the process' largest resident set.  Then each runs once
more under `python -X importtime`, which lists every module that it imports, lazily or not: TensorFlow, Keras, MLflow,
Optuna and Evidently must not be among them.  That list is first shown to name a library that is imported.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import workspace

SECONDS = 4.0
ROUNDS = 5
STAGES = ("collect", "clean", "split", "normalize")
HEAVY = {"tensorflow", "keras", "mlflow", "optuna", "evidently"}


def imported(folder: Path, *command: str) -> set[str]:
    """The top-level modules that a Python command imports."""
    lines = workspace.cost(folder, "-X", "importtime", *command).output.splitlines()
    names = {line.rpartition("|")[2].strip().split(".")[0] for line in lines if line.startswith("import time:")}
    assert "encodings" in names, "python -X importtime listed nothing"
    return names


def main() -> None:
    with workspace.copy() as folder:
        print(f"{ROUNDS} rounds after one to warm up; {workspace.machine()}")
        rounds = [{stage: workspace.cost(folder, "-m", "pipeline", stage) for stage in STAGES} for _ in range(ROUNDS + 1)][1:]
        modules = {stage: imported(folder, "-m", "pipeline", stage) for stage in STAGES}
        for name in sorted(HEAVY):
            assert name in imported(folder, "-c", f"import {name}"), f"an import of {name} would go unseen"
    print(f"\n{'stage':10} {'CPU s':>6} {'lowest':>7} {'highest':>8} {'peak MB':>8}  heavy imports")
    median = {}
    for stage in STAGES:
        cpu = sorted(found[stage].cpu for found in rounds)
        median[stage] = statistics.median(cpu)
        peak = statistics.median(found[stage].peak_mb for found in rounds)
        heavy = ", ".join(sorted(modules[stage] & HEAVY)) or "none"
        print(f"{stage:10} {median[stage]:6.2f} {cpu[0]:7.2f} {cpu[-1]:8.2f} {peak:8.0f}  {heavy} of {len(modules[stage])}")
    light = not any(found & HEAVY for found in modules.values())
    workspace.verdict(f"each under {SECONDS:g} s of CPU, none imports {', '.join(sorted(HEAVY))}", max(median.values()) < SECONDS and light)


if __name__ == "__main__":
    main()
