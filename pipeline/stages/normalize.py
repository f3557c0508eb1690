"""Normalize: preprocessing is fitted on train and applied to every side.  Run: `python -m pipeline normalize`."""

from __future__ import annotations

import logging

from pipeline import files, paths
from pipeline.config import NormalizeParams, SplitParams
from pipeline.data import arrays, preprocessing, windows
from pipeline.data.engine import engine, parquet_rows, read
from pipeline.data.schema import Schema

log = logging.getLogger(__name__)
FOLD = "__fold__"


def run(split: SplitParams, normalize: NormalizeParams) -> None:
    """Write data/normalized/<side> for train, validation and test, with preprocessor.json and its frozen SQL beside them."""
    schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
    group = split.by if split.strategy in ("group", "stratified_group") else None
    with engine() as backend:
        train = read(backend, paths.SPLIT / "train" / paths.ROWS)
        fitted = preprocessing.fit(backend, train, schema, normalize, group=group, without=_without(split), time=_time(schema, split))
        for at, side in enumerate(paths.SIDES[:3]):
            with files.replaced(paths.NORMALIZED / side) as folder:
                source = paths.SPLIT / side / paths.ROWS
                if fitted.forecast:
                    before = [paths.SPLIT / earlier / paths.ROWS for earlier in paths.SIDES[:at]]
                    windows.write(backend, source, before, fitted, folder, side=side)
                else:
                    batches = preprocessing.batches(backend, source, fitted, group=group, fold=FOLD)
                    arrays.write(batches, parquet_rows(source), fitted, folder)
    files.write_text(paths.PREPROCESSOR, fitted.to_json())
    for file, plain in ((paths.CLEAN_SQL, False), (paths.CLEAN_PLAIN_SQL, True)):
        files.write_text(file, preprocessing.frozen_sql(schema, fitted, plain=plain) + "\n")
    counts = {
        "numbers": fitted.numbers,
        "categories": fitted.categories,
        "texts": fitted.texts,
        "pictures": fitted.images,
        "sounds": fitted.audios,
    }
    log.info(
        "inputs: %s", ", ".join(f"{len(states)} {kind}" for kind, states in counts.items() if states or kind in ("numbers", "categories"))
    )
    for name, reason in fitted.set_aside.items():
        log.info("set aside %s: %s", name, reason)


def _without(split: SplitParams) -> dict[str, str]:
    """Columns that are no input because of the part they play in the split."""
    return {split.by: "gives the side in the split"} if split.strategy == "given" and split.by else {}


def _time(schema: Schema, split: SplitParams) -> str | None:
    """The column by which a time split goes."""
    if split.strategy != "time":
        return None
    moments = [column.name for column in schema.columns if column.kind == "datetime"]
    return split.by or (moments[0] if len(moments) == 1 else None)
