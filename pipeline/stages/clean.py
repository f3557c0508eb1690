"""Clean: raw values become typed columns, under a schema.  Run: `python -m pipeline clean`."""

from __future__ import annotations

import logging
from collections import Counter

from pipeline import files, paths
from pipeline.config import CleanParams, DataParams
from pipeline.data import cleaning, schema
from pipeline.data.engine import ROW_ID, engine, read, write

log = logging.getLogger(__name__)


def run(data: DataParams, clean: CleanParams) -> None:
    """Infer the schema, type every column, count duplicates, write data/clean and reports/clean/quality.json."""
    with engine() as backend, files.replaced(paths.CLEAN) as folder:
        raw = read(backend, paths.RAW / paths.ROWS)
        found = schema.infer(
            backend,
            raw,
            target=data.target,
            task=data.task,
            positive=data.positive,
            overrides=data.columns,
            missing=data.missing,
        )
        repeated = ~raw[ROW_ID].endswith("-0")  # the row id numbers equal rows from 0
        rows = cleaning.clean(raw.filter(~repeated) if clean.duplicates == "drop" else raw, found)
        counts = {"rows": raw.count(), "duplicates": repeated.sum()} | {f"bad {n}": e for n, e in cleaning.unreadable(raw, found).items()}
        totals = backend.to_pyarrow(raw.aggregate(**counts)).to_pylist()[0]
        kept = write(rows, folder / paths.ROWS)
        typed = read(backend, folder / paths.ROWS)
        values = [typed[name].count().name(name) for name in typed.columns if name != ROW_ID]
        present = backend.to_pyarrow(typed.aggregate(values)).to_pylist()[0]
        files.write_text(folder / paths.SCHEMA.name, found.to_json())
    quality = {
        "rows": {"read": totals["rows"], "kept": kept, "duplicates": totals["duplicates"], "dropped": totals["rows"] - kept},
        "columns": {
            column.name: {"kind": column.kind, "reason": column.reason}
            | ({"missing": kept - present[column.name]} if column.name in present else {})
            | ({"unreadable": bad} if (bad := totals.get(f"bad {column.name}")) else {})
            for column in found.columns
        },
    }
    files.write_json(paths.REPORTS / "clean" / "quality.json", quality)
    kinds = Counter(column.kind for column in found.columns)
    log.info(
        "%d of %d rows kept (%d duplicates %s)", kept, totals["rows"], totals["duplicates"], "kept" if kept == totals["rows"] else "dropped"
    )
    log.info("%s; target %s: %s", ", ".join(f"{n} {kind}" for kind, n in kinds.items()), found.target, found.task)
