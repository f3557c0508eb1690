"""The pictures of evaluate that the page holds as they are, small enough for one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.wording import capital

LARGE = 260_000  # bytes of a picture from which it is made smaller
WIDE = 1200  # pixels
ROOM = 1_500_000  # bytes of all pictures together; the rest is linked
NAMES = {"roc": "ROC", "precision_recall": "Precision and recall"}


@dataclass(frozen=True)
class Picture:
    """A picture as base64; without `data` it is a link alone."""

    name: str
    href: str
    data: str = ""
    photo: bool = False


def pictures(folder: Path, names: Iterable[str], href: str, photos: Collection[str] = ()) -> list[Picture]:
    """Those of the named PNG files that are there, the first ones within ROOM; `photos` show inputs, and are not turned dark."""
    held, made = 0, []
    for name in names:
        file = folder / f"{name}.png"
        if not file.exists():
            continue
        data = smaller(file.read_bytes())
        fits = held + len(data) <= ROOM
        held += len(data) if fits else 0
        shown = base64.b64encode(data).decode() if fits else ""
        made.append(Picture(NAMES.get(name, capital(name.replace("_", " "))), f"{href}/{file.name}", shown, name in photos))
    return made


def smaller(data: bytes) -> bytes:
    """A large PNG with at most WIDE pixels across and a palette, where that is smaller."""
    if len(data) <= LARGE:
        return data
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        drawn = image.convert("RGB")
        if drawn.width > WIDE:
            drawn = drawn.resize((WIDE, round(drawn.height * WIDE / drawn.width)), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        drawn.quantize(256).save(out, "PNG", optimize=True)
    return min(data, out.getvalue(), key=len)
