"""One window of 1,000,000 rows x 300 columns of an inference log, watched by a process of its own: seconds and memory.

Part `scale` of `benchmarks/monitoring.py`.  The stages collect to normalize run on 20,000 rows; what a network would have
answered is written into the log, since monitoring reads answers from there.  The process that is timed reads the log, cleans,
judges, and writes its pages, Evidently's among them, twice: the second time there is nothing left to do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import workspace
import yaml

ROWS, NUMBERS, CATEGORIES = 1_000_000, 250, 50
TRAINED, REFERENCE = 20_000, 10_000
BATCH = 50_000
SECONDS, MB = 120, 2_000
TARGET = "label"
LOG = Path("log")


def scale(_options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Seconds and memory of a fresh process that watches one large window."""
    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as name:
        folder = Path(name)
        prepare(folder)
        write_log(folder / LOG)
        size = sum(file.stat().st_size for file in (folder / LOG).iterdir())
        print(f"a log of {ROWS:,} rows x {NUMBERS + CATEGORIES} columns, {size / 1e6:,.0f} MB", flush=True)
        done = workspace.cost(folder, str(Path(__file__).resolve()), str(folder))
    told = json.loads(done.output.splitlines()[-1])
    print(f"{'again, nothing new':24} {told['again']:>7.1f} s")
    looked = f"{told['state']}, {told['sampled']:,} rows looked at"
    print(f"{'in all':24} {done.wall:>7.1f} s, {done.cpu:.1f} s of CPU, {done.peak_mb:,.0f} MB; {looked}\n")
    return [(f"{ROWS:,} rows in {SECONDS} s and {MB:,} MB", done.wall <= SECONDS and done.peak_mb <= MB)]


def large(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Numbers, of which every fifth column misses 5% of its values, and categories of 3 to 52 names."""
    block = rng.normal(size=(rows, NUMBERS)).round(4)
    block[:, ::5][rng.random((rows, len(range(0, NUMBERS, 5)))) < 0.05] = np.nan
    names = {
        f"category {at}": np.array([f"c{code}" for code in range(at + 3)], dtype=object)[rng.integers(0, at + 3, rows)]
        for at in range(CATEGORIES)
    }
    return pd.concat([pd.DataFrame(block, columns=[f"number {at}" for at in range(NUMBERS)]), pd.DataFrame(names)], axis=1)


def probabilities(frame: pd.DataFrame) -> np.ndarray:
    """What a model would answer, well calibrated."""
    return np.asarray(1 / (1 + np.exp(-frame["number 1"].to_numpy())))


def labelled(rng: np.random.Generator, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with what came true."""
    return frame.assign(**{TARGET: np.where(rng.random(len(frame)) < probabilities(frame), "yes", "no")})


def prepare(folder: Path) -> None:
    """What a package holds of preprocessing, by the stages; and the reference, with made-up figures of a model."""
    from pipeline.data.fitted import Preprocessor
    from pipeline.models.answers import Answers
    from pipeline.monitoring import reference, windows

    rng = np.random.default_rng(0)
    labelled(rng, large(rng, TRAINED)).to_parquet(folder / "rows.parquet")
    params = {"data": {"source": "rows.parquet", "target": TARGET}, "register": {"name": "large"}}
    rest: dict[str, Any] = {key: {} for key in ("clean", "split", "normalize", "model", "train", "tune", "evaluate", "monitor")}
    (folder / "params.yaml").write_text(yaml.safe_dump({"seed": 0, **rest, **params}))
    outside = {name: value for name, value in os.environ.items() if name not in workspace.FOREIGN}
    for stage in ("collect", "clean", "split", "normalize"):
        subprocess.run([sys.executable, "-m", "pipeline", "-q", stage], cwd=folder, env=outside, check=True)
    files = folder / "package" / "artifacts" / "files"
    files.mkdir(parents=True)
    made = folder / "data" / "normalized"
    for source in (made / "preprocessor.json", made / "clean.sql", made / "clean_plain.sql", folder / "data" / "clean" / "schema.json"):
        (files / source.name).write_bytes(source.read_bytes())
    (files / "answers.json").write_text(Answers("binary").to_json())
    fitted = Preprocessor.from_json((files / "preprocessor.json").read_text())
    clean = pd.read_parquet(folder / "data" / "split" / "test" / "rows.parquet")
    more = pd.read_parquet(folder / "data" / "split" / "train" / "rows.parquet").head(REFERENCE - len(clean))
    clean = pd.concat([clean, more], ignore_index=True)
    rows = windows.window(clean, probabilities(clean), fitted, group=None)
    figures = {"metric": "auc", "value": 0.74, "low": 0.73, "high": 0.75, "loss": float(np.nanmean(rows.losses)), "loss_name": "log loss"}
    held = reference.Reference(rows, np.ones(len(rows), bool), figures | {"higher_is_better": True}, [])
    reference.write(held, files)


def write_log(folder: Path) -> None:
    """The window as closed segments of 50,000 rows, so that no process holds it whole."""
    from pipeline.inference_log import segments

    folder.mkdir()
    rng, start = np.random.default_rng(1), datetime(2026, 1, 5, tzinfo=UTC)
    for part in range(ROWS // BATCH):
        frame = large(rng, BATCH)
        chance = probabilities(frame)
        moments = [start + timedelta(seconds=0.01 * (part * BATCH + at)) for at in range(BATCH)]
        known: dict[str, Any] = {
            "request_id": pa.array([f"{part:04d}-{at:06d}" for at in range(BATCH)]),
            "row": pa.array(np.zeros(BATCH, np.int32)),
            "time": pa.array(moments, pa.timestamp("us", "UTC")),
            "model": pa.repeat("large", BATCH),
            "version": pa.repeat("1", BATCH),
            "seconds": pa.array(np.full(BATCH, 0.01)),
        }
        asked = {f"input.{name}": pa.array(frame[name], from_pandas=True) for name in frame}
        told = {"output.probability of no": pa.array(1 - chance), "output.probability of yes": pa.array(chance)}
        nothing = {"refused": pa.nulls(BATCH, pa.string())}
        pq.write_table(pa.table({**known, **asked, **told, **nothing}), folder / f"{segments.stem()}{segments.CLOSED}")


def watch(folder: Path) -> None:
    """Watch the log and tell, as JSON, what came of it and how long a second call took."""
    from pipeline.config import MonitorParams
    from pipeline.monitoring import live, reference
    from pipeline.monitoring.watched import Watched
    from pipeline.packaging import Package

    files = folder / "package" / "artifacts" / "files"
    schema = json.loads((files / "schema.json").read_text())
    columns = tuple(column["name"] for column in schema["columns"] if column["name"] != TARGET)
    model = Watched.of(Package(folder / "package", columns, False), reference.read(files))
    about, out = {"name": "large", "version": "1", "run": ""}, folder / "pages"
    ask: dict[str, Any] = {"seed": 0, "folder": out, "registered": False}
    summary = live.judged(model, about, live.Source(folder / LOG, True), MonitorParams(window="month"), **ask)
    started = time.monotonic()
    live.judged(model, about, live.Source(folder / LOG, True), MonitorParams(window="month"), **ask)
    (window,) = summary["windows"]
    print(json.dumps({"again": time.monotonic() - started, "state": window["state"], "sampled": window["sampled"]}))


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
