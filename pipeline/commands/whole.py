"""`pipeline run`: all stages that a change touches."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import click

from pipeline import paths
from pipeline.commands.begin import checked
from pipeline.commands.stages import STAGES
from pipeline.errors import UserError
from pipeline.staleness.declared import FLOW, outside
from pipeline.terminal import completing
from pipeline.terminal.help import Command
from pipeline.terminal.session import Session


@click.command(cls=Command, context_settings={"ignore_unknown_options": True}, short_help="Do it all: the stages that a change touches.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, shell_complete=completing.of(lambda: STAGES))
@click.pass_context
def run(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Check params.yaml, then run the stages that a change touches (`dvc repro`), then say what came of it.

    ARGUMENTS are those of `dvc repro`: names of stages, --force, --single-item, --dry and others.  Each stage gets a line; what libraries
    print is in the log file, and with -v in the terminal.

    Examples: pipeline run; pipeline run --force train
    """
    if FLOW.exists() or paths.PARAMS.exists():
        checked()  # before DVC removes the outputs of a stage that would then fail
    if not FLOW.exists():
        raise UserError(outside("run"))
    from pipeline.terminal import logs, running

    asked, shown = ctx.find_root().params, ctx.find_object(Session)
    if {"-i", "--interactive"} & set(arguments):
        raise UserError("run: --interactive asks questions, which `dvc repro --interactive` can")
    if asked["verbose"] or shown is None:
        done = subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments], env=running.with_path())
        found = running.Outcome(done.returncode)
        told, code = [f"dvc repro ended with exit code {found.code}"], 1
    else:
        found = running.repro(arguments, shown, quiet=asked["quiet"])
        told, code = running.advice(found, logs.place(shown.log.file))
    if found.code:
        click.echo("\n".join(told), err=True) if shown is None else shown.say("\n".join(told), "error")
        raise SystemExit(code)
    if "--dry" in arguments or not all(one.startswith("-") for one in arguments):
        return  # what was asked for is a part of the whole
    from pipeline.terminal.ending import lines

    with suppress(FileNotFoundError):  # a part of the stages was asked for: there is no whole result yet
        click.echo("\n" + "\n".join(lines()))
