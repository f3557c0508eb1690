"""What is wrong or unusual in the rows of a request, by row and in words.  The model package carries this file.

A row is refused where a value is missing or no value of its kind, and training had none like that: a network would answer as if
it were an average one.  It is flagged, and answered, where a category was never seen, or a number lies outside of what training had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data.fitted import Preprocessor

SHOWN = 40  # characters of a value in a message
KINDS = {"number": "a number", "boolean": "true or false", "datetime": "a time", "sequence": "a list of numbers"}


@dataclass
class Notes:
    """Of some rows, by place: why they are refused, and what is unusual in them."""

    refused: dict[int, list[str]] = field(default_factory=dict)
    flags: dict[int, list[str]] = field(default_factory=dict)

    def column(self, of: Mapping[int, list[str]], rows: int) -> np.ndarray:
        """(rows,) their texts, None where there is nothing to say."""
        found = np.full(rows, None, dtype=object)
        for at, texts in of.items():
            found[at] = "; ".join(texts)
        return found

    def refuse(self, places: Iterable[int], text: Any) -> None:
        _add(self.refused, places, text)

    def flag(self, places: Iterable[int], text: Any) -> None:
        _add(self.flags, places, text)


def _add(to: dict[int, list[str]], places: Iterable[int], text: Any) -> None:
    for at in places:
        to.setdefault(int(at), []).append(text(at) if callable(text) else text)


class Checker:
    """Looks at the rows of a request, by the schema and what train's columns held."""

    def __init__(self, files: Path, fitted: Preprocessor) -> None:
        schema = json.loads((files / "schema.json").read_text(encoding="utf-8"))
        self.schema = {column["name"]: column for column in schema["columns"]}
        self.tokens = {name: pa.array([*schema["missing"], *column["missing"], ""], pa.string()) for name, column in self.schema.items()}
        self.reference = json.loads((files / "reference.json").read_text(encoding="utf-8"))["columns"]
        # in a forecast all steps of a series stand together, and asking.py refuses what is no step
        self.columns = [] if fitted.forecast else [name for name in fitted.all_columns if name in self.reference]
        self.made = fitted.made
        lowered = {category.column for category in fitted.categories if category.keys}
        self.seen: dict[str, pa.Array] = {}
        for name, about in self.reference.items():
            if "values" in about:
                values = pa.array(list(about["values"]), pa.string())
                self.seen[name] = pc.utf8_lower(values) if name in lowered else values
        self.lowered = lowered

    def look(self, raw: pa.Table, clean: pa.RecordBatch, wrong: Mapping[str, np.ndarray], notes: Notes, *, first: int = 0) -> None:
        """Add what these rows say to `notes`.

        Args:
            raw: as the source has them, missing as null; clean: the same rows, cleaned.
            wrong: by column, (rows,) whether a value is none of the source's type; such values are null in `raw`.
            first: place of the first row.
        """
        for name in self.columns:
            about, column = self.reference[name], clean.column(name)
            if column.null_count and name in self.made:
                self._unmade(name, about, column, notes, first)
            elif column.null_count:
                self._missing(name, about, raw[name], column, wrong.get(name), notes, first)
            if about["kind"] == "number":
                self._range(name, about, column, notes, first)
            elif name in self.seen:
                self._category(name, about, column, notes, first)

    def _missing(
        self, name: str, about: Mapping[str, Any], raw: Any, clean: Any, wrong: np.ndarray | None, notes: Notes, first: int
    ) -> None:
        gone = np.flatnonzero(np.asarray(clean.is_null()))
        given = raw.combine_chunks() if isinstance(raw, pa.ChunkedArray) else raw
        there = np.asarray(given.is_valid())
        if pa.types.is_string(given.type):
            blank = pc.is_in(pc.utf8_trim_whitespace(given), value_set=self.tokens[name])
            there = there & ~np.asarray(pc.fill_null(blank, True))
        odd = there if wrong is None else there | wrong
        expected = KINDS.get(about["kind"], f"a {about['kind']}")

        def unread(at: int) -> str:
            value = given[int(at) - first].as_py()
            got = "" if value is None else f", got {str(value)[:SHOWN]!r}"
            return f"{name}: expected {expected}{got}"

        # where training met unreadable values it read them as missing, and this row is no other
        (notes.flag if about["unreadable"] else notes.refuse)(gone[odd[gone]] + first, unread)
        if not about["missing"]:
            notes.refuse(gone[~odd[gone]] + first, f"{name} is missing, which it never was in training")

    def _unmade(self, name: str, about: Mapping[str, Any], clean: Any, notes: Notes, first: int) -> None:
        """A column that a step of the user's own makes: what is missing may come from any of those that it is made of."""
        if not about["missing"]:
            gone = np.flatnonzero(np.asarray(clean.is_null()))
            notes.refuse(gone + first, f"{name} cannot be made of {', '.join(self.made[name])}, which it always could in training")

    def _range(self, name: str, about: Mapping[str, Any], clean: Any, notes: Notes, first: int) -> None:
        low, high = about["low"], about["high"]
        ends = pc.min_max(clean)
        if low is None or ends["min"].as_py() is None or (ends["min"].as_py() >= low and ends["max"].as_py() <= high):
            return
        values = np.asarray(clean.to_numpy(zero_copy_only=False), np.float64)
        beyond = np.flatnonzero((values < low) | (values > high))
        notes.flag(beyond + first, lambda at: f"{name} {values[at - first]:g} is outside of training's {low:g} to {high:g}")

    def _category(self, name: str, about: Mapping[str, Any], clean: Any, notes: Notes, first: int) -> None:
        texts = clean.cast(pa.string()) if not pa.types.is_string(clean.type) else clean
        known = pc.is_in(pc.utf8_lower(texts) if name in self.lowered else texts, value_set=self.seen[name], skip_nulls=True)
        new = np.flatnonzero(~np.asarray(known.fill_null(True)) & np.asarray(texts.is_valid()))
        what = "not in training" if about["distinct"] <= len(self.seen[name]) else "not among training's most frequent values"
        notes.flag(new + first, lambda at: f"{name} {texts[int(at) - first].as_py()[:SHOWN]!r} is {what}")
