"""Collect: the source becomes one immutable Parquet table.  Run: `python -m pipeline collect`."""

from __future__ import annotations

import logging
import shutil

import duckdb

from pipeline import files, paths
from pipeline.config import DataParams
from pipeline.data.engine import ROW_ID, engine, parquet_rows, scratch, with_row_id, write
from pipeline.data.sources import dispatch
from pipeline.errors import UserError
from pipeline.terminal.progress import SUMMARY

log = logging.getLogger(__name__)


def run(data: DataParams) -> None:
    """Read data.source, give every row its id, write data/raw."""
    with engine() as backend, scratch() as workspace, files.replaced(paths.RAW) as folder:
        source = dispatch.read(backend, data, workspace=workspace)
        if ROW_ID in source.table.columns:
            raise UserError(f"data.source: {source.found['source']}: {ROW_ID} is a reserved column name")
        try:
            rows = write(with_row_id(source.table), folder / paths.ROWS)
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            raise UserError(f"data.source: {source.found['source']}: {' '.join(str(error).split())[:300]}") from None
        if not rows:
            raise UserError(f"data.source: {source.found['source']}: holds no rows")
        found = {**source.found, "rows": rows, "columns": list(source.table.columns)}
        found["rows_sha256"] = dispatch.digest(folder / paths.ROWS)
        if source.rejects is not None:
            shutil.copyfile(source.rejects, folder / paths.REJECTS)
            found["rejected"] = parquet_rows(folder / paths.REJECTS)
        files.write_json(folder / paths.SOURCE.name, found)
    told = ", ".join(f"{key} {value!r}" for key, value in found.items() if key in TOLD and value not in ("", 0, None))
    log.info(
        "%d rows, %d columns from %s (%s%s)",
        rows,
        len(found["columns"]),
        found["source"],
        found["kind"],
        told and ", " + told,
        extra=SUMMARY,
    )
    if found.get("rejected"):
        log.warning("%d rows could not be read and are set aside with their reasons in %s", found["rejected"], paths.RAW / paths.REJECTS)


TOLD = ("encoding", "delimiter", "quote", "skip", "header", "comment")  # what was sniffed
