"""This workspace beside another revision of the repository, such as main: metrics, params and data, as Markdown for a pull request.

What a revision came to is read through DVC, from its cache or remote; what is not there is named, and the rest is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import files, paths
from pipeline.errors import UserError
from pipeline.secrets import without_secrets
from pipeline.summary import LOWER_IS_BETTER, SHOWN, number

INTERVALS = paths.METRICS.with_name("intervals.json")
LOCK = Path("dvc.lock")
TEST = "data/split/test"
Plain = Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """What one side of the comparison holds; `intervals` and `register` are None where its results cannot be had.

    Attributes:
        name: how it is called in the text.
        params: params.yaml as plain values.
        lock: dvc.lock, {} where there is none.
        intervals: metrics on the test split.
        register: the gate's verdict, size and latency.
        missing: why there are no results.
    """

    name: str
    params: Plain
    lock: Plain
    intervals: Plain | None
    register: Plain | None
    missing: str = ""
    stale: bool = False
    """Whether params.yaml was changed after the training."""

    def digest(self, place: str) -> str | None:
        """What DVC knows a stage's output, or the source, by."""
        for stage in self.lock.get("stages", {}).values():
            for one in [*stage.get("outs", ()), *stage.get("deps", ())]:
                if one["path"] == place:
                    return str(one.get("md5") or one.get("etag") or "")
        return None


