"""Runs in the terminal: a table of many, a page of one, two side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.history.comparing import beyond_defaults, differences, differing, inside, main_metric, moment, rows_of
from pipeline.summary import duration, number, spread
from pipeline.tracking.reading import Found

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.tracking.registry import Move, Version

LOSS = "best/validation/loss"
MOST = 4  # params beside the runs of a table
FEW = 12  # differences from the run before
STYLES = {"failed": "red", "killed": "red", "running": "yellow", "not sent yet": "yellow", "outside A": "bold"}


@dataclass(frozen=True)
class Grid:
    """Lines of cells below a title; columns whose header starts with `>` stand to the right."""

    title: str
    rows: Sequence[Sequence[str]]
    headers: Sequence[str] = ()


def table(
    runs: Sequence[Found], *, now: int, width: int, sort: str | None = None, trials: Mapping[str, int] | None = None
) -> tuple[Grid, str]:
    """Runs in lines, without those columns of params that the width does not hold, and a note on what was left out."""
    mains = {main_metric(run) for run in runs} - {None}
    metric = mains.pop() if len(mains) == 1 else None
    columns: dict[str, Callable[[Found], str]] = {
        "run": lambda run: run.key.removeprefix("sweep-")[:8],
        "name": lambda run: run.name or "-",
    }
    if len({run.experiment for run in runs}) > 1:
        columns["experiment"] = lambda run: run.experiment
    columns |= {"when": lambda run: ago(run.start, now), "status": status, "family": lambda run: run.tags.get("family", "-")}
    if trials is not None:
        columns[">trials"] = lambda run: str(trials.get(run.key, "-"))
    columns[f"test/{metric}" if metric else "test"] = lambda run: measured(run, main_metric(run), named=metric is None)
    columns[f">{LOSS}"] = lambda run: _value(run, LOSS)
    if sort and sort not in (f"test/{metric}", LOSS):
        columns[f">{sort}"] = lambda run: _value(run, sort)
    params = differing(runs)
    columns |= {f"params.{name}": (lambda run, name=name: run.params.get(name, "-")) for name in params[:MOST]}  # type: ignore[misc]
    droppable = ["family", *(f"params.{name}" for name in params[:MOST])]
    while True:
        rows = [[cell(run) for cell in columns.values()] for run in runs]
        wide = sum(max(map(len, cells)) + 2 for cells in zip([name.lstrip(">") for name in columns], *rows, strict=True)) - 2
        if wide <= width or not droppable:
            break
        del columns[droppable.pop()]
    more = len(params) - sum(name.startswith("params.") for name in columns)
    note = f"{more} {'more ' if more < len(params) else ''}param{'s differ' if more > 1 else ' differs'}: `pipeline diff A B` shows them"
    return Grid("", rows, list(columns)), note if more else ""


def measured(run: Found, metric: str | None, *, named: bool = False) -> str:
    """A test metric with its interval."""
    if metric is None:
        return "-"
    value, ends = run.metrics[f"test/{metric}"], [run.metrics.get(f"test/{metric}/{end}") for end in ("low", "high")]
    interval = f" {spread(*ends)}" if None not in ends else ""  # type: ignore[arg-type]
    return f"{f'{metric} ' if named else ''}{number(value)}{interval}"


def status(run: Found) -> str:
    """How a run ended."""
    return run.status.lower() + ("" if run.sent else ", not sent yet")


def ago(then: int, now: int) -> str:
    """A moment in words, both in ms since 1970: relative for two days, then the local date."""
    minutes = (now - then) // 60_000
    if minutes < 1:
        return "just now"
    return (
        f"{minutes} min ago" if minutes < 60 else f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{moment(then).astimezone():%Y-%m-%d}"
    )


def diff(a: Found, b: Found, stat: str = "") -> list[Grid]:
    """Two runs side by side, only where they differ."""
    found, equal = differences(a, b)
    names = [f"{run.key[:8]} {run.name}".strip() for run in (a, b)]
    grids = [Grid(facet, [(n, _text(x), _text(y)) for n, (x, y) in rows.items()], ("", *names)) for facet, rows in found.items() if rows]
    if found["metrics"]:
        words = {True: "within A's interval", False: "outside A's interval", None: ""}
        lines = []
        for name, (x, y) in found["metrics"].items():
            change = "" if None in (x, y) else _number(y - x, "+")
            lines.append((name, _value(a, name), _value(b, name), change, words[inside(a, name, y)]))
        grids[-1] = Grid("metrics", lines, ("", *(f">{name}" for name in names), ">B - A", ""))
    if stat:
        grids.append(Grid("changed between the commits", [(line.strip(),) for line in stat.splitlines()]))
    told = ", ".join(f"{count} {facet}" for facet, count in equal.items() if count)
    return [*grids, Grid("" if any(found.values()) else "nothing differs", [(f"equal: {told or 'nothing'}",)])]


def show(
    run: Found, *, now: int, artifacts: Sequence[str], versions: Sequence[str], sweep: Found | None, trials: int, before: Found | None
) -> list[Grid]:
    """All that a reader wants to know of a run."""
    tags = run.tags
    commit = tags.get("git.commit", "-")[:12] + (f" on {tags['git.branch']}" if "git.branch" in tags else "")
    began = moment(run.start).astimezone()
    took = f", took {duration((run.end - run.start) / 1000)}" if run.end else ""
    machine = [f"{name.removeprefix('machine.')} {tags[name]}" for name in tags if name.startswith(("machine.", "gpu", "device"))]
    about = {
        "run": f"{run.key} ({run.name})", "MLflow id": run.run_id, "experiment": run.experiment, "status": status(run),
        "when": f"{began:%Y-%m-%d %H:%M:%S} ({ago(run.start, now)}){took}", "command": tags.get("mlflow.source.name"),
        "code": commit + (", with uncommitted changes" if tags.get("git.dirty") == "true" else ""), "machine": ", ".join(machine),
        "python": ", ".join([tags.get("python", "-"), *([f"lock {tags['lock']}"] if "lock" in tags else [])]),
        "network": tags.get("family"), "model": ", ".join(versions), "artifacts": ", ".join(artifacts),
    }  # fmt: skip
    lead = main_metric(run)
    names = sorted((n.split("/")[1] for n in run.metrics if n.startswith("test/") and n.count("/") == 1), key=lambda n: (n != lead, n))
    others = sorted({name.split("/")[1] for name in run.metrics if name.startswith("baseline/")})
    tested = [(n, *measured(run, n).partition(" ")[::2], *(_value(run, f"baseline/{o}/{n}", "") for o in others)) for n in names]
    best = [(name.removeprefix("best/validation/"), _value(run, name)) for name in run.metrics if name.startswith("best/validation/")]
    if (epoch := run.metrics.get("best/epoch")) is not None:
        best.append(("epoch", f"{epoch + 1:.0f} of at most {run.params.get('train.epochs', '?')}"))
    grids = [
        Grid("", [(name, value) for name, value in about.items() if value]),
        Grid(
            "data", [(one["context"], rows_of(one), one["digest"], one["source"]) for one in run.inputs], ("", ">rows", "digest", "source")
        ),
        Grid("test", tested, ("", ">value", "interval", *(f">{other}" for other in others))),
        Grid("best on validation", best),
        Grid("params beyond the defaults", [(name, *pair) for name, pair in beyond_defaults(run.params).items()], ("", "value", "default")),
    ]
    if sweep:
        tuned = [(name.removeprefix("best."), value) for name, value in sweep.tags.items() if name.startswith("best.")]
        grids.append(Grid(f"from {sweep.name}, {trials} trials", tuned or [("nothing better was found",)]))
    if before:
        changes = [
            (f"{facet} {name}" if facet == "data" else name, _text(x), "→", _text(y))
            for facet, rows in differences(before, run)[0].items()
            for name, (x, y) in rows.items()
            if facet != "metrics" or name.startswith("test/")
        ]
        more = [(f"and {len(changes) - FEW} more: `pipeline diff {before.key[:8]} {run.key[:8]}`",)] if len(changes) > FEW else []
        grids.append(Grid(f"differs from the run before, {before.key[:8]} {before.name}", [*changes[:FEW], *more] or [("in nothing",)]))
    return [grid for grid in grids if grid.rows]


def versions(found: Sequence[Version], moves: Sequence[Move], alias: str) -> list[Grid]:
    """Registered versions, and who held the alias when."""
    rows = [
        (
            str(one.number),
            ", ".join(one.aliases),
            one.tags.get("verdict", ""),
            f"{moment(one.created).astimezone():%Y-%m-%d %H:%M}",
            one.tags.get("reasons", ""),
        )
        for one in found
    ]
    told = [(f"{datetime.fromisoformat(move.when).astimezone():%Y-%m-%d %H:%M}", str(move.number), move.who, move.why) for move in moves]
    grids = [Grid("", rows, (">version", "alias", "verdict", "registered", "why"))]
    return grids + ([Grid("", told, (f"{alias} since", ">version", "by", "why"))] if told else [])


def console(stream: Any = None) -> Console:
    """A terminal as it is; a pipe is as wide as it needs to be, and gets no escape codes."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = stream.isatty()
    width = shutil.get_terminal_size().columns if terminal else 10_000
    return Console(file=stream, width=width, color_system="auto" if terminal else None, markup=False, highlight=False, emoji=False)


