"""A workspace beside another revision: what is said where one is better, and where nothing can be said."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.history import revisions
from pipeline.history.revisions import State, markdown


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def state(name="here", *, auc=(0.7, 0.65, 0.75), loss=(0.6, 0.55, 0.65), params=None, test="a", **more):
    lock = {
        "stages": {"collect": {"deps": [{"path": "rows.csv", "md5": "s"}]}, "split": {"outs": [{"path": "data/split/test", "md5": test}]}}
    }
    intervals = {"models": {"network": {"auc": interval(*auc), "log_loss": interval(*loss)}}}
    return State(name, params or {"data": {"source": "rows.csv"}}, lock, intervals, None, **more)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ((0.8, 0.76, 0.84), "better"),
        ((0.6, 0.56, 0.64), "worse"),
        ((0.74, 0.69, 0.78), "not surely different"),
        ((0.8, None, None), "too few"),
    ],
)
def test_better_is_only_what_lies_outside_of_both_intervals(now, verdict):
    text = markdown(state(auc=now), state("main"))
    assert f"main 0.700 [0.650, 0.750]: **{verdict}" in text


def test_a_lower_loss_is_better():
    text = markdown(state(loss=(0.4, 0.35, 0.45)), state("main"))
    assert "| log loss ↓ | 0.400 [0.350, 0.450] | 0.600 [0.550, 0.650] | -0.200 | better |" in text


def test_other_test_rows_are_said():
    assert "on other test rows" in markdown(state(), state("main", test="b"))
    assert "on other test rows" not in markdown(state(), state("main"))


def test_changed_params_show_both_values_and_none_is_said_too():
    mine = state(params={"data": {"source": "rows.csv"}, "train": {"epochs": 2}, "a|b": None})
    text = markdown(mine, state("main", params={"data": {"source": "rows.csv"}, "train": {"epochs": 3, "ema": 0.9}}))
    assert "| `train.epochs` | `3` | `2` |" in text
    assert "| `train.ema` | `0.9` | – |" in text
    assert "Params are those of main." in markdown(state(), state("main"))


def test_without_results_it_says_why():
    absent = State("main", {}, {}, None, None, "main has no dvc.lock")
    assert "Nothing to compare with: main has no dvc.lock." in markdown(state(), absent)


def test_params_changed_after_the_training_are_said():
    assert "was changed after the training" in markdown(state(stale=True), state("main"))


def test_no_results_here_and_no_such_revision_are_mistakes(small):
    with pytest.raises(UserError, match=r"intervals.json is not there yet: `pipeline run` writes it"):
        revisions.here()
    with pytest.raises(UserError, match="git knows no revision 'mian' here"):
        revisions.at("mian")
