"""The command line: `pipeline <stage>` for each stage, and the commands around them.

Exit codes: 0 done, 2 a mistake of the user's, told in one line each, 1 anything else (with its traceback), 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import getpass
import importlib
import importlib.metadata
import inspect
import json
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pipeline import files, paths, resources
from pipeline.config import MonitorParams, Params, ServeParams
from pipeline.errors import UserError
from pipeline.params_file import exposed, load
from pipeline.secrets import without_secrets

STAGES = {
    "collect": "Read data.source into data/raw.",
    "clean": "Type the columns under an inferred schema, into data/clean.",
    "split": "Put rows on train, validation, test and production.",
    "normalize": "Fit preprocessing on train and apply it, into data/normalized.",
    "tune": "Search tune.space with Optuna on the validation split.",
    "train": "Train the network and log the run to MLflow.",
    "evaluate": "Measure it on the test split, beside baselines.",
    "register": "Package it, prove that the package answers alike, register it.",
    "monitor": "Watch the production rows for drift and decay.",
    "report": "Write reports/index.html.",
}
OPTIONS = {
    "tune": {
        "join": "Take trials of the sweep that another machine runs in tune.storage; write nothing here.",
        "dry-run": "Tell what would be searched, and how long it would take at most.",
    }
}
EXAMPLES = Path("examples")
log = logging.getLogger("pipeline")


class Lines(logging.Formatter):
    """A log's lines, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class Commands(click.Group):
    """Stages in their order, then the commands around them; mistakes of the user's end in one line each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*STAGES, *(name for name in self.commands if name not in STAGES)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            for message in error.messages:
                click.secho(without_secrets(message), fg="red", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Print the libraries' messages too.")
@click.option("--debug", is_flag=True, help="Print the traceback of a user's mistake too.")
@click.version_option(importlib.metadata.version("experiment-pipeline"), prog_name="pipeline")
def main(quiet: bool, verbose: bool, debug: bool) -> None:
    """Data to a tuned, trained, evaluated, registered and monitored Keras model, as params.yaml says.

    `pipeline run` does it all; each stage can be run by itself.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, force=True)
    logging.root.handlers[0].setFormatter(Lines())
    log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "2")


def run_stage(name: str, params: Params, **options: bool) -> None:
    """Run a stage with the sections that its `run` names; without options, alone in this workspace.

    Args:
        options: keywords of its `run` that are no sections; with one that is set it writes nothing here.

    Raises:
        UserError: the stage cannot work with these params and data.
    """
    from filelock import FileLock, Timeout

    module = importlib.import_module(f"pipeline.stages.{name}")
    sections = {
        key: params.section(key) for key, given in inspect.signature(module.run).parameters.items() if given.kind != given.KEYWORD_ONLY
    }
    if any(options.values()):
        with resources.limited(params.memory):
            module.run(**sections, **options)
        return
    lock = FileLock(paths.state() / "locks" / f"{paths.workspace()}-{name}.lock")
    try:
        lock.acquire(timeout=0.1)
    except Timeout:  # a stage left behind by a killed dvc must not run beside its successor
        log.warning("%s already runs in this workspace; waiting for it to end", name)
        lock.acquire()
    with lock, resources.limited(params.memory):
        module.run(**sections, **options)
        _note_cost(name)


def _note_cost(stage: str) -> None:
    """Remember what a stage took, for the run of the training that follows from it."""
    before = files.read_json(paths.costs()) if paths.costs().exists() else {}
    files.write_json(paths.costs(), {**before, stage: dataclasses.asdict(resources.cost())})


def _as_stage(name: str, **given: bool) -> None:
    started = time.monotonic()
    params = load(paths.PARAMS)
    try:
        run_stage(name, params, **given)
    except FileNotFoundError as error:
        if error.filename is None or not any(Path(error.filename).is_relative_to(p) for p in ("data", "models", "reports")):
            raise
        raise UserError(f"{name}: {error.filename} is not there yet: run the stages before it, or `pipeline run`") from error
    log.info("%s done in %.1f s", name, time.monotonic() - started)


def _stage_command(name: str, help: str) -> click.Command:
    options = OPTIONS.get(name, {})

    def call(**given: bool) -> None:
        _as_stage(name, **given)

    flags = [click.Option([f"--{flag}"], is_flag=True, help=told) for flag, told in options.items()]
    example = "; ".join([f"pipeline {name}", *(f"pipeline {name} --{flag}" for flag in options)])
    return click.Command(name, callback=call, params=list(flags), help=f"{help}\n\nExample: {example}", short_help=help)


