"""One window judged and reported: thresholds for its size, the verdict, Evidently's report, and the verdict in words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config import MonitorParams
from pipeline.data.fitted import Preprocessor
from pipeline.monitoring import alarms, windows
from pipeline.monitoring.evidently_report import write_report

REFERENCE_ROWS = 10_000  # of a larger reference a sample of groups is taken: memory grows with its distinct values


def judge(
    name: str, reference: windows.Window, current: windows.Window, fitted: Preprocessor, monitor: MonitorParams, seed: int, folder: Path
) -> dict[str, Any]:
    """Judge `current` against `reference` at the stated rate of false alarms, and write Evidently's report into `folder`.

    Returns:
        the window's name and the fields of `alarms.Verdict`, ready for JSON.
    """
    reference = windows.sample(reference, REFERENCE_ROWS)
    kinds = windows.kinds(reference, fitted)
    thresholds = alarms.calibrate(
        reference.frame,
        reference.groups,
        kinds,
        rows=alarms.comparable_rows(current.groups, reference.groups),
        false_alarm_rate=monitor.false_alarm_rate,
        minimum_effect=monitor.minimum_effect,
        seed=seed,
    )
    verdict = alarms.verdict(
        thresholds,
        reference.frame,
        current.frame,
        reference_groups=reference.groups,
        groups=current.groups,
        reference_losses=reference.losses,
        losses=current.losses,
        seed=seed,
    )
    write_report(
        reference.frame,
        current.frame,
        kinds,
        thresholds,
        "regression" if fitted.forecast else fitted.task,  # of a window's mean
        target=fitted.target.column,
        prediction=windows.PREDICTION,
        directory=folder,
        seed=seed,
    )
    return {"window": name, **asdict(verdict)}


def words(found: dict[str, Any]) -> str:
    """What was found in one line: the columns that drift, and the rise of the loss in percent of the reference's."""
    drifted = [f"{m['column']}{' (missing)' if m['aspect'] == 'missing' else ''}" for m in found["measures"] if m["drifted"]]
    decay = found["decay"]
    loss = "loss {:+.1%} [{:+.1%}, {:+.1%}]".format(*_relative(decay)) if decay else found["reason"]
    return "; ".join([*([f"drift in {', '.join(drifted)}"] if drifted else []), loss])


def _relative(decay: dict[str, Any]) -> tuple[float, ...]:
    """The rise of the loss and its interval, as shares of the reference's loss."""
    return tuple(decay[end] / decay["reference_loss"] for end in ("difference", "lower", "upper"))
