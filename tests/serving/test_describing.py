"""The description of the server: valid OpenAPI, and what it calls a request is what the server takes."""

from __future__ import annotations

import json
import re
import warnings

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipeline.serving.about import About
from pipeline.serving.describing import openapi
from pipeline.serving.forms import CSV, JSON, TYPES, Unreadable, table
from pipeline.serving.page import page

HOSTILE = '</script><img src=x onerror="document.title=1">'


def about(**more: object) -> About:
    raw = {"age": "number", "city": "text", HOSTILE: "boolean"}
    known = {
        "age": {"kind": "number", "missing": 0, "unreadable": 0, "low": 20.0, "high": 69.8},
        "city": {"kind": "category", "missing": 3, "unreadable": 0, "values": {"Bern": 9, "<b>Oslo": 5}, "distinct": 30},
    }
    given = {
        "name": "visits", "version": "3", "columns": tuple(raw), "raw": raw, "kinds": raw, "missing": dict.fromkeys(raw, ()),
        "reference": known, "outputs": {"prediction": "string", "probability of yes": "double", "refused": "string"},
        "task": "binary", "classes": ("no", "yes"),
        "whole": False, "example": ({"age": 31, "city": "Bern", HOSTILE: True},),
    }  # fmt: skip
    return About(**(given | more))


MEDIA = about(
    columns=("photo", "steps", "at"), raw={"photo": "binary", "steps": "list", "at": "datetime"}, reference={},
    kinds={"photo": "image", "steps": "sequence", "at": "datetime"}, example=(),
)  # fmt: skip
ONE = about(columns=("age",), raw={"age": "number"}, kinds={"age": "number"}, example=({"age": 31},))
FORECAST = about(outputs={"shop": "any", "week": "datetime", "sold": "double"}, whole=True)
ALL = {"plain": about(), "media": MEDIA, "one": ONE, "forecast": FORECAST}


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize("of", ALL)
def test_the_description_is_valid(of, key):
    validator = pytest.importorskip("openapi_spec_validator")
    found = openapi(ALL[of], key=key, megabytes=10, rows=1000, seconds=2.5)
    validator.OpenAPIV31SpecValidator(json.loads(json.dumps(found))).validate()
    post = found["paths"]["/invocations"]["post"]
    assert ("401" in post["responses"], "security" in post, "securitySchemes" in found["components"]) == (key, key, key)
    assert set(post["responses"]) - {"401"} == {"200", "400", "408", "413", "415", "422", "429", "500", "503", "504"}
    assert "Limits: 1,000 rows, 10 MB, 2.5 seconds." in post["description"]
    assert tuple(post["requestBody"]["content"]) == TYPES


def test_columns_are_told_with_what_training_had():
    columns = openapi(about(), key=False)["components"]["schemas"]["Row"]["properties"]
    assert "Training had 20 to 69.8. Was never missing in training: a row without it is refused." in columns["age"]["description"]
    assert "Training had Bern, <b>Oslo and 28 more." in columns["city"]["description"]
    assert columns["age"]["examples"] == [31]


def request_schema(of: About) -> object:
    jsonschema = pytest.importorskip("jsonschema")
    found = openapi(of, key=False)
    return jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Request", "components": found["components"]})


def takes(of: About, body: object) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table(json.dumps(body).encode(), JSON, of)
        except Unreadable:
            return False
        return True


def bodies(of: About) -> st.SearchStrategy[object]:
    """Requests of which many are rows and many are spoiled somewhere."""
    good = {"binary": st.sampled_from(["/9j/", None]), "list": st.lists(st.integers(0, 9) | st.none(), max_size=2) | st.none()}
    scalar = st.none() | st.booleans() | st.integers() | st.text("ab1", max_size=3)
    bad = st.sampled_from([[], {}, ["x"], {"a": 1}])
    often = st.integers(0, 30)
    values = {name: often.flatmap(lambda k, raw=of.raw[name]: bad if k == 0 else good.get(raw, scalar)) for name in of.columns}
    row = st.fixed_dictionaries(values, optional={"x": scalar})
    broken = row.map(lambda one: dict(list(one.items())[1:]))
    rows = st.lists(often.flatmap(lambda k: broken if k == 0 else row), max_size=3) | st.sampled_from([{}, 5, None, "x"])
    ordered = st.lists(
        often.flatmap(lambda k: st.lists(scalar, max_size=4) if k == 0 else st.tuples(*values.values())).map(list), max_size=3
    )
    split = st.fixed_dictionaries({"columns": st.just(list(of.columns)), "data": ordered}, optional={})
    several = len(of.columns) > 1  # else both forms are the values of the one column, which lists of one may stand for
    forms = {
        "dataframe_split": split,
        "dataframe_records": rows,
        "instances": rows | ordered if several else rows,
        "inputs": row | rows | broken,
    }
    some = st.one_of(*[st.fixed_dictionaries({name: rows}, optional={"params": scalar}) for name, rows in forms.items()])
    return some | rows | row | broken | st.tuples(some, some).map(lambda both: both[0] | both[1])


@pytest.mark.parametrize("of", ["plain", "media"])
def test_what_is_called_a_request_is_taken_and_what_is_not_is_refused(of):
    schema, counts = request_schema(ALL[of]), {True: 0, False: 0}

    @given(body=bodies(ALL[of]))
    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
    def check(body):
        columns = body.get("inputs") if isinstance(body, dict) else None
        # by column lists of values are told in words alone, since no schema can say that they are of one length
        assume(not isinstance(columns, dict) or not all(isinstance(value, list) for value in columns.values()))
        counts[takes(ALL[of], body)] += 1
        assert takes(ALL[of], body) == schema.is_valid(body)

    check()
    assert min(counts.values()) > 50, counts


@pytest.mark.parametrize("of", ["plain", "one"])
def test_the_example_is_a_request(of):
    content = openapi(ALL[of], key=False)["paths"]["/invocations"]["post"]["requestBody"]["content"]
    example = content[JSON]["examples"]["records"]["value"]
    assert takes(ALL[of], example)
    assert request_schema(ALL[of]).is_valid(example)
    assert content[CSV]["schema"]["type"] == "string"


def test_the_page_escapes_what_stands_in_a_model():
    found = page(about(), key=True)
    assert HOSTILE not in found
    assert "<img" not in found
    assert "&lt;b&gt;Oslo" in found
    assert 'id="key"' in found
    assert 'id="key"' not in page(about(), key=False)


@pytest.mark.parametrize("of", ALL)
def test_the_page_asks_nothing_of_the_network(of):
    found = page(ALL[of], key=False)
    found = re.sub("&lt;/script&gt;.*?&gt;", "", found)  # the name of a column, told as text
    for text in ("src=", "@import", "url(", 'href="http', "<link rel=style"):
        assert text not in found
    for link in ("openapi.json", "metrics", "health"):
        assert f'href="{link}"' in found
