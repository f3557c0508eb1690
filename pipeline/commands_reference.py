"""docs/commands.md, the reference of the command line, from the commands themselves.

Run: `python -m pipeline.commands_reference > docs/commands.md`.
"""

from __future__ import annotations

import re

import click

from pipeline import cli
from pipeline.params_reference import cell
from pipeline.terminal.help import parts

HEAD = """# Commands

*Made by `python -m pipeline.commands_reference > docs/commands.md`; do not edit.*

`pipeline --help` lists them, `pipeline COMMAND --help` tells the same as this page. `. .venv/bin/activate` puts `pipeline` on the path.
"""


def reference() -> str:
    """The reference as Markdown: a table of contents, then a part for each command, by the sections of `pipeline --help`."""
    whole = click.Context(cli.main, info_name="pipeline", **cli.main.context_settings)
    rows = ["| command | what it does |", "|---|---|"]
    for commands in cli.SECTIONS.values():
        rows += [f"| [`{command.name}`](#pipeline-{command.name}) | {cell(_short(command))} |" for command in commands]
    page = [HEAD, "\n".join(rows), _before(whole), "## Exit codes\n\n" + _exit_codes()]
    for title, commands in cli.SECTIONS.items():
        page.append(f"## {title}")
        page += [_command(command, whole) for command in commands]
    return "\n\n".join(part.strip("\n") for part in page) + "\n"


def examples(command: click.Command) -> list[str]:
    """The examples that a command's help ends with."""
    return parts(command.help or "")[1]


def _short(command: click.Command) -> str:
    return command.get_short_help_str(200).removesuffix(".")


def _before(whole: click.Context) -> str:
    """The options before the command, which hold for all of them."""
    return "## Options of every command\n\n" + "\n".join(_code("pipeline [OPTIONS] COMMAND [ARGS]...")) + "\n\n" + _options(whole)


def _exit_codes() -> str:
    """A table of what the end of `pipeline --help` says of them, and what else stands there."""
    told, *more = [" ".join(part.split()) for part in (cli.main.epilog or "").split("\n\n")]
    codes = [part.split(" ", 1) for part in re.split(r"; (?=\d)", told.removeprefix("Exit codes: ").removesuffix("."))]
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {code} | {cell(meaning)} |" for code, meaning in codes), "", *more])


def _command(command: click.Command, whole: click.Context) -> str:
    context = click.Context(command, info_name=command.name, parent=whole)
    text, shown = parts(command.help or "")
    told = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"### pipeline {command.name}", told, "\n".join(_code(usage)), _options(context)]
    if shown:
        lines.append("Examples:\n\n" + "\n".join(_code(*shown)))
    return "\n\n".join(filter(None, lines))


def _options(context: click.Context) -> str:
    records = [found for option in context.command.get_params(context) if (found := option.get_help_record(context))]
    rows = [f"| {cell(f'`{names}`')} | {cell(told)} |" for names, told in records if told and "--help" not in names]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def _code(*lines: str) -> list[str]:
    """An indented block."""
    return [f"    {line}" for line in lines]


if __name__ == "__main__":
    print(reference(), end="")
