"""The numbers that a column holds: its value, whether it is missing, the day, and the place in the year, week and day."""

from __future__ import annotations

import math
from collections.abc import Mapping

import ibis.expr.types as ir

from pipeline.data.fitted import Part

CYCLES: Mapping[str, tuple[int, int]] = {"month": (12, 1), "weekday": (7, 0), "hour": (24, 0)}  # length and first value


def part(column: ir.Column, name: Part) -> ir.Value:
    """One part of a column as float64; missing where the column is, but for the part missing itself."""
    if name == "value":
        return column.cast("float64")
    if name == "missing":
        return column.isnull().cast("float64")
    if name == "days":
        return column.epoch_seconds().cast("float64") / 86400.0
    field, _, wave = name.partition(" ")
    fields = {"month": lambda: column.month(), "weekday": lambda: column.day_of_week.index(), "hour": lambda: column.hour()}
    value = fields[field]().cast("float64")
    if not wave:
        return value
    length, first = CYCLES[field]
    angle = (value - float(first)) * (2 * math.pi / length)
    return angle.sin() if wave == "sine" else angle.cos()
