"""docs/params.md and the JSON Schema hold every key of params.yaml as the code has it today."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field
from ruamel.yaml import YAML

from pipeline import params_file, params_reference
from pipeline.config import ModelParams, Params

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")


def section(name: str) -> list[str]:
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0].splitlines()


@pytest.mark.parametrize(("words", "file"), [((), "docs/params.md"), (("schema",), "schema/params.schema.json")])
def test_the_committed_file_is_what_the_command_writes(words, file):
    done = subprocess.run([sys.executable, "-m", "pipeline.params_reference", *words], capture_output=True, text=True, check=True)
    again = f"python -m pipeline.params_reference {' '.join(words)}".strip()
    assert done.stdout == (ROOT / file).read_text(encoding="utf-8"), f"stale: {again} > {file}"


def test_a_changed_default_or_key_makes_the_page_stale(monkeypatch):
    assert params_reference.reference() == PAGE

    class Changed(ModelParams):
        width: int = Field(193, ge=1, le=16384)
        """Units in each hidden layer.

        Raise it when both losses are high."""
        heads: int = 4
        """Heads of attention.

        Raise it with the width."""

    real = params_reference.schema()
    changed = real | {"$defs": real["$defs"] | {"ModelParams": Changed.model_json_schema()}}
    monkeypatch.setattr(params_reference, "schema", lambda: changed)
    assert {line for line in params_reference.reference().splitlines() if line not in PAGE.splitlines()} == {
        "| `width` | `193` | whole number ≥ 1, ≤ 16384 | Units in each hidden layer. | Raise it when both losses are high. |",
        "| `heads` | `4` | whole number | Heads of attention. | Raise it with the width. |",
    }


def test_every_key_has_a_description_that_is_a_sentence():
    found = params_reference.schema()
    keys = [(f"{name}.{key}", field) for name, part in found["$defs"].items() for key, field in part["properties"].items()]
    keys.append(("seed", found["properties"]["seed"]))
    assert len(keys) > 40
    assert [key for key, field in keys if not field.get("description", "").endswith(".")] == []


def every_key(found: dict) -> dict[str, dict]:
    """Every key with its schema, the sections of the file apart, which have no default to change."""
    keys = {f"{name}.{key}": field for name, part in found["$defs"].items() for key, field in part["properties"].items()}
    return keys | {name: field for name, field in found["properties"].items() if "$ref" not in field}


def without_when(found: dict) -> list[str]:
    """Keys whose description does not say, in a paragraph of its own and of 25 words at most, when to change them."""
    words = {key: field.get("description", "").split("\n\n")[1:] for key, field in every_key(found).items()}
    said = ("Change it", "Set it", "Raise it", "Lower it", "Use ", "Add ")
    return [key for key, when in words.items() if len(when) != 1 or len(when[0].split()) > 25 or not when[0].startswith(said)]


def test_every_key_says_when_to_change_it():
    found = params_reference.schema()
    assert len(every_key(found)) > 180
    assert without_when(found) == []
    del found["$defs"]["TrainParams"]["properties"]["epochs"]["description"]
    found["$defs"]["TuneParams"]["properties"]["trials"]["description"] = "Trials.\n\nThis may be changed."
    assert without_when(found) == ["TrainParams.epochs", "TuneParams.trials"]


def test_the_page_cannot_be_made_with_a_key_that_does_not_say_when_to_change_it(monkeypatch):
    real = params_reference.schema()
    real["properties"]["seed"]["description"] = "Seed of every random choice."
    monkeypatch.setattr(params_reference, "schema", lambda: real)
    with pytest.raises(ValueError, match="seed: expected what it means, a blank line and when to change it"):
        params_reference.reference()


def test_a_key_without_a_description_is_refused(monkeypatch):
    real = params_reference.schema()
    del real["properties"]["seed"]["description"]
    monkeypatch.setattr(params_reference, "schema", lambda: real)
    with pytest.raises(KeyError, match="description"):
        params_reference.reference()


def test_the_page_gives_defaults_ranges_choices_and_meanings():
    assert "| `seed` | required | whole number ≥ 0, < 2147483648 | Seed of every random choice. | Change it to see" in PAGE
    assert "| `strategy` | `random` | `random`, `stratified`, `group`, `stratified_group`, `time`, `given` |" in "\n".join(section("split"))
    assert "| `production.in` | required | list of at least 1 |" in "\n".join(section("split"))
    assert "| `clipnorm` | `1.0` | number > 0 or null |" in "\n".join(section("train"))
    assert "| `space` | `null` | key: range or null |" in "\n".join(section("tune"))
    assert "| `log` | `null` | [low, high] | Real numbers, uniform in the logarithm. | Use it for" in "\n".join(
        section("Ranges of tune.space")
    )
    headings = re.findall(r"^## (\w+)$", PAGE, flags=re.MULTILINE)
    assert headings == [field.alias or name for name, field in Params.model_fields.items() if name not in ("seed", "memory")]
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_the_json_schema_knows_the_keys_that_editors_complete():
    found = json.loads((ROOT / "schema" / "params.schema.json").read_text(encoding="utf-8"))
    names = {field.alias or name for name, field in Params.model_fields.items()}
    optional = {"memory", "serve"}  # which no stage reads
    assert set(found["required"]) == set(found["properties"]) - optional == names - optional
    assert found["$defs"]["TrainParams"]["properties"]["epochs"]["minimum"] == 1
    assert found["$defs"]["SplitParams"]["additionalProperties"] is False


FILES = [ROOT / "params.yaml", *sorted((ROOT / "examples").glob("*/params.yaml"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_first_line_of_each_params_file_names_the_schema_for_editors(file):
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == params_file.schema_line(file)
    place = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert place is not None
    assert (file.parent / place[1]).resolve() == ROOT / "schema" / "params.schema.json"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_each_params_file_is_valid_by_the_json_schema(file):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "schema" / "params.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    values = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    values |= {name: {} for name, value in values.items() if value is None}  # `clean:` with nothing below it means the defaults
    assert [error.message for error in validator.iter_errors(values)] == []
    values["train"] |= {"epochs": 0, "epoch": 3}
    assert len(list(validator.iter_errors(values))) == 2
