"""A proposal as params.yaml: short, with the reasons beside what was chosen."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pipeline import paths
from pipeline.params_file import schema_line
from pipeline.proposing.proposal import Proposal

WIDTH, COLUMN = 140, 36
PLAIN = re.compile(r"[A-Za-z_/.][\w/.-]*( [\w/.-]+)*")
NUMBER = re.compile(r"\.?\d|\.(inf|nan)$", re.IGNORECASE)
WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"))
MOST_NOTES = 8


def scalar(value: object) -> str:
    """A value in YAML's flow style; texts in quotes where they would read as something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS and not NUMBER.match(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def command(source: str, target: str) -> str:
    """The command that proposes another target."""
    return f"pipeline init {shlex.quote(source)} --target {shlex.quote(target)} --force"


def written(proposal: Proposal) -> str:
    """The text of params.yaml."""
    data, sizes = proposal.data, proposal.sizes
    seen = "" if proposal.whole else ", of which a sample was looked at"
    lines = [
        schema_line(paths.PARAMS),
        f"# Made from {proposal.rows:,} {proposal.unit} and {proposal.width:,} columns{seen}. Edit, then `pipeline run`;",
        "# `pipeline check` tells every mistake, docs/params.md all keys and their defaults.",
        f"seed: {proposal.sides.seed}",
        "",
        "data:",
        _line(1, "source", data.source),
    ]
    lines += [_line(1, "files", data.files, "which files of it")] if data.files else []
    why = proposal.target_why + (": a guess" if proposal.unsure else "")
    lines.append(_line(1, "target", data.targets[0], why))
    lines += (
        _remark(1, "perhaps rather: " + "; ".join(command(data.source, other.name) for other in proposal.others[:2]))
        if proposal.unsure
        else []
    )
    lines.append(_line(1, "task", proposal.task, proposal.told))
    lines += [_line(1, "positive", data.positive, "the rarer class: precision, recall and F1 are about it")] if data.positive else []
    if data.series:
        lines.append(
            _line(1, "series", {"id": data.series.id, "time": data.series.time}, f"one example is all rows of one {data.series.id}")
        )
    if data.forecast:
        asked = {key: value for key, value in data.forecast.model_dump().items() if value is not None}
        asked = {"time": asked.pop("time"), **asked}
        lines += [
            *_remark(1, f"steps of one {proposal.step}: how many the network sees, and how many it predicts"),
            _line(1, "forecast", asked),
        ]
    if proposal.columns:
        lines += ["  columns:", *(_line(2, name, kind, why) for name, (kind, why) in proposal.columns.items())]
    lines += [line for note in proposal.notes[:MOST_NOTES] for line in _remark(1, note)]
    lines += ["", *_clean(proposal), "", "split:", *_remark(1, proposal.sides.why)]
    lines += [_line(1, key, value) for key, value in proposal.sides.keys.items()]
    lines += ["", *_section("normalize", sizes.normalize), "", *_model(proposal), "", *_train(proposal), "", *_tune(proposal)]
    lines += ["", *_evaluate(proposal), "", "register:", _line(1, "name", proposal.name)]
    lines += ["", "monitor:", _line(1, "window", proposal.window, "rows of each window that is compared with the test rows")]
    return "\n".join(lines) + "\n"


def _clean(proposal: Proposal) -> list[str]:
    if not proposal.duplicates:
        return ["clean: {}"]
    count = f"{proposal.duplicates:,} rows equal an earlier one"
    if proposal.drop:
        return ["clean:", _line(1, "duplicates", "drop", f"{count}: {proposal.drop}")]
    return ["clean:", _line(1, "duplicates", "keep", f"{count}; drop them if one thing was entered twice")]


def _model(proposal: Proposal) -> list[str]:
    keys = {"family": "auto", **proposal.sizes.model}
    smaller = "smaller than usual, to be done in minutes: without these lines it is the usual one"
    lines = ["model:", _line(1, "family", keys.pop("family"), "by the data: docs/networks.md")]
    if proposal.data.forecast and proposal.width > 2 + bool(proposal.data.forecast.series):
        tried = ", which the sweep tries" if proposal.sizes.trials else ""
        own = f"it sees the past of {proposal.data.targets[0]} alone; channel_mixing: true lets it see the other columns too{tried}"
        lines += _remark(1, own)
    return lines + ([*_remark(1, smaller), *(_line(1, key, value) for key, value in keys.items())] if keys else [])


def _train(proposal: Proposal) -> list[str]:
    sizes = proposal.sizes
    why = "at most: it stops by itself once validation gets no better"
    if not sizes.trained_fully:
        why = f"few, for a first result; 30 take {30 / sizes.epochs:.0f} times as long and are likely better"
    return ["train:", _line(1, "epochs", sizes.epochs, why), *(_line(1, key, value) for key, value in sizes.train.items())]


def _tune(proposal: Proposal) -> list[str]:
    trials = proposal.sizes.trials
    if trials:
        why = f"networks tried; {3 * trials} take some three times as long and may find a better one"
        return ["tune:", _line(1, "trials", trials, why)]
    return ["tune:", _line(1, "trials", 0, "trains the values above; 10 would take some five times as long: docs/tuning.md")]


def _evaluate(proposal: Proposal) -> list[str]:
    if proposal.rare is None:
        return ["evaluate: {}"]
    name, share = proposal.rare
    why = f"{name} is {share} of the rows and seldom as likely as 0.5; f1 chooses the probability to answer it from by F1 on validation"
    return ["evaluate:", *_remark(1, why), _line(1, "threshold", "f1")]


def _section(name: str, keys: Mapping[str, Any]) -> list[str]:
    return [f"{name}:", *(_line(1, key, value) for key, value in keys.items())] if keys else [f"{name}: {{}}"]


def _line(depth: int, key: str, value: object, why: str = "") -> str:
    """A key, and its reason at the right or, where that has no room, above it."""
    text = "  " * depth + f"{scalar(key)}: {scalar(value)}"
    if not why:
        return text
    beside = f"{text:<{COLUMN - 1}} # {_flat(why)}"
    return beside if len(beside) <= WIDTH else "\n".join([*_remark(depth, why), text])


def _remark(depth: int, text: str) -> list[str]:
    """Comment lines no wider than `WIDTH`."""
    lines, room = [""], WIDTH - 2 * depth - 2
    for word in _flat(text).split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return ["  " * depth + "# " + line for line in lines]


def _flat(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()
