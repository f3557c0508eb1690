"""docs/params.md, the reference of params.yaml, from the schema.

Run: `python -m pipeline.params_reference > docs/params.md`, and with `schema` as argument for the JSON Schema that
editors read: `python -m pipeline.params_reference schema > schema/params.schema.json`.
"""

from __future__ import annotations

import html
import json
import re
import sys
from typing import Any

from pipeline.config import Params

HEAD = """# params.yaml

*Made by `python -m pipeline.params_reference > docs/params.md`; do not edit.*

Every section must be there; one with nothing below it takes its defaults. `pipeline check` tells all that is wrong.
"""
BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}", "minLength": "not empty"}
BOUNDS |= {"minItems": "of at least {}", "pattern": "matches `{}`"}
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null", "array": "list"}
PAIRS = {"log", "uniform", "int"}


def schema() -> dict[str, Any]:
    """The JSON Schema of params.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema(by_alias=True)}


def reference() -> str:
    """The reference as Markdown: a table for each section."""
    whole = schema()
    properties = whole["properties"]
    scalars = {name: field for name, field in properties.items() if "$ref" not in field}
    tables = [HEAD + "\n" + _table(scalars, whole, whole)]
    for name in [name for name in properties if name not in scalars]:
        section = _resolved(properties[name], whole)
        tables.append(f"## {name}\n\n" + _table(section["properties"], section, whole))
    ranges = whole["$defs"]["Interval"]
    tables.append(
        "## Ranges of tune.space\n\nEach key has exactly one of log, uniform, int and choice.\n\n"
        + _table(ranges["properties"], ranges, whole)
    )
    return "\n".join(tables)


def _table(fields: dict[str, Any], section: dict[str, Any], whole: dict[str, Any]) -> str:
    rows = ["| key | default | values | meaning | when to change it |", "|---|---|---|---|---|"]
    for name, field in fields.items():
        default = "required" if name in section.get("required", ()) else "`{}`" if "$ref" in field else _default(field.get("default"))
        values = "[low, high]" if name in PAIRS else _values(field, whole)
        rows.append("| " + " | ".join(cell(text) for text in (f"`{name}`", default, values, *told(name, field))) + " |")
        inner = _resolved(next((part for part in (field, *field.get("anyOf", ())) if "$ref" in part), {}), whole)
        rows += _table({f"{name}.{key}": f for key, f in inner.get("properties", {}).items()}, _nested(name, inner), whole).splitlines()[2:]
    return "\n".join(rows) + "\n"


def told(name: str, field: dict[str, Any]) -> tuple[str, str]:
    """What a key means and when to change it: the two paragraphs of its description.

    Raises:
        ValueError: it has not both.
    """
    paragraphs = [" ".join(part.split()) for part in field["description"].split("\n\n")]
    if len(paragraphs) != 2:
        raise ValueError(f"{name}: expected what it means, a blank line and when to change it, got {paragraphs}")
    return paragraphs[0], paragraphs[1]


def cell(text: str) -> str:
    """Text for a cell of a table; a bar within code is written in the one way that every reader of Markdown understands."""
    plain = {ord(sign): f"&#{ord(sign)};" for sign in "|\\*_[]"}
    code = re.sub(r"`([^`|]*\|[^`]*)`", lambda found: f"<code>{html.escape(found[1]).translate(plain)}</code>", text)
    return " ".join(code.split()).replace("|", "\\|")


def _nested(name: str, inner: dict[str, Any]) -> dict[str, Any]:
    return {"required": [f"{name}.{key}" for key in inner.get("required", ())]}


def _resolved(field: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = whole["$defs"][field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else field
    return found


def _default(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, str) else f"`{value}`"


def _values(field: dict[str, Any], whole: dict[str, Any]) -> str:
    """Type, bounds and choices in words."""
    if "anyOf" in field:
        return " or ".join(_values(part, whole) for part in field["anyOf"])
    if "$ref" in field:
        return "the keys below"
    if "enum" in field:
        return ", ".join(f"`{choice}`" if choice not in ("", " ") else "a blank" if choice else "empty" for choice in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field["type"] == "object":
        inner = field["additionalProperties"]
        if "$ref" in inner:
            return "key: range"
        return "name: " + _values(inner, whole)
    if field["type"] == "array" and "prefixItems" in field:
        return "[low, high], each " + _values(field["prefixItems"][0], whole)
    bounds = ", ".join(text.format(_number(field[name])) for name, text in BOUNDS.items() if name in field)
    return f"{TYPES[field['type']]}{' ' if bounds else ''}{bounds}"


def _number(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, ensure_ascii=False) if sys.argv[1:] == ["schema"] else reference(), end="")
