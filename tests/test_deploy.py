"""Dockerfile, compose file, systemd unit and docs/serving.md: read by a parser, and what they name is there. No engine runs here."""

from __future__ import annotations

import configparser
import fnmatch
import io
import json
import re
import shlex
from contextlib import closing

import pyarrow as pa
import yaml
from conftest import ROOT
from dockerfile_parse import DockerfileParser

from pipeline import cli, paths
from pipeline.config import MonitorParams, ServeParams
from pipeline.inference_log.writing import Log

DOCKERFILE = DockerfileParser(fileobj=io.BytesIO((ROOT / "Dockerfile").read_bytes()))
STEPS = [(step["instruction"], step["value"]) for step in DOCKERFILE.structure if step["instruction"] != "COMMENT"]
DOCS = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
UNIT, COMPOSE = ROOT / "docs/deploy/pipeline-serve.service", ROOT / "docs/deploy/compose.yaml"


def values(instruction: str) -> list[str]:
    return [value for name, value in STEPS if name == instruction]


def accepted(words: list[str]) -> dict:
    """The options of a command; click raises where one is none."""
    assert words[0] == "pipeline"
    return cli.main.commands[words[1]].make_context(words[1], words[2:], **cli.main.context_settings).params


def test_the_image_runs_a_command_that_there_is():
    assert STEPS[0][0] == "FROM"
    options = accepted([*json.loads(values("ENTRYPOINT")[0]), *json.loads(values("CMD")[0])])
    assert (options["host"], options["model"], str(options["log_folder"])) == ("0.0.0.0", "/model", "/log")
    assert values("VOLUME") == ["/log"]
    assert values("EXPOSE") == [str(ServeParams().port)]
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
    from pipeline.serving import pool, running

    assert int(service["TimeoutStopSec"]) > running.STOP + pool.LAST
    assert "HUP" in service["ExecReload"]


def test_the_commands_and_keys_of_the_docs_are_there(workspace):
    blocks = re.findall(r"```sh\n(.*?)```", DOCS, flags=re.DOTALL)
    commands = [line.partition("#")[0] for block in blocks for line in block.splitlines() if line.startswith("pipeline ")]
    assert {accepted(shlex.split(command)) and shlex.split(command)[1] for command in commands} == {"serve", "predict", "label", "logged"}
    keys = set(re.findall(r"`serve\.(\w+)", DOCS))
    assert {"reload", "body_mb", "timeout", "waiting", "keep", "hashed", "omitted"} <= keys <= set(ServeParams.model_fields)


def test_the_commands_and_keys_of_monitoring_are_there(workspace):
    text = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    commands = [line.partition("#")[0] for block in blocks for line in block.splitlines() if line.startswith("pipeline ")]
    assert {accepted(shlex.split(command)) and shlex.split(command)[1] for command in commands} == {"monitor"}
    assert set(re.findall(r"`monitor\.(\w+)", text)) == set(MonitorParams.model_fields) - {"max_windows", "latest"}
    (job,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (step,) = [one["run"] for one in yaml.safe_load(job)["jobs"]["monitor"]["steps"] if "run" in one]
    assert accepted(shlex.split(step.partition("/bin/")[2]))


def test_the_log_is_read_as_the_docs_say(workspace):
    with closing(Log(paths.inference_log("visits"))) as log:
        log.add(pa.table({"request_id": ["a"], "row": pa.array([0], pa.int32())}))
    (block,) = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    found: dict = {}
    exec(block, found)
    assert found["rows"]["request_id"].to_pylist() == ["a"]