def here() -> State:
    """The workspace.

    Raises:
        UserError: it has no results.
    """
    if not INTERVALS.exists():
        raise UserError(f"{INTERVALS} is not there yet: `pipeline run` writes it")
    lock = _yaml(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    registered = files.read_json(paths.REGISTERED) if paths.REGISTERED.exists() else None
    text, trained = paths.PARAMS.read_text(encoding="utf-8"), paths.LINEAGE / paths.PARAMS.name
    stale = trained.exists() and trained.read_text(encoding="utf-8") != without_secrets(text)
    return State("here", _yaml(text), lock, files.read_json(INTERVALS), registered, stale=stale)


def at(revision: str) -> State:
    """A revision of the repository: a branch, a tag or a commit.

    Raises:
        UserError: git knows no such revision, or it has no params.yaml.
    """
    if _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise UserError(f"compare: git knows no revision {revision!r} here; `git branch -a` lists branches")
    params, lock = _git("show", f"{revision}:./{paths.PARAMS}"), _git("show", f"{revision}:./{LOCK}")
    if params is None:
        raise UserError(f"compare: {revision} has no {paths.PARAMS} in this folder")
    if lock is None:
        missing = f"{revision} has no {LOCK}: commit it with what `pipeline run` made, and push the results with `dvc push`"
        return State(revision, _yaml(params), {}, None, None, missing)
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        found = [_got(revision, place, Path(name) / place.name) for place in (INTERVALS, paths.REGISTERED)]
    missing = "" if found[0] else f"the results of {revision} are neither in DVC's cache nor in its remote"
    return State(revision, _yaml(params), _yaml(lock), found[0], found[1], missing)


def _git(*words: str) -> str | None:
    done = subprocess.run(["git", *words], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def _got(revision: str, place: Path, into: Path) -> Plain | None:
    words = [sys.executable, "-m", "dvc", "get", "--quiet", "--rev", revision, ".", str(place), "-o", str(into)]
    done = subprocess.run(words, capture_output=True, text=True)
    return json.loads(into.read_text(encoding="utf-8")) if done.returncode == 0 and into.exists() else None


def _yaml(text: str) -> Plain:
    found: Plain = YAML(typ="safe").load(text) or {}
    return found


# ---- as Markdown


def markdown(mine: State, other: State) -> str:
    """The comparison, the most important sentence first."""
    old = f"{paths.PARAMS} was changed after the training: the figures are those of before, `pipeline run` brings them up to date."
    parts = [
        f"## This branch beside {other.name}",
        _headline(mine, other),
        old if mine.stale else "",
        _metrics(mine, other),
        _params(mine, other),
        _data(mine, other),
    ]
    return without_secrets("\n\n".join(part for part in parts if part)) + "\n"


def _headline(mine: State, other: State) -> str:
    assert mine.intervals is not None
    metric, now = next(iter(mine.intervals["models"]["network"].items()))
    told = f"**{SHOWN.get(metric, metric)} {_value(now)}**"
    if other.intervals is None:
        return f"{told}. Nothing to compare with: {other.missing}."
    then = other.intervals["models"]["network"].get(metric)
    if then is None:
        return f"{told}; {other.name} was measured by other metrics."
    verdict = _verdict(metric, now, then)
    beyond = "" if _same_rows(mine, other) else ", on other test rows, so that the figures are no closer than their intervals"
    return f"{told}, {other.name} {_value(then)}: **{verdict}**{beyond}.{_gate(mine)}"


def _gate(mine: State) -> str:
    if mine.register is None:
        return ""
    judged = mine.register["judgement"]
    reasons = f" ({'; '.join(judged['reasons'])})" if judged["reasons"] else ""
    return f" The gate's verdict beside the champion: {judged['verdict']}{reasons}."


def _verdict(metric: str, now: Plain, then: Plain) -> str:
    """Better or worse only where each value lies outside of the other's interval."""
    if now["low"] is None or then["low"] is None:
        return "too few rows to tell"
    if now["low"] <= then["value"] <= now["high"] or then["low"] <= now["value"] <= then["high"]:
        return "not surely different"
    return "better" if (now["value"] < then["value"]) == (metric in LOWER_IS_BETTER) else "worse"


def _value(found: Plain) -> str:
    interval = "" if found["low"] is None else f" [{number(found['low'])}, {number(found['high'])}]"
    return f"{number(found['value'])}{interval}"


def _same_rows(mine: State, other: State) -> bool:
    return mine.digest(TEST) is not None and mine.digest(TEST) == other.digest(TEST)


def _metrics(mine: State, other: State) -> str:
    assert mine.intervals is not None
    if other.intervals is None:
        return ""
    before = other.intervals["models"]["network"]
    lines = [f"| test metric | here | {other.name} | change | |", "|---|---|---|---|---|"]
    for metric, now in mine.intervals["models"]["network"].items():
        name = f"{SHOWN.get(metric, metric)} {'↓' if metric in LOWER_IS_BETTER else '↑'}"
        if then := before.get(metric):
            change = number(now["value"] - then["value"], "+")
            lines.append(f"| {name} | {_value(now)} | {_value(then)} | {change} | {_verdict(metric, now, then)} |")
        else:
            lines.append(f"| {name} | {_value(now)} | – | | |")
    sizes = [side.register for side in (mine, other)]
    if all(sizes):
        for key, name in (("size_mb", "package, MB ↓"), ("latency_ms", "a row, ms ↓")):
            now, then = (side[key] for side in sizes if side)
            lines.append(f"| {name} | {number(now)} | {number(then)} | {number(now - then, '+')} | |")
    return "\n".join(lines)


def _params(mine: State, other: State) -> str:
    now, then = _flat(mine.params), _flat(other.params)
    changed = [key for key in [*then, *(key for key in now if key not in then)] if now.get(key) != then.get(key)]
    if not changed:
        return f"Params are those of {other.name}."
    rows = [f"| `{key}` | {_shown(then, key)} | {_shown(now, key)} |" for key in changed]
    return "\n".join([f"| param | {other.name} | here |", "|---|---|---|", *rows])


def _flat(params: Plain, above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in params.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) and value else {f"{above}{key}": value}
    return found


def _shown(params: Plain, key: str) -> str:
    return f"`{json.dumps(params[key], ensure_ascii=False, default=str)}`".replace("|", "\\|") if key in params else "–"


def _data(mine: State, other: State) -> str:
    if not other.lock or not mine.lock:
        return ""
    sources = [(side, str(side.params.get("data", {}).get("source", ""))) for side in (mine, other)]
    digests = [side.digest(source) for side, source in sources]
    source = "The source is the same" if digests[0] == digests[1] else "The source has changed"
    rows = "test rows are the same" if _same_rows(mine, other) else "test rows differ"
    return f"{source}; {rows}."
