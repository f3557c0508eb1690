"""What the end of a run suggests, by what its reports hold."""

from __future__ import annotations

import copy

import pytest

from pipeline import summary
from pipeline.params_file import load
from pipeline.terminal import ending

JUDGED = {"verdict": "better", "reasons": [], "accepted": True}
FACTS = {
    "leakage": {"findings": [{"severity": "note", "title": "A note.", "remedy": "nothing"}]},
    "trained": {"epochs": 20, "best_epoch": 9},
    "test": {
        "models": {"network": {"auc": {"value": 0.7, "low": 0.6, "high": 0.8}}},
        "differences": {"boosting": {"auc": {"value": 0.05, "low": 0.01, "high": 0.09}}},
        "higher_is_better": {"auc": True},
    },
    "parts": {"worse": []},
    "monitored": {"windows": [{"kind": "production", "state": "ok"}]},
    "registered": {
        "name": "small",
        "version": "3",
        "alias": "champion",
        "judgement": {"verdict": "better", "reasons": [], "accepted": True},
    },
}
BEST = {"params": {"train.learning_rate": 0.003}, "from": {"best_trial": 1}}


@pytest.fixture
def params(write_params, workspace):
    write_params()
    return load(workspace / "params.yaml")


def changed(path: str, value: object) -> dict:
    facts = copy.deepcopy(FACTS)
    *above, last = path.split(".")
    place = facts
    for name in above:
        place = place[name]
    place[last] = value
    return facts


def first(facts, params, best=BEST) -> str:
    return next(ending.suggestions(facts, params, best))


def test_where_all_is_well_the_model_is_put_to_use(params):
    assert "pipeline serve" in first(FACTS, params)
    assert len(list(ending.suggestions(FACTS, params, BEST))) == 1


def test_each_finding_is_followed_by_its_remedy_and_a_leak_comes_before_all(params):
    leak = changed(
        "leakage.findings", [{"kind": "giveaway", "severity": "error", "title": "paid gives bought away.", "remedy": "ignore it"}]
    )
    assert first(leak, params).startswith("settle the leak first: paid gives bought away. ignore it")
    shift = changed("leakage.findings", [{**leak["leakage"]["findings"][0], "kind": "covariate_shift", "severity": "warning"}])
    assert "settle" not in first(shift, params)  # rows that changed flatter nothing
    leak["trained"] = {"epochs": 20, "best_epoch": 19}
    assert first(leak, params).startswith("settle the leak first")
    assert first(changed("trained", {"epochs": 20, "best_epoch": 19}), params).startswith("train.epochs: 40, since")
    worse = changed("test.differences.boosting.auc", {"value": -0.05, "low": -0.09, "high": -0.01})
    assert first(worse, params).startswith("gradient boosting is better here: tune.trials: 20")
    unsure = changed("test.differences.boosting.auc", {"value": -0.05, "low": -0.09, "high": 0.01})
    assert "better here" not in first(unsure, params)
    part = changed("parts", {"worse": ["Rows of city Rome have twice the loss."]})
    assert first(part, params).endswith("Rows of city Rome have twice the loss.")
    assert "has moved away" in first(changed("monitored.windows", [{"kind": "production", "state": "decay"}]), params)
    assert first(FACTS, params.model_copy(update={"tune": params.tune.model_copy(update={"trials": 0})})).startswith("tune.trials: 20")


def test_a_best_trial_at_the_end_of_its_range_has_it_widened(params):
    upper = {"params": {"train.learning_rate": 0.0099}, "from": {"best_trial": 1}}
    assert first(FACTS, params, upper).startswith("tune.space: {train.learning_rate: {log: [0.001, 0.1]}}, since the best trial (0.0099)")
    lower = {"params": {"train.learning_rate": 0.00101}, "from": {"best_trial": 1}}
    assert "{log: [0.0001, 0.01]}" in first(FACTS, params, lower)
    assert "tune.space" not in first(FACTS, params, upper | {"from": {"best_trial": 0}})


def test_the_verdict_is_that_against_the_strongest_baseline():
    facts = changed("test.differences.linear", {"auc": {"value": -0.006, "low": -0.03, "high": 0.02}})
    assert ending.verdict(facts).startswith("not surely different from a linear model (AUC -0.0060 ")
    facts["test"]["differences"]["linear"]["auc"]["value"] = 0.06
    assert ending.verdict(facts).startswith("better than gradient boosting ")


def test_the_verdict_names_the_baseline_and_the_place_of_the_version():
    assert ending.verdict(FACTS) == "better than gradient boosting (AUC +0.0500 [+0.0100, +0.0900]); small version 3 is champion (better)"
    waits = {"name": "small", "version": "4", "alias": "challenger"}
    waits |= {"judgement": {"verdict": "unsure", "reasons": ["not surely better"], "accepted": False}}
    assert ending.verdict(changed("registered", waits)).endswith("small version 4 waits as challenger: not surely better")
    assert "pipeline sync" in ending.verdict(changed("registered", {"name": "small", "judgement": waits["judgement"]}))


def test_the_parts_of_the_brier_score_say_of_what_they_are():
    one = {"ece": 0.04, "reliability": 0.01, "resolution": 0.02, "uncertainty": 0.2}
    quality = {"method": "none", "threshold": 0.5, "before": one, "after": one}
    parts = {
        task: summary.answered({"answers": quality, "schema": {"task": task}}).partition("Parts ")[2] for task in ("binary", "multiclass")
    }
    assert parts["binary"].startswith("of the Brier score: reliability 0.0100")
    assert parts["multiclass"].startswith("of the Brier score, as far as the answered class goes: reliability 0.0100")
