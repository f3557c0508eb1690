"""One clean column in numbers and warnings, from a sample of its values."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data.histogram import histogram, numeric, shown
from pipeline.data.oddities import like_an_id, of_categories, of_numbers, of_values
from pipeline.data.schema import Column

TOP = 8
EXAMPLES = 3
THUMBNAILS = 6
PIXELS = 56
MOSTLY_MISSING = 0.5


def describe(values: pa.Array, column: Column, *, missing: int, rows: int, ends: Mapping[str, Any], out_of_range: int) -> dict[str, Any]:
    """What reports/clean tells of a column.

    Args:
        values: a sample of the clean column.
        missing: missing values among all `rows` rows.
        ends: smallest and largest value of all rows, where the kind has an order.
        out_of_range: raw values outside the range that params give.
    """
    there = values.drop_null()
    found: dict[str, Any] = {"missing": missing}
    if column.unreadable:
        found["unreadable"] = column.unreadable
    if out_of_range:
        found["out_of_range"] = out_of_range
    warnings = list(column.notes)
    if rows and missing / rows > MOSTLY_MISSING:
        warnings.append(f"{100 * missing / rows:.0f}% missing")
    if out_of_range:
        warnings.append(f"{out_of_range:,} values outside the range set in clean.ranges")
    if len(there):
        if column.kind in ("image", "audio"):
            found |= _files(there, column.kind)
        elif column.kind == "sequence":
            found |= _lengths(there)
        else:
            found |= _values(there, column.kind, ends)
            warnings += of_values(there, column, found)
            if column.kind == "number":
                warnings += of_numbers(there, column, ends)
            elif column.kind == "category":
                warnings += of_categories(there, column)
            found["id_like"] = like_an_id(there, column, found)
            if found["id_like"]:
                warnings.append(f"nearly every value differs ({found['distinct']:,} in {len(there):,}): looks like an id")
    return {key: value for key, value in (found | {"warnings": warnings}).items() if value is not False and value != []}


def _values(there: pa.Array, kind: str, ends: Mapping[str, Any]) -> dict[str, Any]:
    counts = there.value_counts()
    found: dict[str, Any] = {"distinct": len(counts)}
    if kind in ("number", "datetime"):
        found |= {end: shown(value) for end, value in ends.items()}
        found["histogram"] = histogram(numeric(there))
        if kind == "number":
            found["median"] = shown(float(np.median(numeric(there))))
    if kind in ("category", "boolean") or len(counts) <= TOP:
        table = pa.table({"value": counts.field("values"), "rows": counts.field("counts")})
        first = pc.sort_indices(table, sort_keys=[("rows", "descending"), ("value", "ascending")])[:TOP]
        found["top"] = [[shown(row["value"]), row["rows"]] for row in table.take(first).to_pylist()]
    if kind == "text":
        lengths = pc.utf8_length(there).to_numpy(zero_copy_only=False)
        found |= {
            "histogram": histogram(lengths.astype(float)) | {"of": "characters"},
            "characters": [int(lengths.min()), int(np.median(lengths)), int(lengths.max())],
        }
    found["examples"] = [shown(value) for value in there.slice(0, EXAMPLES).to_pylist()]
    return found


def _files(there: pa.Array, kind: str) -> dict[str, Any]:
    """Sizes of the first files and, for pictures, a few small ones."""
    from pipeline.data.media import decode_audio, decode_image

    sizes = pc.binary_length(there).to_numpy(zero_copy_only=False)
    found: dict[str, Any] = {"bytes": [int(sizes.min()), int(np.median(sizes)), int(sizes.max())], "looked_at": len(there)}
    files = there.slice(0, 50).to_pylist()
    if kind == "audio":
        seconds = [len(wave) / rate for wave, rate in map(decode_audio, files)]
        return found | {"seconds": [shown(float(edge)) for edge in np.quantile(seconds, [0, 0.5, 1])]}
    pictures = [decode_image(data) for data in files]
    shapes = sorted({f"{p.shape[1]} x {p.shape[0]} x {p.shape[2]}" for p in pictures})
    return found | {"pixels": shapes[:5], "thumbnails": [_thumbnail(picture) for picture in pictures[:THUMBNAILS]]}


def _thumbnail(picture: np.ndarray) -> str:
    """A small PNG of a picture, as base64."""
    from PIL import Image

    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture[..., :3])
    image.thumbnail((PIXELS, PIXELS))
    out = io.BytesIO()
    image.save(out, "png", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def _lengths(there: pa.Array) -> dict[str, Any]:
    lengths = pc.list_value_length(there).to_numpy(zero_copy_only=False).astype(float)
    return {
        "steps": [int(edge) for edge in (lengths.min(), np.median(lengths), lengths.max())],
        "histogram": histogram(lengths) | {"of": "steps"},
    }
