"""The command line: a table of contents of the commands in `pipeline/commands/`, and how mistakes are told.

Exit codes: 0 done, 2 a mistake of the user's, told in one line each, 1 anything else (with its traceback), 130 interrupted; of
`pipeline monitor`, 3 an alarm that `fail_on` names.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
from typing import Any

import click

from pipeline.commands import answers, begin, history, production, registry, stages, whole
from pipeline.errors import UserError
from pipeline.secrets import without_secrets

log = logging.getLogger("pipeline")
SECTIONS: dict[str, list[click.Command]] = {
    "Begin": [begin.init, begin.check],
    "Run": [whole.run],
    "The stages, in their order": [
        production.monitor if name == "monitor" else stages.stage_command(name, told) for name, told in stages.STAGES.items()
    ],
    "Runs": [history.runs_, history.show, history.diff, history.reproduce, history.sync],
    "The model": [registry.versions, registry.promote, registry.rollback, answers.predict, answers.export],
    "Production": [answers.serve, production.label, production.logged],
}


class Lines(logging.Formatter):
    """A log's lines, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class Commands(click.Group):
    """Commands by section; mistakes of the user's end in one line each."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        return [str(command.name) for commands in SECTIONS.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A table of contents; every section has the same first column."""
        width = max(map(len, self.list_commands(ctx)))
        room = formatter.width - width - 6
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name).ljust(width), command.get_short_help_str(room)) for command in commands])

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


for _commands in SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)
