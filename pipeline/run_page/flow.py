"""The ten stages as the page draws them: whether each ran or was reused, how long it took, and what it found in a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from pipeline import summary

State = Literal["ran", "reused", "alone", "off", "now"]
STAGES = ("collect", "clean", "split", "normalize", "tune", "train", "evaluate", "register", "monitor", "report")
SAYS: dict[State, str] = {
    "ran": "ran in this repro",
    "reused": "reused: nothing it depends on has changed",
    "alone": "run by hand",
    "off": "not asked for",
    "now": "wrote this page",
}


@dataclass(frozen=True)
class Step:
    """A stage; `seconds` is what it took when it last ran here, None where it never did (its outputs came from DVC's cache)."""

    name: str
    state: State
    seconds: float | None
    fact: str
    share: float = 0.0
    """Of the longest stage's time, in percent."""
    href: str = ""

    @property
    def says(self) -> str:
        """The state in words."""
        return SAYS[self.state]


def repro_began() -> float | None:
    """When the `dvc` above this process started, in seconds since 1970; None where a stage is run by hand."""
    for process in psutil.Process().parents():
        try:
            words = process.cmdline()
            if any(Path(word).name == "dvc" for word in words[:5]):
                return process.create_time()
        except psutil.Error:  # it ended meanwhile, or belongs to somebody else
            continue
    return None


def steps(found: Mapping[str, Any], costs: Mapping[str, Any], began: float | None, there: Mapping[str, str]) -> list[Step]:
    """The stages in their order.

    Args:
        found: `summary.facts`; costs: what `paths.costs` holds; there: the report of each stage that has one.
    """
    ended = costs.get("ended", {})
    made = []
    for name in STAGES:
        seconds = None if name == "report" or name not in costs else float(costs[name]["wall_seconds"])
        made.append((name, _state(name, found, float(ended.get(name, 0.0)), began, timed=name in costs), seconds))
    longest = max((seconds for *_, seconds in made if seconds is not None), default=0.0) or 1.0
    words = facts(found)
    return [
        Step(name, state, seconds, words[name], share=round(100 * (seconds or 0.0) / longest, 1), href=there.get(name, ""))
        for name, state, seconds in made
    ]


def _state(name: str, found: Mapping[str, Any], ended: float, began: float | None, *, timed: bool) -> State:
    if name == "report":
        return "now"
    if name == "tune" and not found["sweep"]:
        return "off"
    if began is None:
        return "alone" if timed else "reused"
    return "ran" if ended >= began else "reused"


def facts(found: Mapping[str, Any]) -> dict[str, str]:
    """What each stage found, in a few words."""
    rows, trained, registered = found["quality"]["rows"], found["trained"], found["registered"]
    split, metric = found["split"], summary.main(dict(found))
    version = f"version {registered['version']}" if "version" in registered else "packaged"
    states = [window["state"] for window in found["monitored"]["windows"] if window["kind"] != "control"]
    worst = next((state for state in ("decay", "drift", "ok") if state in states), "")
    ahead = found["preprocessor"].get("forecast")
    used = sum(name not in found["preprocessor"]["set_aside"] for name in found["quality"]["columns"] if name != found["schema"]["target"])
    return {
        "collect": f"{found['source']['rows']:,} rows",
        "clean": f"{rows['dropped']:,} rows dropped" if rows["dropped"] else f"{len(found['quality']['columns'])} columns typed",
        "split": f"{split['strategy'].replace('_', ' ')}{' by ' + str(split['by'])[:24] if split['by'] else ''}",
        "normalize": f"{used:,} column{'s' * (used != 1)} used"
        if ahead is None
        else f"{ahead['look_back']} steps in, {ahead['horizon']} out",
        "tune": f"{found['sweep']} trials" if found["sweep"] else "no sweep",
        "train": f"best of {trained['epochs']} epochs: {trained['best_epoch'] + 1}",
        "evaluate": f"{summary.SHOWN.get(metric, metric)} {summary.number(found['test']['models']['network'][metric]['value'])}",
        "register": version,
        "monitor": f"{states.count(worst)} of {len(states)} {worst}" if worst else "control rows only" if not states else "too few rows",
        "report": "this page",
    }


def told(steps: list[Step]) -> str:
    """How long it took and what was reused, in a sentence."""
    ran = [step for step in steps if step.state == "ran"]
    reused = [step for step in steps if step.state == "reused"]
    known = [step for step in (ran or steps) if step.seconds is not None]
    if not known:
        return "No times are kept in this workspace: the outputs came from DVC's cache or were made elsewhere."
    longest = max(known, key=lambda step: step.seconds or 0.0)
    total = summary.duration(sum(step.seconds or 0.0 for step in known))
    most = f", most of it {longest.name} ({summary.duration(longest.seconds or 0.0)})" if len(known) > 1 else ""
    if ran:
        kept = f"; {len(reused)} reused, with the time of when they last ran" if reused else ""
        return f"{total} for {_stages(len(ran))} that ran in this repro{most}{kept}."
    return f"{total} for {_stages(len(known))}, each as it last ran here{most}."


def _stages(count: int) -> str:
    return f"{count} stage{'s' * (count != 1)}"
