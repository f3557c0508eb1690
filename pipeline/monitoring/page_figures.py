"""The figures of the monitoring's page, as places that its template draws: the timeline, the strips and a column's picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from pipeline.data.quality_page import number
from pipeline.evaluation.wording import shown, word
from pipeline.monitoring.wording import days

Known = dict[str, Any]

TIGHT = 12  # windows beyond which the timeline's words stand upright
HEIGHT, EDGE = 150, 10  # of the metric's panel, in pixels
BAR, TALL = 12, 56  # width of a bin and height of a histogram
CUT = 160  # characters of a name
MEANT = {"performance": "measured", "estimate": "estimated"}
LEAST = 1e-9  # a share below which no row stands, but an error of rounding
BESIDE = {"outside": "others", "missing": "missing"}  # of a picture's shares, those in none of its bins


def cut(text: Any, most: int = CUT) -> str:
    """A text, cut where it is very long; a dash for None."""
    text = "–" if text is None else str(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def end(name: Any, most: int = 11) -> str:
    """The end of a name, which is what differs between windows."""
    name = cut(name)
    return name if len(name) <= most else "…" + name[1 - most :]


def few(rows: Any) -> str:
    """A number of rows in at most six characters."""
    if not isinstance(rows, int) or rows < 100_000:
        return number(rows)
    return f"{rows / 1e6:.3g}M" if rows >= 999_500 else f"{rows / 1e3:.0f}k"


def day(moment: str | None) -> str:
    """2012-01-02 of an ISO moment at midnight, 2012-01-02 13:00 of any other, nothing of None."""
    moment = str(moment or "")
    return moment[:10] if "T00:00" in moment else moment[:16].replace("T", " ")


def interval(found: Known | None, metric: str | None) -> str:
    """0.707 [0.660, 0.750], without the brackets where no interval is known."""
    if not found or found["value"] is None:
        return "–"
    ends = [found["low"], found["high"]]
    shape = [shown(metric or "", value) for value in [found["value"], *(end for end in ends if end is not None)]]
    return f"{shape[0]} [{shape[1]}, {shape[2]}]" if len(shape) == 3 else shape[0]


def timeline(windows: Sequence[Known], controls: int, reference: Known | None, told: Iterable[int]) -> Known | None:
    """Places of the timeline's marks: across in percent, down in pixels; None without windows."""
    if not windows:
        return None
    told = set(told)
    metric = (reference or {}).get("metric") or next((p["metric"] for w in windows if (p := w["performance"] or w["estimate"])), None)
    points = {key: [w[key] if w[key] and w[key]["metric"] == metric else None for w in windows] for key in ("performance", "estimate")}
    drawn = [point for point in [reference, *points["performance"], *points["estimate"]] if point and point["value"] is not None]
    scale = Scale(drawn, HEIGHT - EDGE, EDGE) if drawn else None
    tight, each = len(windows) > TIGHT, 100 / len(windows)
    marks = []
    for place, window in enumerate(windows):
        lines = {key: scale.line(points[key][place]) for key in points} if scale else dict.fromkeys(points)
        values = [f"{name} {word(metric)} {interval(points[key][place], metric)}" for key, name in MEANT.items() if lines[key] and metric]
        says = "; ".join([cut(window["window"]), window["state"], f"{number(window['rows'])} rows", *values])
        href = f"#w{window['at']}" if window["at"] in told else window["report"]
        mark = {
            "left": place * each,
            "centre": (place + 0.5) * each,
            "rows": few(window["rows"]),
            "label": day(window["start"]) or end(window["window"]),
        }
        marks.append({"window": window, "says": says, "href": href, **mark, **lines})
    return {
        "marks": marks,
        "each": each,
        "tight": tight,
        "metric": metric,
        "panel": HEIGHT if scale else 0,
        "band": scale.line(reference) if scale else None,
        "ticks": scale.ticks() if scale else [],
        "alarm": any(window["alarm"] for window in windows),
        "border": controls * each if 0 < controls < len(windows) else None,
        "controls": controls,
        **{key: any(mark[key] for mark in marks) for key in points},
    }


