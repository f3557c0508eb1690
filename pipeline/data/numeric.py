"""The numbers that a clean column gives a network: its value, whether it is missing, the day, the place in year, week and day.

The model package carries this file: what trained a network and what serves it scale by the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipeline.data.fitted import Number, Part

CYCLES: Mapping[str, tuple[int, int]] = {"month": (12, 1), "weekday": (7, 0), "hour": (24, 0)}  # length and first value
BOUND = 1e15  # what is scaled beyond it says nothing more, and its square would overflow
SINGLE = 1e38  # what single precision holds


class Values:
    """What a clean column of numbers, booleans or dates holds; each part of it is worked out once.

    `plain` (rows,) is float64, missing NaN, or datetime64 in microseconds, missing NaT.
    """

    def __init__(self, column: pa.Array) -> None:
        kind = pa.timestamp("us") if pa.types.is_timestamp(column.type) else pa.float64()
        self.plain: np.ndarray = column.cast(kind).to_numpy(zero_copy_only=False)
        self.places: dict[str, np.ndarray] = {}

    @cached_property
    def gone(self) -> np.ndarray:
        return np.isnat(self.plain) if self.plain.dtype.kind == "M" else np.isnan(self.plain)

    def part(self, name: Part) -> np.ndarray:
        """One part (rows,) float64, missing where the value is, but for the part missing itself.

        Weekdays count from Monday, days from 1970.
        """
        if name == "value":
            return self.plain
        if name == "missing":
            return self.gone.astype(np.float64)
        if name == "days":
            return np.where(self.gone, np.nan, self.plain.astype("datetime64[s]").astype(np.int64) / 86400.0)
        field, _, wave = name.partition(" ")
        length, first = CYCLES[field]
        steps = np.append(np.arange(float(length)), np.nan)  # all that the part can be, and missing
        turn = steps * (2 * math.pi / length)
        table = steps + first if not wave else np.sin(turn) if wave == "sine" else np.cos(turn)
        return table[self._place(field)]

    def _place(self, field: str) -> np.ndarray:
        """The whole months, weekdays or hours since the cycle began; its length where the date is missing."""
        if field not in self.places:
            unit, shift = {"month": ("M", 0), "weekday": ("D", 3), "hour": ("h", 0)}[field]  # 1970 began on a Thursday
            length = CYCLES[field][0]
            steps = _months(self.plain) if unit == "M" else self.plain.astype(f"datetime64[{unit}]").astype(np.int64)
            self.places[field] = np.where(self.gone, length, (steps + shift) % length)
        return self.places[field]


def _months(dates: np.ndarray) -> np.ndarray:
    """The months since 1970 of dates; a calendar of all days between them is quicker than one question a date."""
    days = dates.astype("datetime64[D]").astype(np.int64)
    known = days[~np.isnat(dates)]
    first, last = (int(known.min()), int(known.max())) if len(known) else (0, 0)
    if last - first > len(days):
        return dates.astype("datetime64[M]").astype(np.int64)
    calendar = np.arange(first, last + 1).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return calendar[np.clip(days - first, 0, last - first)]


def encode(number: Number, values: Values) -> np.ndarray:
    """One input number (rows,) float32, never NaN, from the values of its column."""
    z = values.part(number.part)
    if number.part == "missing":
        return z.astype(np.float32)
    if number.low is not None and number.high is not None:
        z = np.clip(z, number.low, number.high)
    if number.knots:  # by rank, as a standard normal's quantile
        z = np.interp(z, number.knots, number.ranks)
    elif number.log:
        z = np.copysign(np.log1p(np.abs(z) / number.log), z)
    with np.errstate(over="ignore"):
        if number.center or number.scale != 1.0:
            z = (z - number.center) / number.scale
    if number.smooth_clip:  # RealMLP (Holzmueller et al. 2024, section 3): bounded by 3, close to the identity within 1
        z = np.minimum(np.maximum(z, -BOUND), BOUND)
        z = z / np.sqrt(1.0 + np.square(z / 3.0))
    elif number.part == "value":
        z = np.minimum(np.maximum(z, -SINGLE), SINGLE)
    found = z.astype(np.float32)
    found[values.gone] = 0.0
    return found
