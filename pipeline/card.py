"""The model card (Mitchell et al. 2019): what a model is, what it learnt from, how well it does, where it does not, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import summary
from pipeline.config import RegisterParams
from pipeline.data.fitted import Preprocessor
from pipeline.evaluation.wording import capital

FEW = 5  # parts of the rows, and leaks
NOTED = (
    " A row is refused, in words, where a value is missing or unreadable that never was in training, and flagged"
    " where a category is new or a number outside of training's range."
)
SIDES = ("train", "validation", "test")


def text(fitted: Preprocessor, register: RegisterParams, found: dict[str, Any], *, versions: Sequence[str]) -> str:
    """Returns the card.

    Args:
        found: the reports of the stages up to evaluate, as `summary.facts` reads them; versions: what it needs.
    """
    target, task = found["schema"]["target"], fitted.task
    what = {
        "binary": "one of two classes",
        "multiclass": "one of several classes",
        "regression": "a number",
        "forecast": "the steps to come",
    }
    classes = (
        f" ({', '.join(fitted.target.classes[:20])}{', ...' if len(fitted.target.classes) > 20 else ''})" if fitted.target.classes else ""
    )
    columns = f"{len(fitted.raw_columns)} column{'s' if len(fitted.raw_columns) > 1 else ''}"
    names = ", ".join(f"`{name}`" for name in fitted.raw_columns)
    lines = [
        f"# {register.name}",
        f"Predicts `{target}`: {what[task]}{classes}, from {columns}, by a Keras network.",
        "## Intended use",
        register.intended_use or "Not stated: `register.intended_use` of params.yaml says what the model is for, and what not.",
        "## Data",
        f"{found['source']['source']}: {found['source']['rows']:,} rows, {len(found['source']['columns'])} columns.",
        _table(("side", "rows", "target"), [(side, f"{about['rows']:,}", _target(about)) for side, about in _sides(found)]),
        f"Split: {found['split']['strategy']}{' by ' + found['split']['by'] if found['split']['by'] else ''}.",
        *(f"**{one['title']}** {one['remedy']}" for one in found["leakage"]["findings"][:FEW] if one["severity"] == "error"),
        _aside(fitted),
        "## Figures",
        f"{summary.result(found)}. " + ". ".join(capital(summary.against(found, other)) for other in found["test"]["differences"]) + ".",
        _metrics(found),
        summary.answered(found),
        "## Limits",
        *([register.limits] if register.limits else []),
        *_limits(found),
        "## Asking it",
        f"It reads raw rows with the columns {names}, as the source has them, in any order." + ("" if fitted.forecast else NOTED),
        f"It needs {', '.join(versions)}.",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _sides(found: dict[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(side, found["split"]["sides"][side]) for side in SIDES if side in found["split"]["sides"]]


def _target(about: Mapping[str, Any]) -> str:
    if classes := about.get("classes"):
        return ", ".join(f"{name} {count / max(about['rows'], 1):.1%}" for name, count in list(classes.items())[:10])
    return f"mean {about['target_mean']:.5g}" if about.get("target_mean") is not None else ""


def _aside(fitted: Preprocessor) -> str:
    told = "; ".join(f"`{name}` ({why})" for name, why in fitted.set_aside.items())
    return f"Not read by the network: {told}." if told else ""


def _metrics(found: dict[str, Any]) -> str:
    models = found["test"]["models"]

    def cell(one: Mapping[str, Any]) -> str:
        if one["value"] is None:
            return "-"
        return summary.number(one["value"]) + (f" {summary.spread(one['low'], one['high'])}" if one["low"] is not None else "")

    rows = [(summary.SHOWN.get(name, name), *(cell(of[name]) for of in models.values())) for name in models["network"]]
    return _table(("test", *(summary.NAMES.get(model, "the network") for model in models)), rows)


def _limits(found: dict[str, Any]) -> list[str]:
    parts = found["parts"]
    told = [f"- Worse than elsewhere: {sentence}." for sentence in parts.get("worse", [])[:FEW]]
    told += [f"- Gap in {gap['measure'].replace('_', ' ')} of `{gap['column']}`: {_gap(gap)}." for gap in parts.get("gaps", [])]
    told += [f"- Disturbed rows: {parts['disturbed']}"] if "disturbed" in parts else []
    return ["\n".join(told)] if told else ["No part of the test rows was found on which it is surely worse than elsewhere."]


def _gap(gap: Mapping[str, Any]) -> str:
    if gap["value"] is None:
        return "too few rows to tell"
    interval = "" if gap["low"] is None else f" {summary.spread(gap['low'], gap['high'])}"
    return f"{summary.number(gap['value'])}{interval}, {gap['largest']} above {gap['smallest']}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)