class Scale:
    """From values with intervals to places between two ends; an interval that is far wider than the values is cut.

    Args:
        points: mappings with value, low and high; at least one, every value known.
    """

    def __init__(self, points: Sequence[Known], low: float, high: float) -> None:
        values = [point["value"] for point in points]
        ends = [end for point in points for end in (point["low"], point["high"]) if end is not None]
        widths = [point["high"] - point["low"] for point in points if None not in (point["low"], point["high"])]
        room = 2 * max(max(values) - min(values), median(widths or [0.0])) or math.inf  # one noisy window shall not flatten all others
        self.least = max(min([*values, *ends]), min(values) - room)
        self.most = min(max([*values, *ends]), max(values) + room)
        if self.least == self.most:
            self.least, self.most = self.least - (abs(self.least) / 10 or 1), self.most + (abs(self.most) / 10 or 1)
        self.low, self.high = low, high

    def at(self, value: float) -> float:
        """Where a value lies, within the ends."""
        share = (min(max(value, self.least), self.most) - self.least) / (self.most - self.least)
        return round(self.low + share * (self.high - self.low), 1)

    def line(self, point: Known | None) -> tuple[float, float, float] | None:
        """Where value, low and high lie; an end that is not known lies at the value."""
        if not point or point["value"] is None:
            return None
        value, low, high = (point["value"] if point[key] is None else point[key] for key in ("value", "low", "high"))
        return self.at(value), self.at(low), self.at(high)

    def ticks(self) -> list[tuple[float, str]]:
        """Two to eight round values within the scale: where each lies, and its text."""
        rough = (self.most - self.least) / 3
        power = 10.0 ** math.floor(math.log10(rough))
        step = max(power * by for by in (1, 2, 5) if power * by <= rough * 1.001)
        first, last = math.ceil(self.least / step - 1e-9), math.floor(self.most / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [
            (self.at(n * step), f"{n * step + 0.0:,.{digits}f}" if self.most < 1e6 else f"{n * step:.3g}") for n in range(first, last + 1)
        ]


def strip(window: Known, reference: Known | None) -> Known | None:
    """Test, measured and estimated metric of a window on one scale from 0 to 100; None where there is neither of the last two."""
    metric = next((w["metric"] for w in (window["performance"], window["estimate"]) if w and w["metric"]), None)
    named = [("test", reference), ("measured", window["performance"]), ("estimated", window["estimate"])]
    rows = [(name, point) for name, point in named if point and point["metric"] == metric and point["value"] is not None]
    if metric is None or not [name for name, _ in rows if name != "test"]:
        return None
    scale = Scale([point for _, point in rows], 2, 98)
    return {"metric": metric, "rows": [(name, scale.line(point), interval(point, metric)) for name, point in rows]}


def rise(decay: Known | None) -> Known | None:
    """How far the loss rises, in percent of the reference's where that is above 0, with its place on a scale that holds 0."""
    if not decay or decay["difference"] is None:
        return None
    base = decay["reference_loss"] or 0.0
    by = 1 / base if base > 0 else 1.0
    point = {"value": decay["difference"] * by, "low": decay["lower"], "high": decay["upper"]}
    point |= {end: None if point[end] is None else point[end] * by for end in ("low", "high")}
    least = None if decay["minimum_difference"] is None else decay["minimum_difference"] * by
    marks = [{"value": value, "low": None, "high": None} for value in (0.0, least) if value is not None]
    scale = Scale([point, *marks], 2, 98)
    texts = [None if value is None else f"{value:+.1%}" if base > 0 else f"{value:+.3g}" for value in (*point.values(), least)]
    return {
        "line": scale.line(point),
        "zero": scale.at(0),
        "least": None if least is None else scale.at(least),
        "texts": texts,
        "now": base + decay["difference"],
    }


def seen(share: float | None) -> bool:
    """Whether a share is more than an error of rounding."""
    return bool(share and abs(share) >= LEAST)


def picture(found: Known) -> Known:
    """A chart of one column: two shapes over its bins, or a pair of bars for each category; and shares that lie in none of them."""
    before, now = ([share or 0.0 for share in found[side] or []] for side in ("before", "now"))
    beside = [(name, *(share or 0.0 for share in found[key])) for key, name in BESIDE.items() if any(map(seen, found.get(key) or ()))]
    if found["kind"] != "number":
        rows: list[Any] = [*zip(found.get("names") or found.get("labels") or [], before, now, strict=False), *beside]
        most = max((share for _, *pair in rows for share in pair), default=0.0) or 1.0
        pairs = [(cut(name, 40), old, new, round(100 * old / most, 1), round(100 * new / most, 1)) for name, old, new in rows]
        return {"column": found["column"], "rows": pairs}
    most = max([*before, *now], default=0.0) or 1.0
    tall = [[round(max(1.0, (TALL - 2) * share / most), 1) if share else 0.0 for share in side] for side in (before, now)]
    bars = "".join(f"M{at * BAR + 0.5} {TALL}V{TALL - height:g}h{BAR - 1}V{TALL}z" for at, height in enumerate(tall[0]) if height)
    steps = "".join(f"V{TALL - height:g}h{BAR}" for height in tall[1])
    edges = found["edges"] or []
    ends = [edges[0], edges[len(edges) // 2], edges[-1]] if len(edges) > 2 else edges
    ends = [*days(*ends)] if ends and found.get("date") else ends
    size = {"width": BAR * max(len(before), len(now), 1), "height": TALL}
    return {"column": found["column"], "bars": bars, "steps": f"M0 {TALL}{steps}V{TALL}", "ends": ends, "beside": beside, **size}
