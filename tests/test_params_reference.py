"""docs/params.md and the JSON Schema hold every key of params.yaml as the code has it today."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

from pipeline import params_reference
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
        """Units in each hidden layer."""
        heads: int = 4
        """Heads of attention."""

    real = params_reference.schema()
    changed = real | {"$defs": real["$defs"] | {"ModelParams": Changed.model_json_schema()}}
    monkeypatch.setattr(params_reference, "schema", lambda: changed)
    assert {line for line in params_reference.reference().splitlines() if line not in PAGE.splitlines()} == {
        "| `width` | `193` | whole number ≥ 1, ≤ 16384 | Units in each hidden layer. |",
        "| `heads` | `4` | whole number | Heads of attention. |",
    }


def test_every_key_has_a_description_that_is_a_sentence():
    found = params_reference.schema()
    keys = [(f"{name}.{key}", field) for name, part in found["$defs"].items() for key, field in part["properties"].items()]
    keys.append(("seed", found["properties"]["seed"]))
    assert len(keys) > 40
    assert [key for key, field in keys if not field.get("description", "").endswith(".")] == []


def test_a_key_without_a_description_is_refused(monkeypatch):
    real = params_reference.schema()
    del real["properties"]["seed"]["description"]
    monkeypatch.setattr(params_reference, "schema", lambda: real)
    with pytest.raises(KeyError, match="description"):
        params_reference.reference()


def test_the_page_gives_defaults_ranges_choices_and_meanings():
    assert "| `seed` | required | whole number ≥ 0, < 2147483648 | Seed of every random choice. |" in PAGE
    assert "| `strategy` | `random` | `random`, `stratified`, `group`, `stratified_group`, `time`, `given` |" in "\n".join(section("split"))
    assert "| `production.in` | required | list of at least 1 |" in "\n".join(section("split"))
    assert "| `clipnorm` | `1.0` | number > 0 or null |" in "\n".join(section("train"))
    assert "| `space` | `null` | key: range or null |" in "\n".join(section("tune"))
    assert "| `log` | `null` | [low, high] | Real numbers, uniform in the logarithm. |" in section("Ranges of tune.space")
    headings = re.findall(r"^## (\w+)$", PAGE, flags=re.MULTILINE)
    assert headings == [field.alias or name for name, field in Params.model_fields.items() if name not in ("seed", "memory")]
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_the_json_schema_knows_the_keys_that_editors_complete():
    found = json.loads((ROOT / "schema" / "params.schema.json").read_text(encoding="utf-8"))
    names = {field.alias or name for name, field in Params.model_fields.items()}
    optional = {"memory", "serve"}  # which no stage reads
    assert set(found["required"]) == set(found["properties"]) - optional == names - optional
    assert found["$defs"]["TrainParams"]["properties"]["epochs"]["minimum"] == 1
    assert found["$defs"]["SplitParams"]["additionalProperties"] is False
