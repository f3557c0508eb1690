"""`pipeline versions`, `promote`, `rollback`: which model is champion."""

from __future__ import annotations

import dataclasses
import getpass
import json
import subprocess

import click

from pipeline import paths
from pipeline.params_file import load
from pipeline.terminal.help import Command


@click.command(cls=Command, short_help="List the registered versions and the champion's history.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def versions(as_json: bool) -> None:
    """List the registered versions of the model, the newest first: aliases, verdict of the gate, and who gave the champion its place.

    Examples: pipeline versions; pipeline versions --json
    """
    from pipeline.history import tables
    from pipeline.tracking import registry

    register = load(paths.PARAMS).section("register")
    found, moves = registry.versions(register.name), registry.history(register.name, register.alias)
    if as_json:
        told = {"versions": [dataclasses.asdict(one) for one in found], "history": [dataclasses.asdict(move) for move in moves]}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif found:
        tables.write(tables.versions(found, moves, register.alias), tables.console())
    else:
        click.echo(f"no version of {register.name} yet: `pipeline run` registers one")


@click.command(cls=Command, short_help="Make a version the champion, whatever the gate said.")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--why", required=True, metavar="TEXT", help="For those who ask later; kept with the version.")
def promote(version: int, why: str) -> None:
    """Make a registered VERSION the champion, whatever the gate said of it.

    Examples: pipeline promote 4 --why "the new price list needs it"; pipeline promote 2 --why "asked for by the branches"
    """
    _move(version, why)


@click.command(cls=Command, short_help="Make the version before the champion champion again.")
@click.option("--why", required=True, metavar="TEXT", help="For those who ask later; kept with the version.")
def rollback(why: str) -> None:
    """Make the version that was champion before the present one champion again.

    Examples: pipeline rollback --why "complaints from the branches"; pipeline rollback --why "wrong prices since Monday"
    """
    _move(None, why)


def _move(version: int | None, why: str) -> None:
    from pipeline.tracking import registry

    register = load(paths.PARAMS).section("register")
    number, was = registry.move(register.name, register.alias, version, who=_person(), why=why)
    click.echo(f"{register.name}: version {number} is {register.alias}{f', version {was} no longer' if was else ''}")


def _person() -> str:
    """Who gives this command: git's author, else the system's user."""
    told = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], capture_output=True, text=True).stdout.partition(" <")[0]
    return told or getpass.getuser()
