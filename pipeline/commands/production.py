"""`pipeline monitor`, `label`, `logged`: a deployed model, what became of its answers, and rows to train on again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline import paths, resources
from pipeline.commands.stages import as_stage
from pipeline.config import MonitorParams
from pipeline.errors import UserError
from pipeline.params_file import load
from pipeline.terminal.help import Command


@click.command(cls=Command, short_help="Watch the production rows for drift and decay.")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option(
    "--log", "log_folder", is_flag=False, flag_value="", metavar="[FOLDER]", help="Watch the inference log, by default that of params.yaml."
)
@click.option("--model", metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS; by default the champion of params.yaml.")
@click.option("--window", metavar="WINDOW", help="Rows, hour, day, week, month or file, in place of monitor.window.")
@click.option("--since", type=click.DateTime(), help="Rows of the log that came from then on (UTC).")
@click.option("--until", type=click.DateTime(), help="Rows of the log that came before.")
@click.option(
    "--fail-on", type=click.Choice(["never", "drift", "decay"]), help="What ends with exit code 3; monitor.fail_on, unless given."
)
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the pages; reports/production/NAME-VERSION.")
def monitor(source: Path | None, log_folder: str | None, model: str | None, window: str | None, out: Path | None, **more: Any) -> None:
    """Watch the production rows for drift and decay.

    As a stage those of the split; with SOURCE or --log those of a deployed model.  SOURCE is a file or folder, whose rows the package
    answers.  Windows are judged once, and again when labels come.

    Examples: pipeline monitor; pipeline monitor --log --window day --fail-on decay; pipeline monitor deliveries/ --window file
    """
    if source is None and log_folder is None and model is None:
        if given := [name for name, value in {"window": window, "out": out, **more}.items() if value is not None]:
            raise UserError(f"monitor: --{given[0].replace('_', '-')} belongs to a deployed model: say SOURCE or --log too")
        as_stage("monitor")
        return
    if source is not None and log_folder is not None:
        raise UserError("monitor: expected SOURCE or --log, got both")
    from pipeline.monitoring import live

    params = load(paths.PARAMS) if paths.PARAMS.exists() else None
    settings = params.section("monitor") if params else MonitorParams()
    asked = {"window": window if window is None or not window.isdecimal() else int(window), "fail_on": more["fail_on"]}
    settings = _with(settings, {name: value for name, value in asked.items() if value is not None})
    if model is None:
        if params is None:
            raise UserError(f"monitor: no {paths.PARAMS} here that names a model: say --model PACKAGE")
        model = f"models:/{params.section('register').name}@{params.section('register').alias}"
    from pipeline import packaging

    place = source or (Path(log_folder) if log_folder else paths.inference_log(packaging.reference(model)[0]))
    hidden = (*params.serve.hashed, *params.serve.omitted) if params and params.serve else ()
    data = params.section("data") if params else None
    written = {"csv": data.csv, "series": data.series} if data else {}
    rows = live.Source(place, source is None, hidden, more["since"], more["until"], **written)
    with resources.limited(params.memory if params else "auto"):
        summary, folder = live.watch(model, rows, settings, seed=params.seed if params else 0, out=out)
    for line in live.lines(summary, folder):
        click.echo(line)
    raise SystemExit(live.act(summary, settings, folder))


def _with(settings: MonitorParams, given: dict[str, Any]) -> MonitorParams:
    """The settings with those of the command line."""
    try:
        return MonitorParams.model_validate(settings.model_dump() | given)
    except ValueError:
        raise UserError(f"monitor --window: expected 30 rows or more, hour, day, week, month or file, got {given['window']}") from None


@click.command(cls=Command, short_help="Give the logged answers the labels of a file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--by", default="request_id", show_default=True, metavar="COLUMN", help="What tells the rows: a column of serve.keep or of the model."
)
@click.option("--label", default="label", show_default=True, metavar="COLUMN", help="The column of FILE that holds what really happened.")
@click.option("--log", "log_folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of the inference log.")
def label(file: Path, by: str, label: str, log_folder: Path | None) -> None:
    """Give the answers in the inference log the labels of FILE, by the id of the request (and `row`, where one had several).

    Examples: pipeline label outcomes.csv; pipeline label outcomes.csv --by order_id --label churned
    """
    from pipeline.inference_log import labels

    params = load(paths.PARAMS) if paths.PARAMS.exists() else None
    if log_folder is None:
        if params is None:
            raise UserError(f"label: no {paths.PARAMS} here that names a model: say --log FOLDER")
        log_folder = paths.inference_log(params.section("register").name)
    added = labels.add(log_folder, file, label=label, by=by, csv=params.section("data").csv if params else None)
    click.echo(str(added))


@click.command(cls=Command, short_help="Write the logged rows that have labels, to train on again.")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--since", type=click.DateTime(), help="Rows that came from then on (UTC).")
@click.option("--until", type=click.DateTime(), help="Rows that came before.")
@click.option("--all", "whole", is_flag=True, help="Rows without a label too.")
@click.option("--log", "log_folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of the inference log.")
@click.option("--force", is_flag=True, help="Replace the file that is to be written.")
def logged(out: Path, log_folder: Path | None, **more: Any) -> None:
    """Write the labelled rows of the inference log as OUT (.parquet, .csv or .jsonl), with the columns of the source: to train on again.

    Examples: pipeline logged incoming/2.csv; pipeline logged all.parquet --since 2026-03-01 --all
    """
    from pipeline.inference_log import exporting

    if not paths.PARAMS.exists():
        raise UserError(f"logged: no {paths.PARAMS} here that names the target")
    params = load(paths.PARAMS)
    data = params.section("data")
    if len(data.targets) > 1 or data.forecast is not None:
        raise UserError("logged: a forecast's requests overlap and bring no labels: its source grows by the steps that came")
    folder = log_folder or paths.inference_log(params.section("register").name)
    with resources.limited(params.memory):
        done = exporting.export(folder, out, target=data.targets[0], hidden=params.serve.hashed if params.serve else (), **more)
    click.echo(f"{out}: {done}")
