"""Register: package the model, prove that the package answers alike, register it.  Run: `python -m pipeline register`."""

from __future__ import annotations

import logging
import os
import shutil

import numpy as np
import pandas as pd

from pipeline import files, packaging, paths
from pipeline.config import RegisterParams
from pipeline.data import replaying, splitting
from pipeline.data.engine import engine
from pipeline.data.fitted import Preprocessor
from pipeline.tracking import runs

log = logging.getLogger(__name__)
REPLAYED = 20_000  # test rows, at most: as many again would find nothing new
HEAVY_REPLAYED = 1_000  # where rows hold pictures, sounds, texts or sequences
WINDOWS_REPLAYED = 20  # of a forecast
EXAMPLES = 3  # rows kept in the package as an example of a request


def run(register: RegisterParams) -> None:
    """Write models/package, replay the raw test rows through it, register it once per content, write reports/register.json."""
    fitted = Preprocessor.from_json(paths.FITTED.read_text(encoding="utf-8"))
    rows, expected = _windows(fitted) if fitted.forecast else _rows(fitted)
    shutil.rmtree(paths.PACKAGE, ignore_errors=True)
    example = rows[list(packaging.columns(fitted))].head(fitted.forecast.look_back if fitted.forecast else EXAMPLES)
    digest = packaging.build(paths.PACKAGE, fitted, example)
    skew = packaging.check(paths.PACKAGE, fitted, rows, expected)
    what = f"{len(expected)} test windows" if fitted.forecast else f"{len(rows)} raw test rows"
    log.info("%s replayed in a fresh process: largest difference %.1e", what, max(skew.values()))
    alias = None if os.environ.get("DVC_EXP_NAME") else register.alias  # an experiment moves no alias
    with runs.reopened(paths.RUN, "register") as tracked:
        tracked.version(paths.PACKAGE, name=register.name, digest=digest, alias=alias)
    version = tracked.version_of(digest)
    found = {"name": register.name, "digest": digest, "run": tracked.key, "run_id": tracked.id, "skew": skew, "rows_replayed": len(rows)}
    files.write_json(paths.REGISTERED, found | ({"version": version, "alias": alias} if version else {}))
    state = f"version {version}{f', alias {alias}' if alias else ''}" if version else "is registered once the store is back"
    log.info("%s %s", register.name, state)


def _rows(fitted: Preprocessor) -> tuple[pd.DataFrame, np.ndarray]:
    """Raw test rows and the network's outputs for them as evaluate measured them."""
    most = REPLAYED if set(fitted.all_columns) == set(fitted.columns) else HEAVY_REPLAYED
    with engine() as backend:
        rows = splitting.raw_rows(backend, paths.RAW / paths.ROWS, paths.SPLIT / "test" / paths.ROWS, most=most)
    return rows, np.load(paths.OUTPUTS, mmap_mode="r")[:most]


def _windows(fitted: Preprocessor) -> tuple[pd.DataFrame, np.ndarray]:
    """The same for some windows of a forecast, evenly drawn."""
    assert fitted.forecast is not None
    outputs = np.load(paths.OUTPUTS, mmap_mode="r")
    train, validation, test = (paths.SPLIT / side / paths.ROWS for side in paths.SIDES[:3])
    with engine() as backend:
        steps = replaying.steps(backend, test, [train, validation], fitted)
        if len(steps) != len(outputs):
            raise packaging.SkewError(f"evaluate measured {len(outputs)} windows of test, {len(steps)} are found again")
        some = np.unique(np.linspace(0, len(steps) - 1, WINDOWS_REPLAYED).astype(int))
        rows = replaying.window_rows(backend, paths.RAW / paths.ROWS, steps, some, fitted.forecast)
    return rows, outputs[some]
