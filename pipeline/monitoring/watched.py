"""A model whose rows are watched, and its rows in windows, ready to be judged."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline import fresh, packaging
from pipeline.data import asking
from pipeline.data.fitted import Preprocessor
from pipeline.data.frozen import Frozen
from pipeline.errors import UserError
from pipeline.monitoring import embedding, windows
from pipeline.monitoring.breaks import Lost
from pipeline.monitoring.outcomes import of_labels
from pipeline.monitoring.reference import HEAVY_MOST, Reference
from pipeline.monitoring.windows import Window
from pipeline.packaging import Package

MOST, FEWEST = 100_000, 20_000  # rows of a window that are looked at: more say nothing new beside a reference of 10,000
VALUES = 10_000_000  # of a window, between the two
BLOCK = 65_536  # rows that are cleaned at once


@dataclass(frozen=True)
class Rows:
    """The rows of one window, ready to be judged.

    rows: how many came; refused: of those, not answered; lost: by column, values that are none of their column's type;
    unknown: labels that are none of the model's classes.  absent: columns of the model that did not come, which count as wholly
    missing; hidden: those that the log may not have.
    """

    window: Window
    rows: int
    refused: int = 0
    unknown: int = 0
    absent: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lost: Mapping[str, Lost] = field(default_factory=dict)

    @property
    def unread(self) -> int:
        """Values that came and could not be read."""
        return sum(one.rows for one in self.lost.values())


@dataclass(frozen=True)
class Pending:
    """A window that may be read: its name, bounds (ISO 8601, UTC), and what it would be made from."""

    name: str
    start: str | None
    end: str | None
    made_from: str
    load: Callable[[], Rows] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Watched:
    """A model whose rows are watched: its package, what it is compared with, and the parts of the package that read rows."""

    package: Package
    reference: Reference
    frozen: Frozen
    written: Mapping[str, Mapping[str, Any]]
    """How the source writes each column."""

    @classmethod
    def of(cls, package: Package, reference: Reference) -> Watched:
        files = package.folder / "artifacts" / "files"
        return cls(package, reference, Frozen(files), asking.formats(files))

    @property
    def fitted(self) -> Preprocessor:
        return self.frozen.fitted

    @property
    def most(self) -> int:
        """Rows of a window that are looked at: fewer of many columns, or where each has a picture, a sound, a text or a sequence."""
        light = max(FEWEST, min(MOST, VALUES // max(len(self.fitted.all_columns), 1)))
        return HEAVY_MOST * self.reference.every if embedding.worth(self.fitted) else light

    def rows(self, raw: pa.Table, answers: pa.Table, labels: pa.ChunkedArray | None, groups: pa.ChunkedArray | None) -> Rows:
        """Raw rows with their answers and labels, as a window; those that are refused have no prediction in it.

        Args:
            raw: `most` rows at most, the model's columns as the source has them, those that did not come left out; labels: texts
                or values, null where none is known; groups: (rows,) whose equal values belong together.

        Raises:
            UserError: the package does not read the rows.
        """
        raw, answer = _opened(raw, self.fitted), answers.to_pandas()
        outputs = packaging.outputs(self.fitted, answer)
        fine = packaging.answered(answer, outputs) & windows.finite(outputs)
        clean, lost = self.cleaned(raw)
        target, unknown = of_labels(labels, self.fitted, len(clean))
        clean[self.fitted.target.column] = target
        found = windows.window(clean, np.where(fine if outputs.ndim == 1 else fine[:, None], outputs, np.nan), self.fitted, group=None)
        if groups is not None:
            found = replace(found, groups=windows.codes(pd.Series(groups.to_pylist(), dtype=object)))
        if self.reference.components:
            try:
                columns = embedding.columns_of(self.package.folder, self.reference.components, raw, self.fitted)
            except fresh.PackageError as error:
                raise self.failed(error) from None
            found = windows.with_columns(found, columns)
        return Rows(found, len(raw), int((~fine).sum()), unknown, self.absent(raw.column_names), lost=lost)

    def cleaned(self, raw: pa.Table) -> tuple[pd.DataFrame, dict[str, Lost]]:
        """The clean columns of raw rows, those that did not come missing, and by column what came and could not be read."""
        there, parts = set(raw.column_names), []
        for at in range(0, len(raw), BLOCK):
            parts.append(self.frozen.cleaned(self.frozen.arrow(raw.slice(at, BLOCK), there, odd={})))
        clean = pa.Table.from_batches(parts or [self.frozen.cleaned(self.frozen.empty)]).to_pandas()
        return clean, self._lost(raw, clean)

    def _lost(self, raw: pa.Table, clean: pd.DataFrame) -> dict[str, Lost]:
        """By column of numbers or dates the values that came and are missing among the clean ones."""
        found = dict[str, Lost]()
        for name in raw.column_names:
            kind = self.written.get(name, {}).get("kind")
            if kind not in ("number", "datetime") or name not in clean or not (missing := clean[name].isna().to_numpy()).any():
                continue
            values = raw[name].filter(pa.array(missing)).to_pandas().dropna()
            texts = values.astype(str).str.strip()
            texts = texts[~texts.isin(["", *self.frozen.missing[name]])]
            if len(texts):
                found[name] = Lost(len(texts), _why(kind, texts.iloc[0]), texts.iloc[0])
        return found

    def absent(self, there: Collection[str]) -> tuple[str, ...]:
        """The model's columns that are not made of these raw ones alone."""
        return tuple(name for name in self.fitted.all_columns if not set(there).issuperset(self.fitted.raw_of((name,))))

    def failed(self, error: fresh.PackageError) -> UserError:
        """The error of the package's process, as a line."""
        return UserError(f"{self.package.folder}: the model's process failed: {(str(error).splitlines() or [''])[-1]}")


def _why(kind: str, example: str) -> str:
    if kind == "datetime":
        return "no date as the model's data write it"
    try:
        return "out of range" if math.isfinite(float(example)) else "no number"
    except ValueError:
        return "no number"


def _opened(raw: pa.Table, fitted: Preprocessor) -> pa.Table:
    """The rows with the bytes of pictures and sounds that came as base64 text, as in CSV and JSON; text that is none is missing."""
    for name in (*fitted.media["image"], *fitted.media["audio"]):
        if name in raw.column_names and (pa.types.is_string(raw[name].type) or pa.types.is_large_string(raw[name].type)):
            values = pa.array([_bytes(value) for value in raw[name].to_pylist()], pa.binary())
            raw = raw.set_column(raw.schema.get_field_index(name), name, values)
    return raw


def _bytes(value: str | None) -> bytes | None:
    try:
        return None if value is None else base64.b64decode("".join(value.split()), validate=True)
    except ValueError:
        return None
