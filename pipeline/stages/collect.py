"""Collect: the source becomes one immutable Parquet table.  Run: `python -m pipeline collect`."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from pipeline import files, paths
from pipeline.config import DataParams
from pipeline.data import sources
from pipeline.data.engine import ROW_ID, engine, with_row_id, write
from pipeline.errors import UserError

log = logging.getLogger(__name__)


def run(data: DataParams) -> None:
    """Read data.source, give every row its id, write data/raw."""
    with engine() as backend, tempfile.TemporaryDirectory(prefix="pipeline-") as workspace:
        table, found = sources.read(backend, data.source, encoding=data.encoding, workspace=Path(workspace))
        if ROW_ID in table.columns:
            raise UserError(f"data.source: {data.source}: {ROW_ID} is a reserved column name")
        with files.replaced(paths.RAW) as folder:
            rows = write(with_row_id(table), folder / paths.ROWS)
            if not rows:
                raise UserError(f"data.source: {data.source}: holds no rows")
            found |= {"rows": rows, "columns": list(table.columns), "rows_sha256": sources.digest(folder / paths.ROWS)}
            files.write_json(folder / "source.json", found)
    log.info("%d rows, %d columns from %s (%s)", rows, len(found["columns"]), data.source, found["kind"])
