"""The data stages on a large CSV file, beside the same job in plain DuckDB SQL and, on fewer rows, in pandas.

Run: `python benchmarks/data.py` (10 million rows; about ten minutes and 12 GB of disk), `--rows 1000000` for less.

The file is made here: 24 columns of numbers, whole numbers with empty cells, categories with blanks and NA, one of 2,000
values, a flag, two dates, a customer and a yes/no target.  Three jobs turn it into sorted raw rows, typed rows, three
sides of a split and .npy arrays of inputs:

- **pipeline**: `python -m pipeline collect | clean | split | normalize`, which finds out all by themselves;
- **sql**: DuckDB SQL written for just this file, with names, types and formats known, nothing inferred, checked, reported
  or audited, in one process with the same memory limit and the same rows in the same order at the end;
- **pandas**: the same in pandas, at a tenth of the rows (at most a million), against the pipeline on as many.

Wall times are of whole processes; memory is the largest resident set of a process.  The jobs run one after another,
so that a noisy machine disturbs the ratios as well as the times.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import workspace
import yaml

STAGES = ("collect", "clean", "split", "normalize")
LIMIT = "2GB"
MOST_TIMES, MOST_MB = 1.3, 3000
SEED, VALIDATION, TEST = 7, 0.15, 0.15
FITTED_ROWS = 262_144  # quantiles come from this many rows, in all three jobs
CODES, MISSING = 1000, ("", "NA")

NUMBERS = [f"x{at}" for at in range(8)] + [f"n{at}" for at in range(3)] + ["amount"]
CATEGORIES = [f"c{at}" for at in range(6)] + ["wide"]
DATES = {"day": "%Y-%m-%d", "seen": "%Y-%m-%d %H:%M:%S"}
COLUMNS = [*NUMBERS, *CATEGORIES, "flag", *DATES, "customer", "y"]


def generate(file: Path, rows: int) -> None:
    """Write the file: row i is a function of i."""

    def uniform(key: int) -> str:
        return f"((hash(i * {key} + {key}) % 1000000) / 1000000.0)"

    made = {
        f"x{at}": f"round(sqrt(-2 * ln({uniform(101 + at)} + 1e-7)) * cos(6.2832 * {uniform(201 + at)}) * {10 + at} + {at}, 3)"
        for at in range(8)
    }
    made |= {
        f"n{at}": f"CASE WHEN {uniform(301 + at)} < 0.05 THEN '' ELSE CAST(CAST({uniform(311 + at)} * 1000 AS INT) AS VARCHAR) END"
        for at in range(3)
    }
    made["amount"] = f"round(exp(6 * {uniform(401)}), 2)"
    for at in range(6):
        value = f"' cat' || CAST(CAST(pow({uniform(511 + at)}, 3) * {10 * (at + 1)} AS INT) AS VARCHAR)"
        made[f"c{at}"] = f"CASE WHEN {uniform(501 + at)} < 0.03 THEN 'NA' ELSE {value} END"
    made["wide"] = f"'k' || CAST(CAST(pow({uniform(601)}, 2) * 2000 AS INT) AS VARCHAR)"
    made["flag"] = f"CASE WHEN {uniform(611)} < 0.4 THEN 'true' ELSE 'false' END"
    made["day"] = f"strftime(DATE '2015-01-01' + CAST({uniform(621)} * 3000 AS INT), '{DATES['day']}')"
    made["seen"] = f"strftime(TIMESTAMP '2015-01-01' + to_seconds(CAST({uniform(631)} * 200000000 AS BIGINT)), '{DATES['seen']}')"
    made["customer"] = f"'C' || CAST(hash(i) % {max(rows // 5, 1)} AS VARCHAR)"
    made["y"] = f"CASE WHEN {uniform(701)} + 0.2 * {uniform(202)} < 0.4 THEN 'yes' ELSE 'no' END"
    select = ", ".join(f"{made[name]} AS {name}" for name in COLUMNS)
    duckdb.execute(f"COPY (SELECT {select} FROM range({rows}) t(i)) TO '{file}' (HEADER, DELIMITER ',')")


def params(source: str) -> dict[str, Any]:
    """params.yaml of the pipeline's job: the source, its target, and defaults."""
    sections: dict[str, Any] = {name: {} for name in ("clean", "normalize", "model", "train", "tune", "evaluate", "register", "monitor")}
    sections["split"] = {"validation": VALIDATION, "test": TEST}
    return {"seed": SEED, "memory": LIMIT, "data": {"source": source, "target": "y"}, **sections}


