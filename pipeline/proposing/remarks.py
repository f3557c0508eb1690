"""What to say of the columns and the target beside what is chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.data import columns as describing
from pipeline.data.engine import sample, totals
from pipeline.data.schema import Column, Schema
from pipeline.proposing.looking import MEDIA, SEEN, is_text
from pipeline.summary import number

SENTINEL = "if it means missing, set "
RARE = 0.05  # share of the rows below which the rarer of two classes is seldom answered from a probability of 0.5 on
AUTO = re.compile(r"looks like an id|constant: every value")


def dates(columns: Sequence[Column], target: str) -> dict[str, tuple[str, str]]:
    """Dates of which day and month cannot be told apart, read in the way that most of the world writes them."""
    return {c.name: ("datetime", c.reason.partition(":")[0]) for c in columns if c.reason.startswith("dates, but") and c.name != target}


def oddities(backend: Backend, clean: ir.Table, schema: Schema, columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """What the quality report will ask people to look at, where it may change the result: codes for missing values, and columns
    that are set aside by themselves."""
    found, alone = [], []
    for column in schema.columns:
        if column.kind in (*MEDIA, "text") or column.name in schema.targets or column.name in columns:
            continue
        if column.kind == "ignore":
            alone.append(f"{column.name} ({column.reason})")
            continue
        values = backend.to_pyarrow(sample(clean, SEEN).select(v=clean[column.name]))["v"].combine_chunks()
        warnings = describing.describe(values, column, missing=0, rows=len(values), ends={}, out_of_range=0).get("warnings", [])
        found += [f"{column.name}: {warning}" for warning in warnings if SENTINEL in warning]
        free = column.kind == "category" and is_text(values.to_pandas(), column)
        if not free and (odd := next((warning for warning in warnings if AUTO.search(warning)), None)) and schema.task != "forecast":
            alone.append(f"{column.name} ({odd.partition(':')[0]})")
    return found + (["set aside without your doing: " + ", ".join(alone)] if alone else [])


def distribution(told: Mapping[str, Any], schema: Schema) -> str:
    """The target in a few words: shares of its classes, or mean and spread."""
    if schema.task in ("regression", "forecast"):
        return f"mean {number(told['mean'])}, standard deviation {number(told['std'])}"
    total = sum(told["classes"].values())
    named = ", ".join(f"{name} {_share(rows / total)}" for name, rows in list(told["classes"].items())[:4])
    more = told["distinct"] - 4
    return named + (f" and {more} more" if more > 0 else "")


def rarer(backend: Backend, clean: ir.Table, told: Mapping[str, Any], schema: Schema) -> tuple[str, str] | None:
    """The rarer of two classes and its share in words, where it is rare and answers can be about it: the second, or spelt in one way."""
    if schema.task != "binary" or len(told["classes"]) != 2:
        return None
    (often, most), (name, rows) = told["classes"].items()
    share = rows / (most + rows)
    first = name < often and int(totals(backend, clean, {"n": clean[schema.target].nunique()})["n"]) > 2
    return None if share >= RARE or first else (name, _share(share))


def _share(share: float) -> str:
    """A share in percent; what is rare is not rounded to nothing."""
    near = min(share, 1 - share)
    if 0 < near < 0.0005:
        return "under 0.1%" if share < 0.5 else "over 99.9%"
    return f"{share:.1%}" if 0 < near < 0.0095 else f"{share:.0%}"


def name_of(source: str) -> str:
    """A name for the registry after the file: letters, digits and underscores."""
    stem = Path(source.rstrip("/").rpartition("/")[2] or source).name.split(".")[0] or Path(source).resolve().name
    return re.sub(r"\W+", "_", stem).strip("_").lower() or "model"
