"""Dockerfile, compose file and systemd unit: read by a parser, and what they name is there. No engine runs here."""

from __future__ import annotations

import configparser
import fnmatch
import io
import json
import shlex

import click
import yaml
from conftest import ROOT
from dockerfile_parse import DockerfileParser

from pipeline import cli, paths

DOCKERFILE = DockerfileParser(fileobj=io.BytesIO((ROOT / "Dockerfile").read_bytes()))
STEPS = [(step["instruction"], step["value"]) for step in DOCKERFILE.structure if step["instruction"] != "COMMENT"]
UNIT, COMPOSE = ROOT / "docs/deploy/pipeline-serve.service", ROOT / "docs/deploy/compose.yaml"


def values(instruction: str) -> list[str]:
    return [value for name, value in STEPS if name == instruction]


def accepted(words: list[str]) -> dict:
    """The options of a `pipeline serve` command; click raises where one is none."""
    assert words[:2] == ["pipeline", "serve"]
    return cli.main.commands["serve"].make_context("serve", words[2:], resilient_parsing=False).params


def test_the_image_runs_a_command_that_there_is():
    assert STEPS[0][0] == "FROM"
    options = accepted([*json.loads(values("ENTRYPOINT")[0]), *json.loads(values("CMD")[0])])
    assert (options["host"], options["model"], str(options["log_folder"])) == ("0.0.0.0", "/model", "/log")
    assert values("VOLUME") == ["/log"]
    assert values("EXPOSE") == [str(cli.ServeParams().port)]
    assert values("USER") == ["pipeline"]  # not root


def test_what_the_image_copies_is_there_and_sent_to_the_engine():
    sent = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for value in values("COPY"):
        for source in shlex.split(value)[:-1]:
            assert source == str(paths.PACKAGE) or (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, name) for name in sent), source
    assert sorted(sent) == sorted({source for value in values("COPY") for source in shlex.split(value)[:-1]})


def test_the_compose_file_builds_that_image():
    (service,) = yaml.safe_load(COMPOSE.read_text())["services"].values()
    assert (COMPOSE.parent / service["build"]).resolve() == ROOT
    assert service["ports"] == [f"{values('EXPOSE')[0]}:{values('EXPOSE')[0]}"]
    assert [volume.split(":")[1] for volume in service["volumes"]] == values("VOLUME")


def test_the_unit_runs_a_command_that_there_is_and_waits_for_its_end():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    command = shlex.split(service["ExecStart"])
    accepted([command[0].rpartition("/")[2], *command[1:]])
    assert isinstance(cli.main.commands["serve"], click.Command)
    from pipeline.serving import pool, running

    assert int(service["TimeoutStopSec"]) > running.STOP + pool.LAST
    assert "HUP" in service["ExecReload"]
