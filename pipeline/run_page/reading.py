"""Reading the tables that the stages before have written, where they have."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from pipeline import files

Row = Mapping[str, str]


def rows(file: Path, most: int = 100_000) -> list[dict[str, str]]:
    """The first lines of a CSV file by the names in its header; none where it is not there or empty."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return [row for row, _ in zip(csv.DictReader(lines), range(most), strict=False)]


def value(row: Row, name: str) -> float:
    """A number; NaN where it is not there, empty or no number."""
    try:
        return float(row.get(name) or "nan")
    except ValueError:
        return math.nan


def cut(text: object, most: int = 60) -> str:
    """A text, cut where it is very long."""
    text = str(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def json_of(file: Path) -> dict:  # type: ignore[type-arg]
    """The mapping in a JSON file, an empty one where it is not there."""
    return dict(files.read_json(file)) if file.exists() else {}
