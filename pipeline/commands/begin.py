"""`pipeline init`, `check`: from data to a params.yaml without mistakes."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from pipeline import files, paths
from pipeline.errors import UserError
from pipeline.params_file import exposed, load

EXAMPLES = Path("examples")
log = logging.getLogger("pipeline")


@click.command()
def check() -> None:
    """Check params.yaml: every mistake at once, with its place and the nearest valid key.

    Example: pipeline check
    """
    checked()
    click.echo(f"{paths.PARAMS}: ok")


def checked() -> None:
    """Raises UserError for mistakes in params.yaml; warns of passwords in it."""
    for key in exposed(load(paths.PARAMS)):
        log.warning("%s: %s holds what looks like a password: git, dvc.lock and DVC's cache keep it as it is", paths.PARAMS, key)


@click.command()
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
