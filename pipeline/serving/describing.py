"""The server's routes and the model's columns as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.serving.about import About
from pipeline.serving.forms import ARROW, CSV, FORMS, JSON, PARQUET

MOST_VALUES = 20  # of a category that are named
SCALAR = ["number", "string", "boolean", "null"]
BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
LIKE = {  # what a column's values are, as the source had them in training
    "text": "A text; a number is taken as its digits.",
    "number": "A number; a text is read as one.",
    "boolean": "true or false; 1, 0, t, f and these words as text are read as such.",
    "datetime": "A time, best as ISO 8601 text.",
    "binary": "The bytes of a file as base64 text.",
    "list": "A list of numbers.",
}
ERRORS = {
    400: "The body is not what its Content-Type says, or holds no rows.",
    401: "The key is missing or wrong.",
    408: "The body did not come in time.",
    413: "The body or its number of rows is too large.",
    415: "The Content-Type or charset is not taken.",
    422: "A column is missing, the rows are none that the model can answer, or every row is refused.",
    429: "Too many requests.",
    500: "The model failed.",
    503: "The server is too busy or not ready; Retry-After says when to ask again.",
    504: "The model did not answer in time.",
}


def openapi(
    about: About, *, key: bool, megabytes: float | None = None, rows: float | None = None, seconds: float | None = None
) -> dict[str, Any]:
    """The description of the server of a package.

    Args:
        key: whether requests need the server's key.
        megabytes, rows, seconds: limits of a request, to be told where they are known.

    Example:
        >>> openapi(about, key=False)["info"]["title"]  # doctest: +SKIP
        'visits'
    """
    secured: dict[str, Any] = {"security": [{"bearer": []}, {"header": []}]} if key else {}
    limits = {f"{megabytes:g} MB" if megabytes else "", f"{rows:,.0f} rows" if rows else "", f"{seconds:g} seconds" if seconds else ""} - {
        ""
    }
    first = "Rows are taken as a whole: the last steps of one or several series." if about.whole else "Each row is answered by itself."
    told = f"{first} Columns may come in any order, and further ones do not matter." + (
        f" Limits: {', '.join(sorted(limits))}." if limits else ""
    )
    post = {
        "operationId": "invocations",
        "summary": f"Ask {about.name} for predictions",
        "description": told,
        "requestBody": {"required": True, "content": _content(about)},
        "responses": {
            "200": _answered("One object a row.", JSON, {"$ref": "#/components/schemas/Answer"}),
            **{str(status): _problem(status) for status in ERRORS if status != 401 or key},
        },
        **secured,
    }
    text = {"type": "string"}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": about.name, "version": about.version, "description": f"A model package for {about.task}."},
        "paths": {
            "/invocations": {"post": post},
            "/ping": {"get": _get("ping", "Whether the model answers", JSON, {}, 503)},
            "/health": {"get": _get("health", "What runs and what fails", JSON, {"type": "object"}, 503)},
            "/version": {"get": _get("version", "MLflow's version", JSON, {})},
            "/metrics": {"get": _get("metrics", "Counts and times for Prometheus", "text/plain", text, *([401] if key else [])) | secured},
        },
        "components": {"schemas": _schemas(about)},
    }
    if key:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    return found


def _schemas(about: About) -> dict[str, Any]:
    columns = {name: value(about, name) for name in about.columns}
    row = {"type": "object", "required": list(about.columns), "properties": columns, "additionalProperties": True}
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    values = [{key: inner for key, inner in column.items() if key in ("type", "items", "pattern")} for column in columns.values()]
    ordered: dict[str, Any] = {"type": "array", "minItems": len(values), "maxItems": len(values)}
    ordered |= {"items": values[0]} if all(one == values[0] for one in values) else {"prefixItems": values}
    split = {
        "type": "object",
        "description": "As pandas' to_dict(orient='split') has it; other orders of columns, and further ones, are taken too.",
        "required": ["columns", "data"],
        "properties": {"columns": {"const": list(about.columns)}, "data": {"type": "array", "items": ordered}},
        "additionalProperties": False,
    }
    of_inputs = {"description": "One row, or rows; or by column the list of its values, all of one length.", "anyOf": [row, rows]}
    in_order = rows if len(about.columns) == 1 else {"anyOf": [rows, {"type": "array", "items": ordered}]}
    forms: list[dict[str, Any]] = []
    for name, schema in zip(FORMS, (split, rows, in_order, of_inputs), strict=True):
        others = [{"required": [other]} for other in FORMS if other != name]
        forms.append({"title": name, "type": "object", "required": [name], "properties": {name: schema}, "not": {"anyOf": others}})
    if not set(FORMS) & set(about.columns):
        forms.append({"title": "rows", **rows, "minItems": 1})
        forms.append({"title": "one row", **row, "not": {"anyOf": [{"required": [name]} for name in FORMS]}})
    answers = {name: {"type": ["number" if kind in ("double", "long") else "string", "null"]} for name, kind in about.outputs.items()}
    answers = {name: {} if about.outputs[name] == "any" else schema for name, schema in answers.items()}
    return {
        "Row": row,
        "Request": {"description": "MLflow's forms, and a bare list of rows or one row.", "anyOf": forms},
        "Answer": {
            "type": "object",
            "required": ["predictions"],
            "properties": {
                "predictions": {"type": "array", "items": {"type": "object", "required": list(answers), "properties": answers}},
            },
        },
        "Problem": {
            "type": "object",
            "required": ["error_code", "message"],
            "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        },
    }


def value(about: About, name: str) -> dict[str, Any]:
    """The JSON schema of a column's values, with what training had of it."""
    raw, known = about.raw[name], about.reference.get(name, {})
    told = [LIKE[raw], _training(known)]
    if known and not known.get("missing"):
        told.append("Was never missing in training: a row without it is refused.")
    found: dict[str, Any] = {"type": SCALAR, "description": f"{about.kinds[name].capitalize()}. " + " ".join(filter(None, told))}
    if raw == "list":
        found |= {"type": ["array", "null"], "items": {"type": ["number", "null"]}}
    elif raw == "binary":
        found |= {"type": ["string", "null"], "contentEncoding": "base64", "pattern": BASE64}
    if examples := [row[name] for row in about.example if row.get(name) is not None]:
        found["examples"] = examples[:1]
    return found


