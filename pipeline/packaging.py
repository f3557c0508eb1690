"""The model package: everything that turns raw rows into predictions, in one folder that MLflow can load."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import fresh, lineage, paths, tracking
from pipeline.data.fitted import Preprocessor
from pipeline.imports import HOME, closure

FILES = (paths.MODEL, paths.PREPROCESSOR, paths.SCHEMA, paths.CLEAN_SQL, paths.CLEAN_PLAIN_SQL)
REQUIREMENTS = ("mlflow", "tensorflow", "keras", "duckdb", "numpy", "pandas", "pyarrow")
TOLERANCE = 1e-6


def build(package: Path, fitted: Preprocessor, example: pd.DataFrame) -> str:
    """Write the package and return its digest: equal content gives equal digests."""
    code = sorted(closure(HOME / "predict.py", HOME / "pyfunc.py"))
    outputs = {"prediction": "double" if fitted.task == "regression" else "string"}
    outputs |= {f"probability of {name}": "double" for name in fitted.target.classes}
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS]
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        files, copied = Path(name) / "files", Path(name) / "pipeline"
        files.mkdir()
        for file in FILES:
            shutil.copyfile(file, files / file.name)
        for file in code:
            target = copied / file.relative_to(HOME)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        tracking.save_package(files, copied, fitted.columns, outputs, example, package, versions)
    for cache in list(package.rglob("__pycache__")):
        shutil.rmtree(cache)
    return lineage.digest([*FILES, *code])


def check(package: Path, fitted: Preprocessor, rows: pd.DataFrame, expected: np.ndarray) -> dict[str, float]:
    """The largest difference between the package's answers in a fresh process and evaluate's, for several forms of request.

    Args:
        rows: raw test rows; expected: the network's outputs for them as evaluate measured them.

    Raises:
        SkewError: a form of request gives other numbers.
    """
    columns = list(rows.columns)
    bare = [name for name in columns if name in fitted.columns]
    forms = {
        "as the source has them": (columns, None, None),
        "columns reversed": (columns[::-1], None, None),
        "without label and unused columns": (bare, None, None),
        "one row at a time": (columns, 20, 1),
    }
    found: dict[str, float] = {}
    for form, answer in zip(forms, fresh.answers(package, rows, list(forms.values())), strict=True):
        given = outputs(fitted, answer)
        scale = fitted.target.std if fitted.task == "regression" else 1.0
        found[form] = float(np.max(np.abs(given - expected[: len(given)]), initial=0.0) / scale)
    if wrong := {form: value for form, value in found.items() if not value <= TOLERANCE}:
        raise SkewError(f"the package's predictions differ from evaluate's by {wrong} (at most {TOLERANCE:g} expected)")
    return found


def outputs(fitted: Preprocessor, answer: pd.DataFrame) -> np.ndarray:
    """A package's answer in the form of `heads.predictions`."""
    if fitted.task == "regression":
        return answer["prediction"].to_numpy()
    table = answer[[f"probability of {name}" for name in fitted.target.classes]].to_numpy()
    return table[:, 1] if fitted.task == "binary" else table


class SkewError(Exception):
    """What would serve is not what was tested."""
