"""One window judged: thresholds for its size, the verdict, what changed in words, performance, and Evidently's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import MonitorParams
from pipeline.data.fitted import Preprocessor
from pipeline.evaluation import intervals, metrics
from pipeline.models.answers import Answers
from pipeline.monitoring import alarms, breaks, changes, estimate, harm, ordered, power, windows
from pipeline.monitoring.alarms import Thresholds
from pipeline.monitoring.decay import Decay
from pipeline.monitoring.evidently_report import Report, write_report
from pipeline.monitoring.power import FalseAlarms, Power
from pipeline.monitoring.reference import Reference
from pipeline.monitoring.windows import PREDICTION, Window
from pipeline.monitoring.wording import listed

STEP = 1.15  # sizes of windows for which thresholds are learnt lie so far apart; within it, the smaller one serves (a little cautious)
FEWEST = 30  # labelled rows for a metric
REPLICATES = 500
UNCHANGED = "nothing changed that matters"  # as `changes.describe` says it


@dataclass(frozen=True)
class Asked:
    """A window to be judged: its rows, and what is known of where they come from.

    rows: how many came, of which `refused` are not answered; lost: by column, values of no use; unknown: labels that are no class.
    against: the rows to compare with where they are not all of the reference.
    """

    name: str
    kind: str
    window: Window
    rows: int
    start: str | None = None
    end: str | None = None
    refused: int = 0
    unknown: int = 0
    absent: Sequence[str] = ()
    notes: Sequence[str] = ()
    against: Window | None = None
    lost: Mapping[str, breaks.Lost] = field(default_factory=dict)


class Judge:
    """Judges the windows of one model; what windows of one size share is learnt once.

    Args:
        answers: how the model's outputs become answers.
        hidden: watched columns that are not to be compared, such as hashed ones.
    """

    def __init__(
        self, reference: Reference, fitted: Preprocessor, monitor: MonitorParams, seed: int, answers: Answers, *, hidden: Sequence[str] = ()
    ) -> None:
        self.reference, self.fitted, self.monitor, self.seed, self.answers = reference, fitted, monitor, seed, answers
        apart = {*hidden, reference.time}  # what orders a split by time is later in production: it always has drifted
        self.kinds = {name: kind for name, kind in windows.kinds(reference.rows, fitted, hidden).items() if name not in apart}
        loss = reference.figures["loss"]
        self.uses = harm.uses(reference.importance, list(self.kinds), prediction=PREDICTION, loss=math.nan if loss is None else loss)
        self._thresholds: dict[int, Thresholds] = {}
        self._powers: dict[int, Power] = {}
        self._errors: dict[int, estimate.KnownError | None] = {}

    def judge(self, asked: Asked, folder: Path, *, before: tuple[str, Window] | None = None) -> tuple[dict[str, Any], Report | None]:
        """The window's verdict and all that explains it, ready for JSON; Evidently's report lies in `folder` where there is one.

        Args:
            before: name and rows of the window before.
        """
        window, reference = self._thinned(asked), asked.against or self.reference.compared
        frame = window.frame.drop(columns=[name for name in asked.absent if name in window.frame])
        thresholds = self.thresholds(window, asked.against)
        enough = asked.kind == "control" or thresholds is None
        verdict = None
        if thresholds is not None:
            verdict = alarms.verdict(
                thresholds,
                reference.frame,
                frame,
                reference_groups=reference.groups,
                groups=window.groups,
                reference_losses=reference.losses,
                losses=window.losses,
                minimum_decay=self.monitor.minimum_decay,
                seed=self.seed,
                power=None if enough else self.power(thresholds),
                ordered=self.reference.ordered,
            )
        found = self._about(asked, window) | self._verdict(verdict, asked)
        measures = verdict.measures if verdict else ()
        found |= self._explained(reference, window, frame, measures, asked, found)
        if found["cleared"]:
            found["sentences"].append("the labels rule out that the loss has risen by what matters: this drift raises no alarm")
        found |= self._performance(asked.window)
        if verdict and verdict.decayed:
            found |= self._risen(found, asked.window)
        found["previous"] = self._since(before, window, frame) if before and verdict and measures else None
        report = None
        if thresholds is not None and len(frame) > 1 and thresholds.measures:
            end = None if asked.end is None else datetime.fromisoformat(asked.end)
            task = "regression" if self.fitted.forecast else self.fitted.task  # of a window's mean
            settings: dict[str, Any] = {"target": self.fitted.target.column, "prediction": PREDICTION, "seed": self.seed}
            report = write_report(
                reference.frame, frame, self.kinds, thresholds, task, directory=folder, window=asked.name, end=end, **settings
            )
        return found | {"report": f"{asked.name}/report.html" if report else None}, report

    def thresholds(self, window: Window, against: Window | None = None) -> Thresholds | None:
        """Those for windows of this size; None where there are too few rows for any."""
        rows = against or self.reference.compared
        settings: dict[str, Any] = {"used": self.uses.used, "minimum_effect": self.monitor.minimum_effect}
        settings |= {"false_alarm_rate": self.monitor.false_alarm_rate}
        if self.reference.ordered:
            worth = len(window)
            if not worth:
                return None
            key = worth if against is None else -1
            if key not in self._thresholds or against is not None:
                self._thresholds[key] = ordered.calibrate(rows.frame, self.kinds, rows=worth, **settings)
            return self._thresholds[key]
        worth = alarms.comparable_rows(window.groups, rows.groups) if len(window) else 0
        if worth < 2 or len(np.unique(rows.groups)) < alarms.FEWEST_GROUPS or len(rows) < alarms.FEWEST_ROWS:
            return None
        size = int(STEP ** math.floor(math.log(worth, STEP) + 1e-9))
        if against is not None:
            return alarms.calibrate(rows.frame, rows.groups, self.kinds, rows=size, seed=self.seed, **settings)
        if size not in self._thresholds:
            self._thresholds[size] = alarms.calibrate(rows.frame, rows.groups, self.kinds, rows=size, seed=self.seed, **settings)
        return self._thresholds[size]

    def power(self, thresholds: Thresholds, *, needed: bool = False) -> Power | None:
        """What windows of this size can show; None in the order of time, where the stretches of the reference decide.

        Args:
            needed: whether to find the rows needed also where the power is enough.
        """
        if self.reference.ordered:
            return None
        found = self._powers.get(thresholds.rows)
        if found is None or (needed and found.rows_needed is None):
            rows = self.reference.rows
            kinds = {name: self.kinds[name] for name in self.uses.used if name in self.kinds}
            asked = rows.frame, rows.groups, kinds, thresholds
            found = power.power(*asked, shift=self.monitor.shift, seed=self.seed + 1, needed=needed)
            self._powers[thresholds.rows] = found
        return found

    def false_alarms(self, thresholds: Thresholds) -> FalseAlarms | None:
        """The share of unchanged windows of this size that alarm, tried on the reference."""
        if self.reference.ordered or not thresholds.measures:
            return None
        rows = self.reference.rows
        return power.false_alarms(rows.frame, rows.groups, self.kinds, thresholds, seed=self.seed + 2)

    @cached_property
    def metric(self) -> metrics.Metric | None:
        """The metric that leads; of a forecast its RMSE, where it has one target: its rows here are windows, each with its mean loss."""
        task = self.fitted.task
        if self.fitted.forecast:
            if len(self.fitted.forecast.targets) > 1 or self.reference.figures["metric"] != "rmse":
                return None
            task = "regression"
        return next((one for one in metrics.METRICS[task] if one.name == self.reference.figures["metric"]), None)

    def _thinned(self, asked: Asked) -> Window:
        """The window at the density of the reference, where both are in the order of time.

        Rows of one group stay together, as they did in the split: a day's hours are even, a third of them are not.
        """
        if not self.reference.ordered or asked.kind == "control" or not len(asked.window):
            return asked.window
        every = self.reference.every
        if asked.start and asked.end:
            start, end = (np.datetime64(moment.removesuffix("Z")) for moment in (asked.start, asked.end))
            every = max(round(len(asked.window) / max(self.reference.in_span(end - start) or len(asked.window) / every, 1)), 1)
        groups = pd.factorize(asked.window.groups)[0]  # in the order of time
        return asked.window if every == 1 else asked.window.take(np.flatnonzero(groups % every == 0))

    def _about(self, asked: Asked, window: Window) -> dict[str, Any]:
        known = np.isfinite(window.losses)
        return {
            "window": asked.name,
            "kind": asked.kind,
            "start": asked.start,
            "end": asked.end,
            "rows": asked.rows,
            "groups": len(np.unique(window.groups)),
            "sampled": len(window),
            "refused": asked.refused,
            "unread": sum(one.rows for one in asked.lost.values()),
            "unknown_labels": asked.unknown,
            "labelled": int(known.sum()) if asked.rows == len(window) else round(asked.rows * float(known.mean())) if len(known) else 0,
            "notes": list(asked.notes),
        }

    def _verdict(self, verdict: alarms.Verdict | None, asked: Asked) -> dict[str, Any]:
        if verdict is None:
            why = f"{asked.rows} rows" if asked.rows else "no rows"
            told = {"state": "insufficient data", "drift": False, "decayed": False, "reason": why, "decay": None}
            return told | {"cleared": False, "measures": []}
        told = asdict(verdict)
        told = {name: told[name] for name in ("state", "drift", "decayed", "reason", "decay")}
        measures = [asdict(one) | {"importance": self.uses.importance.get(one.column)} for one in verdict.measures]
        return told | {"cleared": verdict.state == "drift" and cleared(verdict.decay), "measures": measures}

    def _explained(
        self, reference: Window, window: Window, frame: Any, measures: Sequence[alarms.Observed], asked: Asked, told: Mapping[str, Any]
    ) -> dict[str, Any]:
        drifted = {one.column for one in measures if one.drifted}
        broken = breaks.find(reference.frame, frame, self.kinds, drifted, asked.lost, dates=self.fitted.dates)
        described = changes.describe(
            reference.frame,
            frame,
            self.kinds,
            measures,
            importance={name: value for name, value in self.uses.importance.items() if value is not None},
            prediction=PREDICTION,
            target=self.fitted.target.column,
            task=self.fitted.task,
            classes=self.fitted.target.classes,
            breaks=broken,
            dates=self.fitted.dates,
            reference_groups=reference.groups,
            groups=window.groups,
        )
        sentences = [*described.sentences, *asked.notes]
        if asked.rows and asked.refused:
            sentences.append(f"{asked.refused / max(len(asked.window), 1):.1%} of the rows are refused by the package")
        if asked.unknown:
            sentences.append(_unknown(asked.unknown, self.fitted.target.classes))
        headline = described.headline
        if told["state"] == "insufficient data" and not broken and headline.startswith(UNCHANGED):
            headline = "nothing was found, in too few rows to say that nothing changed" if measures else "too little came to be judged"
        return {
            "headline": headline,
            "sentences": sentences,
            "breaks": [asdict(one) | {"columns": list(one.columns)} for one in broken],
            "pictures": [asdict(one) for one in described.pictures],
        }

    def _risen(self, found: dict[str, Any], window: Window) -> dict[str, Any]:
        """The words of a window whose loss has risen: that comes first, then what changed in the columns, then the outcome."""
        same = not any(one["drifted"] and one["harmful"] for one in found["measures"])
        why = "while the columns are as before: what they mean has changed" if same else found["headline"]
        told = [found["headline"], *found["sentences"]] if same and found["headline"] != UNCHANGED else found["sentences"]
        target, expected = window.frame[self.fitted.target.column], window.frame[PREDICTION]
        known = target.notna() & expected.notna()
        if known.any() and target.dtype == expected.dtype == np.float64 and not any("the model expects" in one for one in told):
            means = target[known].mean(), expected[known].mean()
            what = "change of " * (self.fitted.task == "forecast") + self.fitted.target.column
            told = [*told, "mean {} is {:.3g} where the model expects {:.3g}".format(what, *means)]
        rise = found["decay"]["difference"] / found["decay"]["reference_loss"] if found["decay"]["reference_loss"] else math.inf
        return {"headline": f"the loss has risen by {rise:.0%}{', ' if same else ': '}{why}", "sentences": list(dict.fromkeys(told))}

    def _performance(self, window: Window) -> dict[str, Any]:
        """The metric where labels are known, and what it is thought to be without them."""
        if self.metric is None:
            return {"performance": None, "estimate": None}
        task, fine = self.fitted.task, windows.finite(window.outputs)
        y, outputs = windows.truth(window, self.fitted), window.outputs
        if self.fitted.forecast:  # the squared error of a window is that of one number which is off by so much
            (target,) = self.fitted.forecast.targets
            task, y, outputs = "regression", 0 * window.losses, np.sqrt(window.losses) * (target.std or 1.0)
        known = fine & ~np.isnan(y)
        measured = None
        if known.sum() >= FEWEST:
            truth = y[known] if task == "regression" else y[known].astype(int)
            settings: dict[str, Any] = {"replicates": REPLICATES, "seed": self.seed, "metrics": [self.metric]}
            drawn = intervals.bootstrap(task, truth, {"network": outputs[known]}, window.groups[known], **settings)
            measured = _interval(self.metric.name, drawn.models["network"][self.metric.name])
        settings = {"metric": self.metric.name, "seed": self.seed, "decide": self.answers.decide}
        guessed = None
        if fine.sum() >= FEWEST and not estimate.reason(task, self.metric.name):
            found = estimate.estimate(task, window.outputs[fine], groups=window.groups[fine], **settings)
            if found is not None:
                sentence = estimate.sentence(
                    found, task=task, metric=self.metric.name, test=self.reference.figures["value"], error=self._error(int(fine.sum()))
                )
                guessed = _interval(self.metric.name, found) | {"sentence": sentence}
        return {"performance": measured, "estimate": guessed}

    def _error(self, rows: int) -> estimate.KnownError | None:
        """How far the estimate was off on test rows, in windows of about this size, a third of test at most."""
        places = np.flatnonzero(self.reference.test)
        rows = min(int(STEP ** math.floor(math.log(rows, STEP))), len(places) // 3)
        if rows < FEWEST:
            return None
        if rows not in self._errors:
            test = self.reference.rows.take(places)
            y = windows.truth(test, self.fitted)
            settings: dict[str, Any] = {"metric": self.reference.figures["metric"], "rows": rows, "seed": self.seed + 3}
            asked = self.fitted.task, y, test.outputs, test.groups
            self._errors[rows] = estimate.known_error(*asked, decide=self.answers.decide, **settings)
        return self._errors[rows]

    def _since(self, before: tuple[str, Window], window: Window, frame: Any) -> dict[str, Any] | None:
        """What differs from the window before, by thresholds learnt on that one."""
        name, earlier = before
        if self.reference.ordered or len(earlier) < 10 * alarms.FEWEST_ROWS or len(np.unique(earlier.groups)) < 10 * alarms.FEWEST_GROUPS:
            return None
        kinds = {column: kind for column, kind in self.kinds.items() if column in earlier.frame}
        worth = alarms.comparable_rows(window.groups, earlier.groups)
        if worth < alarms.FEWEST_ROWS:
            return None
        settings: dict[str, Any] = {"used": self.uses.used, "minimum_effect": self.monitor.minimum_effect, "seed": self.seed}
        settings |= {"resamples": 200, "references": 50, "false_alarm_rate": self.monitor.false_alarm_rate}
        thresholds = alarms.calibrate(earlier.frame, earlier.groups, kinds, rows=worth, **settings)
        found = alarms.verdict(thresholds, earlier.frame, frame, reference_groups=earlier.groups, groups=window.groups, seed=self.seed)
        drifted = [one.column for one in found.measures if one.drifted and one.harmful]
        told = f"against {name}: {', '.join(dict.fromkeys(drifted))} changed" if drifted else f"nothing changed against {name}"
        return {"window": name, "sentence": told, "drifted": list(dict.fromkeys(drifted))}


def cleared(decay: Decay | None) -> bool:
    """Whether labels show that drift does no harm: they rule out a rise of the loss that matters (`monitor.minimum_decay`).

    Drift is a sign of harm, the loss is the harm itself: where enough labels have come, they decide whether someone is
    called.  That no rise was found is not enough: it may be smaller than the interval is wide.
    """
    return decay is not None and not decay.decayed and decay.upper <= decay.minimum_difference


def _interval(metric: str, found: Any) -> dict[str, Any]:
    ends: Mapping[str, float] = {end: float(getattr(found, end)) for end in ("value", "low", "high")}
    return {"metric": metric} | {end: None if math.isnan(value) else value for end, value in ends.items()}


def words(found: Mapping[str, Any]) -> str:
    """What was found in one line: the columns that drift, and the rise of the loss in percent of the reference's."""
    drifted = [
        f"{m['column']}{' (missing)' if m['aspect'] == 'missing' else ''}" for m in found["measures"] if m["drifted"] and m["harmful"]
    ]
    decay = found["decay"]
    told = [f"drift in {', '.join(drifted)}" if drifted else "", found["reason"]]
    told += ["loss {:+.1%} [{:+.1%}, {:+.1%}]".format(*_relative(decay))] if decay else []
    told += [f"{found['unknown_labels']:,} labels cannot be read"] if found["unknown_labels"] else []
    return "; ".join(part for part in told if part)


def _unknown(labels: int, classes: Sequence[str]) -> str:
    """Labels that cannot be read; a number's model has no classes."""
    if not classes:
        return f"{labels:,} labels are no numbers"
    return f"{labels:,} labels are none of the model's classes{f' ({listed(classes)})' if len(classes) <= 5 else ''}"


def _relative(decay: Mapping[str, Any]) -> tuple[float, ...]:
    """The rise of the loss and its interval, as shares of the reference's loss."""
    return tuple(decay[end] / decay["reference_loss"] for end in ("difference", "lower", "upper"))
