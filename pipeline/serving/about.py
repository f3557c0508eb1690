"""What a server tells and checks of the package that it serves, read from the package's files without loading it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.data.contents import LIST
from pipeline.errors import UserError
from pipeline.packaging import Package


@dataclass(frozen=True)
class About:
    """A package, as those see it who send rows."""

    name: str
    """As the registry calls it; of an unregistered folder the folder's name."""
    version: str
    """Its number in the registry; of an unregistered folder the first digits of its content's digest."""
    columns: tuple[str, ...]
    """Raw columns that a request must have."""
    raw: Mapping[str, str]
    """By column: text, number, boolean, datetime, binary or list (of numbers), as the source had it in training."""
    kinds: Mapping[str, str]
    """By column: its kind in the schema, such as number, category, text, image, sequence."""
    missing: Mapping[str, tuple[str, ...]]
    """By column: texts that stand for a missing value."""
    reference: Mapping[str, Mapping[str, Any]]
    """By column, where it is known: what train's values were (`data/reference.py`)."""
    outputs: Mapping[str, str]
    """Columns of an answer and their MLflow types."""
    task: str
    classes: tuple[str, ...]
    whole: bool
    """Whether rows are taken as a whole, as a forecast does, and not one by one."""
    example: tuple[Mapping[str, Any], ...]
    """A few raw rows as JSON has them."""
    keys: tuple[str, ...] = ()
    """Columns that a forecast's answers share with its rows: the time, and the series where there are several."""


def read(package: Package, name: str, version: str | None = None) -> About:
    """What `package`, registered as `name` with `version` where it is, says of itself.

    Raises:
        UserError: a file that tells it is not there.
    """
    files = package.folder / "artifacts" / "files"
    try:
        fitted, schema = (_json(files / f"{part}.json") for part in ("preprocessor", "schema"))
    except (OSError, ValueError) as error:
        raise UserError(f"{package.folder}: this is no whole package ({error})") from None
    reference = _json(file)["columns"] if (file := files / "reference.json").is_file() else {}  # older ones have none
    forecast = fitted["forecast"] or {}
    columns = {column["name"]: column for column in schema["columns"] if column["name"] in package.columns}
    signature = YAML(typ="safe").load((package.folder / "MLmodel").read_text(encoding="utf-8"))["signature"]
    return About(
        name=name,
        version=version or _digest(files),
        columns=package.columns,
        raw={column: columns[column]["raw"] for column in package.columns},
        kinds={column: columns[column]["kind"] for column in package.columns},
        missing={column: (*schema["missing"], *columns[column]["missing"]) for column in package.columns},
        reference=reference,
        outputs={column["name"]: column["type"] for column in json.loads(signature["outputs"])},
        task=fitted["task"],
        classes=tuple((fitted["target"] or {}).get("classes") or ()),
        whole=package.whole,
        example=_example(package.folder),
        keys=tuple(forecast[key] for key in ("time", "series") if forecast.get(key)),
    )


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _digest(files: Path) -> str:
    told = next(file for file in (files / LIST, files / "preprocessor.json") if file.is_file())
    return hashlib.sha256(told.read_bytes()).hexdigest()[:12]


def _example(folder: Path) -> tuple[Mapping[str, Any], ...]:
    found = folder / "input_example.json"
    if not found.is_file():
        return ()
    table = _json(found)
    return tuple(dict(zip(table["columns"], row, strict=True)) for row in table["data"])
