"""What an unchanged pipeline costs: `dvc repro` with nothing to do, against that of a trivial dvc.yaml of the same shape.

Run: `python benchmarks/noop.py`.  Takes about three minutes, most of it to finish the pipeline once.

The pipeline is first run with reduced settings (no sweep, one epoch, 100 bootstrap replicates): a no-op costs the same.
The trivial dvc.yaml has as many stages, each with as many outputs as its counterpart, and each stage depends on the
first output of the one before it; every output is a file of one line.  Both no-ops take turns; figures are CPU seconds
(user + system) of the dvc process, the ratio is that of the medians, and beside it stand the lowest and the highest ratio of
one turn.  So the ratio holds all that this dvc.yaml adds: its dependencies on files of code, its params, its folders.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import workspace
from ruamel.yaml import YAML

RATIO = 1.2
TURNS = 10
REDUCED = {"tune": {"trials": 0}, "train": {"epochs": 1}, "evaluate": {"replicates": 100}}
NOTHING = "Data and pipelines are up to date."


def reduce(params: Path) -> None:
    """Write the reduced settings into params.yaml."""
    yaml = YAML()
    values = yaml.load(params.read_text(encoding="utf-8"))
    for section, keys in REDUCED.items():
        values[section].update(keys)
    with params.open("w", encoding="utf-8") as out:
        yaml.dump(values, out)


def outputs() -> list[int]:
    """The number of outputs of each stage of dvc.yaml."""
    stages = YAML(typ="safe").load((workspace.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [len(stage["outs"]) for stage in stages.values()]


def trivial(shape: list[int]) -> dict[str, dict[str, object]]:
    """The stages of the trivial dvc.yaml: a chain in which stage k has shape[k] outputs of one line."""
    stages = {}
    for at, count in enumerate(shape):
        files = [f"stage{at}-{number}.txt" for number in range(count)]
        command = "; ".join(f"echo {file} > {file}" for file in files)
        stages[f"stage{at}"] = {"cmd": command, "deps": [f"stage{at - 1}-0.txt"] if at else [], "outs": files}
    return stages


def noop(folder: Path) -> float:
    """CPU seconds of `dvc repro` with nothing to do."""
    found = workspace.cost(folder, "-m", "dvc", "repro")
    assert NOTHING in found.output, found.output
    return found.cpu


def main() -> None:
    shape = outputs()
    with workspace.copy() as folder, workspace.copy(project=False) as plain:
        print(f"{len(shape)} stages, {sum(shape)} outputs, {TURNS} turns; {workspace.machine()}")
        reduce(folder / "params.yaml")
        with (plain / "dvc.yaml").open("w", encoding="utf-8") as out:
            YAML().dump({"stages": trivial(shape)}, out)
        (plain / ".gitignore").write_text("*.txt\n", encoding="utf-8")
        for place in (folder, plain):
            workspace.cost(place, "-m", "dvc", "repro")
            noop(place)  # warms up
        turns = [(noop(folder), noop(plain)) for _ in range(TURNS)]
    ours, theirs = (sorted(cpu) for cpu in zip(*turns, strict=True))
    ratio = statistics.median(ours) / statistics.median(theirs)
    single = sorted(a / b for a, b in turns)
    print(f"\n{'dvc repro, nothing to do':26} {'CPU s':>6} {'lowest':>7} {'highest':>8}")
    for name, cpu in (("this pipeline", ours), ("trivial, of the same shape", theirs)):
        print(f"{name:26} {statistics.median(cpu):6.2f} {cpu[0]:7.2f} {cpu[-1]:8.2f}")
    print(f"ratio {ratio:.2f} (of single turns: {single[0]:.2f} to {single[-1]:.2f})")
    workspace.verdict(f"ratio under {RATIO}", ratio < RATIO)


if __name__ == "__main__":
    main()
