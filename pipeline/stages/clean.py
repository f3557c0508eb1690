"""Clean: raw values become typed columns, under a schema.  Run: `python -m pipeline clean`."""

from __future__ import annotations

import logging
from collections import Counter

from pipeline import files, paths
from pipeline.config import CleanParams, DataParams
from pipeline.data import cleaning, own_steps, quality, quality_page, rejects
from pipeline.data.engine import engine, footer, read, write
from pipeline.data.inference import infer
from pipeline.errors import UserError
from pipeline.terminal.progress import SUMMARY

log = logging.getLogger(__name__)

REJECTS = "rejects.parquet"


def run(data: DataParams, clean: CleanParams) -> None:
    """Infer the schema, type every column, drop what cannot be used, write data/clean and reports/clean.

    Raises:
        UserError: params do not fit the columns, a step of the user's own fails, or no row is left.
    """
    with engine() as backend, files.replaced(paths.CLEAN) as folder:
        raw = read(backend, paths.RAW / paths.ROWS)
        schema = infer(backend, raw, data, clean)
        marked, some = rejects.marked(backend, raw, schema, clean)
        reason = marked[rejects.REASON]
        typed = cleaning.clean(marked.filter(reason.isnull()) if some else raw, schema)
        steps = own_steps.load(clean.steps)
        if steps:
            kept, schema = own_steps.write_with(backend, typed, schema, steps, folder / paths.ROWS)
        else:
            kept = write(typed, folder / paths.ROWS)
        write(marked.filter(reason.notnull()) if some else marked.limit(0), folder / REJECTS)
        rows, dropped = read(backend, folder / paths.ROWS), read(backend, folder / REJECTS)
        found = quality.describe(backend, raw, rows, dropped, schema, footer=footer(folder / paths.ROWS))
        if not kept:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in found["rejects"].items())
            raise UserError(f"clean: no row is left of {found['rows']['read']:,}: {reasons}")
        files.write_text(folder / paths.SCHEMA.name, schema.to_json())
    files.write_json(paths.REPORTS / "clean" / "quality.json", found)
    files.write_text(paths.REPORTS / "clean" / "index.html", quality_page.page(found))
    _tell(found)


def _tell(found: quality.Report) -> None:
    count, columns, target = found["rows"], found["columns"], found["target"]
    how = "kept" if count["kept"] == count["read"] else "dropped"
    log.info("%d of %d rows kept (%d duplicates %s)", count["kept"], count["read"], count["duplicates"], how, extra=SUMMARY)
    for reason, rows in found["rejects"].items():
        log.warning("%d rows dropped: %s", rows, reason)
    kinds = Counter(column["kind"] for column in columns.values())
    log.info("%s; target %s: %s", ", ".join(f"{n} {kind}" for kind, n in kinds.items()), target["name"], target["task"])
    warned = sum(bool(column.get("warnings")) for column in columns.values())
    if warned:
        log.info("%d columns with something to look at: reports/clean/index.html", warned)
