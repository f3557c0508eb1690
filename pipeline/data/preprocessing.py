"""Preprocessing: fitted on train, kept as readable JSON, applied everywhere as one expression.

From the fitted state comes one Ibis expression.  `normalize` runs it over all rows; frozen as SQL it runs over the
rows of a request in the model package.  What follows the SQL is one function too (`encoding`).  One definition, so what
serves is what was trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.config import NormalizeParams
from pipeline.data import judging, modalities, scaling
from pipeline.data.cleaning import clean
from pipeline.data.encoding import numbers
from pipeline.data.engine import read, sample
from pipeline.data.fitted import Category, Forecast, Number, Part, Preprocessor, Target, Task
from pipeline.data.parts import part
from pipeline.data.schema import Schema
from pipeline.data.staging import staged
from pipeline.errors import UserError

SAMPLE = 262_144  # train rows from which quantiles and spreads are taken: exact up to here, and memory stays bounded beyond
BATCH = 65_536
BOUND = 1e15  # what is scaled beyond it says nothing more, and its square would overflow
RAW = {"text": "string", "number": "float64", "boolean": "boolean", "datetime": "timestamp", "binary": "binary", "list": "array<float64>"}


def fit(
    backend: Backend,
    train: ir.Table,
    schema: Schema,
    normalize: NormalizeParams,
    *,
    group: str | None = None,
    time: str | None = None,
    without: Mapping[str, str] | None = None,
) -> Preprocessor:
    """Fit on the clean rows of train.

    Args:
        group: the column that keeps rows together in the split; it is set aside, since its values never return.
        time: the column that orders the split; what tells one day from another is set aside for the same reason.
        without: further columns that are no input, each with the reason.

    Raises:
        UserError: no column is left to learn from, or normalize.columns names one that is no number.
    """
    kinds, aside = _candidates(train, schema, group=group, without=without or {})
    table = [name for name, kind in kinds.items() if kind not in judging.MEDIA]
    columns = list(dict.fromkeys([*table, *schema.targets]))
    sampled = backend.create_table("normalize_sample", sample(train.select(columns), SAMPLE), temp=True, overwrite=True)
    rows = backend.to_pyarrow(sampled.count()).as_py()
    seen = judging.look(backend, train, sampled, kinds)
    aside |= dict(judging.useless(seen, series=schema.targets if schema.forecast else ()))
    kinds = {name: "text" if judging.is_free_text(seen[name]) else kind for name, kind in kinds.items() if name not in aside}
    _check_overrides(normalize, schema, kinds, aside)
    of = lambda *wanted: [name for name in kinds if kinds[name] in wanted]  # noqa: E731
    numeric = of("number", "boolean", "datetime")
    inputs = [number for name in numeric for number in _parts(name, seen[name], normalize)]
    if time is not None:
        aside |= {n.name: "orders the split: its values never return" for n in inputs if n.column == time and n.part in ("days", "value")}
        inputs = [number for number in inputs if number.name not in aside]
    fitted = Preprocessor(
        cast(Task, schema.task),
        _target(backend, train, sampled, schema, normalize),
        _scaled_numbers(backend, sampled, inputs, seen, normalize, schema),
        tuple(_category(backend, train, name, normalize) for name in of("category")),
        aside,
        tuple(modalities.text_of(backend, train, name, normalize.text) for name in of("text")),
        tuple(modalities.image_of(backend, train, name, normalize.image) for name in of("image")),
        tuple(modalities.audio_of(backend, train, name, normalize.audio) for name in of("audio")),
        modalities.sequence_of(backend, train, of("sequence"), normalize.sequence),
        _forecast(backend, sampled, schema, normalize),
        {"rows": next(iter(seen.values())).rows if seen else 0, "quantiles": rows},
    )
    backend.drop_table("normalize_sample")
    if not fitted.all_columns:
        raise UserError("normalize: no column is left to learn from:", *(f"  {name}: {reason}" for name, reason in aside.items()))
    return fitted


def _candidates(train: ir.Table, schema: Schema, *, group: str | None, without: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Columns that may become inputs, with their kinds, and those that may not, with the reason."""
    forecast = schema.forecast
    kept = () if forecast else schema.targets  # a forecast sees what its targets were before
    kinds = {c.name: c.kind for c in schema.columns if c.kind != "ignore" and c.name not in kept and c.name in train.columns}
    aside = {c.name: c.reason for c in schema.columns if c.kind == "ignore"} | dict(without)
    if forecast:
        aside |= {forecast["time"]: "orders the steps of the forecast"}
        aside |= {forecast["series"]: "names the series of the forecast"} if forecast["series"] else {}
        aside |= {n: f"{k} column: a forecast reads numbers" for n, k in kinds.items() if n not in aside and k not in ("number", "boolean")}
    elif group is not None:
        aside[group] = "keeps groups together in the split"
    aside |= {name: "id column: its values never return" for name, kind in kinds.items() if kind == "id" and name not in aside}
    return {name: kind for name, kind in kinds.items() if name not in aside}, aside


