"""The target over all rows, and over the rows of each category, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend

from pipeline.data.engine import totals
from pipeline.data.schema import Schema

CLASSES = 20  # that are named
CATEGORIES = 8  # of a column that are shown, those with most rows
MANY = 50  # a column of more categories is left out
FEWEST = 10  # rows of a category that is shown, and of a class without a warning
NAMED = 5  # classes of fewer rows that are named
Z = NormalDist().inv_cdf(0.975)


def wilson(hits: int, rows: int, z: float = Z) -> tuple[float, float]:
    """95% interval of a share (Wilson 1927, the score interval)."""
    share = hits / rows
    center = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return 0.0 if hits == 0 else center - half, 1.0 if hits == rows else center + half


def balance(backend: Backend, rows: ir.Table, schema: Schema) -> dict[str, Any]:
    """The classes and their rows (spellings that differ in case alone together), or mean and standard deviation."""
    if schema.task in ("regression", "forecast"):
        value = rows[schema.target]
        found = totals(backend, rows, {"mean": value.mean(), "std": value.std(how="pop"), "missing": value.isnull().sum()})
        return {key: value if key == "missing" or value is None else float(f"{value:.7g}") for key, value in found.items()}
    counts = rows.group_by(name=rows[schema.target]).aggregate(rows=ibis._.count()).order_by(ibis.desc("rows"), "name")
    classes: dict[str, int] = {}
    spelt: dict[str, str] = {}
    missing = 0
    for row in backend.to_pyarrow(counts).to_pylist():
        if row["name"] is None:
            missing = row["rows"]
        else:
            name = spelt.setdefault(row["name"].lower(), row["name"])
            classes[name] = classes.get(name, 0) + row["rows"]
    return {"classes": dict(list(classes.items())[:CLASSES]), "distinct": len(classes), "missing": missing}


def class_rows(backend: Backend, clean: ir.Table, schema: Schema) -> dict[str, int]:
    """Rows of each class, those with most first; spellings that differ in case or white space alone are one."""
    target = clean[schema.target].cast("string")
    counted = clean.filter(target.notnull()).group_by(target.name("class")).aggregate(rows=ibis._.count())
    found: dict[str, tuple[str, int]] = {}
    for row in backend.to_pyarrow(counted.order_by([ibis.desc("rows"), "class"])).to_pylist():
        folded = " ".join(row["class"].split()).casefold()
        name, rows = found.get(folded, (row["class"], 0))
        found[folded] = name, rows + row["rows"]
    return dict(found.values())


def too_few(classes: Mapping[str, int], target: str) -> str:
    """What to say of classes of so few rows that sides hold one or none of them; nothing where there are none."""
    few = sorted((rows, name) for name, rows in classes.items() if rows < FEWEST)
    if not few:
        return ""
    if len(few) == 1:
        told = f"class {few[0][1]!r} of {target} has {few[0][0]} {'row' if few[0][0] == 1 else 'rows'}"
    else:
        named = ", ".join(f"{name!r} {rows}" for rows, name in few[:NAMED]) + (f" and {len(few) - NAMED} more" if len(few) > NAMED else "")
        told = f"{len(few)} classes of {target} have fewer than {FEWEST} rows ({named})"
    mend = "merge classes in the source, gather more rows, or leave these out"
    return f"{told}: some side may hold one or none, too few to be learnt and tested; {mend}"


def by_category(values: pa.Array, answer: pa.Array, schema: Schema) -> dict[str, Any] | None:
    """Share of one class (binary: the positive one, else the commonest) or mean of the target for each category.

    Returns:
        `of`, what is shown, `all`, its value over all rows, `categories`, each with rows, value and 95% interval, and
        `apart`, how far the categories' values lie from each other in units of chance; None where nothing can be shown.
    """
    there = pc.and_(pc.is_valid(values), pc.is_valid(answer))
    values, answer = pc.cast(values.filter(there), pa.string()).dictionary_encode(), answer.filter(there)
    if not 2 <= len(values.dictionary) <= MANY:
        return None
    codes, names = values.indices.to_numpy(zero_copy_only=False), values.dictionary.to_pylist()
    if schema.task in ("regression", "forecast"):
        of, y = f"mean {schema.target}", answer.to_numpy(zero_copy_only=False)
    else:
        folded = pc.utf8_lower(pc.cast(answer, pa.string()))
        counts = {row["values"]: row["counts"] for row in folded.value_counts().to_pylist()}
        first = max(sorted(counts), key=lambda name: counts[name])
        chosen = schema.positive.lower() if schema.positive else sorted(counts)[-1] if schema.task == "binary" else first
        of, y = f"share of {chosen}", pc.equal(folded, chosen).to_numpy(zero_copy_only=False).astype(float)
    rows, sums = np.bincount(codes, minlength=len(names)), np.bincount(codes, y, len(names))
    squares = np.bincount(codes, y * y, len(names))
    overall = float(sums.sum() / rows.sum())
    shown = [at for at in sorted(range(len(names)), key=lambda at: (-rows[at], names[at])) if rows[at] >= FEWEST][:CATEGORIES]
    if len(shown) < 2:
        return None
    spread = math.sqrt(max(float(squares.sum() / rows.sum()) - overall**2, 0.0)) or 1.0
    found, apart = [], 0.0
    for at in shown:
        n, mean = int(rows[at]), float(sums[at] / rows[at])
        half = Z * math.sqrt(max(float(squares[at]) / n - mean * mean, 0.0) / n)
        low, high = wilson(round(float(sums[at])), n) if schema.task not in ("regression", "forecast") else (mean - half, mean + half)
        found.append({"category": names[at], "rows": n, "value": mean, "low": low, "high": high})
        apart += n * ((mean - overall) / spread) ** 2
    return _stable({"of": of, "all": overall, "categories": found, "apart": apart / (len(shown) - 1)})


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_stable(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
