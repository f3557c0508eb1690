"""The model package: everything that turns raw rows into predictions, in one folder that MLflow can load."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from ruamel.yaml import YAML

from pipeline import extensions, fresh, lineage, paths
from pipeline.data import asking, contents
from pipeline.data.fitted import Preprocessor, Task
from pipeline.errors import UserError
from pipeline.imports import HOME, closure
from pipeline.models.answers import Answers
from pipeline.tracking import registry

FILES = (paths.MODEL, paths.ANSWERS, paths.FITTED, paths.REFERENCE, paths.SCHEMA, paths.CLEAN_SQL, paths.CLEAN_PLAIN_SQL)
REQUIREMENTS = ("mlflow", "tensorflow", "keras", "duckdb", "numpy", "pandas", "pyarrow")
MEDIA_REQUIREMENTS = {"text": ("tokenizers",), "image": ("pillow",), "audio": ("soundfile", "scipy")}
TOLERANCE = 1e-6
ARROW = {"string": pa.string(), "double": pa.float64()}  # MLflow's names of an answer's types
NOTES = {"refused": "string", "flags": "string"}  # columns of an answer, mostly missing
REGISTERED = "models:/"
FIRST = "as the source has them"
MEDIA_TOLERANCE = 1e-5  # of the scale of the answers: deep networks add up in another order when batches have other sizes


@dataclass(frozen=True)
class Package:
    """A model package: its folder, the raw columns that it reads, whether it takes rows as a whole, as a forecast does, and which
    columns are sequences."""

    folder: Path
    columns: tuple[str, ...]
    whole: bool
    sequences: tuple[str, ...] = ()


@contextmanager
def opened(model: str, *, home: Path | None = None) -> Iterator[Package]:
    """The package that `model` names; one of the registry is fetched for the length of the block, into `home` or where temporary files lie.

    Raises:
        UserError: there is none.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-", dir=home) as name:
        folder = _fetched(model, Path(name)) if model.startswith(REGISTERED) else Path(model)
        try:
            about = YAML(typ="safe").load((folder / "MLmodel").read_text(encoding="utf-8"))
            columns = tuple(column["name"] for column in json.loads(about["signature"]["inputs"]))
            files = folder / about["flavors"]["python_function"]["artifacts"]["files"]["path"]
            fitted = json.loads((files / "preprocessor.json").read_text(encoding="utf-8"))
            whole, sequence = fitted["forecast"] is not None, fitted.get("sequence") or {}
        except (OSError, KeyError, TypeError):
            hint = "; `pipeline run` makes one" if Path(model) == paths.PACKAGE else ""
            raise UserError(f"{model}: expected the folder of a model package{hint}") from None
        yield Package(folder.resolve(), columns, whole, tuple(sequence.get("columns", ())))


def reference(model: str) -> tuple[str, str, str]:
    """Name, alias and version that `model` names in the registry; of a folder its own name alone."""
    if not model.startswith(REGISTERED):
        return Path(model).resolve().name, "", ""
    name, _, alias = model.removeprefix(REGISTERED).partition("@")
    name, _, number = name.partition("/")
    return name, alias, number


def _fetched(model: str, into: Path) -> Path:
    name, alias, number = reference(model)
    found = [registry.holding(name, alias)] if alias else [one for one in registry.versions(name) if str(one.number) == number]
    version = next(iter(found), None)
    if version is None:
        raise UserError(f"{model}: no such model in the registry; expected models:/NAME@ALIAS or models:/NAME/VERSION")
    return registry.fetch(version, into)


def build(
    package: Path,
    fitted: Preprocessor,
    example: pd.DataFrame,
    more: Callable[[Path], object],
    *,
    encoders: Mapping[str, Path] | None = None,
) -> str:
    """Write the package and return the digest of what answers: equal content gives equal digests.

    Args:
        more: writes further files of the package into a folder; they take no part in answering.
        encoders: the user's own, by the kind of inputs that they read.
    """
    own = {f"{extensions.PACKAGED}{kind}.py": file for kind, file in (encoders or {}).items()}
    code = sorted(closure(HOME / "predict.py", HOME / "pyfunc.py"))
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        files, copied = Path(name) / "files", Path(name) / "pipeline"
        files.mkdir()
        for file in FILES:
            shutil.copyfile(file, files / file.name)
        for packaged, file in own.items():
            shutil.copyfile(file, files / packaged)
        more(files)
        for file in code:
            target = copied / file.relative_to(HOME)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        contents.write(files, {f"code/pipeline/{file.relative_to(HOME)}": file for file in code} | {"pyfunc.py": HOME / "pyfunc.py"})
        registry.save_package(files, copied, columns(fitted), _signature(fitted, example), example, package, versions(fitted))
    for cache in list(package.rglob("__pycache__")):
        shutil.rmtree(cache)
    return lineage.digest([*FILES, *code, *own.values()])


