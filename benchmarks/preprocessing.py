"""Milliseconds that the frozen preprocessing takes for one row and for 100,000 rows of 24 columns.

Run: `python benchmarks/preprocessing.py`.  Takes about a minute.

The table is made here: 10 numbers, 9 categories (of 3 to 500 values), 2 dates, 3 booleans as text, as a CSV file has
them, with missing values.  Preprocessing is fitted on 100,000 rows and frozen; then raw rows go all the way to the
network's input arrays, by the class that the model package uses: one row as a pandas table, as a request has it, many as
the Arrow table that reading a file gives and as pandas objects.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import workspace

ONE_ROW_MS, MANY_ROWS_MS = 5.0, 150.0
ROWS = 100_000


def table(rows: int) -> pd.DataFrame:
    """Raw rows, all text, a tenth of the values missing."""
    rng = np.random.default_rng(0)
    columns = {f"number {k}": [f"{value:.4g}" for value in rng.lognormal(2, 1, rows)] for k in range(10)}
    sizes = (3, 5, 8, 10, 20, 50, 100, 200, 500)
    columns |= {f"category {k}": [f"Value {v}" for v in rng.integers(0, size, rows)] for k, size in enumerate(sizes)}
    moments = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 2_000_000, (2, rows)).ravel(), "min")
    columns |= {f"date {k}": moments[k * rows : (k + 1) * rows].strftime("%Y-%m-%d %H:%M:%S") for k in range(2)}
    columns |= {f"flag {k}": rng.choice(["true", "false"], rows) for k in range(3)}
    frame = pd.DataFrame(columns, dtype=object)
    frame = frame.mask(rng.random(frame.shape) < 0.1, None)
    frame["y"] = rng.choice(["no", "yes"], rows)
    return frame


def frozen(rows: pd.DataFrame, folder: Path) -> None:
    """Fit on all rows and write what a model package holds of the preprocessing."""
    import pyarrow as pa

    from pipeline.config import CleanParams, DataParams, NormalizeParams
    from pipeline.data import cleaning, inference, preprocessing
    from pipeline.data.engine import engine, with_row_id

    with engine() as backend:
        raw = with_row_id(backend.create_table("raw", pa.Table.from_pandas(rows, preserve_index=False)))
        schema = inference.infer(backend, raw, DataParams(source="-", target="y"), CleanParams())
        fitted = preprocessing.fit(backend, cleaning.clean(raw, schema), schema, NormalizeParams())
    (folder / "preprocessor.json").write_text(fitted.to_json(), encoding="utf-8")
    (folder / "schema.json").write_text(schema.to_json(), encoding="utf-8")
    for name, plain in (("clean", False), ("clean_plain", True)):
        (folder / f"{name}.sql").write_text(preprocessing.frozen_sql(schema, fitted, plain=plain), encoding="utf-8")


def main() -> None:
    from pipeline.data.frozen import Frozen

    with tempfile.TemporaryDirectory() as name:
        os.environ["PIPELINE_STATE"] = f"{name}/state"
        rows = table(ROWS)
        frozen(rows, Path(name))
        ready = Frozen(Path(name))
    import pyarrow as pa

    many = pa.Table.from_pandas(rows, preserve_index=False)  # as a file of rows is read
    forms = (("one row", rows, 1, 300), (f"{ROWS:,} rows", many, ROWS, 15), (f"{ROWS:,} rows of pandas objects", rows, ROWS, 7))
    taken = []
    for what, given, count, repeats in forms:
        times = []
        for at in range(repeats):
            part = given.iloc[at : at + count] if count == 1 else given
            start = time.perf_counter()
            ready.prepare(part)
            times.append(1000 * (time.perf_counter() - start))
        taken.append(statistics.median(times[repeats // 10 :]))
        print(f"{what:30} median {taken[-1]:7.2f} ms, lowest {min(times):7.2f}, highest {max(times):7.2f}; {workspace.machine()}")
    fast = taken[0] < ONE_ROW_MS and taken[1] < MANY_ROWS_MS
    workspace.verdict(f"one row under {ONE_ROW_MS:g} ms, {ROWS:,} rows under {MANY_ROWS_MS:g} ms", fast)


if __name__ == "__main__":
    main()
