"""docs/commands.md holds every command and option as the command line has them today, and examples that it accepts."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from docs_blocks import commands

from pipeline import cli, commands_reference

PAGE = (Path(__file__).parents[1] / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = [command for commands in cli.SECTIONS.values() for command in commands]


def test_the_committed_page_is_what_the_command_writes():
    assert commands_reference.reference() == PAGE, "stale: python -m pipeline.commands_reference > docs/commands.md"


def test_every_command_and_each_of_its_options_stands_in_the_page():
    for command in COMMANDS:
        (part,) = re.findall(rf"^### pipeline {command.name}\n(.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
        assert f"](#pipeline-{command.name})" in PAGE
        shown = " ".join(re.findall(r"^\| (?:`|<code>)(.*?)(?:`|</code>) \|", part, flags=re.MULTILINE))
        options = [option for option in command.params if isinstance(option, click.Option)]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", shown)) == names


def accept(command: click.Command, words: list[str]) -> None:
    """Options that are not there and too many arguments raise; whether files exist is not asked."""
    context = click.Context(command, info_name=command.name, **cli.main.context_settings | command.context_settings)
    _, rest, _ = command.make_parser(context).parse_args(words)
    assert context.allow_extra_args or not rest, "too many arguments"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_examples_are_accepted_by_the_command(command):
    shown = commands_reference.examples(command)
    named: list[str] = []
    for line in shown:
        for program, *words in commands(line.replace('"$(', "(").replace(')"', ")")):
            assert program == "pipeline", line
            while words[0].startswith("-"):  # of the whole command line
                accept(cli.main, words[:1])
                words = words[1:]
            named.append(words[0])
            accept(cli.main.commands[words[0]], words[1:])
    assert command.name in named


def test_an_option_that_is_not_there_is_refused():
    with pytest.raises(click.NoSuchOption):
        accept(cli.main.commands["predict"], ["new.csv", "--outt", "x"])
    with pytest.raises(AssertionError, match="too many"):
        accept(cli.main.commands["check"], ["a", "b", "c"])


def test_a_new_option_makes_the_page_stale(monkeypatch):
    check = cli.main.commands["check"]
    monkeypatch.setattr(check, "params", [*check.params, click.Option(["--planted"], is_flag=True, help="Of no use.")])
    assert set(commands_reference.reference().splitlines()) - set(PAGE.splitlines()) >= {"| `--planted` | Of no use. |"}
