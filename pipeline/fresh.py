"""Raw rows through a model package in a fresh process, as a server would load it.

Two packages must never be loaded in one process: the second would run the first one's code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

CHILD = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import mlflow.pyfunc, pandas
package, rows, answers, variants = sys.argv[1:]
model = mlflow.pyfunc.load_model(package)
frame = pandas.read_parquet(rows)
took = []
for number, variant in enumerate(json.loads(variants)):
    part = frame[variant["columns"]].iloc[slice(*variant["rows"])]
    step = variant["step"] or max(len(part), 1)
    found, times = [], []
    for at in range(0, len(part), step):
        started = time.perf_counter()
        found.append(model.predict(part.iloc[at : at + step]))
        times.append(time.perf_counter() - started)
    took.append(sorted(times)[len(times) // 2] if times else 0.0)
    pandas.concat(found, ignore_index=True).to_parquet(f"{answers}/{number}.parquet")
import pipeline.predict
print(json.dumps([pipeline.predict.__file__, took]))
"""


class PackageError(Exception):
    """The package could not answer in a fresh process; the text is the end of its output."""


Variant = tuple[list[str], int | tuple[int, int] | None, int | None]


def answers(package: Path, rows: pd.DataFrame, variants: Sequence[Variant]) -> list[pd.DataFrame]:
    """What the package predicts for `rows`, once for each variant; `attrs["seconds"]` of each is the median time of a call.

    Args:
        variants: columns; the first n rows, those from one place to another, or all; rows a call, or all at once.

    Raises:
        PackageError: the process failed, or it ran code from outside the package.
    """
    spans = [part if isinstance(part, tuple) else (0, part) for _, part, _ in variants]
    asked = json.dumps([{"columns": c, "rows": span, "step": step} for (c, _, step), span in zip(variants, spans, strict=True)])
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        folder = Path(name)
        rows.to_parquet(folder / "rows.parquet")
        words = command(CHILD, str(package.resolve()), str(folder / "rows.parquet"), name, asked)
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise PackageError(done.stderr.strip()[-2000:])
        file, took = json.loads(done.stdout.strip().splitlines()[-1])
        code = Path(file).resolve()
        if not code.is_relative_to(package.resolve()):
            raise PackageError(f"the package ran {code}, which is not its own")
        found = [pd.read_parquet(folder / f"{number}.parquet") for number in range(len(variants))]
    for answer, seconds in zip(found, took, strict=True):
        answer.attrs["seconds"] = seconds
    return found


def command(code: str, *words: str) -> list[str]:
    """The command that runs `code` in a fresh process, with these arguments, where a package's own code is what is imported."""
    # -B: no compiled files in the package; -I: no current folder, no PYTHONPATH
    return [sys.executable, "-I", "-B", "-c", code, *words]


def predictions(package: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """What the package predicts for `rows`."""
    return answers(package, rows, [(list(rows.columns), None, None)])[0]
