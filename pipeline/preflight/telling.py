"""What a check found and what the run will take, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.preflight.checking import Checked
from pipeline.preflight.estimating import Estimate, total
from pipeline.secrets import without_secrets

MINUTE, HOUR = 60.0, 3600.0


def table(found: Sequence[Estimate]) -> list[str]:
    """Time and memory of each stage in lines, and of all."""
    rows = [(one.stage, span(one.low, one.high), memory(one.memory), "as last time" if one.measured else "") for one in found]
    rows = [("stage", "time", "memory", ""), *rows]
    rows.append(("all", span(*total(list(found))), memory(max(one.memory for one in found)), ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"{stage:{widths[0]}}  {time:>{widths[1]}}  {size:>{widths[2]}}  {note}".rstrip() for stage, time, size, note in rows]


def span(low: float, high: float) -> str:
    """A range of time in one unit: `8 to 17 s`, `2 to 6 min`."""
    unit, name = next((u, n) for least, u, n in ((2 * HOUR, HOUR, "h"), (1.5 * MINUTE, MINUTE, "min"), (0, 1.0, "s")) if high >= least)
    ends = [f"{value / unit:.1f}" if value / unit < 9.5 and unit == HOUR else f"{max(value / unit, 1):.0f}" for value in (low, high)]
    return f"{ends[0]} {name}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} {name}"


def memory(size: float) -> str:
    """Gigabytes."""
    return f"{size / 1e9:.1f} GB"


def size(checked: Checked) -> str:
    """The data in a few words: rows, columns, target and task."""
    sample, schema = checked.sample, checked.schema
    if sample is None or schema is None:
        return ""
    about = f"{sample.rows:,}" if sample.whole else f"some {sample.total:,}"
    looked = "" if sample.whole else f" ({sample.rows:,} looked at)"
    return f"{about} rows{looked}, {len(sample.columns)} columns; target {', '.join(schema.targets)}: {schema.task}"


def as_json(checked: Checked, found: Sequence[Estimate]) -> dict[str, Any]:
    """All of it for other programs."""
    return {
        "ok": not checked.errors,
        "findings": [
            {"level": f.level, "file": f.file, "line": f.line, "column": f.column, "key": f.key, "message": without_secrets(f.text)}
            for f in checked.findings
        ],
        "data": {"rows": checked.sample.total, "whole": checked.sample.whole, "columns": list(checked.sample.columns)}
        if checked.sample
        else None,
        "task": checked.schema.task if checked.schema else None,
        "unread": checked.unread or None,
        "estimates": [asdict(one) for one in found],
    }
