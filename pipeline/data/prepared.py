"""Arrays under another preprocessing than data/normalized has: those of a trial, and of the network that a sweep chose.

`normalize` writes data/normalized with the values of params.yaml.  A sweep may search keys of normalize too: then its
trials, training and evaluation see the rows of data/split through a preprocessing of their own, fitted on train alike.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pipeline import files, paths
from pipeline.config import NormalizeParams, SplitParams
from pipeline.data.arrays import Side, load
from pipeline.data.fitted import Preprocessor
from pipeline.data.schema import Schema

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

FOLD = "__fold__"


def fit(backend: Backend, schema: Schema, split: SplitParams, normalize: NormalizeParams) -> Preprocessor:
    """Fit on the train rows of data/split.

    Raises:
        UserError: as `preprocessing.fit`.
    """
    from pipeline.data import preprocessing
    from pipeline.data.engine import read

    train = read(backend, paths.SPLIT / "train" / paths.ROWS)
    without = {split.by: "gives the side in the split"} if split.strategy == "given" and split.by else {}
    return preprocessing.fit(backend, train, schema, normalize, group=_group(split), without=without, time=time_of(schema, split))


def write(backend: Backend, fitted: Preprocessor, split: SplitParams, side: str, folder: Path) -> None:
    """Write the arrays of a side's rows into `folder`; a forecast reads the sides before it too."""
    from pipeline.data import arrays, preprocessing, windows
    from pipeline.data.engine import parquet_rows

    source = paths.SPLIT / side / paths.ROWS
    if fitted.forecast:
        before = [paths.SPLIT / earlier / paths.ROWS for earlier in paths.SIDES[: paths.SIDES.index(side)]]
        windows.write(backend, source, before, fitted, folder, side=side)
    else:
        arrays.write(preprocessing.batches(backend, source, fitted, group=_group(split), fold=FOLD), parquet_rows(source), fitted, folder)


def refitted(split: SplitParams, normalize: NormalizeParams) -> Preprocessor:
    """What `normalize` would fit with these values."""
    from pipeline.data.engine import engine

    with engine() as backend:
        return fit(backend, Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8")), split, normalize)


@contextmanager
def sides(fitted: Preprocessor, split: SplitParams, names: Iterable[str]) -> Iterator[dict[str, Side]]:
    """The arrays of sides under this preprocessing: those of data/normalized where it is the same, else made for the block."""
    if fitted.to_json() == paths.PREPROCESSOR.read_text(encoding="utf-8"):
        yield {name: load(name) for name in names}
        return
    from pipeline.data.engine import engine

    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=_home()) as folder:
        with engine() as backend:
            for name in names:
                with files.replaced(Path(folder) / name) as into:
                    write(backend, fitted, split, name, into)
        yield {name: load(name, Path(folder)) for name in names}


def _home() -> Path:
    """Where the arrays lie meanwhile; what killed processes left there goes."""
    (home := paths.state() / "prepared").mkdir(exist_ok=True)
    for left in home.iterdir():
        if not psutil.pid_exists(int(left.name.split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    return home


def _group(split: SplitParams) -> str | None:
    return split.by if split.strategy in ("group", "stratified_group") else None


def time_of(schema: Schema, split: SplitParams) -> str | None:
    """The column by which a time split goes."""
    if split.strategy != "time":
        return None
    moments = [column.name for column in schema.columns if column.kind == "datetime"]
    return split.by or (moments[0] if len(moments) == 1 else None)
