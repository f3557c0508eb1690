"""Normalize: preprocessing is fitted on train and applied to every side.  Run: `python -m pipeline normalize`."""

from __future__ import annotations

import logging

from pipeline import files, paths
from pipeline.config import NormalizeParams, SplitParams
from pipeline.data import prepared, preprocessing, reference
from pipeline.data.engine import engine
from pipeline.data.schema import Schema
from pipeline.terminal.progress import SUMMARY

log = logging.getLogger(__name__)


def run(split: SplitParams, normalize: NormalizeParams) -> None:
    """Write data/normalized/<side> for train, validation and test, with preprocessor.json, frozen SQL and reference.json beside them."""
    schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
    with engine() as backend:
        fitted = prepared.fit(backend, schema, split, normalize)
        for side in paths.SIDES[:3]:
            with files.replaced(paths.NORMALIZED / side) as folder:
                prepared.write(backend, fitted, split, side, folder)
        files.write_json(paths.REFERENCE, reference.take(backend, paths.SPLIT / "train" / paths.ROWS, schema, fitted))
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
    told = [f"{len(states)} {kind}" for kind, states in counts.items() if states or kind in ("numbers", "categories")]
    log.info("inputs: %s", ", ".join(told), extra=SUMMARY)
    for name, reason in fitted.set_aside.items():
        log.info("set aside %s: %s", name, reason)
