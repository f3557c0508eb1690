"""Values in YAML read back as what they were."""

import pytest
import yaml
from ruamel.yaml import YAML

from pipeline.proposing.writing import _line, scalar

TEXTS = ["plain", "two words", "no", "Yes", "null", "~", "7", ".5", "1e3", ".inf", "a: b", "# no", "größe", "*.csv", "", " x ", "it's"]
TEXTS += ['a"b', "-", "01", "2024-01-01", "a\tb", "{x}", "[x]", "x,y", "@x", "%x", "col.umn/1-b", "true"]


@pytest.mark.parametrize("value", [*TEXTS, 7, 0.25, None, True, {"a b": "c: d", "7": [1, "no"]}])
def test_every_value_comes_back(value):
    text = f"key: {scalar(value)}\n"
    assert yaml.safe_load(text) == {"key": value}
    assert YAML(typ="safe", pure=True).load(text) == {"key": value}
    inside = f"key: {{{scalar('name')}: {scalar(value)}}}\n"
    assert yaml.safe_load(inside) == {"key": {"name": value}}


def test_a_long_reason_stands_above_its_line():
    text = _line(1, "column", "ignore", "word " * 60 + "\nend: #")
    assert all(len(line) <= 140 for line in text.splitlines())
    assert text.splitlines()[-1] == "  column: ignore"
    assert yaml.safe_load(text) == {"column": "ignore"}