def versions(fitted: Preprocessor) -> list[str]:
    """Pinned requirements of a package."""
    needed = [*REQUIREMENTS, *(name for kind, columns in fitted.media.items() if columns for name in MEDIA_REQUIREMENTS[kind])]
    return [f"{name}=={importlib.metadata.version(name)}" for name in needed]


def columns(fitted: Preprocessor) -> tuple[str, ...]:
    """Raw columns that the model needs in a request."""
    return (*(asking.columns(fitted.forecast) if fitted.forecast else ()), *fitted.raw_columns)


def _signature(fitted: Preprocessor, example: pd.DataFrame) -> dict[str, str]:
    """The answer's columns and their MLflow types."""
    if not fitted.forecast:
        if fitted.task == "regression":
            return dict.fromkeys(("prediction", "low", "high"), "double") | NOTES
        return {"prediction": "string"} | {f"probability of {name}": "double" for name in fitted.target.classes} | NOTES
    schema = {column["name"]: column for column in json.loads(paths.SCHEMA.read_text(encoding="utf-8"))["columns"]}
    series = {fitted.forecast.series: "any"} if fitted.forecast.series else {}
    time = {fitted.forecast.time: "datetime" if schema[fitted.forecast.time]["kind"] == "datetime" else "double"}
    names = [name for target in fitted.forecast.targets for name in (target.column, f"low of {target.column}", f"high of {target.column}")]
    return series | time | dict.fromkeys(names, "double")


def answers(package: Path, task: Task) -> Answers:
    """How a package's outputs become answers; as they are where it is from before that was learnt."""
    file = package / "artifacts" / "files" / paths.ANSWERS.name
    return Answers.read(file) if file.exists() else Answers(task)


@dataclass(frozen=True)
class Checked:
    """The largest difference from evaluate's outputs by form of request, rows that are refused, and seconds that one row (window) takes."""

    skew: Mapping[str, float]
    refused: Mapping[str, int]
    seconds: float


def check(package: Path, fitted: Preprocessor, rows: pd.DataFrame, expected: np.ndarray) -> Checked:
    """What the package's answers in a fresh process have of evaluate's, for several forms of request; refused rows have none.

    Args:
        rows: raw test rows; expected: the network's outputs for them as evaluate measured them.  For a forecast the rows
            of whole windows, one after another, with their outputs.

    Raises:
        SkewError: a form of request gives other numbers.
    """
    forecast, by = fitted.forecast, answers(package, fitted.task)
    forms = _window_forms(fitted, rows) if forecast else _row_forms(fitted, rows)
    if forecast:  # the windows once more, each with its rows the other way round
        backwards = np.arange(len(rows)).reshape(-1, forecast.look_back)[:, ::-1].ravel()
        rows = pd.concat([rows, rows.iloc[backwards]], ignore_index=True)
    found, why, seconds = dict[str, float](), dict[str, int](), 0.0
    for form, answer in zip(forms, fresh.answers(package, rows, list(forms.values())), strict=True):
        given = outputs(fitted, answer)
        told, there = expected[: len(given)], answered(answer, given)
        # where calibration is steep, a last digit of the network's becomes more: equal before it is equal too
        before = np.abs(by.uncalibrated(given) - by.uncalibrated(told))
        gaps = np.minimum(np.abs(given - told), before)[there] / _scale(fitted)
        found[form] = float(np.max(gaps, initial=0.0)) if gaps.size else np.nan
        if form == FIRST:
            why = {str(text): int(count) for text, count in answer.get("refused", pd.Series(dtype=object)).value_counts().items()}
        seconds = answer.attrs["seconds"]  # of the last form, a row or a window a call
    most = TOLERANCE if set(fitted.all_columns) == set(fitted.columns) and not forecast else MEDIA_TOLERANCE
    if wrong := {form: value for form, value in found.items() if not value <= most}:
        raise SkewError(f"the package's predictions differ from evaluate's by {wrong} (at most {most:g} expected)")
    return Checked(found, why, seconds)


def answered(answer: pd.DataFrame, outputs: np.ndarray) -> np.ndarray:
    """(rows,) whether a row (window) was answered, not refused."""
    return answer["refused"].isna().to_numpy() if "refused" in answer else np.ones(len(outputs), bool)


def size(package: Path) -> float:
    """Megabytes of a package's files."""
    return sum(file.stat().st_size for file in package.rglob("*") if file.is_file()) / 1e6


def _row_forms(fitted: Preprocessor, rows: pd.DataFrame) -> dict[str, fresh.Variant]:
    names = list(rows.columns)
    return {
        FIRST: (names, None, None),
        "columns reversed": (names[::-1], None, None),
        "without label and unused columns": ([name for name in names if name in fitted.raw_columns], None, None),
        "one row at a time": (names, 20, 1),
    }


def _window_forms(fitted: Preprocessor, rows: pd.DataFrame) -> dict[str, fresh.Variant]:
    """A window a call; the second half of the rows holds each window backwards."""
    assert fitted.forecast is not None
    names, count, step = list(rows.columns), len(rows), fitted.forecast.look_back
    return {
        FIRST: (names, count, step),
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
