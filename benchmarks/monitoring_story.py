"""One model in a changing world: bike sharing, trained on 2011 and watched through the weeks of 2012, when use grew by 65%.

Run: `python benchmarks/monitoring_story.py [--split group|time] [--epochs 15]`.  About ten minutes on two cores; it needs
drift/bike_sharing_hour.csv of the development data sets beside the checkout.

Whole days are drawn for validation and test (`group`), so the reference knows all seasons; with `time` it is the end of
2011 alone, and a column such as the month leaves it in January.  Each line is a week: its RMSE over all of its rows is the
truth that state and alarm are held against.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import workspace

DATA = workspace.ROOT.parent / "shared" / "datasets" / "drift" / "bike_sharing_hour.csv"
STAGES = ("collect", "clean", "split", "normalize", "tune", "train", "evaluate", "register", "monitor")
QUIET_WEEKS = 3  # their loss lies within that of the weeks of 2011
PARAMS = """
seed: 7
data:
  source: {source}
  target: cnt
  task: regression
  columns: {{instant: ignore, casual: ignore, registered: ignore, dteday: datetime}}
clean: {{}}
split: {{strategy: {split}, by: dteday, validation: 0.15, test: 0.15, production: {{column: yr, in: [1]}}}}
normalize: {{}}
model: {{layers: 2, width: 64, bins: 32}}
train: {{epochs: {epochs}, batch_size: 128}}
tune: {{trials: 0}}
evaluate: {{replicates: 200}}
register: {{name: bike}}
monitor: {{window: week, time: dteday, alarm: [2, 3]}}
"""


def watched(folder: Path, *, split: str, epochs: int) -> dict[str, Any]:
    """Run every stage in the empty `folder`; the summary of the monitoring.  RuntimeError with the end of the output if one fails."""
    (folder / "params.yaml").write_text(PARAMS.format(source=json.dumps(str(DATA)), split=split, epochs=epochs), encoding="utf-8")
    outer = {name: value for name, value in os.environ.items() if name not in workspace.FOREIGN}
    for stage in STAGES:
        command = [sys.executable, "-m", "pipeline", stage]
        settings: dict[str, Any] = {"cwd": folder, "env": outer | {"PYTHONPATH": str(workspace.ROOT)}, "capture_output": True}
        done = subprocess.run(command, text=True, check=False, **settings)
        if done.returncode:
            raise RuntimeError(f"{stage} failed: {done.stderr[-2000:]}")
        print(f"{stage} done", file=sys.stderr, flush=True)
    found: dict[str, Any] = json.loads((folder / "reports/monitor/summary.json").read_text(encoding="utf-8"))
    return found


def table(summary: Mapping[str, Any]) -> list[str]:
    """A line for each week."""
    lines = [f"{'week':12} {'rows':>5} {'state':18} {'alarm':5} {'RMSE':>5}  {'loss against test':28} headline"]
    for one in weeks(summary):
        decay, measured = one["decay"], one["performance"]
        loss = ""
        if decay:
            shares = (decay[end] / decay["reference_loss"] for end in ("difference", "lower", "upper"))
            loss = "{:+.0%} [{:+.0%}, {:+.0%}]".format(*shares)
        rmse = f"{measured['value']:.0f}" if measured else ""
        told = one["start"][:10], one["rows"], one["state"], "alarm" if one["alarm"] else "", rmse, loss, one["headline"]
        lines.append("{:12} {:>5} {:18} {:5} {:>5}  {:28} {}".format(*told))
    return lines


def weeks(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The windows of production."""
    return [one for one in summary["windows"] if one["kind"] == "production"]


def checks(summary: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """What the weeks must show: quiet at first, an alarm by spring, which stays while the error is twice that of test."""
    judged = [one for one in weeks(summary) if one["state"] != "insufficient data"]
    test = float(summary["reference"]["value"])
    twice = [one for one in judged if one["performance"]["value"] > 2 * test]
    first = next((one for one in judged if one["alarm"]), None)
    return [
        (f"no alarm in the first {QUIET_WEEKS} weeks", not any(one["alarm"] for one in judged[:QUIET_WEEKS])),
        ("the first alarm comes before March", first is not None and first["start"] < "2012-03"),
        (f"an alarm in each of {len(twice)} weeks with twice the error of test", bool(twice) and all(one["alarm"] for one in twice)),
        ("each week that decayed says so first", all(one["headline"].startswith("the loss has risen") for one in judged if one["decayed"])),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the weeks and the checks; 1 where one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", choices=("group", "time"), default="group")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args(arguments)
    if not DATA.is_file():
        print(f"skipped: the development data set {'/'.join(DATA.parts[-4:])} is not here")
        return 0
    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as name:
        summary = watched(Path(name), split=options.split, epochs=options.epochs)
    print("\n".join(table(summary)))
    print(f"\ntest RMSE {summary['reference']['value']:.1f} of 2011; split by {options.split}\n")
    found = checks(summary)
    print("\n".join(f"{'ok  ' if good else 'FAIL'} {what}" for what, good in found))
    return 0 if all(good for _, good in found) else 1


if __name__ == "__main__":
    sys.exit(main())
