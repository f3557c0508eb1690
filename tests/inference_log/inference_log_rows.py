"""Rows of an inference log for its tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

START = datetime(2026, 1, 1, tzinfo=UTC)


def table(number: int, rows: int = 1, *, model: str = "m", version: str = "1", **columns: Any) -> pa.Table:
    """The answer to request r<number>, which came as many seconds after the year began; columns by name, `__` for a dot."""
    always = {
        "request_id": pa.array([f"r{number}"] * rows),
        "row": pa.array(range(rows), pa.int32()),
        "time": pa.array([START + timedelta(seconds=number)] * rows, pa.timestamp("us", "UTC")),
        "model": pa.array([model] * rows),
        "version": pa.array([version] * rows),
        "seconds": pa.array([0.01] * rows),
    }
    return pa.table(always | {name.replace("__", "."): value for name, value in columns.items()})