def _training(known: Mapping[str, Any]) -> str:
    if known.get("low") is not None:
        return f"Training had {known['low']:g} to {known['high']:g}."
    if values := known.get("values"):
        some, distinct = list(values)[:MOST_VALUES], known.get("distinct", len(values))
        more = f" and {distinct - len(some):,} more" if distinct > len(some) else ""
        return f"Training had {', '.join(some)}{more}."
    return ""


def _content(about: About) -> dict[str, Any]:
    json: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Request"}}
    if about.example:
        json["examples"] = {"records": {"summary": "Rows as objects", "value": {"dataframe_records": [dict(row) for row in about.example]}}}
    header = f"A header line with {', '.join(about.columns)}, then a line a row; an empty value is a missing one."
    return {
        JSON: json,
        CSV: {"schema": {"type": "string", "description": header}},
        PARQUET: {"schema": {"description": "A Parquet file of these columns."}},
        ARROW: {"schema": {"description": "An Arrow IPC stream of these columns."}},
    }


def _answered(text: str, kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": dict(schema)}}}


def _problem(status: int) -> dict[str, Any]:
    found = _answered(ERRORS[status], JSON, {"$ref": "#/components/schemas/Problem"})
    if status == 503:
        found["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return found


def _get(name: str, summary: str, kind: str, schema: Mapping[str, Any], *statuses: int) -> dict[str, Any]:
    failing = {str(status): {"description": ERRORS[status]} for status in statuses}
    return {"operationId": name, "summary": summary, "responses": {"200": _answered(summary + ".", kind, schema), **failing}}
