"""Other units: a factor or a scale of temperature between a number column's values before and now."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pipeline.monitoring.drift import Floats
from pipeline.monitoring.wording import listed

FEWEST = 20  # rows or values, of fewer no factor is looked for
LEVEL = 0.1  # the least distance that may count as drift, see alarms.calibrate
_LEFT = 0.1  # the share of the distance that may be left when a fault is undone
_MOST = 10_000  # rows of a window whose values are compared, evenly spaced
# units that are confused: the factor from the first to the second
UNITS: tuple[tuple[float, str, str], ...] = (
    (1.609344, "miles", "kilometres"),
    (2.204623, "kilograms", "pounds"),
    (2.54, "inches", "centimetres"),
    (3.28084, "metres", "feet"),
    (3.6, "metres per second", "kilometres per hour"),
    (4.184, "kilocalories", "kilojoules"),
    (7, "weeks", "days"),
    (10, "centimetres", "millimetres"),
    (12, "years", "months"),
    (18.016, "mmol/l of glucose", "mg/dl of glucose"),
    (24, "days", "hours"),
    (25.4, "inches", "millimetres"),
    (39.37008, "metres", "inches"),
    (60, "minutes", "seconds"),
    (100, "shares, metres or euros", "percent, centimetres or cents"),
    (365.25, "years", "days"),
    (453.5924, "pounds", "grams"),
    (1000, "thousands, kilograms or seconds", "single ones, grams or milliseconds"),
    (1440, "days", "minutes"),
    (3600, "hours", "seconds"),
    (86_400, "days", "seconds"),
    (1e6, "seconds", "microseconds"),
    (1e9, "seconds", "nanoseconds"),
)
# scales of temperature, as (factor, offset) from the first to the second
SCALES: tuple[tuple[float, float, str, str], ...] = (
    (1.8, 32.0, "Celsius", "Fahrenheit"),
    (1.0, 273.15, "Celsius", "Kelvin"),
    (1.8, -459.67, "Kelvin", "Fahrenheit"),
)


def change_of_unit(name: str, old: Floats, now: Floats) -> str | None:
    """Returns a sentence about the factor or the scale of temperature that, undone, brings a window back to the reference.

    None where there is none.  old: (N,) and now: (n,), both without NaN and not empty.

    The factor is the ratio of the medians.  A population's values may well double, so a factor counts only where it is
    larger than three (or, if it is none of UNITS, four) standard deviations of the values' logarithms, robustly estimated.
    """
    noise = 1 / math.sqrt(min(len(old), len(now)))
    best: tuple[float, str] = (math.inf, "")
    if old.std() == 0 or now.std() == 0:
        return None
    apart = distance(old, now)
    for slope, offset, cold, hot in SCALES if apart >= 3 else ():
        for undone, words in (((now - offset) / slope, f"{cold} to {hot}"), (now * slope + offset, f"{hot} to {cold}")):
            left = distance(old, undone)
            if left <= min(_LEFT / 2 * apart + noise, 0.3):
                best = min(best, (left, f"{name} lies on another scale, as from {words}"))
    x, y = (np.log(old), np.log(now)) if old.min() > 0 and now.min() > 0 else (old, now)  # no long tail distorts logarithms
    for factor, words, known in _factors(old, now):
        was, left = distance(x, y), distance(x, y / factor if y is now else y - math.log(factor))
        if was >= 5 * noise and left <= min(_LEFT * was, 3 * LEVEL if known else LEVEL) + noise:
            times = f"{_round(factor)} times" if factor > 1 else f"1/{_round(1 / factor)} of"
            best = min(best, (left, f"{name} is about {times} the usual values{words}"))
    return best[1] or None


def _factors(old: Floats, now: Floats) -> Iterator[tuple[float, str, bool]]:
    """The factor between two samples with its words, a known one where just one is near; none where it may be natural."""
    x, y = np.abs(old[old != 0]), np.abs(now[now != 0])
    if min(len(x), len(y)) < FEWEST:
        return
    deviation = max(float(np.subtract(*np.quantile(np.log(x), [0.75, 0.25]))) / 1.349, 0.05)
    size = float(np.median(np.log(y)) - np.median(np.log(x)))
    error = min(max(4 * deviation / math.sqrt(min(len(x), len(y))), 0.02), 0.15)
    near = [
        (factor**sign, f", as from {listed((first, second)[::sign], 'to')}")
        for factor, first, second in UNITS
        for sign in (1, -1)
        if abs(size - sign * math.log(factor)) <= error
    ]
    if len(near) == 1 and abs(size) >= max(3 * deviation, 0.4):
        yield *near[0], True
    elif abs(size) >= max(4 * deviation, 0.7):
        yield math.exp(size), "", False


def distance(old: Floats, now: Floats) -> float:
    """The Wasserstein-1 distance in deviations of the reference, by 1,000 quantiles (drift.statistic to a few percent, and fast)."""
    return float(np.abs(_quantiles(old) - _quantiles(now)).mean()) / max(float(old.std()), 0.001)


def _quantiles(values: Floats) -> Floats:
    places = (np.arange(1000) + 0.5) / 1000 * len(values) - 0.5
    return np.interp(places, np.arange(len(values)), np.sort(values))


def thinned(values: Floats) -> Floats:
    """At most 10,000 of a window's values, evenly spaced."""
    return values[:: max(-(-len(values) // _MOST), 1)]


def _round(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 100 else f"{factor:.3g}"