def sql(source: Path, folder: Path) -> dict[str, float]:
    """The job in plain DuckDB SQL; returns the seconds of each step."""
    db = duckdb.connect(config={"memory_limit": LIMIT, "temp_directory": str(folder / "spill")})
    write = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    raw, clean = folder / "raw.parquet", folder / "clean.parquet"
    side = {name: folder / f"{name}.parquet" for name in ("train", "validation", "test")}
    seconds: dict[str, float] = {}

    def step(name: str, *queries: str) -> None:
        started = time.monotonic()
        for query in queries:
            db.execute(query)
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - started

    texts = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS) + "}"
    read = f"read_csv('{source}', columns={texts}, header=true, delim=',', quote='\"', escape='\"', comment='', null_padding=false)"
    digest = "left(md5(" + " || '\x1f' || ".join(f"coalesce({name}, '\x1e')" for name in COLUMNS) + "), 16)"
    number = "row_number() OVER (PARTITION BY d) - 1"
    numbered = f"SELECT d || '-' || ({number}) AS id, {', '.join(COLUMNS)} FROM (SELECT {digest} AS d, * FROM {read})"
    step("collect", f"COPY ({numbered} ORDER BY id) TO '{raw}' {write}")

    def present(name: str) -> str:
        return f"CASE WHEN trim({name}) IN {MISSING} THEN NULL ELSE trim({name}) END"

    typed = [f"TRY_CAST({present(name)} AS DOUBLE) AS {name}" for name in NUMBERS]
    typed += [f"{present(name)} AS {name}" for name in (*CATEGORIES, "customer", "y")]
    typed += [f"{present('flag')} = 'true' AS flag"] + [f"TRY_CAST({present(name)} AS TIMESTAMP) AS {name}" for name in DATES]
    step("clean", f"COPY (SELECT id, {', '.join(typed)} FROM '{raw}') TO '{clean}' {write}")

    ends = [f"{min(int(share * 16**13), 16**13 - 1):013x}" for share in (TEST, TEST + VALIDATION)]
    draw = f"md5('{SEED}\x1f' || id)"
    rule = {
        "test": f"{draw} < '{ends[0]}'",
        "validation": f"{draw} >= '{ends[0]}' AND {draw} < '{ends[1]}'",
        "train": f"{draw} >= '{ends[1]}'",
    }
    step(
        "split",
        *(f"COPY (SELECT * FROM '{clean}' WHERE {rule[name]} AND y IS NOT NULL) TO '{file}' {write}" for name, file in side.items()),
    )

    started = time.monotonic()
    first = f"(SELECT * FROM '{side['train']}' LIMIT {FITTED_ROWS})"
    quartiles = db.execute(f"SELECT {', '.join(f'quantile_cont({name}, [0.25, 0.5, 0.75])' for name in NUMBERS)} FROM {first}").fetchone()
    for name in CATEGORIES:
        frequent = f"{name} IS NOT NULL GROUP BY 1 HAVING count(*) >= 10 ORDER BY count(*) DESC, 1 LIMIT {CODES}"
        tokens = db.execute(f"SELECT {name} FROM '{side['train']}' WHERE {frequent}").fetchall()
        db.execute(f"CREATE TYPE v_{name} AS ENUM ({', '.join(repr(token) for (token,) in tokens)})")
    inputs = []
    for name, (low, middle, high) in zip(NUMBERS, quartiles, strict=True):
        z = f"(({name} - {middle}) / {high - low or 1.0})"
        inputs.append(f"CAST(coalesce({z} / sqrt(1 + ({z} / 3) * ({z} / 3)), 0) AS FLOAT)")
    inputs += [f"CAST({name} IS NULL AS FLOAT)" for name in NUMBERS[8:11]] + ["CAST(coalesce(flag, false) AS FLOAT)"]
    for name in DATES:
        inputs.append(f"CAST(epoch({name}) / 86400 / 3000 AS FLOAT)")
        for part, cycle in (("month", 12), ("dayofweek", 7), *([("hour", 24)] if name == "seen" else [])):
            inputs += [f"CAST({wave}({part}({name}) * 6.283185307 / {cycle}) AS FLOAT)" for wave in ("sin", "cos")]
    codes = [f"CAST(coalesce(enum_code(TRY_CAST({name} AS v_{name})) + 1, 0) AS INTEGER)" for name in CATEGORIES]
    select = ", ".join([*inputs, *codes, "CAST(y = 'yes' AS INTEGER)"])
    for name, file in side.items():
        rows = db.execute(f"SELECT count(*) FROM '{file}'").fetchone()[0]
        number = np.lib.format.open_memmap(folder / f"{name}-number.npy", "w+", np.float32, (rows, len(inputs)))
        code = np.lib.format.open_memmap(folder / f"{name}-category.npy", "w+", np.int32, (rows, len(codes)))
        target = np.lib.format.open_memmap(folder / f"{name}-target.npy", "w+", np.int32, (rows,))
        start = 0
        for batch in db.execute(f"SELECT {select} FROM '{file}'").fetch_record_batch(65_536):
            end = start + batch.num_rows
            for at in range(len(inputs)):
                number[start:end, at] = batch.column(at).to_numpy()
            for at in range(len(codes)):
                code[start:end, at] = batch.column(len(inputs) + at).to_numpy()
            target[start:end] = batch.column(batch.num_columns - 1).to_numpy()
            start = end
    seconds["normalize"] = time.monotonic() - started
    return seconds


