"""`pipeline completion`: what the shell completes."""

from __future__ import annotations

import click

from pipeline.errors import UserError
from pipeline.terminal import completing
from pipeline.terminal.help import Command


@click.command(cls=Command, short_help="Print what makes a shell complete commands and names.")
@click.argument("shell", required=False, type=click.Choice(completing.SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print a script by which a SHELL completes commands, options, stages, runs, columns and examples.

    Its first line says where it goes. Without SHELL it is for the one that $SHELL names.

    Examples: pipeline completion bash; eval "$(pipeline completion bash)"
    """
    asked = shell or completing.shell_here()
    if asked is None:
        raise UserError(f"completion: $SHELL names none of {', '.join(completing.SHELLS)}: say which, as in `pipeline completion bash`")
    click.echo(completing.script(asked, ctx.find_root().command))
