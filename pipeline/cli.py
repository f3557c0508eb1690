"""The command line: a table of contents of the commands in `pipeline/commands/`, and how mistakes and mishaps are told."""

from __future__ import annotations

import importlib.metadata
import os
import traceback
from typing import Any

import click

from pipeline import paths
from pipeline.commands import answers, begin, history, production, registry, shell, stages, state, whole
from pipeline.errors import UserError
from pipeline.secrets import without_secrets
from pipeline.terminal import help, logs, mishaps
from pipeline.terminal.session import Session, session

SECTIONS: dict[str, list[click.Command]] = {
    "Begin": [begin.init, begin.check, state.doctor, shell.completion],
    "Run": [whole.run, state.status],
    "The stages, in their order": [
        production.monitor if name == "monitor" else stages.stage_command(name, told) for name, told in stages.STAGES.items()
    ],
    "Runs": [history.runs_, history.show, history.diff, history.compare, history.reproduce, history.sync],
    "The model": [registry.versions, registry.promote, registry.rollback, answers.predict, answers.export],
    "Production": [answers.serve, production.label, production.logged],
}


LASTING = {*stages.STAGES, "run", "reproduce", "sync", "predict", "export"}  # commands whose log file is kept
FLAGS = {"--debug", "-v", "--verbose", "-q", "--quiet"}  # that may stand after the command too
EXIT_CODES = """Exit codes: 0 done; 1 a defect of this program, whose traceback is in the log file (of `reproduce`: what came of it differs;
of `doctor`: something must be mended); 2 something that you can mend, told in a line each; 3 an alarm that `monitor` was to fail on;
130 interrupted.

The log files of the last commands are in .state/logs."""


class Commands(click.Group):
    """Commands by section; what goes wrong ends in a line each, and an exit code."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        return [str(command.name) for commands in SECTIONS.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A table of contents; every section has the same first column."""
        width = max(map(len, self.list_commands(ctx)))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name).ljust(width), command.get_short_help_str(help.SHORT + 2)) for command in commands])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Flags of the whole may stand anywhere before a `--`."""
        end = args.index("--") if "--" in args else len(args)
        args = [*(one for one in args[:end] if one in FLAGS), *(one for one in args[:end] if one not in FLAGS), *args[end:]]
        ctx.meta["command"] = next((one for one in args if not one.startswith("-")), "pipeline")
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise UserError(f"no command {args[0]!r}: {help.nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        name = ctx.meta["command"]
        given = {"quiet": ctx.params["quiet"], "verbose": ctx.params["verbose"]}
        lasting = name in LASTING and paths.PARAMS.exists()
        # a server's errors belong where whoever runs it looks for them: in its output
        with session(name, **given, lasting=lasting, held=name != "serve") as shown:
            ctx.obj = shown
            return self._told(ctx, shown)

    def _told(self, ctx: click.Context, shown: Session) -> Any:
        """Run the command; what it raises is told, and becomes an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own
        except KeyboardInterrupt:
            if ctx.meta["command"] == "run":
                shown.say("interrupted: `pipeline run` goes on from there")
            elif not shown.log.shared:  # else `pipeline run` says it
                shown.say("interrupted")
            ctx.exit(130)
        except Exception as error:
            if ctx.params["debug"]:
                raise
            if isinstance(error, UserError):
                for message in error.messages:
                    shown.say(message, "error")
                shown.keep = False  # all is said, and a mistake leaves the folder as it was
                ctx.exit(2)
            shown.log.write(without_secrets(traceback.format_exc()))
            if line := mishaps.told(error):
                shown.say(f"{ctx.meta['command']}: {line}", "error")
                ctx.exit(2)
            shown.keep = True
            what = without_secrets(f"{type(error).__name__}: {error}").splitlines()[0][:200]
            place = logs.place(shown.log.file)
            shown.say(
                f"{ctx.meta['command']}: {what}\nThis is a defect of this program: its traceback is in {place}; --debug shows it", "error"
            )
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Print the libraries' messages too.")
@click.option("--debug", is_flag=True, help="Print the traceback of whatever goes wrong.")
@click.version_option(importlib.metadata.version("experiment-pipeline"), prog_name="pipeline")
def main(quiet: bool, verbose: bool, debug: bool) -> None:
    """Data to a tuned, trained, evaluated, registered and monitored Keras model, as params.yaml says.

    `pipeline run` does it all; each stage can be run by itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "2")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of boosting that wait would else keep a shared machine's cores busy


for _commands in SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)
