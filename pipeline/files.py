"""Writing files so that a crash leaves the old ones whole."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder that takes `folder`'s place when the block ends well; on an error `folder` stays as it was."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    with ExitStack() as failed:
        failed.callback(shutil.rmtree, fresh, ignore_errors=True)
        yield fresh
        failed.pop_all()
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)


def write_text(file: Path, text: str) -> None:
    """Write `file` in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, file)


def write_json(file: Path, value: Any) -> None:
    """Write `value` as indented JSON; numbers that are not finite become null."""
    write_text(file, json.dumps(_finite(value), indent=1, ensure_ascii=False) + "\n")


def read_json(file: Path) -> Any:
    """The value in a JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))


def write_csv(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of equal keys as CSV, the first row's keys as header."""
    rows = list(rows)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not (abs(value) < float("inf")) else value
