"""The gate: better only where the rows say so, worse also where a part of them does, and rarely wrong about equal models."""

import numpy as np
import pandas as pd
import pytest

from pipeline import gate
from pipeline.errors import UserError


def rows(seed, n=600, groups=200):
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    table = pd.DataFrame(
        {
            "city": rng.choice(["Rome", "Oslo", "Bern", None], n),
            "age": rng.integers(18, 80, n).astype(float),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "member": rng.random(n) < 0.5,
        }
    )
    return rng, logit, y, rng.integers(0, groups, n), table


def probability(logit, rng, noise):
    return 1 / (1 + np.exp(-(logit + rng.normal(0, noise, len(logit)))))


def judge(seed, *, new, champion, n=600, harm=None, replicates=200):
    rng, logit, y, groups, table = rows(seed, n)
    a, b = probability(logit, rng, new), probability(logit, rng, champion)
    if harm is not None:
        part = (table["city"] == harm).to_numpy()
        a = np.where(part, 1 - a, a)
    return gate.judge("binary", y, a, b, groups, table, replicates=replicates, confidence=0.95, seed=seed)


def test_a_better_model_is_better_and_the_other_way_round_it_is_worse():
    found = judge(0, new=0.1, champion=2.0)
    assert found.verdict == "better"
    assert found.metric == "auc"
    assert found.differences["auc"].low > 0
    assert found.new["auc"] > found.champion["auc"]
    assert found.reasons[0].startswith(f"auc {found.differences['auc'].value:+.4g} [")
    other = judge(0, new=2.0, champion=0.1)
    assert other.verdict == "worse"
    assert other.differences["auc"].high < 0


def test_of_equal_models_few_are_called_better():
    verdicts = [judge(seed, new=0.5, champion=0.5).verdict for seed in range(150)]
    assert verdicts.count("better") / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5
    assert verdicts.count("equal") > 120


def test_a_model_that_is_better_on_the_whole_and_worse_on_a_part_is_held_back():
    found = judge(3, new=0.0, champion=1.5, n=2000, harm="Bern")
    assert found.verdict == "worse"
    assert (found.parts[0].column, found.parts[0].value) == ("city", "Bern")
    assert found.parts[0].new > found.parts[0].champion
    assert "worse where city is Bern" in found.reasons[1]
    assert found.looked_at == 3 + 1 + 4 + 4 + 2  # cities and where it is missing, quarters of age and since, member


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_other_tasks_have_a_direction_and_slices_too(task):
    rng, logit, y, groups, table = rows(5)
    if task == "regression":
        y = logit
        near, far = logit + rng.normal(0, 0.1, len(y)), logit + rng.normal(0, 1, len(y))
    else:
        sure = np.eye(3)[y]
        near, far = (sure * weight + (1 - weight) / 3 for weight in (0.8, 0.3))
    settings = {"replicates": 200, "confidence": 0.95, "seed": 0}
    assert gate.judge(task, y, near, far, groups, table, **settings).verdict == "better"
    found = gate.judge(task, y, far, near, groups, table, **settings)
    assert found.verdict == "worse"
    assert found.parts


def test_rows_of_one_group_say_one_thing():
    """100 rows of one person are no 100 reasons: with 20 persons a slice is not looked at, and a difference by chance stays one."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(20), 100)
    difference = np.repeat(rng.normal(0, 1, 20), 100)
    table = pd.DataFrame({"half": np.where(np.arange(2000) % 2, "a", "b")})
    assert gate.worse_parts(difference, np.zeros(2000), person, table) == ((), 0)
    wrong = sum(bool(gate.worse_parts(*_clustered(seed))[0]) for seed in range(100))
    alone = sum(bool(gate.worse_parts(new, old, np.arange(len(new)), table)[0]) for new, old, _, table in map(_clustered, range(100)))
    assert wrong <= 5 + 2 * (5 * 0.95) ** 0.5
    assert alone > 3 * max(wrong, 3)  # as rows they would tell what is not so


def _clustered(seed):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(60), 20)
    champion = np.full(1200, 1.0)
    new = champion + np.repeat(rng.normal(0, 1, 60), 20)
    return new, champion, person, pd.DataFrame({"half": np.where(np.arange(1200) % 2, "a", "b")})


def test_few_groups_leave_the_verdict_open():
    found = gate.judge(
        "regression", np.zeros(3), np.ones(3), np.full(3, 9.0), np.zeros(3, int), pd.DataFrame({"a": [1, 2, 3]}),
        replicates=100, confidence=0.95, seed=0,
    )  # fmt: skip
    assert found.verdict == "equal"


def test_what_is_asked_and_not_there_is_told():
    measured, better = {"auc": 0.7, "log_loss": 0.5, "f1": None}, {"auc": True, "log_loss": False, "f1": True}
    gap = {"boosting": {"auc": {"value": 0.01, "low": -0.01, "high": 0.03}}, "prior": {"auc": {"value": 0.2, "low": 0.1, "high": 0.3}}}
    assert gate.unmet({}, None, measured, gap, better) == []
    assert gate.unmet({"auc": 0.7, "log_loss": 0.5}, "prior", measured, gap, better) == []
    assert gate.unmet({"auc": 0.71, "log_loss": 0.4, "f1": 0.1}, "boosting", measured, gap, better) == [
        "test auc is 0.7, required is at least 0.71",
        "test log_loss is 0.5, required is at most 0.4",
        "test f1 is undefined, required is at least 0.1",
        "not surely better than boosting: auc +0.01",
    ]
    with pytest.raises(UserError, match=r"register\.require: no test metric acu; there are: auc, log_loss, f1"):
        gate.unmet({"acu": 1}, None, measured, gap, better)
    with pytest.raises(UserError, match=r"register\.beats: no baseline forest; there are: boosting, prior"):
        gate.unmet({}, "forest", measured, gap, better)
