"""Identities: numbers that make the target up, as sums, differences, products or quotients."""

from __future__ import annotations

from collections.abc import Iterator

import ibis.expr.types as ir
import numpy as np
from ibis.backends.duckdb import Backend

from pipeline.data.engine import sample
from pipeline.data.leakage.finding import Finding
from pipeline.data.schema import Schema

ROWS = 4096
COLUMNS = 100
EXACT = 1e-6  # share of the target's variance that an identity may leave to rounding
LEFT = 1e-3  # and one that noise was added to; what is measured and not made up leaves more
COUNTS = 3e-2  # a column whose part in it is smaller, in spreads of the target, takes no part
AGAIN = 0.999  # share from which a column is the target itself, and needs no other
TERMS = 8
FEWEST = 50
PRESENT = 0.2  # share of the rows with all its columns, from which an identity is looked at


def identities(backend: Backend, train: ir.Table, schema: Schema, given: dict[str, float]) -> list[Finding]:
    """Columns whose weighted sum, or product of powers, is the target in the rows that have them all, but for a little noise."""
    again = [name for name, share in given.items() if share >= AGAIN]
    names = [c.name for c in schema.columns if c.kind == "number" and c.name not in (*schema.targets, *again)][:COLUMNS]
    if len(names) < 2:
        return []
    rows = backend.to_pyarrow(sample(train.filter(train[schema.target].notnull()), ROWS).select(schema.target, *names))
    frame = np.column_stack([np.asarray(column.cast("float64").fill_null(np.nan)) for column in rows.columns])
    frame[~np.isfinite(frame)] = np.nan
    y, x = frame[:, 0], frame[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs, log = np.log(np.abs(x)), np.log(np.abs(y))
    logs[~np.isfinite(logs)], log[~np.isfinite(log)] = np.nan, np.nan  # nothing is a power of 0
    for form, target, columns, original in (("weighted sum", y, x, None), ("product or quotient", log, logs, y)):
        kept = np.isfinite(target)
        found = min(
            (checked for part in _candidates(target[kept], columns[kept]) if (checked := _checked(target, columns, part, original))),
            key=lambda pair: (len(pair[1]), pair[0]),
            default=None,
        )
        if found:
            return [_finding(form, found[0], [names[at] for at in found[1]], schema)]
    return []


def _candidates(y: np.ndarray, x: np.ndarray) -> Iterator[list[int]]:
    """Sets of columns that may make `y` up: pairs, then steps of orthogonal matching pursuit; all by moments of the rows that have both."""
    with np.errstate(invalid="ignore"), _quiet():
        spread = np.nanstd(x, axis=0)
    usable = (
        np.flatnonzero((spread > 0) & (np.isfinite(x).mean(axis=0) >= PRESENT))
        if len(y) >= FEWEST and y.std() > 0
        else np.zeros(0, dtype=int)
    )
    if not len(usable):
        return
    scaled = (x[:, usable] - np.nanmean(x[:, usable], axis=0)) / spread[usable]
    there = np.isfinite(scaled).astype(float)
    scaled = np.where(there > 0, scaled, 0.0)
    y = (y - y.mean()) / y.std()
    rows = np.maximum(there.T @ there, 1.0)
    both, own = scaled.T @ scaled / rows, scaled.T @ y / np.maximum(there.sum(axis=0), 1.0)
    corr = both / np.sqrt(np.outer(np.diag(both), np.diag(both)))
    own = own / np.sqrt(np.diag(both))
    with np.errstate(divide="ignore", invalid="ignore"):  # R2 of each pair
        told = (own[:, None] ** 2 + own[None, :] ** 2 - 2 * own[:, None] * own[None, :] * corr) / (1 - corr**2)
    told = np.where(np.isfinite(told) & (np.abs(corr) < 1 - 1e-9), np.minimum(told, 2.0), -1.0)
    np.fill_diagonal(told, -1.0)
    for at in np.argsort(-np.triu(told, 1), axis=None)[: 3 * TERMS]:
        yield [int(usable[at // len(usable)]), int(usable[at % len(usable)])]
    chosen: list[int] = []
    for _ in range(min(TERMS, len(usable))):
        weights = np.linalg.lstsq(corr[np.ix_(chosen, chosen)], own[chosen], rcond=None)[0] if chosen else np.zeros(0)
        left = np.abs(own - corr[:, chosen] @ weights)
        left[chosen] = -1.0
        chosen.append(int(left.argmax()))
        yield [int(usable[at]) for at in chosen]
    yield [int(at) for at in usable]


def _checked(y: np.ndarray, x: np.ndarray, part: list[int], original: np.ndarray | None) -> tuple[float, list[int]] | None:
    """The share of variance that the columns leave in the rows that have them all, and which of them take part."""
    while len(part) > 1:
        kept = np.isfinite(x[:, part]).all(axis=1) & np.isfinite(y)
        if kept.sum() < max(FEWEST, 4 * len(part) + 20, PRESENT * len(y)):
            return None
        some, target = x[np.ix_(kept, part)], y[kept]
        weigh = (
            np.ones(len(target)) if original is None else np.abs(original[kept])
        )  # noise of one size is large in the log of a small number
        scale = some.std(axis=0)
        if not scale.all() or target.std() == 0:
            return None
        made = np.column_stack([(some - some.mean(axis=0)) / scale, np.ones(len(target))])
        weights = np.linalg.lstsq(made * weigh[:, None], target * weigh, rcond=None)[0]
        missed = target - made @ weights
        if original is not None:
            missed, target = np.abs(original[kept]) * -np.expm1(np.clip(-missed, -50, 50)), original[kept]
        left = float((missed**2).sum() / ((target - target.mean()) ** 2).sum()) if np.ptp(target) > 0 else 1.0
        if left > LEFT:
            return None
        counts = np.abs(weights[:-1]) > COUNTS * y[kept].std()
        if counts.all():
            return left, sorted(part)
        part = [at for at, takes_part in zip(part, counts, strict=True) if takes_part]
    return None


def _quiet():  # type: ignore[no-untyped-def]
    import warnings

    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)  # numpy's for a column without any value


def _finding(form: str, left: float, names: list[str], schema: Schema) -> Finding:
    exact = left <= EXACT
    how = "in every row looked at" if exact else f"but for {100 * left**0.5:.2g}% of its spread"
    title = f"{schema.target} is a {form} of {', '.join(names)} {how}, so they give it away together."
    ignored = ", ".join(f"{name}: ignore" for name in names)
    return Finding(
        "identity",
        "error" if exact else "warning",
        tuple(names),
        title,
        f"data: {{columns: {{{ignored}}}}}",
        {"left": float(f"{left:.2g}")},
    )
