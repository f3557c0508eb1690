"""The quality report as one page: no script, no other file, readable on a phone and in the dark."""

from __future__ import annotations

from typing import Any

from pipeline.data.histogram import shown

WIDTH, HEIGHT = 220, 44


def page(found: dict[str, Any]) -> str:
    """reports/clean/index.html from what `quality.describe` found."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": number, "percent": percent}
    warned = {name: column["warnings"] for name, column in found["columns"].items() if column.get("warnings")}
    return environment.get_template("quality.html").render(**found, warned=warned, bars=bars, place=place, width=WIDTH, height=HEIGHT)


def bars(counts: list[int]) -> str:
    """The path of a histogram, drawn as one shape."""
    step, most = WIDTH / max(len(counts), 1), max(counts, default=0) or 1
    drawn = []
    for at, count in enumerate(counts):
        if count:
            top = HEIGHT - max(1.0, HEIGHT * count / most)
            drawn.append(f"M{at * step:.1f} {HEIGHT}V{top:.1f}H{(at + 1) * step - 1:.1f}V{HEIGHT}Z")
    return "".join(drawn)


def place(value: float, ends: tuple[float, float]) -> float:
    """Where a value lies between two ends, from 0 to 100."""
    low, high = ends
    return 50.0 if high == low else round(100 * (min(max(value, low), high) - low) / (high - low), 2)


def number(value: Any) -> str:
    """A number with thousands marks and the digits that a reader needs; all else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(shown(value))
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:.4g}" if abs(value) >= 1e12 else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share in percent, with the digits that a small one needs."""
    return f"{100 * share:.0f}%" if share == 0 or share >= 0.1 else f"{100 * share:.1f}%" if share >= 0.001 else f"{100 * share:.2g}%"
