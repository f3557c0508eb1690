"""The first hour of a user, with a stopwatch: from a clone in an empty folder to the first result, and to that of an own CSV.

Run: `python benchmarks/first_hour.py [CSV]`.  Builds an environment from the lock, which needs the network; takes some ten minutes.
Promises: from the clone to the first result in under 5 minutes; from an own CSV to its result by two commands.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import workspace

OWN = workspace.ROOT.parent / "shared" / "datasets" / "tabular" / "telco_churn.csv"
FIRST_RESULT = 300.0  # seconds
OUTER = ("VIRTUAL_ENV", "PYTHONPATH", *workspace.FOREIGN)


def main() -> None:
    """Print the log as a table, and what each command said last; end with exit code 1 where a promise is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("csv", nargs="?", type=Path, default=OWN if OWN.exists() else None, help="a table of your own")
    csv = parser.parse_args().csv
    print(f"{workspace.machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="pipeline-first-hour-") as name:
        folder = Path(name) / "project"
        steps = [("clone", f"git clone --quiet {workspace.ROOT} project"), ("environment and first result", "make run")]
        if csv is not None:
            steps += [("own CSV: look at it", f"pipeline init {csv.resolve()} --force"), ("own CSV: result", "pipeline run")]
        rows, said, began = [], [], time.monotonic()
        for what, command in steps:
            started = time.monotonic()
            said.append((command, run(command, folder)))
            rows.append((what, command, time.monotonic() - started, time.monotonic() - began))
    print("| step | command | took | on the clock |\n|---|---|---|---|")
    for what, command, took, clock in rows:
        print(f"| {what} | `{command.replace(str(csv), 'their.csv').replace(str(workspace.ROOT), 'URL')}` | {took:.0f} s | {at(clock)} |")
    for command, output in said:
        print(f"\n$ {command}\n" + "\n".join(output.splitlines()[-18:]))
    kept = rows[1][3] <= FIRST_RESULT
    print(f"\npromise: from the clone to the first result in {FIRST_RESULT / 60:.0f} minutes: {'kept' if kept else 'BROKEN'}")
    raise SystemExit(not kept)


def run(command: str, folder: Path) -> str:
    """What a command prints, run as a user in a fresh shell would who has activated the environment once it is there."""
    env = {key: value for key, value in os.environ.items() if key not in OUTER}
    env["PATH"] = os.pathsep.join(part for part in env["PATH"].split(os.pathsep) if ".venv" not in part)
    inside = folder if folder.exists() else folder.parent
    if (folder / ".venv").exists():
        command = f". .venv/bin/activate && {command}"
    done = subprocess.run(["bash", "-c", command], cwd=inside, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def at(seconds: float) -> str:
    """A time on the stopwatch."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


if __name__ == "__main__":
    main()
