"""What telling MLflow costs a training: the example's, over 100 epochs, with its run and without any.

Run: `python benchmarks/tracking.py`.  It takes some five minutes on two cores.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import workspace
from ruamel.yaml import YAML

PAIRS, EPOCHS, BOUND = 5, 100, 0.03


def main() -> None:
    """Train in turn with and without; print the ratio of the walls' medians."""
    print(f"{workspace.machine()}\n\n| pair | s with | s without |\n|---|---|---|")
    with workspace.copy() as folder:
        file = folder / "params.yaml"
        params = YAML().load(file.read_text(encoding="utf-8"))
        params["tune"]["trials"] = 0
        params["train"] |= {"epochs": EPOCHS, "early_stopping": EPOCHS}
        with file.open("w", encoding="utf-8") as out:
            YAML().dump(params, out)
        for stage in ("collect", "clean", "split", "normalize", "tune"):
            workspace.cost(folder, "-m", "pipeline", stage)
        train(folder, "with")  # makes the store
        found = []
        for at in range(PAIRS):
            order = ("with", "without") if at % 2 else ("without", "with")
            took = {how: train(folder, how) for how in order}
            found.append(took)
            print(f"| {at} | {took['with']:.1f} | {took['without']:.1f} |", flush=True)
    told, silent = (statistics.median(took[how] for took in found) for how in ("with", "without"))
    print(f"\n{EPOCHS} epochs: {told:.1f} s with tracking, {silent:.1f} without (medians): {told / silent - 1:+.1%}, at most {BOUND:.0%}\n")
    workspace.verdict(f"tracking costs at most {BOUND:.0%} of a training of {EPOCHS} epochs", told / silent - 1 <= BOUND)


def train(folder: Path, how: str) -> float:
    """Seconds of a whole `pipeline train`."""
    return workspace.cost(folder, str(Path(__file__).resolve()), "--inside", how).wall


class Silent:
    """A run that nobody hears of."""

    key, id, journal = "silent", None, SimpleNamespace(head={"started": 0, "tags": {}})

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **keys: None


@contextmanager
def silent(*arguments: Any) -> Iterator[Silent]:
    yield Silent()


def inside(how: str) -> None:
    """The stage, in the current folder."""
    from pipeline import paths
    from pipeline.commands.stages import run_stage
    from pipeline.params_file import load
    from pipeline.tracking import runs

    if how == "without":
        runs.training = silent  # type: ignore[assignment]
    run_stage("train", load(paths.PARAMS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2])
    else:
        main()
