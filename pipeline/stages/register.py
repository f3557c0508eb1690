"""Register: package the model, prove that the package answers alike, register it.  Run: `python -m pipeline register`."""

from __future__ import annotations

import logging
import os
import shutil

import numpy as np

from pipeline import files, packaging, paths, tracking
from pipeline.config import RegisterParams
from pipeline.data import splitting
from pipeline.data.engine import engine
from pipeline.data.fitted import Preprocessor

log = logging.getLogger(__name__)
REPLAYED = 20_000  # test rows, at most: as many again would find nothing new
EXAMPLES = 3  # rows kept in the package as an example of a request


def run(register: RegisterParams) -> None:
    """Write models/package, replay the raw test rows through it, register it once per content, write reports/register.json."""
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    trained = files.read_json(paths.RUN)
    with engine() as backend:
        rows = splitting.raw_rows(backend, paths.RAW / paths.ROWS, paths.SPLIT / "test" / paths.ROWS, most=REPLAYED)
    shutil.rmtree(paths.PACKAGE, ignore_errors=True)
    digest = packaging.build(paths.PACKAGE, fitted, rows[list(fitted.columns)].head(EXAMPLES))
    skew = packaging.check(paths.PACKAGE, fitted, rows, np.load(paths.OUTPUTS)[:REPLAYED])
    log.info("%d raw test rows replayed in a fresh process: largest difference %.1e", len(rows), max(skew.values()))
    experiment = os.environ.get("DVC_EXP_NAME")  # an experiment moves no alias
    version = tracking.register(
        paths.PACKAGE,
        name=register.name,
        digest=digest,
        run_id=trained["run_id"],
        alias=None if experiment else register.alias,
        experiment_name=trained["experiment"],
    )
    found = {"name": register.name, "digest": digest, "run_id": trained["run_id"], "skew": skew, "rows_replayed": len(rows), **version}
    files.write_json(paths.REGISTERED, found)
    state = f"version {version['version']}" if version else "not registered"
    log.info("%s %s%s", register.name, state, f", alias {version['alias']}" if version.get("alias") else "")