def write(grids: Sequence[Grid], out: Console) -> None:
    """Write grids, a blank line between two."""
    from rich.table import Table
    from rich.text import Text

    for at, grid in enumerate(grids):
        out.file.write("\n" if at else "")
        if grid.title and not grid.headers:
            out.print(Text(grid.title, "bold"), soft_wrap=True)
        lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(grid.headers), header_style="")
        for index in range(max(map(len, grid.rows))):
            header = grid.headers[index] if index < len(grid.headers) else ""
            title = Text(grid.title, "bold") if grid.title and not index else Text(header.lstrip(">"), "dim")
            lines.add_column(title, justify="right" if header.startswith(">") else "left", overflow="fold")
        for first, *rest in grid.rows:
            cells = [f"  {first}" if grid.title else first, *rest]
            lines.add_row(*(Text(cell, next((style for word, style in STYLES.items() if word in cell), "")) for cell in cells))
        with out.capture() as captured:
            out.print(lines)
        out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _value(run: Found, metric: str, absent: str = "-") -> str:
    return _number(run.metrics[metric]) if metric in run.metrics else absent


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.2e}" if 0 < abs(value) < 5e-4 else number(value, sign)


def _text(value: Any) -> str:
    return "-" if value is None else _number(value) if isinstance(value, float) else str(value)
