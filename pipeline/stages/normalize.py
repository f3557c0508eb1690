"""Normalize: preprocessing is fitted on train and applied to every side.  Run: `python -m pipeline normalize`."""

from __future__ import annotations

import logging

from pipeline import files, paths
from pipeline.config import NormalizeParams, SplitParams
from pipeline.data import arrays, preprocessing
from pipeline.data.engine import engine, parquet_rows, read
from pipeline.data.schema import Schema

log = logging.getLogger(__name__)


def run(split: SplitParams, normalize: NormalizeParams) -> None:
    """Write data/normalized/<side> for train, validation and test, with preprocessor.json and its frozen SQL beside them."""
    schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
    with engine() as backend:
        train = read(backend, paths.SPLIT / "train" / paths.ROWS)
        fitted = preprocessing.fit(backend, train, schema, normalize, group=split.by)
        for side in paths.SIDES[:3]:
            with files.replaced(paths.NORMALIZED / side) as folder:
                source = paths.SPLIT / side / paths.ROWS
                batches = preprocessing.batches(backend, source, fitted, group=split.by)
                arrays.write(batches, parquet_rows(source), fitted, folder)
    files.write_text(paths.PREPROCESSOR, fitted.to_json())
    for file, query in zip((paths.CLEAN_SQL, paths.FEATURES_SQL), preprocessing.frozen_sql(schema, fitted), strict=True):
        files.write_text(file, query + "\n")
    log.info("%d numbers, %d categories as inputs", len(fitted.numbers), len(fitted.categories))
    for name, reason in fitted.set_aside.items():
        log.info("set aside %s: %s", name, reason)
