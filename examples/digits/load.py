"""Handwritten digits: 1,797 pictures of 8 x 8 pixels, carried by scikit-learn (UCI, Alpaydin & Kaynak 1998)."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image


def load() -> pa.Table:
    """One row a picture: the bytes of a PNG file, and the digit."""
    # by path: importing scikit-learn takes a second
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    rows = np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", delimiter=",", dtype=np.uint8)
    pixels = (rows[:, :64].astype(np.uint16) * 255 // 16).astype(np.uint8).reshape(-1, 8, 8)  # the source counts ink from 0 to 16
    return pa.table({"image": pa.array([png(picture) for picture in pixels], pa.binary()), "digit": [str(digit) for digit in rows[:, 64]]})


def png(picture: np.ndarray) -> bytes:
    """The bytes of a PNG file, which keeps every pixel."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
