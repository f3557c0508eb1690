"""When the trials of a sweep ran: in words, and as bars on a row for each worker."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Sequence

import plotly.graph_objects as go

from pipeline.tuning.report.drawing import BLUE, GREY, HOVER, RED, Drawing, drawing, rounded
from pipeline.tuning.report.formats import duration, many, percent, safe
from pipeline.tuning.results import COMPLETE, FAILED, PRUNED, Trial


def told(ran: Sequence[Trial]) -> list[str]:
    """When the sweep began, how long it took, a trial took, and workers had work."""
    if not ran:
        return []
    start = datetime.datetime.fromtimestamp(min(trial.started for trial in ran), datetime.UTC)
    pauses = _pauses(ran)
    workers = len({trial.worker for trial in ran})
    total = max(trial.ended for trial in ran) - min(trial.started for trial in ran) - sum(length for _, length in pauses)
    busy = sum(trial.ended - trial.started for trial in ran)
    share = f"; workers were busy {percent(min(busy / (workers * total), 1.0))} of the time" if total else ""
    said = [
        f"{many(len(ran), 'trial')} on {many(workers, 'worker')}: {duration(total)} in all, "
        f"{duration(_median(ran))} a trial (median){share}."
    ]
    if pauses:
        stood = duration(sum(length for _, length in pauses))
        said.append(f"Left out: {many(len(pauses), 'pause')} in which no trial ran, {stood}; dotted lines stand where.")
    return [*said, f"The first trial began {start:%Y-%m-%d %H:%M:%S} UTC."]


def bars(ran: Sequence[Trial]) -> Drawing | None:
    """A bar a trial from its start to its end on the row of its worker, pauses cut out."""
    if not ran:
        return None
    start, pauses = min(trial.started for trial in ran), _pauses(ran)
    workers = sorted({trial.worker for trial in ran}, key=lambda name: (len(name), name), reverse=True)

    def at(moment: float) -> float:
        return moment - start - sum(length for when, length in pauses if when < moment)

    total = at(max(trial.ended for trial in ran))
    unit, size = next(((name, size) for name, size in (("hours", 3600), ("minutes", 60)) if total > 3 * size), ("seconds", 1))
    traces = [
        go.Bar(
            base=rounded(at(trial.started) / size for trial in some),
            x=rounded((trial.ended - trial.started) / size for trial in some),
            y=[workers.index(trial.worker) for trial in some],
            orientation="h",
            marker={"color": colour, "line": {"color": "rgba(128,128,128,.55)", "width": 1}},
            customdata=[trial.number for trial in some],
            hovertemplate=HOVER,
            textposition="none",
            name=state,
        )
        for state, colour in ((COMPLETE, BLUE), (PRUNED, "#b9c3cc"), (FAILED, RED))
        if (some := [trial for trial in ran if trial.state == state])
    ]
    cuts = [{"type": "line", "x0": at(when) / size, "x1": at(when) / size, "y0": 0, "y1": 1, "yref": "paper"} for when, _ in pauses]
    layout = {
        "barmode": "overlay",
        "xaxis": {"title": unit, "zeroline": False},
        "yaxis": {
            "tickvals": list(range(len(workers))),
            "ticktext": [safe(f"worker {name}".strip() if name.isdigit() or not name else name) for name in workers],
            "automargin": True,
            "fixedrange": True,
        },
        "shapes": [cut | {"line": {"dash": "dot", "width": 1, "color": GREY}} for cut in cuts],
    }
    return drawing("timeline", "When each trial ran", traces, layout, height=130 + 44 * len(workers))


def _pauses(ran: Sequence[Trial]) -> list[tuple[float, float]]:
    """Start and seconds of each time in which no trial ran, longer than a minute and than five trials: the sweep stood still."""
    least, end, found = max(60.0, 5 * _median(ran)), math.inf, []
    for trial in sorted(ran, key=lambda t: t.started):
        if trial.started - end > least:
            found.append((end, trial.started - end))
        end = trial.ended if end == math.inf else max(end, trial.ended)
    return found


def _median(ran: Sequence[Trial]) -> float:
    return statistics.median(trial.ended - trial.started for trial in ran)
