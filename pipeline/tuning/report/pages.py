"""The pages of a sweep: what it found (`write`) and when its trials ran (`timeline`).

Each is one file that asks no host for anything: plotly.js stands inside.  Nothing in the first page depends on the clock.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.tuning.report import clock, facts, figures, tables, words
from pipeline.tuning.report.drawing import embedded
from pipeline.tuning.report.formats import shown, told
from pipeline.tuning.report.scales import span_of
from pipeline.tuning.results import Sweep
from pipeline.tuning.space import flat


def write(sweep: Sweep, file: Path) -> None:
    """Write the page of a sweep, the same bytes for the same trials, whenever and wherever they ran."""
    sweep = _spread(sweep)
    objectives = range(len(sweep.objectives))
    fixed = [key for key in facts.keys(sweep) if len({shown(facts.level(trial, key)) for trial in sweep.trials}) == 1]
    keys = [key for key in sorted(facts.keys(sweep), key=lambda key: -sweep.importances.get(key, 0.0)) if key not in fixed]
    first, best = facts.numbered(sweep, 0), facts.numbered(sweep, sweep.best)
    text = _template("tune.html").render(
        sweep=sweep,
        details={name: told(value) for name, value in sweep.details.items() if value is not None},
        headline=words.headline(sweep),
        counts=words.counts(sweep),
        caution=words.caution(sweep),
        failures=words.failures(sweep),
        best=best if best is not first else None,
        compared=tables.compared(first, best),
        measured=tables.measured(first, best),
        fixed=fixed,
        names=[facts.name(sweep, k) for k in objectives],
        histories=[(drawn, span_of(sweep, k).worse) for k in objectives if (drawn := figures.history(sweep, k))],
        curves=figures.curves(sweep),
        importances=figures.importances(sweep),
        parallel=figures.parallel(sweep, keys),
        slices={facts.name(sweep, k): figures.slices(sweep, k, keys) for k in objectives},
        fronts=figures.fronts(sweep),
        table=tables.trials(sweep),
        **_shared(sweep),
    )
    files.write_text(file, text)


def timeline(sweep: Sweep, file: Path) -> None:
    """Write the page of when trials ran; those without a start and an end are left out."""
    sweep = _spread(sweep)
    ran = [trial for trial in sweep.trials if trial.ended >= trial.started > 0]
    text = _template("timeline.html").render(
        sweep=sweep, facts=clock.told(ran), figure=clock.bars(ran), unknown=len(sweep.trials) - len(ran), **_shared(sweep)
    )
    files.write_text(file, text)


def _spread(sweep: Sweep) -> Sweep:
    """The sweep with the items of lists as params of their own: `model.width[0]`, `model.width[1]`, ..."""
    return replace(sweep, trials=tuple(replace(trial, params=flat(trial.params)) for trial in sweep.trials))


def _shared(sweep: Sweep) -> dict[str, Any]:
    """What both pages carry: plotly.js, and the text of each trial for the points that stand for it."""
    from plotly.offline import get_plotlyjs

    return {"plotlyjs": get_plotlyjs(), "hovers": embedded({trial.number: words.hover(sweep, trial) for trial in sweep.trials})}


def _template(name: str) -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    ).get_template(name)