def _check_overrides(normalize: NormalizeParams, schema: Schema, kinds: Mapping[str, str], aside: Mapping[str, str]) -> None:
    known = {column.name: column.kind for column in schema.columns}
    wrong = [
        f"normalize.columns.{name}: "
        + (
            f"scaling is for number columns, this one is {known[name]}"
            if name in known
            else f"no such column; columns are {', '.join(known)}"
        )
        for name in normalize.columns
        if known.get(name) != "number"
    ]
    if wrong:
        raise UserError(*wrong)


def _parts(name: str, seen: judging.Seen, normalize: NormalizeParams) -> Iterator[Number]:
    """The input numbers that a column may give, before scaling."""
    if seen.kind == "datetime":
        yield Number(name, "days", seen.low, seen.high - seen.low or 1.0)
        for field in seen.varying:
            names = (f"{field} sine", f"{field} cosine") if normalize.dates == "cyclic" else (field,)
            yield from (Number(name, cast(Part, each)) for each in names)
    else:
        yield Number(name, "value")
    if seen.missing:
        yield Number(name, "missing")


def _scaled_numbers(
    backend: Backend, sampled: ir.Table, parts: list[Number], seen: Mapping[str, judging.Seen], normalize: NormalizeParams, schema: Schema
) -> tuple[Number, ...]:
    """The numbers with scaling and grid, learnt column by column from the sample."""
    found = []
    for number in parts:
        column = sampled[number.column]
        if seen[number.column].kind == "number" and number.part == "value":
            method = normalize.columns.get(number.column, normalize.numeric)
            values = _values(backend, column)
            number = scaling.scaled(number, values, method, clip=normalize.clip, smooth=schema.forecast is None) if len(values) else number
        found.append(replace(number, grid=_grid(backend, _scaled(column, number), number)))
    return tuple(found)


def _grid(backend: Backend, column: ir.Column, number: Number) -> tuple[float, ...]:
    """Train quantiles of an input as the network sees it."""
    values = numbers(backend.to_pyarrow(column), number)
    return tuple(np.quantile(values.astype(np.float64), scaling.LEVELS).tolist())


def _category(backend: Backend, train: ir.Table, name: str, normalize: NormalizeParams) -> Category:
    """The tokens by falling frequency, ties in alphabetical order; of spellings that share a code the commonest is shown."""
    spelt = train.group_by(train[name].name("token")).aggregate(rows=ibis._.count())
    spelt = backend.create_table("normalize_spelt", spelt, temp=True, overwrite=True)
    spelt = spelt.mutate(key=spelt.token.lower() if normalize.merge_case else spelt.token)
    counts = spelt.group_by("key").aggregate(rows=ibis._.rows.sum(), token=ibis._.token.min())
    frequent = counts.filter(counts.rows >= normalize.rare_category).order_by([ibis.desc("rows"), "key"]).limit(normalize.max_categories)
    keys = [row["key"] for row in backend.to_pyarrow(frequent).to_pylist()]
    if not normalize.merge_case:
        return Category(name, tuple(keys))
    shown: dict[str | None, str | None] = {None: None}
    chosen = spelt.semi_join(frequent, "key").order_by(["rows", ibis.desc("token")])
    shown |= {row["key"]: row["token"] for row in backend.to_pyarrow(chosen).to_pylist()}
    return Category(name, tuple(shown[key] for key in keys), tuple(keys))


