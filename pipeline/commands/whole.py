"""`pipeline run`: all stages that a change touches."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click

from pipeline.commands.begin import checked


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Check params.yaml, then `dvc repro` (with any ARGUMENTS of its), then say where to look.

    Examples: pipeline run; pipeline run --force train
    """
    checked()  # before DVC removes the outputs of a stage that would then fail
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments], env=_with_path())
    if done.returncode:
        raise SystemExit(done.returncode)
    from pipeline.summary import lines

    with suppress(FileNotFoundError):  # a part of the stages was asked for: there is no whole result yet
        click.echo("\n" + "\n".join(lines()))


def _with_path() -> dict[str, str]:
    """This environment, with this Python first on the path for the stages' `python -m pipeline`."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
