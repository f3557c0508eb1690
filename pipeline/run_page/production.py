"""The monitored windows as the page tells them: a square each, and a sentence for those where something changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.run_page.standing import Panel, panel

SQUARES = 120  # windows of a kind that are drawn, the newest
TOLD = 8  # windows of which the sentence stands on the page
LISTED = 60
DRAWN = 12  # windows of which the rise of the loss is drawn


@dataclass(frozen=True)
class Window:
    """A window; `rise` is that of the loss in percent of the reference's, with its interval."""

    name: str
    kind: str
    state: str
    rows: int
    says: str
    href: str
    rise: str = ""
    range: str = ""
    lack: str = ""


@dataclass(frozen=True)
class Watched:
    """All windows."""

    control: tuple[Window, ...]
    production: tuple[Window, ...]
    untold: int
    """Older production windows that are not drawn."""
    told: tuple[Window, ...]
    """The newest of production where something changed, the newest first."""
    listed: tuple[Window, ...]
    state: str
    """ok, drift, decay, insufficient or none (no production rows)."""
    words: str
    rises: Panel | None
    """The rise of the loss in the newest windows, in percent of the reference's."""
    notes: tuple[str, ...]


def watched(monitored: Mapping[str, Any]) -> Watched:
    """What the page shows of reports/monitor/summary.json."""
    windows = [_window(one) for one in monitored["windows"]]
    control = [one for one in windows if one.kind == "control"]
    production = [one for one in windows if one.kind != "control"]
    changed = [one for one in reversed(production) if one.state in ("drift", "decay")]
    newest = production[-1] if production else None
    return Watched(
        tuple(control[-SQUARES:]),
        tuple(production[-SQUARES:]),
        max(0, len(production) - SQUARES),
        tuple(changed[:TOLD]),
        tuple([*control, *production][-LISTED:]),
        newest.state if newest else "none",
        _words(production, changed),
        _rises(monitored),
        tuple(_notes(monitored)),
    )


def _window(one: Mapping[str, Any]) -> Window:
    state = str(one["state"] or "insufficient data").split()[0]
    decay = one.get("decay") or {}
    rise = span = ""
    if decay.get("reference_loss") and decay.get("difference") is not None:
        rise, *ends = (
            "" if decay[key] is None else f"{100 * decay[key] / decay['reference_loss']:+.1f}%" for key in ("difference", "lower", "upper")
        )
        span = f"{ends[0]} to {ends[1]}" if all(ends) else ""
    says = str(one.get("headline") or one.get("reason") or "")
    lack = "" if decay else str(one.get("reason") or "")
    href = f"monitor/{one['report']}" if one.get("report") else "monitor/index.html"
    return Window(str(one["window"]), str(one["kind"]), state, int(one["rows"]), says, href, rise, span, lack)


def _words(production: Sequence[Window], changed: Sequence[Window]) -> str:
    if not production:
        return "No rows were held back or came since: split.production, or pipeline monitor on a deployed model, gives some to watch."
    newest = production[-1]
    if newest.state in ("drift", "decay"):
        return f"{newest.name}: {newest.says}"
    if changed:
        return f"The newest window is {newest.state}; {changed[0].name} was {changed[0].state}."
    return "In no window of production anything changed that matters." if newest.state == "ok" else "Too few rows to judge."


def _rises(monitored: Mapping[str, Any]) -> Panel | None:
    rows = []
    for one in monitored["windows"]:
        decay = one.get("decay") or {}
        if decay.get("reference_loss") and decay["reference_loss"] > 0 and decay.get("difference") is not None:
            keys = {"value": "difference", "low": "lower", "high": "upper"}
            percent = {
                name: None if decay[key] is None else round(100 * decay[key] / decay["reference_loss"], 1) for name, key in keys.items()
            }
            rows.append((str(one["window"]), str(one["state"] or "insufficient").split()[0], percent))
    if not rows:
        return None
    title, hint = "Rise of the loss", "in percent of that of test rows; control windows first"
    return panel(title, hint, rows[-DRAWN:], zero=True, sign="+")


def _notes(monitored: Mapping[str, Any]) -> list[str]:
    notes = [
        "Control windows are test rows, where nothing changed; each is compared with the other held-out rows, production with all of them. "
        "Losses are compared with those of test rows."
    ]
    for side, rows in monitored["rows"].items():
        if rows["judged"] < rows["there"]:
            notes.append(f"Of {rows['there']:,} {side} rows {rows['judged']:,} were judged, drawn at random.")
        if rows["refused"]:
            notes.append(f"{rows['refused']:,} {side} rows are refused by the package.")
    return [*notes, f"With nothing changed at most {100 * monitored['false_alarm_rate']:.0f}% of windows should alarm."]
