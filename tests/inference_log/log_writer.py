"""Adds numbered rows to a log until it is killed, and prints the last number that is on disk.

python log_writer.py FOLDER NAME
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from pipeline.inference_log import keeping
from pipeline.inference_log.writing import Log

keeping.SWEEP = 0.1


def numbered(name: str, first: int, rows: int) -> pa.Table:
    numbers = range(first, first + rows)
    return pa.table(
        {
            "request_id": pa.array([f"{name}-{first}"] * rows),
            "row": pa.array(range(rows), pa.int32()),
            "time": pa.array([datetime.now(UTC)] * rows, pa.timestamp("us", "UTC")),
            "model": pa.array([name] * rows),
            "version": pa.array(["1"] * rows),
            "input.number": pa.array(numbers, pa.int64()),
            # of two types in turn, and null now and then: segments of several schemas grow at once
            "input.mixed": pa.array([str(n) for n in numbers]) if first % 3 else pa.array([float(n) for n in numbers]),
            "input.rare": pa.array(["x" * 500] * rows) if first % 7 == 0 else pa.nulls(rows),
        }
    )


def main(folder: Path, name: str) -> None:
    log = Log(folder, flush=0.01, segment_bytes=50_000, segment_seconds=0.3)
    number = 0
    while True:
        for _ in range(5):
            rows = 1 + number % 4
            log.add(numbered(name, number, rows))
            number += rows
            time.sleep(0.0005)
        log.flush()
        print(number - 1, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