def pandas(source: Path, folder: Path) -> dict[str, float]:
    """The job in pandas; returns the seconds of each step."""
    import hashlib

    import pandas as pd

    seconds: dict[str, float] = {}
    started = time.monotonic()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name] = time.monotonic() - started
        started = time.monotonic()

    raw = pd.read_csv(source, dtype=str, keep_default_na=False)
    digests = raw.agg("\x1f".join, axis=1).map(lambda row: hashlib.md5(row.encode()).hexdigest()[:16])
    raw.insert(0, "id", digests + "-" + digests.groupby(digests).cumcount().astype(str))
    raw = raw.sort_values("id", ignore_index=True)
    raw.to_parquet(folder / "raw.parquet", compression="zstd")
    lap("collect")
    clean = raw[["id"]].copy()
    for name in COLUMNS:
        values = raw[name].str.strip()
        values = values.mask(values.isin(MISSING))
        if name in NUMBERS:
            values = pd.to_numeric(values, errors="coerce")
        elif name in DATES:
            values = pd.to_datetime(values, format=DATES[name], errors="coerce")
        elif name == "flag":
            values = values == "true"
        clean[name] = values
    clean.to_parquet(folder / "clean.parquet", compression="zstd")
    lap("clean")
    draw = clean["id"].map(lambda row: int(hashlib.md5(f"{SEED}\x1f{row}".encode()).hexdigest()[:13], 16) / 16**13)
    sides = {"test": draw < TEST, "validation": (draw >= TEST) & (draw < TEST + VALIDATION), "train": draw >= TEST + VALIDATION}
    tables = {name: clean[mask & clean["y"].notna()] for name, mask in sides.items()}
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", compression="zstd")
    lap("split")
    train = tables["train"]
    quartiles = train.head(FITTED_ROWS)[NUMBERS].quantile([0.25, 0.5, 0.75])
    counts = {name: train[name].value_counts() for name in CATEGORIES}
    vocabulary = {name: {token: at + 1 for at, token in enumerate(found[found >= 10].index[:CODES])} for name, found in counts.items()}
    for name, table in tables.items():
        inputs = []
        for column in NUMBERS:
            low, middle, high = quartiles[column]
            z = (table[column] - middle) / (high - low or 1.0)
            inputs.append((z / np.sqrt(1 + (z / 3) ** 2)).fillna(0.0))
        inputs += [table[column].isna() for column in NUMBERS[8:11]] + [table["flag"]]
        for column in DATES:
            moment = table[column].dt
            inputs.append(table[column].astype("int64") / 86400e9 / 3000)
            for part, cycle in ((moment.month, 12), (moment.dayofweek, 7), *([(moment.hour, 24)] if column == "seen" else [])):
                inputs += [np.sin(part * 2 * np.pi / cycle), np.cos(part * 2 * np.pi / cycle)]
        np.save(folder / f"{name}-number.npy", np.column_stack([np.asarray(column, np.float32) for column in inputs]))
        codes = [table[column].map(vocabulary[column]).fillna(0).astype(np.int32) for column in CATEGORIES]
        np.save(folder / f"{name}-category.npy", np.column_stack(codes))
        np.save(folder / f"{name}-target.npy", (table["y"] == "yes").to_numpy(np.int32))
    lap("normalize")
    return seconds


