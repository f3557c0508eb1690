"""A look at a sample: which kinds and forms its text columns leave open.

The sample is the first stored rows, which do not depend on the order of the source.  It only excludes: a form that few of
its values fit is not tried on all rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import DataParams
from pipeline.data import forms
from pipeline.data.cleaning import present
from pipeline.data.engine import totals
from pipeline.data.reading import FALSE, TRUE, full_match, number_pattern
from pipeline.data.schema import Column

SAMPLE = 20_000
ENOUGH = 1000  # values in the sample from which it may exclude a form
LOOKED_AT = 500  # texts whose shape is looked at one by one
LIKELY = 0.9  # a form that fewer of the sample's values fit is out
EXACT_DIGITS = 17  # float64 does not tell all whole numbers of so many digits apart
WORDS = ("category", "text", "id", "ignore")  # kinds that any text is


@dataclass(frozen=True)
class Look:
    """What a sample shows of each text column: how many values there are, how many read as what, and some of its texts."""

    rows: int
    counts: Mapping[str, Any]
    texts: Mapping[str, Sequence[str]]

    def of(self, name: str, what: str) -> int:
        return int(self.counts.get(f"{what}:{name}") or 0)

    def may(self, name: str, count: int) -> bool:
        """Whether so many values of the sample leave a form open."""
        values = self.of(name, "values")
        share = LIKELY if values >= ENOUGH else 0.5 if values >= 20 or self.rows < SAMPLE else 0.0
        return count >= share * values

    def candidates(self, column: Column, data: DataParams) -> list[Column]:
        """The forms that the column's sample leaves open, or all of the kind that data.columns sets."""
        name, kind = column.name, data.columns.get(column.name)
        if kind in WORDS:
            return []
        texts, found = self.texts.get(name, ()), []
        likely = LIKELY if len(texts) >= 50 else 0.5
        numbers = forms.numbers(data.csv)
        if kind == "number" or (kind is None and self.may(name, self.of(name, "number"))):
            found += [replace(column, kind="number")] if forms.PLAIN in numbers or kind else []
            dots = self.of(name, "dots")
            if dots and dots == self.of(name, "groups"):  # 1.234 and the like alone: a thousands mark perhaps
                found += [replace(column, kind="number", decimal=d, thousands=t) for d, t in numbers if t == "."]
        if (
            kind == "number"
            or (kind is None and self.of(name, "digits") and not self.may(name, self.of(name, "number")))
            or forms.PLAIN not in numbers
        ):
            mark = forms.sign(texts)
            for decimal, thousands in numbers:
                form = replace(column, kind="number", decimal=decimal, thousands=thousands, format=mark)
                if form not in found and (mark or (decimal, thousands) != forms.PLAIN) and _shaped(texts, form, likely):
                    found.append(form)
        if kind == "boolean" or (kind is None and self.may(name, self.of(name, "boolean"))):
            found.append(replace(column, kind="boolean"))
        if kind == "datetime" or (kind is None and not self.may(name, self.of(name, "number"))):
            shapes = forms.dates(texts, share=0.0001 if kind else likely)
            shapes = shapes or ([None] if kind or not self.of(name, "values") else [])
            found += [replace(column, kind="datetime", format=form) for form in shapes]
        return found


def _shaped(texts: Sequence[str], form: Column, share: float) -> bool:
    shape = re.compile(number_pattern(form.decimal, form.thousands))
    bare = [text.replace(form.format, "").strip() if form.format else text for text in texts]
    return bool(texts) and sum(shape.fullmatch(text) is not None for text in bare) >= share * len(texts)


def look(backend: Backend, some: ir.Table, raws: Mapping[str, Column], data: DataParams) -> Look:
    texts = [name for name, column in raws.items() if column.raw == "text" and data.columns.get(name) not in WORDS]
    told = [present(some[name], raws[name], data.missing).name(name) for name in texts]
    with some.select(told or [ibis.literal(1).name("none")]).cache() as words:  # read once: the rest asks much of them
        first: dict[str, ir.Value] = {"rows": words.count()}
        for name in texts:
            value = words[name]
            numeric = value.try_cast("float64")
            first |= {f"values:{name}": value.count(), f"number:{name}": numeric.count()}
            first[f"boolean:{name}"] = value.lower().isin(TRUE + FALSE).sum()
            first[f"digits:{name}"] = value.re_search("[0-9]").sum()
        counts = totals(backend, words, first)
        second: dict[str, ir.Value] = {}
        for name in (name for name in texts if counts[f"number:{name}"]):
            value = words[name]
            second[f"dots:{name}"] = value.contains(".").sum()
            second[f"groups:{name}"] = full_match(value, r"[+-]?[1-9][0-9]{0,2}([.][0-9]{3})+").sum()
            second[f"zeros:{name}"] = full_match(value, r"0[0-9]+").sum()
            second[f"long:{name}"] = full_match(value, rf"[0-9]{{{EXACT_DIGITS},}}").sum()
            second[f"under:{name}"] = value.contains("_").sum()
            second |= {f"shortest:{name}": value.length().min(), f"longest:{name}": value.length().max()}
        counts |= totals(backend, words, second)
        looked = [name for name in texts if counts[f"digits:{name}"]]
        shown = {}
        for name in looked:
            column = words.select(v=words[name]).filter(ibis._.v.notnull()).limit(LOOKED_AT)
            shown[name] = backend.to_pyarrow(column)["v"].to_pylist()
        return Look(counts["rows"], counts, shown)
