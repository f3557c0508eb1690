"""`pipeline runs`, `show`, `diff`, `reproduce`, `sync`: what was trained, and how it came about."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import click

from pipeline import files, paths
from pipeline.errors import UserError
from pipeline.terminal import completing
from pipeline.terminal.help import Command


@click.command("runs", cls=Command, short_help="List training runs, the newest or the best first.")
@click.argument("experiment", required=False)
@click.option(
    "--where", default="", metavar="CONDITION", help="Comparisons joined by `and`: of metrics, params.X and tags.X, by = != < <= > >= ~."
)
@click.option("--sort", metavar="METRIC", help="The best in this metric first, instead of the newest.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most runs to list.")
@click.option("--sweeps", is_flag=True, help="List sweeps too.")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known of them as JSON.")
def runs_(experiment: str | None, where: str, sort: str | None, limit: int, sweeps: bool, as_json: bool) -> None:
    """List training runs (of an EXPERIMENT), the newest first.

    Examples: pipeline runs --sort test/auc; pipeline runs --where "test/auc > 0.7 and params.train.optimizer = adamw"
    """
    from pipeline.history import choosing, comparing, tables
    from pipeline.tracking import journal, reading

    terms, stages = choosing.terms(where), ("train", "tune") if sweeps else ("train",)
    ask: dict[str, Any] = {"limit": limit, "condition": choosing.condition(terms), "keep": lambda run: choosing.meets(run, terms)}
    order = choosing.order(sort) if sort else reading.NEWEST
    chosen = reading.all_runs(experiment, stages=stages, order=order, **ask)
    chosen = (choosing.best_first(chosen, sort) if sort else chosen)[:limit]
    if not chosen or (sort and sort not in chosen[0].metrics):
        named = [*(("--where", name) for name, *_ in terms), *([("--sort", sort)] if sort else [])]
        choosing.require_names(named, reading.all_runs(experiment, stages=stages, limit=200))
    if as_json:
        _print_json([comparing.plain(run) for run in chosen])
    elif chosen:
        out = tables.console()
        counts = {run.key: reading.trials(run) for run in chosen if run.tags.get("stage") == "tune"}
        grid, note = tables.table(chosen, now=journal.now(), width=out.width, sort=sort, trials=counts if sweeps else None)
        tables.write([grid], out)
        if note:
            out.print(note, style="dim")
    else:
        click.echo("no run meets that; `pipeline runs` lists all" if terms else "no runs yet: `pipeline run` makes one")


@click.command(cls=Command, short_help="Tell what a run was and what came of it.")
@click.argument("run", shell_complete=completing.of(completing.runs))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(run: str, as_json: bool) -> None:
    """Tell of a RUN (its key or MLflow id or the start of one, its name, `last` or `workspace`) what it was and what came of it.

    Examples: pipeline show last; pipeline show 3f2a9c1b
    """
    from pipeline.history import comparing, tables
    from pipeline.tracking import journal, reading

    found = reading.one(run)
    more: dict[str, Any] = {"artifacts": reading.artifacts(found.run_id), "versions": reading.versions(found.run_id)}
    sweep, before = reading.sweep(found), reading.before(found)
    if as_json:
        changes = comparing.differences(before, found)[0] if before else {}
        changed = {"before": before.key if before else None, "changes": changes, "sweep": sweep.key if sweep else None}
        _print_json({**comparing.plain(found), **more, **changed})
        return
    trials = reading.trials(sweep) if sweep else 0
    tables.write(tables.show(found, now=journal.now(), sweep=sweep, trials=trials, before=before, **more), tables.console())


@click.command(cls=Command, short_help="Tell in what two runs differ.")
@click.argument("a", shell_complete=completing.of(completing.runs))
@click.argument("b", shell_complete=completing.of(completing.runs))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def diff(a: str, b: str, as_json: bool) -> None:
    """Tell in what run B differs from run A: params, code, data, environment and metrics.

    Examples: pipeline diff 3f2a9c1b last; pipeline diff bald-mare 3f2a9c1b --json
    """
    from pipeline.history import comparing, tables
    from pipeline.tracking import reading

    first, second = reading.one(a), reading.one(b)
    if as_json:
        _print_json(comparing.plain_diff(first, second))
        return
    commits = [run.tags.get("git.commit", "") for run in (first, second)]
    words = ["git", "diff", "--stat=100,70,10", *commits, "--", "pipeline"]
    told = (
        subprocess.run(words, capture_output=True, text=True).stdout if all(map(str.isalnum, commits)) and commits[0] != commits[1] else ""
    )
    tables.write(tables.diff(first, second, told), tables.console())


@click.command(cls=Command, short_help="Compare this workspace's metrics with another revision's.")
@click.argument("revision", default="main")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there, instead of printing it.")
def compare(revision: str, out: Path | None) -> None:
    """Compare this workspace's results, params and data with those of a git REVISION, by default main, as Markdown for a pull request.

    Examples: pipeline compare; pipeline compare v1.2 -o comparison.md
    """
    from pipeline.history import revisions

    told = revisions.markdown(revisions.here(), revisions.at(revision))
    if out is None:
        click.echo(told, nl=False)
    else:
        files.write_text(out, told)
        click.echo(str(out))


def _print_json(found: Any) -> None:
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@click.command(cls=Command, short_help="Have a training again, in a folder of its own, and compare.")
@click.argument("run", metavar="RUN", shell_complete=completing.of(completing.runs))
@click.option("--into", metavar="FOLDER", type=click.Path(path_type=Path), help="Where; by default a folder in .state/reproduced.")
def reproduce(run: str, into: Path | None) -> None:
    """Have a training again: its commit, uncommitted changes, params and data, in a folder of its own; then compare.

    RUN is a run's key, its MLflow id or its name.  Exit code 1 says that what came of it differs.

    Examples: pipeline reproduce 3f2a91c0; pipeline reproduce bushy-sofa --into /tmp/again
    """
    from pipeline.history import reproducing
    from pipeline.tracking import reading

    found = reading.one(run)
    outcome = reproducing.reproduce(found, (into or paths.state() / "reproduced" / found.key[:12]).resolve())
    click.echo("\n".join(reproducing.told(outcome, found)))
    raise SystemExit(not (outcome.exact or outcome.close))


@click.command(cls=Command, short_help="Send to MLflow the runs that it missed.")
def sync() -> None:
    """Give the MLflow store what it missed: runs of stages that could not reach it, or of a store that was lost.

    Examples: pipeline sync; pipeline -v sync
    """
    from pipeline.tracking import runs, sending, store

    if paths.RUN.exists():  # pulled without its store, perhaps
        runs.recreated(files.read_json(paths.RUN))
    try:
        given, anew = sending.sync()
    except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
        raise UserError(f"sync: MLflow store {store.shown()}: {sending.reason(error)}; nothing is lost, try again later") from error
    made = f", {anew} of them anew" if anew else ""
    told = f"{given} run{'s' if given > 1 else ''} sent{made}" if given else "up to date"
    click.echo(f"MLflow store {store.shown()}: {told}")
