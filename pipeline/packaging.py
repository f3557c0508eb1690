"""The model package: everything that turns raw rows into predictions, in one folder that MLflow can load."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import fresh, lineage, paths
from pipeline.data import asking
from pipeline.data.fitted import Preprocessor, Task
from pipeline.imports import HOME, closure
from pipeline.models.answers import Answers
from pipeline.tracking import registry

FILES = (paths.MODEL, paths.ANSWERS, paths.FITTED, paths.SCHEMA, paths.CLEAN_SQL, paths.CLEAN_PLAIN_SQL)
REQUIREMENTS = ("mlflow", "tensorflow", "keras", "duckdb", "numpy", "pandas", "pyarrow")
MEDIA_REQUIREMENTS = {"text": ("tokenizers",), "image": ("pillow",), "audio": ("soundfile", "scipy")}
TOLERANCE = 1e-6
MEDIA_TOLERANCE = 1e-5  # of the scale of the answers: deep networks add up in another order when batches have other sizes


def build(package: Path, fitted: Preprocessor, example: pd.DataFrame) -> str:
    """Write the package and return its digest: equal content gives equal digests."""
    code = sorted(closure(HOME / "predict.py", HOME / "pyfunc.py"))
    needed = [*REQUIREMENTS, *(name for kind, columns in fitted.media.items() if columns for name in MEDIA_REQUIREMENTS[kind])]
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in needed]
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        files, copied = Path(name) / "files", Path(name) / "pipeline"
        files.mkdir()
        for file in FILES:
            shutil.copyfile(file, files / file.name)
        for file in code:
            target = copied / file.relative_to(HOME)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        registry.save_package(files, copied, columns(fitted), _signature(fitted, example), example, package, versions)
    for cache in list(package.rglob("__pycache__")):
        shutil.rmtree(cache)
    return lineage.digest([*FILES, *code])


def columns(fitted: Preprocessor) -> tuple[str, ...]:
    """Raw columns that the model needs in a request."""
    return (*(asking.columns(fitted.forecast) if fitted.forecast else ()), *fitted.all_columns)


def _signature(fitted: Preprocessor, example: pd.DataFrame) -> dict[str, str]:
    """The answer's columns and their MLflow types."""
    if not fitted.forecast:
        if fitted.task == "regression":
            return dict.fromkeys(("prediction", "low", "high"), "double")
        return {"prediction": "string"} | {f"probability of {name}": "double" for name in fitted.target.classes}
    schema = {column["name"]: column for column in json.loads(paths.SCHEMA.read_text(encoding="utf-8"))["columns"]}
    series = {fitted.forecast.series: "any"} if fitted.forecast.series else {}
    time = {fitted.forecast.time: "datetime" if schema[fitted.forecast.time]["kind"] == "datetime" else "double"}
    names = [name for target in fitted.forecast.targets for name in (target.column, f"low of {target.column}", f"high of {target.column}")]
    return series | time | dict.fromkeys(names, "double")


def answers(package: Path, task: Task) -> Answers:
    """How a package's outputs become answers; as they are where it is from before that was learnt."""
    file = package / "artifacts" / "files" / paths.ANSWERS.name
    return Answers.read(file) if file.exists() else Answers(task)


def check(package: Path, fitted: Preprocessor, rows: pd.DataFrame, expected: np.ndarray) -> dict[str, float]:
    """The largest difference between the package's answers in a fresh process and evaluate's, for several forms of request.

    Args:
        rows: raw test rows; expected: the network's outputs for them as evaluate measured them.  For a forecast the rows
            of whole windows, one after another, with their outputs.

    Raises:
        SkewError: a form of request gives other numbers.
    """
    forecast = fitted.forecast
    forms = _window_forms(fitted, rows) if forecast else _row_forms(fitted, rows)
    if forecast:  # the windows once more, each with its rows the other way round
        backwards = np.arange(len(rows)).reshape(-1, forecast.look_back)[:, ::-1].ravel()
        rows = pd.concat([rows, rows.iloc[backwards]], ignore_index=True)
    found: dict[str, float] = {}
    for form, answer in zip(forms, fresh.answers(package, rows, list(forms.values())), strict=True):
        given = outputs(fitted, answer)
        gaps = np.abs(given - expected[: len(given)]) / _scale(fitted)
        found[form] = float(np.max(gaps, initial=0.0))
    most = TOLERANCE if set(fitted.all_columns) == set(fitted.columns) and not forecast else MEDIA_TOLERANCE
    if wrong := {form: value for form, value in found.items() if not value <= most}:
        raise SkewError(f"the package's predictions differ from evaluate's by {wrong} (at most {most:g} expected)")
    return found


def _row_forms(fitted: Preprocessor, rows: pd.DataFrame) -> dict[str, fresh.Variant]:
    names = list(rows.columns)
    return {
        "as the source has them": (names, None, None),
        "columns reversed": (names[::-1], None, None),
        "without label and unused columns": ([name for name in names if name in fitted.all_columns], None, None),
        "one row at a time": (names, 20, 1),
    }


def _window_forms(fitted: Preprocessor, rows: pd.DataFrame) -> dict[str, fresh.Variant]:
    """A window a call; the second half of the rows holds each window backwards."""
    assert fitted.forecast is not None
    names, count, step = list(rows.columns), len(rows), fitted.forecast.look_back
    return {
        "as the source has them": (names, count, step),
        "columns reversed": (names[::-1], count, step),
        "without unused columns": ([name for name in names if name in columns(fitted)], count, step),
        "latest rows first": (names, (count, 2 * count), step),
    }


def _scale(fitted: Preprocessor) -> np.ndarray | float:
    """What answers are told in: deviations of train's target, or probabilities."""
    if fitted.forecast:
        return np.array([target.std or 1.0 for target in fitted.forecast.targets])
    return fitted.target.std if fitted.task == "regression" else 1.0


def outputs(fitted: Preprocessor, answer: pd.DataFrame) -> np.ndarray:
    """A package's answer in the form of `heads.predictions`."""
    if fitted.forecast:
        targets = answer[[target.column for target in fitted.forecast.targets]].to_numpy(dtype="float64")
        return targets.reshape(-1, fitted.forecast.horizon, targets.shape[1])
    if fitted.task == "regression":
        return answer["prediction"].to_numpy()
    table = answer[[f"probability of {name}" for name in fitted.target.classes]].to_numpy()
    return table[:, 1] if fitted.task == "binary" else table


class SkewError(Exception):
    """What would serve is not what was tested."""