def _target(backend: Backend, train: ir.Table, sampled: ir.Table, schema: Schema, normalize: NormalizeParams) -> Target:
    if schema.task in ("regression", "forecast"):
        return scaling.target(schema.target, _values(backend, sampled[schema.target]), normalize.target)
    classes = sorted(row["c"] for row in backend.to_pyarrow(train.select(c=train[schema.target]).distinct()).to_pylist())
    if schema.positive is not None:
        if schema.positive not in classes:
            raise UserError(f"data.positive: {schema.positive!r} is no class of {schema.target}; classes are {', '.join(classes)}")
        classes.sort(key=lambda name: name == schema.positive)
    return Target(schema.target, tuple(classes))


def _values(backend: Backend, column: ir.Column) -> np.ndarray:
    found = backend.to_pyarrow(column.cast("float64")).to_numpy()
    return found[~np.isnan(found)]


def _forecast(backend: Backend, sampled: ir.Table, schema: Schema, normalize: NormalizeParams) -> Forecast | None:
    if not (asked := schema.forecast):
        return None
    targets = tuple(scaling.target(name, _values(backend, sampled[name]), normalize.target) for name in schema.targets)
    return Forecast(asked["time"], asked["series"], asked["look_back"], asked["horizon"], targets)


def apply(table: ir.Table, fitted: Preprocessor, **kept: ir.Value) -> ir.Table:
    """Clean columns to what `encoding.Encoder` takes, beside the columns `kept`."""
    columns = dict(kept)
    columns |= {f"n{at}": _scaled(table[number.column], number) for at, number in enumerate(fitted.numbers)}
    for at, category in enumerate(fitted.categories):
        value = table[category.column]
        columns[f"c{at}"] = value.lower() if category.keys else value
    for kind, names in fitted.media.items():
        columns |= {f"{kind[0]}{at}": table[name] for at, name in enumerate(names)}
    columns |= {f"s{at}": table[name] for at, name in enumerate(fitted.sequence.columns if fitted.sequence else ())}
    return table.select(**columns)


def batches(backend: Backend, file: Path, fitted: Preprocessor, *, group: str | None, fold: str | None = None) -> pa.RecordBatchReader:
    """The prepared columns of a stored table in its order, beside target and, where asked, group (as text) and fold."""
    table = read(backend, file)
    kept = {"target": table[fitted.target.column]}
    kept |= {"group": table[group].cast("string")} if group else {}
    kept |= {"fold": table[fold]} if fold and fold in table.columns else {}
    heavy = fitted.images or fitted.audios
    return backend.to_pyarrow_batches(apply(table, fitted, **kept), chunk_size=1_024 if heavy else BATCH)


def _scaled(column: ir.Column, number: Number) -> ir.Value:
    z = part(column, number.part)
    if number.part == "missing":
        return z.cast("float32")
    if number.low is not None and number.high is not None:
        z = ibis.cases((z < number.low, number.low), (z > number.high, number.high), else_=z)
    if number.knots:
        return z  # `encoding.rank` goes on
    if number.log:
        z = z.sign() * (1.0 + z.abs() / number.log).ln()
    if number.center or number.scale != 1.0:
        z = (z - number.center) / number.scale
    z = z.fill_null(0.0)
    if number.smooth_clip:  # RealMLP (Holzmueller et al. 2024, section 3): bounded by 3, close to the identity within 1
        z = ibis.least(ibis.greatest(z, -BOUND), BOUND) if not number.log else z
        z = z / (1.0 + (z / 3.0) * (z / 3.0)).sqrt()
    elif number.part == "value":
        z = ibis.least(ibis.greatest(z, -1e38), 1e38)  # what single precision holds
    return z.cast("float32")


def frozen_sql(schema: Schema, fitted: Preprocessor) -> tuple[str, str]:
    """DuckDB SQL over a table `rows` of raw columns: one query gives typed columns, one what `encoding.Encoder` takes."""
    needed = {c.name: RAW[c.raw] for c in schema.columns if c.name in fitted.all_columns}
    cleaned = clean(ibis.table(needed, name="rows"), schema)
    both = ibis.to_sql(cleaned, dialect="duckdb"), ibis.to_sql(apply(cleaned, fitted), dialect="duckdb")
    return staged(both[0]), staged(both[1])
