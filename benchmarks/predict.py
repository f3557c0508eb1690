"""`pipeline predict` on many rows: how fast it is, beside reading the file alone, and whether its memory grows with them.

Run: `python benchmarks/predict.py` (2 million rows, then twice as many; some minutes), `--rows 10000000` for more.

A model of the RAND example is trained here without a sweep; its raw rows, repeated, are the file to predict.  Memory is
the largest resident set of the process that reads and writes and of the package's own.  The floor is DuckDB reading the
same CSV file to its end as text, in a process of its own.  Wall times are told with and without the start of the process
and the loading of the model, which is what a file of one row takes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import workspace

ROWS = 2_000_000
SPEED = 100_000  # rows a second
GROWTH = 1.2  # of the memory from N rows to 2N

PREDICT = """
import json, resource, sys
from pathlib import Path
from pipeline.batch import predicting
done = predicting.predict(Path(sys.argv[1]), Path(sys.argv[2]), keep=["id"], force=True)
peaks = [resource.getrusage(who).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"rows": done.rows, "seconds": done.seconds, "peaks": peaks}))
"""  # noqa: E501
REPEATED = """
import duckdb, sys
count, file, form = sys.argv[1:]
raw = "SELECT * EXCLUDE (__row_id__), row_number() OVER () AS place FROM 'data/raw/rows.parquet'"
each = duckdb.execute(f"SELECT count(*) FROM ({raw})").fetchone()[0]
parts = f"range({int(count) // each + 1}) t(i), ({raw})"
duckdb.execute(f"COPY (SELECT * EXCLUDE (place), t.i * {each} + place AS id FROM {parts} LIMIT {count}) TO '{file}' ({form})")
"""
FLOOR = """
import duckdb, sys
query = f"SELECT * FROM read_csv('{sys.argv[1]}', all_varchar=true)"
for batch in duckdb.execute(query).fetch_record_batch(65536):
    pass
"""


def main() -> None:
    """Print speed and memory for N and 2N rows of CSV and Parquet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    print(f"{workspace.machine()}\n")
    with workspace.copy() as folder:
        (folder / "params.yaml").write_text((folder / "params.yaml").read_text().replace("trials: 10", "trials: 0"))
        workspace.cost(folder, "-m", "dvc", "repro", "register")
        start, _ = predict(folder, repeated(folder, 1, "csv"))
        print(f"one row: {start:.1f} s\n")
        print(f"{'rows':>12} {'':8} {'wall s':>8} {'rows/s':>9} {'CPU s':>8} {'parent MB':>10} {'package MB':>10}  {'loaded':>10}")
        peaks, speeds = {}, {}  # speeds are those of the larger files
        for count in (rows, 2 * rows):
            for kind in ("csv", "parquet"):
                file = repeated(folder, count, kind)
                if kind == "csv":
                    floor = workspace.cost(folder, "-c", FLOOR, str(file))
                    print(
                        f"{count:>12,} {'floor':8} {floor.wall:>8.1f} {count / floor.wall:>9,.0f} {floor.cpu:>8.1f} {floor.peak_mb:>10.0f}"
                    )
                wall, (cpu, *peak) = predict(folder, file)
                peaks[count, kind], speeds[kind] = peak, count / wall
                after = f"{count / max(wall - start, 0.1):>9,.0f}/s"
                print(f"{count:>12,} {kind:8} {wall:>8.1f} {count / wall:>9,.0f} {cpu:>8.1f} {peak[0]:>10.0f} {peak[1]:>10.0f}  {after}")
                if kind == "csv":
                    print(f"{'':12} {'':8} {wall / floor.wall:>8.1f} times the floor")
                file.unlink()
    growth = max(many / few for kind in ("csv", "parquet") for few, many in zip(peaks[rows, kind], peaks[2 * rows, kind], strict=True))
    slowest = min(speeds.values())
    print(f"\nmemory at twice the rows: at most {growth:.2f} times")
    workspace.verdict(f"memory does not grow with the rows (at most {GROWTH} times for twice as many)", growth <= GROWTH)
    workspace.verdict(f"at least {SPEED:,} rows a second ({slowest:,.0f})", slowest >= SPEED)


def repeated(folder: Path, count: int, kind: str) -> Path:
    """A file of `count` rows: the example's raw rows again and again, numbered by `id`."""
    file = folder.parent / f"rows.{kind}"
    # not in this process: a process that it starts counts this one's memory as its own peak
    workspace.cost(folder, "-c", REPEATED, str(count), str(file), "HEADER" if kind == "csv" else "FORMAT parquet")
    return file


def predict(folder: Path, file: Path) -> tuple[float, tuple[float, float, float]]:
    """Wall seconds of a batch; CPU seconds and peak MB of the reading process and of the package's."""
    done = workspace.cost(folder, "-c", PREDICT, str(file), str(folder.parent / "answers.parquet"))
    told = json.loads(done.output.splitlines()[-1])
    return done.wall, (done.cpu, *told["peaks"])


if __name__ == "__main__":
    main()
