"""All windows of a model together: whether an alarm is raised, since when, and whether it is time to train again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.config import MonitorParams
from pipeline.monitoring import verdicts
from pipeline.monitoring.breaks import UNSEEN
from pipeline.monitoring.judgement import Judge
from pipeline.monitoring.reference import Reference
from pipeline.monitoring.windows import Window

Found = dict[str, Any]
BAD = ("drift", "decay")
STATES = ("ok", "insufficient data", *BAD)


def summary(
    found: Sequence[Found],
    *,
    model: Mapping[str, str],
    source: str,
    every: str,
    reference: Reference,
    monitor: MonitorParams,
    measured: Found | None,
) -> Found:
    """Everything that the page shows, ready for JSON.

    Args:
        found: windows as `Judge.judge` gives them, the oldest first; each gets `alarm`.
        model: name, version and run.
        measured: the false alarms and the power that were tried on the reference.
    """
    figures = reference.figures
    production = alarmed([one for one in found if one["kind"] != "control"], *monitor.alarm)
    control = [one | {"alarm": one["state"] in BAD and not one.get("cleared")} for one in found if one["kind"] == "control"]
    judged = [one for one in production if one["state"] != "insufficient data"]
    newest = verdicts.newest(production)
    state = newest["state"] if newest else None
    since = _since(judged, state) if newest else None
    return {
        "model": dict(model),
        "source": source,
        "every": every,
        "false_alarm_rate": monitor.false_alarm_rate,
        "minimum_effect": monitor.minimum_effect,
        "minimum_decay": monitor.minimum_decay,
        "shift": monitor.shift,
        "alarm": {"windows": monitor.alarm[0], "of": monitor.alarm[1]},
        "reference": {
            "rows": len(reference.rows),
            "groups": len(set(reference.rows.groups.tolist())),
            **{name: figures[name] for name in ("metric", "value", "low", "high", "loss", "loss_name", "higher_is_better")},
            "ordered": reference.ordered,
        },
        "measured": measured,
        "state": state,
        "since": since["window"] if since else None,
        "alarmed": bool(newest and newest["alarm"]),
        "retrain": retrain(judged, since) if newest and newest["alarm"] else {"suggested": False, "why": ""},
        "windows": [*control, *production],
    }


def alarmed(windows: Sequence[Found], least: int, of: int) -> list[Found]:
    """The windows, each with whether it raises an alarm: it is bad, and so are `least` of the last `of` that could be judged.

    A drift that the labels clear (`judgement.cleared`) is told, but is not bad.
    """
    told, states = list[Found](), list[bool]()
    for one in windows:
        bad = one["state"] in BAD and not one.get("cleared")
        if one["state"] != "insufficient data":
            states.append(bad)
        told.append(one | {"alarm": bad and sum(states[-of:]) >= least})
    return told


def _since(judged: Sequence[Found], state: str | None) -> Found | None:
    """The first of the windows at the end that are all in this state (drift and decay alike count as bad)."""
    alike = BAD if state in BAD else (state,)
    first = None
    for one in reversed(judged):
        if one["state"] not in alike:
            break
        first = one
    return first


def retrain(judged: Sequence[Found], since: Found | None) -> Found:
    """Whether to train again, on what, and why: rows since the change that have labels."""
    if since is None:
        return {"suggested": False, "why": ""}
    some = judged[[one["window"] for one in judged].index(since["window"]) :]
    labelled = sum(one["labelled"] for one in some)
    decayed = [one for one in some if one["decayed"]]
    first, last = some[0], some[-1]
    if decayed:
        decay = decayed[-1]["decay"]
        rise = decay["difference"] / decay["reference_loss"] if decay["reference_loss"] else float("inf")
        why = f"the loss has risen by {rise:.0%} ({decayed[-1]['window']})"
    else:
        why = f"columns that the model uses have changed since {first['window']}"
    if all(broken := [_broken(one) for one in decayed or [last]]):
        return {"suggested": False, "why": f"{why}, but the data are broken: {broken[-1]}; mend that first"}
    why += f"; {labelled:,} labelled rows have come since" if labelled else "; no label has come since: gather them first"
    told = {"suggested": bool(labelled or decayed), "from": first["window"], "to": last["window"], "rows": labelled, "why": why}
    return told | {"start": first["start"], "end": last["end"]}


def _broken(window: Found) -> str:
    """What is broken in columns that the model uses: trained on that, a model learns the fault.  New categories may be real."""
    harmful = {one["column"] for one in window.get("measures") or [] if one["drifted"] and one["harmful"]}
    broken = [one for one in window.get("breaks") or [] if one["kind"] != UNSEEN and harmful & set(one["columns"])]
    return str(broken[0]["sentence"]) if broken else ""


def measured(judge: Judge, windows: Sequence[Window]) -> Found | None:
    """False alarms and power at the size of the newest window that could be judged, tried on the reference."""
    for window in reversed(windows):
        thresholds = judge.thresholds(window)
        if thresholds is None or not thresholds.measures or (alarms := judge.false_alarms(thresholds)) is None:
            continue
        shown = judge.power(thresholds, needed=True)
        rate = {"rate": alarms.rate, "low": alarms.lower, "high": alarms.upper, "windows": alarms.windows, "rows": thresholds.rows}
        told = asdict(shown) if shown else {"power": None, "rows_needed": None}
        return rate | {"power": told["power"], "rows_needed": told["rows_needed"]}
    return None
