"""Preprocessing: fitted on train, kept as readable JSON, applied everywhere by the same lines.

Raw columns become clean ones by one Ibis expression, which `clean` runs over all rows and the model package, frozen as
SQL, over the rows of a request; clean columns become inputs by one class (`encoding.Encoder`).  One definition of each
step, so what serves is what was trained.
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
from pipeline.data import judging, modalities, numeric, own_steps, scaling
from pipeline.data.cleaning import clean
from pipeline.data.encoding import lower
from pipeline.data.engine import read, sample
from pipeline.data.fitted import Category, Forecast, Number, Part, Preprocessor, Target, Task
from pipeline.data.schema import Schema
from pipeline.data.staging import staged
from pipeline.errors import UserError

SAMPLE = 262_144  # train rows from which quantiles and spreads are taken: exact up to here, and memory stays bounded beyond
BATCH = 65_536
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
    inputs = [number for name in of("number", "boolean", "datetime") for number in _parts(name, seen[name], normalize)]
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
    made = {column.name: column.reads for column in schema.columns if column.sql and column.name in fitted.all_columns}
    fitted = replace(fitted, made=made) if made else fitted
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
    found, held = [], dict[str, numeric.Values]()
    for number in parts:
        if number.column not in held:
            held = {number.column: numeric.Values(backend.to_pyarrow(sampled[number.column]).combine_chunks())}
        values = held[number.column]
        if seen[number.column].kind == "number" and number.part == "value":
            method = normalize.columns.get(number.column, normalize.numeric)
            known = values.plain[~values.gone]
            number = scaling.scaled(number, known, method, clip=normalize.clip, smooth=schema.forecast is None) if len(known) else number
        grid = np.quantile(numeric.encode(number, values).astype(np.float64), scaling.LEVELS)  # as the network sees it
        found.append(replace(number, grid=tuple(grid.tolist())))
    return tuple(found)


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
    tokens = [shown[key] for key in keys]
    return Category(name, tuple(tokens), tuple(lower(pa.array(tokens, pa.string())).to_pylist()))


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


def input_columns(table: ir.Table, fitted: Preprocessor, **kept: ir.Value) -> ir.Table:
    """The clean columns that `encoding.Encoder` reads, beside `kept` under names of their own (`__target__`)."""
    beside = [value.name(f"__{name}__") for name, value in kept.items()]
    return table.select(beside + [table[name] for name in fitted.all_columns])


def batches(backend: Backend, file: Path, fitted: Preprocessor, *, group: str | None, fold: str | None = None) -> pa.RecordBatchReader:
    """The inputs' columns of a stored table in its order, beside __target__ and, where asked, __group__ (as text) and __fold__."""
    table = read(backend, file)
    kept = {"target": table[fitted.target.column]}
    kept |= {"group": table[group].cast("string")} if group else {}
    kept |= {"fold": table[fold]} if fold and fold in table.columns else {}
    heavy = fitted.images or fitted.audios
    return backend.to_pyarrow_batches(input_columns(table, fitted, **kept), chunk_size=1_024 if heavy else BATCH)


def frozen_sql(schema: Schema, fitted: Preprocessor, *, plain: bool = False) -> str:
    """DuckDB SQL over a table `rows` of raw columns that gives the clean ones; `plain` as in `cleaning.clean`."""
    read = fitted.raw_columns
    needed = {c.name: RAW[c.raw] for c in schema.columns if c.name in read}
    built_in = ibis.to_sql(clean(ibis.table(needed, name="rows"), schema, plain=plain), dialect="duckdb")
    return staged(own_steps.over(built_in, schema, fitted.all_columns))