for _name, _help in STAGES.items():
    main.add_command(_stage_command(_name, _help))


@main.command()
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
        _as_stage("monitor")
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
    csv = {"csv": params.section("data").csv} if params else {}
    rows = live.Source(place, source is None, hidden, more["since"], more["until"], **csv)
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


@main.command()
def check() -> None:
    """Check params.yaml: every mistake at once, with its place and the nearest valid key.

    Example: pipeline check
    """
    _checked()
    click.echo(f"{paths.PARAMS}: ok")


def _checked() -> None:
    """Raises UserError for mistakes in params.yaml; warns of passwords in it."""
    for key in exposed(load(paths.PARAMS)):
        log.warning("%s: %s holds what looks like a password: git, dvc.lock and DVC's cache keep it as it is", paths.PARAMS, key)


@main.command()
@click.option("--example", metavar="NAME", required=True, help="A folder of examples/, such as digits.")
@click.option("--force", is_flag=True, help="Replace params.yaml.")
def init(example: str, force: bool) -> None:
    """Write the params.yaml of an example; one that is there is kept, unless --force is given.

    Example: pipeline init --example digits
    """
    there = sorted(file.parent.name for file in EXAMPLES.glob(f"*/{paths.PARAMS}"))
    source = EXAMPLES / example / paths.PARAMS
    if example not in there:
        raise UserError(f"init --example: no example {example!r}; examples are {', '.join(there) or 'none: run in the project root'}")
    if paths.PARAMS.exists() and not force and paths.PARAMS.read_bytes() != source.read_bytes():
        raise UserError(f"init: {paths.PARAMS} is there already; --force replaces it")
    files.write_text(paths.PARAMS, source.read_text(encoding="utf-8"))
    click.echo(f"{paths.PARAMS}: {example} (examples/{example}/README.md tells about it); go on with `pipeline run`")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Check params.yaml, then `dvc repro` (with any ARGUMENTS of its), then say where to look.

    Examples: pipeline run; pipeline run --force train
    """
    _checked()  # before DVC removes the outputs of a stage that would then fail
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments], env=_with_path())
    if done.returncode:
        raise SystemExit(done.returncode)
    from pipeline.summary import lines

    with suppress(FileNotFoundError):  # a part of the stages was asked for: there is no whole result yet
        click.echo("\n" + "\n".join(lines()))


@main.command("runs")
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


@main.command()
@click.argument("run")
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


@main.command()
@click.argument("a")
@click.argument("b")
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


def _print_json(found: Any) -> None:
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def versions(as_json: bool) -> None:
    """List the registered versions of the model, the newest first: aliases, verdict of the gate, and who gave the champion its place.

    Example: pipeline versions
    """
    from pipeline.history import tables
    from pipeline.tracking import registry

    register = load(paths.PARAMS).section("register")
    found, moves = registry.versions(register.name), registry.history(register.name, register.alias)
    if as_json:
        _print_json({"versions": [dataclasses.asdict(one) for one in found], "history": [dataclasses.asdict(move) for move in moves]})
    elif found:
        tables.write(tables.versions(found, moves, register.alias), tables.console())
    else:
        click.echo(f"no version of {register.name} yet: `pipeline run` registers one")


@main.command()
@click.argument("version", type=click.IntRange(min=1))
@click.option("--why", required=True, metavar="TEXT", help="For those who ask later; kept with the version.")
def promote(version: int, why: str) -> None:
    """Make a registered VERSION the champion, whatever the gate said of it.

    Example: pipeline promote 4 --why "the new price list needs it"
    """
    _move(version, why)


@main.command()
@click.option("--why", required=True, metavar="TEXT", help="For those who ask later; kept with the version.")
def rollback(why: str) -> None:
    """Make the version that was champion before the present one champion again.

    Example: pipeline rollback --why "complaints from the branches"
    """
    _move(None, why)


@main.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, allow_dash=True), help="A new .parquet, .csv or .jsonl; else CSV is printed.")
@click.option("--model", default=str(paths.PACKAGE), show_default=True, metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="A column of FILE to stand before the answers; several times for several.")
@click.option("--force", is_flag=True, help="Replace the file that is to be written.")
@click.option("--stdin", is_flag=True, help="Answer rows as they come in (JSON objects, or CSV below a header), a JSON object a line.")
@click.option("--url", metavar="URL", help="Ask the server there, which `pipeline serve` has started, instead of a package.")
def predict(file: Path | None, out: Path | None, model: str, keep: tuple[str, ...], force: bool, stdin: bool, url: str | None) -> None:
    """Write what a model package, or a server, answers for each row of FILE, a table of any size or a folder of its parts, in its order.

    Examples: pipeline predict rows.csv -o answers.parquet --keep id; tail -f rows.jsonl | pipeline predict --stdin;
    pipeline predict rows.csv --url http://127.0.0.1:8000
    """
    from pipeline.batch import predicting

    if stdin == (file is not None) or (stdin and out):
        raise UserError("predict: expected either FILE, perhaps with -o, or --stdin, which answers on standard output")
    if url is not None and not url.startswith(("http://", "https://")):
        raise UserError(f"predict --url: expected http://HOST:PORT or https://..., got {url}")
    model = url or model
    if file is None:
        done = predicting.stream(sys.stdin.buffer, sys.stdout.buffer, model=model, keep=keep)
    else:
        params = load(paths.PARAMS) if paths.PARAMS.exists() else None
        out = None if out == Path("-") else out
        with resources.limited(params.memory if params else "auto"):
            csv = params.section("data").csv if params else None
            done = predicting.predict(file, out, model=model, keep=keep, force=force, csv=csv)
    log.info("%s, %s", done, out or "standard output")


@main.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", default=str(paths.PACKAGE), show_default=True, metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS.")
@click.option("--force", is_flag=True, help="Replace the file that is to be written.")
def export(out: Path, model: str, force: bool) -> None:
    """Write a model package's network as OUT.onnx, which answers as the package does or is not written.

    Example: pipeline export visits.onnx --model models:/visits@champion
    """
    from pipeline import packaging
    from pipeline.exporting import writing

    with packaging.opened(model) as package:
        log.info("%s", writing.onnx(package.folder, out, force=force))


@main.command()
@click.option("--model", metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS; by default the champion of params.yaml.")
@click.option("--host", help="Address to listen on; 127.0.0.1, unless serve.host says another.")
@click.option("--port", type=click.IntRange(0, 65535), help="8000, unless serve.port says another; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes of the model; 1, unless serve.workers says more.")
@click.option("--log", "log_folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of the inference log.")
@click.option("--no-log", is_flag=True, help="Remember nothing of requests and answers.")
def serve(model: str | None, host: str | None, port: int | None, workers: int | None, log_folder: Path | None, no_log: bool) -> None:
    """Answer rows over HTTP as MLflow's servers do, follow promotions, and remember every answer for monitoring.

    With PIPELINE_API_KEY set, requests must show that key.  SIGTERM and Ctrl-C let it answer what has come, then stop it; SIGHUP has it
    look for a promotion at once.

    Examples: pipeline serve; pipeline serve --model models:/visits/4 --port 9000
    """
    from pipeline import packaging
    from pipeline.serving import running

    if no_log and log_folder:
        raise UserError("serve: expected --log FOLDER or --no-log, got both")
    params = load(paths.PARAMS) if paths.PARAMS.exists() else None
    if model is None:
        if params is None:
            raise UserError(f"serve: no {paths.PARAMS} here that names a model: say --model PACKAGE")
        register = params.section("register")
        model = f"{packaging.REGISTERED}{register.name}@{register.alias}"
    given = {key: value for key, value in {"host": host, "port": port, "workers": workers}.items() if value is not None}
    settings = (params.serve if params else ServeParams()).model_copy(update=given)
    folder = None if no_log else log_folder or paths.inference_log(packaging.reference(model)[0])

    def started(address: str, served: Any, seconds: float) -> None:
        about = served.generation.about
        kept = f"inference log in {folder}" if folder else "no inference log"
        log.info("%s, version %s, answers at %s after %.1f s; %s", about.name, about.version, address, seconds, kept)

    running.serve(model, settings, inference_log=folder, started=started)


@main.command()
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


@main.command()
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


def _move(version: int | None, why: str) -> None:
    from pipeline.tracking import registry

    register = load(paths.PARAMS).section("register")
    number, was = registry.move(register.name, register.alias, version, who=_person(), why=why)
    click.echo(f"{register.name}: version {number} is {register.alias}{f', version {was} no longer' if was else ''}")


def _person() -> str:
    """Who gives this command: git's author, else the system's user."""
    told = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], capture_output=True, text=True).stdout.partition(" <")[0]
    return told or getpass.getuser()


@main.command()
def sync() -> None:
    """Give the MLflow store what it missed: runs of stages that could not reach it, or of a store that was lost.

    Example: pipeline sync
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


@main.command()
@click.argument("run", metavar="RUN")
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


def _with_path() -> dict[str, str]:
    """This environment, with this Python first on the path for the stages' `python -m pipeline`."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
