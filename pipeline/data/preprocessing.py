"""Preprocessing: fitted on train, kept as readable JSON, applied everywhere as one expression.

From the fitted state comes one Ibis expression.  `normalize` runs it over all rows; frozen as SQL it runs over the
rows of a request in the model package.  One definition, so what serves is what was trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.config import NormalizeParams
from pipeline.data.cleaning import clean
from pipeline.data.engine import ROW_ID, read
from pipeline.data.fitted import GRID, Category, Number, Preprocessor, Target, Task
from pipeline.data.schema import Schema, is_whole
from pipeline.errors import UserError

TEXT_WORDS = 3.0  # mean words per value from which a column of mostly distinct values is free text, else an id


def fit(backend: Backend, train: ir.Table, schema: Schema, normalize: NormalizeParams, *, group: str | None) -> Preprocessor:
    """Fit on the clean rows of train; `group` is set aside, since its values never return.

    Raises:
        UserError: no column is left to learn from.
    """
    kinds = {c.name: c.kind for c in schema.columns if c.kind != "ignore" and c.name != schema.target}
    aside = {c.name: c.reason for c in schema.columns if c.kind == "ignore"}
    if group is not None:
        kinds.pop(group, None)
        aside[group] = "keeps groups together in the split"
    aside |= {name: f"{kind} column: no input of a table network" for name, kind in kinds.items() if kind in ("id", "text")}
    stats = _statistics(backend, train, {n: k for n, k in kinds.items() if n not in aside}, schema)
    aside |= dict(_useless(stats))
    used = {name: kind for name, kind in kinds.items() if name not in aside}
    numbers = [n for name, kind in used.items() if kind != "category" for n in _numbers(name, kind, stats[name], normalize.numeric)]
    categories = [_category(backend, train, name, stats[name], normalize) for name, kind in used.items() if kind == "category"]
    if not numbers and not categories:
        raise UserError("normalize: no column is left to learn from:", *(f"  {name}: {reason}" for name, reason in aside.items()))
    target = _target(backend, train, schema)
    fitted = Preprocessor(cast(Task, schema.task), target, tuple(numbers), tuple(categories), aside)
    return _with_grids(backend, train, fitted)


def _statistics(backend: Backend, train: ir.Table, kinds: dict[str, str], schema: Schema) -> dict[str, dict[str, Any]]:
    """Exact statistics of every column in one pass over train."""
    parts: dict[str, ir.Scalar] = {}
    for at, (name, kind) in enumerate(kinds.items()):
        column = train[name]
        parts |= {f"{at}:rows": train.count(), f"{at}:values": column.count(), f"{at}:distinct": column.nunique()}
        if kind == "number":
            parts |= {f"{at}:{what}": getattr(column, what)() for what in ("min", "max", "mean")}
            parts[f"{at}:std"] = column.std(how="pop")
            parts[f"{at}:quartiles"] = column.quantile([0.25, 0.5, 0.75])
            parts[f"{at}:whole"] = is_whole(column).all()
        elif kind == "datetime":
            for part in ("days", "month", "weekday", "hour"):
                parts[f"{at}:{part}"] = _part(column, part).nunique()
            parts |= {f"{at}:days_min": _part(column, "days").min(), f"{at}:days_max": _part(column, "days").max()}
        elif kind == "category":
            parts[f"{at}:words"] = column.split(" ").length().mean()
    found = backend.to_pyarrow(train.aggregate(**parts)).to_pylist()[0] if parts else {}
    stats: dict[str, dict[str, Any]] = {name: {"kind": kind} for name, kind in kinds.items()}
    for key, value in found.items():
        at, what = key.split(":", 1)
        stats[list(kinds)[int(at)]][what] = value
    return stats


def _useless(stats: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Columns of train that cannot help, each with the reason."""
    for name, column in stats.items():
        rows, values, distinct = column["rows"], column["values"], column["distinct"]
        if distinct == 0:
            yield name, "every value is missing in train"
        elif distinct == 1 and values == rows:
            yield name, "constant in train"
        elif column["kind"] == "category" and distinct > 20 and distinct > 0.5 * values:
            text = column["words"] >= TEXT_WORDS
            yield name, f"{'free text' if text else 'id'}: {distinct} distinct values in {values} train rows"
        elif column["kind"] == "number" and column["whole"] and distinct == values > 20 and _is_dense(column):
            yield name, f"running number: {distinct} distinct whole numbers in {values} train rows"


def _is_dense(column: dict[str, Any]) -> bool:
    """Whether distinct whole numbers fill a third of their range or more, as a running number thinned by the split does."""
    return bool(column["max"] - column["min"] + 1 <= 3 * column["values"])


def _numbers(name: str, kind: str, stats: dict[str, Any], method: str) -> Iterator[Number]:
    if kind == "number":
        low, center, high = stats["quartiles"]
        if method == "robust":
            spread = high - low or (stats["max"] - stats["min"]) / 2 or 1.0
            yield Number(name, "value", center, spread, smooth_clip=True)
        elif method == "standard":
            yield Number(name, "value", _stable(stats["mean"]), _stable(stats["std"]) or 1.0)
        else:
            yield Number(name, "value")
    elif kind == "boolean":
        yield Number(name, "value")
    else:
        spread = stats["days_max"] - stats["days_min"]
        yield Number(name, "days", stats["days_min"], spread or 1.0)
        yield from (Number(name, part) for part in ("month", "weekday", "hour") if stats[part] > 1)
    if stats["values"] < stats["rows"]:
        yield Number(name, "missing")