def run_pipeline(folder: Path, source: Path) -> tuple[dict[str, float], float]:
    """Wall seconds of each stage, and the largest resident set in MB."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params(str(source))))
    costs = {stage: workspace.cost(folder, "-m", "pipeline", stage) for stage in STAGES}
    return {stage: cost.wall for stage, cost in costs.items()}, max(cost.peak_mb for cost in costs.values())


def run_rival(name: str, folder: Path, source: Path) -> tuple[dict[str, float], float]:
    """The same of another job, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        cost = workspace.cost(folder, str(Path(__file__).resolve()), "--job", name, "--source", str(source), "--folder", place)
    steps = {stage: float(seconds) for stage, seconds in (line.split() for line in cost.output.splitlines() if line.count(" ") == 1)}
    return {**steps, "start": cost.wall - sum(steps.values())}, cost.peak_mb


def show(title: str, found: dict[str, tuple[dict[str, float], float]]) -> None:
    print(f"\n{title}\n{'job':10}" + "".join(f"{stage:>11}" for stage in STAGES) + f"{'all s':>9}{'peak MB':>9}")
    for name, (steps, peak) in found.items():
        print(f"{name:10}" + "".join(f"{steps[stage]:11.1f}" for stage in STAGES) + f"{sum(steps.values()):9.1f}{peak:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--job", choices=("sql", "pandas"), help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        for step, seconds in {"sql": sql, "pandas": pandas}[asked.job](asked.source, asked.folder).items():
            print(step, seconds)
        return
    with workspace.copy() as folder:
        large, small = folder.parent / "large.csv", folder.parent / "small.csv"
        generate(large, asked.rows)
        size = large.stat().st_size / 1e9
        print(f"{asked.rows:,} rows x {len(COLUMNS)} columns, {size:.2f} GB, memory limit {LIMIT}; {workspace.machine()}")
        main_job = {"sql": run_rival("sql", folder, large), "pipeline": run_pipeline(folder, large)}
        show("pipeline beside plain SQL", main_job)
        large.unlink()
        shutil.rmtree(folder / "data")
        fewer = min(asked.rows // 10, 1_000_000)
        generate(small, fewer)
        second = {"pandas": run_rival("pandas", folder, small), "pipeline": run_pipeline(folder, small)}
        show(f"pipeline beside pandas, {fewer:,} rows", second)
    spent = {name: sum(steps.values()) for name, (steps, _) in main_job.items()}
    fewer_spent = {name: sum(steps.values()) for name, (steps, _) in second.items()}
    ratio, against_pandas = spent["pipeline"] / spent["sql"], fewer_spent["pipeline"] / fewer_spent["pandas"]
    print(f"\npipeline / sql {ratio:.2f}, pipeline / pandas {against_pandas:.2f}", file=sys.stdout)
    kept = ratio <= MOST_TIMES and main_job["pipeline"][1] < MOST_MB and against_pandas < 1
    workspace.verdict(f"at most {MOST_TIMES:g} times plain SQL, under {MOST_MB:,} MB, faster than pandas", kept)


if __name__ == "__main__":
    main()
