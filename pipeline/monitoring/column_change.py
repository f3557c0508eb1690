"""What changed in one column, in words: its level and range, its shares, its new and gone categories, its missing values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import Floats, Kind
from pipeline.monitoring.wording import categories, days, figures, listed, named, numbers, percent, quoted, verb


@dataclass(frozen=True)
class Told:
    """A column's change: for the headline, and as a sentence."""

    short: str
    full: str


def tell_column(name: str, old: pd.Series, current: pd.Series | None, kind: Kind, *, date: bool = False) -> Told:
    """Returns what changed in a column; current None means that the window has no such column.

    Args:
        old: (N,) the reference's values and current: (n,) the window's; either may be empty or all missing.
        date: whether its numbers are days since 1970.
    """
    if current is None:
        return Told(*[f"{name} is not in the data"] * 2)
    before, after = (float(part.isna().mean()) if len(part) else 0.0 for part in (old, current))
    lacking = f"{name} is missing in {percent(after)} of rows ({percent(before)} before)"
    if after == 1 or not len(current):
        return Told(f"{name} is missing in all rows", lacking)
    if before == 1 or not len(old):
        return Told(*[f"{name} is filled in {percent(1 - after)} of rows (never before)"] * 2)
    found = _tell_number(name, numbers(old), numbers(current), date=date) if kind == "number" else _tell_category(name, old, current)
    if abs(after - before) >= 0.05 and kind == "number":
        return (
            Told(found.short, f"{found.full}; missing in {percent(after)} of rows ({percent(before)} before)")
            if found
            else Told(lacking, lacking)
        )
    return found or Told(*[f"{name} changed a little"] * 2)


def _tell_number(name: str, old: Floats, now: Floats, *, date: bool) -> Told | None:
    x, y = old[~np.isnan(old)], now[~np.isnan(now)]
    if not len(x) or not len(y):
        return None
    if y.min() == y.max() and len(y) > 1:
        only = (days if date else figures)(float(y[0]))[0]
        return Told(*[f"{name} is always {only} (was {_span(x, date=date)})"] * 2) if x.min() < x.max() or x[0] != y[0] else None
    if not date and set(np.unique(x[:1000])) | set(np.unique(y[:1000])) <= {0.0, 1.0}:
        a, b = float(x.mean()), float(y.mean())
        return Told(f"{name} {verb(a, b)} from {percent(a)} to {percent(b)}", f"{name} is 1 in {percent(b)} of rows ({percent(a)} before)")
    (a0, a, a1), (b0, b, b1) = (np.quantile(part, [0.05, 0.5, 0.95]).tolist() for part in (x, y))
    middle = "median"
    if abs(b - a) < 0.05 * (max(a1, b1) - min(a0, b0)):
        a, b, middle = float(x.mean()), float(y.mean()), "mean"
    narrow = min((width for width in (a1 - a0, b1 - b0) if width > 0), default=0.0)
    texts = days(a0, a, a1, b0, b, b1) if date else figures(a0, a, a1, b0, b, b1, spread=narrow)
    at0, at, at1, to0, to, to1 = texts
    outside = float(((y < x.min()) | (y > x.max())).mean())
    beyond = f", {percent(outside)} of them outside all earlier values" if outside >= 0.01 else ""
    full = f"{middle} {to}, usually {to0} to {to1} ({at} before, {at0} to {at1}){beyond}"
    if (at0, at, at1) == (to0, to, to1) and not beyond:
        return None
    if at == to:
        wider = "wider" if b1 - b0 > a1 - a0 else "narrower"
        return Told(f"{name} is spread {wider}, {to0} to {to1} ({at0} to {at1} before)", f"{name} is spread {wider}: {full}")
    goes = "moves" if date else verb(a, b)
    return Told(f"{name} {goes} from {at} to {to}", f"{name} {goes}: {full}")


def _tell_category(name: str, old: pd.Series, now: pd.Series) -> Told | None:
    x, y = (categories(part).fillna("missing").value_counts(normalize=True) for part in (old, now))
    if len(y) == 1 and len(now) > 1 and (len(x) > 1 or x.index[0] != y.index[0]):
        usual = sorted((label for label in x.index if x[label] >= 0.01), key=_natural)
        was = listed([quoted(label) for label in usual], "or") if 0 < len(usual) <= 5 else f"one of {len(x):,} categories"
        return Told(*[f"{name} is always {quoted(y.index[0])} (was {was})"] * 2)
    shares = pd.DataFrame({"before": x, "now": y}).fillna(0.0)
    shares = shares.assign(size=-(shares["now"] - shares["before"]).abs(), label=shares.index).sort_values(["size", "label"])
    first = shares.iloc[0]
    if first["size"] == 0:
        return None
    label = quoted(first["label"])
    short = f"{name} {label} {verb(first['before'], first['now'])} from {percent(first['before'])} to {percent(first['now'])}"
    if first["before"] == 0:
        short = f"{name} is {label} in {percent(first['now'])} of rows (never before)"
    top = shares[shares["size"] <= -0.01].iloc[:3]
    parts = [f"{quoted(row.label)} in {percent(row.now)} of rows ({percent(row.before)} before)" for row in top.itertuples()]
    new = [quoted(row.label) for row in shares.itertuples() if row.before == 0 and row.label not in top.index]
    gone = [quoted(row.label) for row in shares.itertuples() if row.now == 0 and row.before >= 0.01 and row.label not in top.index]
    parts += ([f"new: {named(new)}"] if new else []) + ([f"gone: {named(gone)}"] if gone else [])
    return Told(short, f"{name}: {', '.join(parts)}" if parts else short)


def _span(values: Floats, *, date: bool) -> str:
    low, high = np.quantile(values, [0.05, 0.95])
    if low == high:
        low, high = values.min(), values.max()
    low_text, high_text = (days if date else figures)(float(low), float(high))
    return f"always {low_text}" if low == high else f"{low_text} {'or' if len(np.unique(values)) == 2 else 'to'} {high_text}"


def _natural(label: str) -> tuple[float, str]:
    """Labels in the order of the number they begin with."""
    number = re.match(r"-?\d+(\.\d+)?", label)
    return (float(number.group()) if number else math.inf, label)