def _stable(value: float) -> float:
    """A sum over rows as single precision: the last digits of a parallel sum change from run to run."""
    return float(f"{value:.7g}")


def _category(backend: Backend, train: ir.Table, name: str, stats: dict[str, Any], normalize: NormalizeParams) -> Category:
    counts = train.group_by(train[name].name("token")).aggregate(rows=ibis._.count())
    frequent = counts.filter(counts.rows >= normalize.rare_category)
    ordered = frequent.order_by([ibis.desc("rows"), "token"]).limit(normalize.max_categories)
    return Category(name, tuple(row["token"] for row in backend.to_pyarrow(ordered).to_pylist()))


def _target(backend: Backend, train: ir.Table, schema: Schema) -> Target:
    column = train[schema.target]
    if schema.task == "regression":
        found = backend.to_pyarrow(train.aggregate(mean=column.mean(), std=column.std(how="pop"))).to_pylist()[0]
        return Target(schema.target, (), _stable(found["mean"]), _stable(found["std"]) or 1.0)
    classes = sorted(row["c"] for row in backend.to_pyarrow(train.select(c=column).distinct()).to_pylist())
    if schema.positive is not None:
        if schema.positive not in classes:
            raise UserError(f"data.positive: {schema.positive!r} is no class of {schema.target}; classes are {', '.join(classes)}")
        classes.sort(key=lambda name: name == schema.positive)
    return Target(schema.target, tuple(classes))


def _with_grids(backend: Backend, train: ir.Table, fitted: Preprocessor) -> Preprocessor:
    """Add the train quantiles of each scaled number."""
    if not fitted.numbers:
        return fitted
    scaled = apply(train, fitted)
    levels = [step / GRID for step in range(GRID + 1)]
    parts = {f"n{at}": scaled[f"n{at}"].quantile(levels) for at in range(len(fitted.numbers))}
    found = backend.to_pyarrow(scaled.aggregate(**parts)).to_pylist()[0]
    numbers = tuple(replace(number, grid=tuple(found[f"n{at}"])) for at, number in enumerate(fitted.numbers))
    return replace(fitted, numbers=numbers)


def apply(table: ir.Table, fitted: Preprocessor, **kept: ir.Value) -> ir.Table:
    """Clean columns to inputs: float32 columns n0, n1, ... and int32 codes c0, c1, ..., beside the columns `kept`."""
    columns = dict(kept)
    columns |= {f"n{at}": _scaled(table[number.column], number) for at, number in enumerate(fitted.numbers)}
    columns |= {f"c{at}": _code(table[category.column], category) for at, category in enumerate(fitted.categories)}
    return table.select(**columns)


def batches(backend: Backend, file: Path, fitted: Preprocessor, *, group: str | None) -> pa.RecordBatchReader:
    """The inputs of a clean table in the order of its row ids, beside columns target and, where asked, group (as text)."""
    table = read(backend, file).order_by(ROW_ID)
    kept = {"target": table[fitted.target.column]} | ({"group": table[group].cast("string")} if group else {})
    return backend.to_pyarrow_batches(apply(table, fitted, **kept), chunk_size=65_536)


def _part(column: ir.Column, part: str) -> ir.Value:
    if part == "value":
        return column.cast("float64")
    if part == "missing":
        return column.isnull().cast("float64")
    if part == "days":
        return column.epoch_seconds().cast("float64") / 86400.0
    fields = {"month": lambda: column.month(), "weekday": lambda: column.day_of_week.index(), "hour": lambda: column.hour()}
    return fields[part]().cast("float64")


def _scaled(column: ir.Column, number: Number) -> ir.Value:
    z = (_part(column, number.part) - number.center) / number.scale
    if number.smooth_clip:  # RealMLP (Holzmueller et al. 2024, section 3): bounded by 3, close to the identity within 1
        z = z / (1.0 + (z / 3.0) * (z / 3.0)).sqrt()
    return z.fill_null(0.0).cast("float32")


def _code(column: ir.Column, category: Category) -> ir.Value:
    tokens = [token for token in category.tokens if token is not None]
    position = ibis.array(tokens).index(column) if tokens else ibis.literal(-1)
    code = ibis.array([at + 1 for at, token in enumerate(category.tokens) if token is not None])[position] if tokens else position
    missing = category.tokens.index(None) + 1 if None in category.tokens else 0
    return ibis.cases((column.isnull(), missing), (position < 0, 0), else_=code).cast("int32")


def frozen_sql(schema: Schema, fitted: Preprocessor) -> tuple[str, str]:
    """DuckDB SQL over a table `rows` of raw columns: one query gives typed columns, one gives the inputs."""
    types = {"text": "string", "number": "float64", "boolean": "boolean", "datetime": "timestamp"}
    needed = {c.name: types[c.raw] for c in schema.columns if c.name in fitted.columns}
    cleaned = clean(ibis.table(needed, name="rows"), schema)
    return ibis.to_sql(cleaned, dialect="duckdb"), ibis.to_sql(apply(cleaned, fitted), dialect="duckdb")
