"""Every example from nothing to its report: what comes out, beside the plain models on the same rows, and how long it takes.

Run: `python -m benchmarks.examples [NAME ...]`, or `make examples`.  Each example runs in a throw-away copy of the project, as a user
would run it: `pipeline init --example NAME`, then `dvc repro`.  Ends with exit code 1 where one takes more than three minutes on
a quiet machine of 2 cores; the load that stands beside the seconds tells how quiet it was.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

if __package__:
    from benchmarks import workspace
else:
    import workspace

SECONDS = 180


def examples() -> list[str]:
    """The examples that have params of their own."""
    return sorted(file.parent.name for file in (workspace.ROOT / "examples").glob("*/params.yaml"))


def run(name: str) -> tuple[str, float]:
    """A line of the table, and the seconds."""
    with workspace.copy() as folder:
        workspace.cost(folder, "-m", "pipeline", "init", "--example", name, "--force")
        workspace.git(folder, "add", "--all")
        workspace.git(folder, "commit", "--quiet", "--allow-empty", "--message", name)
        spent = workspace.cost(folder, "-m", "dvc", "repro")
        return line(name, folder, spent), spent.wall


def line(name: str, folder: Path, spent: workspace.Cost) -> str:
    """Metric with its interval, the baselines, what the monitor found, and the cost."""
    found = json.loads((folder / "reports" / "evaluate" / "intervals.json").read_text(encoding="utf-8"))
    main = "accuracy" if "macro_f1" in found["models"]["network"] else next(iter(found["models"]["network"]))
    network = found["models"]["network"][main]
    others = ", ".join(f"{model} {metrics[main]['value']:.4g}" for model, metrics in found["models"].items() if model != "network")
    windows = json.loads((folder / "reports" / "monitor" / "summary.json").read_text(encoding="utf-8"))["windows"]
    states = ", ".join(f"{window['window']} {window['state']}" for window in windows)
    skew = max(json.loads((folder / "reports" / "register.json").read_text(encoding="utf-8"))["skew"].values())
    value = f"{network['value']:.4g} [{network['low']:.4g}, {network['high']:.4g}]"
    return f"| {name} | {main} {value} | {others} | {skew:.0e} | {states} | {spent.wall:.0f} | {spent.cpu:.0f} |"


def main() -> None:
    asked = sys.argv[1:] or examples()
    if unknown := sorted(set(asked) - set(examples())):
        raise SystemExit(f"no example {', '.join(unknown)}; examples are {', '.join(examples())}")
    print(f"{workspace.machine()}\n\n| example | network | on the same rows | skew | monitored | wall s | CPU s |")
    print("|---|---|---|---|---|---|---|")
    slow = []
    for name in asked:
        told, seconds = run(name)
        print(told, flush=True)
        slow += [name] if seconds > SECONDS else []
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    workspace.verdict(f"each example within {SECONDS} s{' (slower: ' + ', '.join(slow) + ')' if slow else ''}", not slow)


if __name__ == "__main__":
    main()
