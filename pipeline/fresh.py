"""Raw rows through a model package in a fresh process, as a server would load it.

Two packages must never be loaded in one process: the second would run the first one's code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

CHILD = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import mlflow.pyfunc, pandas
package, rows, answers, variants = sys.argv[1:]
model = mlflow.pyfunc.load_model(package)
frame = pandas.read_parquet(rows)
for number, variant in enumerate(json.loads(variants)):
    part = frame[variant["columns"]].iloc[: variant["rows"]]
    step = variant["step"] or max(len(part), 1)
    found = [model.predict(part.iloc[at : at + step]) for at in range(0, len(part), step)]
    pandas.concat(found, ignore_index=True).to_parquet(f"{answers}/{number}.parquet")
import pipeline.predict
print(pipeline.predict.__file__)
"""


class PackageError(Exception):
    """The package could not answer in a fresh process; the text is the end of its output."""


def answers(package: Path, rows: pd.DataFrame, variants: list[tuple[list[str], int | None, int | None]]) -> list[pd.DataFrame]:
    """What the package predicts for `rows`, once for each variant (columns, first n rows or all, rows a call or all).

    Raises:
        PackageError: the process failed, or it ran code from outside the package.
    """
    asked = json.dumps([{"columns": columns, "rows": first, "step": step} for columns, first, step in variants])
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        folder = Path(name)
        rows.to_parquet(folder / "rows.parquet")
        # -B: no compiled files in the package; -I: no current folder, no PYTHONPATH, so that the package's own code is what runs
        command = [sys.executable, "-I", "-B", "-c", CHILD, str(package.resolve()), str(folder / "rows.parquet"), name, asked]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise PackageError(done.stderr.strip()[-2000:])
        code = Path(done.stdout.strip().splitlines()[-1]).resolve()
        if not code.is_relative_to(package.resolve()):
            raise PackageError(f"the package ran {code}, which is not its own")
        return [pd.read_parquet(folder / f"{number}.parquet") for number in range(len(variants))]


def predictions(package: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """What the package predicts for `rows`."""
    return answers(package, rows, [(list(rows.columns), None, None)])[0]
