"""The story of docs/registry.md on a small project: first, a worse model held back, a better one promoted, rolled back."""

import json

import pytest
from conftest import purchases
from repository import Repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
GOOD = {"epochs": 12, "learning_rate": 0.01}
MIDDLING = {"epochs": 2, "learning_rate": 0.002}
BAD = {"epochs": 1, "learning_rate": 1e-7}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    made = Repository(tmp_path_factory.mktemp("gate"))
    purchases(3000).to_csv(made.folder / "rows.csv", index=False)
    made.write_params({**made.params, "tune": {"trials": 0}, "split": {**made.params["split"], "production": None}})
    return made


def trained(made, params, **register):
    made.write_params({**made.params, "train": {**made.params["train"], **params}, "register": {"name": "small", **register}})
    done = made.pipeline("run", "register")
    return json.loads((made.folder / "reports" / "register.json").read_text()), done.stderr


def versions(made):
    found = json.loads(made.pipeline("versions", "--json").stdout)
    return {one["number"]: one["aliases"] for one in found["versions"]}, found["history"]


def test_first_worse_better_rollback_promote(made):
    assert "no version of small yet" in made.pipeline("versions").stdout
    found, said = trained(made, MIDDLING)
    assert (found["judgement"]["verdict"], found["alias"]) == ("first", "champion")
    found, said = trained(made, BAD)
    assert found["judgement"]["verdict"] == "worse"
    assert found["judgement"]["champion_version"] == 1
    assert found["alias"] == "challenger"
    assert found["judgement"]["differences"]["auc"]["high"] < 0
    assert "version 2, challenger: worse (auc -0." in said
    assert versions(made)[0] == {2: ["challenger"], 1: ["champion"]}
    found, said = trained(made, GOOD)
    assert (found["judgement"]["verdict"], found["alias"]) == ("better", "champion")
    assert versions(made)[0] == {3: ["champion"], 2: ["challenger"], 1: []}
    done = made.pipeline("rollback", "--why", "complaints from the branches")
    assert "small: version 1 is champion, version 3 no longer" in done.stdout
    done = made.pipeline("promote", "3", "--why", "they were mistaken")
    assert "small: version 3 is champion, version 1 no longer" in done.stdout
    aliases, history = versions(made)
    assert aliases == {3: ["champion"], 2: ["challenger"], 1: []}
    assert [(move["number"], move["who"], move["why"]) for move in history][:3] == [
        (3, "t@example.com", "they were mistaken"),
        (1, "t@example.com", "complaints from the branches"),
        (3, "register", "better"),
    ]
    table = made.pipeline("versions").stdout
    assert "champion since" in table
    assert "complaints from the branches" in table
    for words, message in (
        (("promote", "9", "--why", "x"), "promote: small has no version 9; there are: 1, 2, 3"),
        (("promote", "3", "--why", "x"), "promote: version 3 of small is champion already"),
    ):
        done = made.pipeline(*words, check=False)
        assert (done.returncode, done.stderr.strip()) == (2, message)


def test_the_same_model_again_is_the_same_and_what_params_ask_holds_a_better_one_back(made):
    before, _ = versions(made)
    made.pipeline("register")
    found = json.loads((made.folder / "reports" / "register.json").read_text())
    assert (found["judgement"]["verdict"], found["version"], found["alias"]) == ("same", 3, "champion")
    assert versions(made)[0] == before
    made.pipeline("promote", "2", "--why", "a bad champion")
    found, _ = trained(made, {**GOOD, "epochs": 11}, require={"auc": 0.999, "latency_ms": 1e-3, "size_mb": 100, "worst_slice": 0.5})
    said = "; ".join(found["judgement"]["reasons"])
    assert (found["judgement"]["verdict"], found["alias"]) == ("better", "challenger")
    assert "required is at least 0.999" in said
    assert "required is at most 0.001" in said
    assert "test worst_slice is" in said
    assert "size_mb" not in said
    costs, aspects = found["judgement"]["costs"], found["judgement"]["aspects"]
    assert costs["latency_ms"]["new"] == found["latency_ms"] > 0 < costs["latency_ms"]["champion"]
    assert 0.05 < costs["size_mb"]["new"] < 5
    assert {"overall", "parts", "calibration", "size", "latency"} == set(aspects)
    assert (aspects["overall"], aspects["size"]) == ("better", "equal")
    assert "one row takes" in said
    made.write_params({**made.params, "register": {"name": "small", "require": {"acu": 1}}})
    done = made.pipeline("register", check=False)
    assert done.returncode == 2
    assert "register.require: no test metric acu; there are: auc" in done.stderr


def test_a_champion_that_cannot_answer_for_these_rows_is_unlike(made):
    made.write_params({**made.params, "register": {"name": "small"}, "data": {**made.params["data"], "target": "member"}})
    made.pipeline("run", "register")
    found = json.loads((made.folder / "reports" / "register.json").read_text())
    assert (found["judgement"]["verdict"], found["alias"]) == ("unlike", "challenger")
    assert "cannot answer for these rows" in found["judgement"]["reasons"][0]


def test_where_the_store_cannot_be_asked_nobody_becomes_champion(made):
    done = made.pipeline("register", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    found = json.loads((made.folder / "reports" / "register.json").read_text())
    assert (found["judgement"]["verdict"], found["judgement"]["accepted"]) == ("unknown", False)
    assert "the store http://127.0.0.1:9 cannot be asked for the champion" in done.stderr
    assert found["alias"] == "challenger"
