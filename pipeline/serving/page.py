"""The server's page: what the model takes, and a form to try it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from pipeline.data.quality_page import number
from pipeline.serving.about import About
from pipeline.serving.forms import JSON

MOST_VALUES = 6  # of a category
MOST_BYTES = 1500  # of an example that is shown as a command
SHOWN = 40  # characters of a value


def page(about: About, *, key: bool) -> str:
    """The page as HTML; it asks nothing of the network but the server it comes from.

    Args:
        key: whether requests need the server's key, for which there is a field then.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    rows = ",\n  ".join(json.dumps(dict(row), ensure_ascii=False) for row in about.example)
    body = f'{{"dataframe_records": [\n  {rows}\n]}}'
    one = json.dumps({"dataframe_records": [dict(row) for row in about.example[:1]]}, ensure_ascii=False)
    shown = about.example and len(one) <= MOST_BYTES
    return environment.get_template("serving.html").render(
        about=about,
        key=key,
        answers=_answers(about),
        columns=[_column(about, name) for name in about.columns],
        body=body,
        curl=_curl(one, key) if shown else "",
        python=_python(one, key) if shown else "",
    )


def _answers(about: About) -> str:
    if about.whole:
        return f"It forecasts {', '.join(name for name in about.outputs if not name.startswith(('low of ', 'high of ')))}."
    if about.classes:
        some = ", ".join(about.classes[:MOST_VALUES])
        more = f" and {len(about.classes) - MOST_VALUES} more" if len(about.classes) > MOST_VALUES else ""
        return f"It tells which of {len(about.classes)} classes a row is of: {some}{more}; with the probability of each."
    return "It predicts a number for each row, with the ends of an interval."


def _column(about: About, name: str) -> Mapping[str, Any]:
    known = about.reference.get(name, {})
    return {
        "name": name,
        "kind": about.kinds[name],
        "training": _training(known),
        "missing": "–" if not known else "allowed" if known.get("missing") else "never in training: refused",
    }


def _training(known: Mapping[str, Any]) -> str:
    if known.get("low") is not None:
        return f"{number(known['low'])} to {number(known['high'])}"
    values = list(known.get("values", ()))
    some = ", ".join(value if len(value) <= SHOWN else f"{value[:SHOWN]}..." for value in values[:MOST_VALUES])
    left = known.get("distinct", len(values)) - min(len(values), MOST_VALUES)
    return f"{some} and {left:,} more" if left > 0 else some


def _curl(body: str, key: bool) -> str:
    secret = ' \\\n  -H "Authorization: Bearer $KEY"' if key else ""
    return f"curl ADDRESS/invocations \\\n  -H 'Content-Type: {JSON}'{secret} \\\n  -d {shlex.quote(body)}"


def _python(body: str, key: bool) -> str:
    secret = ', headers={"Authorization": f"Bearer {key}"}' if key else ""
    return f"import requests\n\nrows = {json.loads(body)['dataframe_records']!r}\n" + (
        f'answer = requests.post("ADDRESS/invocations", json={{"dataframe_records": rows}}{secret})\nprint(answer.json()["predictions"])'
    )
