"""Charts: where values lie, that gaps and far values do not spoil them, and that what is told is what was measured."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.run_page import confusion, glance, importance, measured, standing, sweep, training
from pipeline.run_page.plot import Axis, cut_first, path, reach, steps, tick, x_axis, y_axis

FINITE = st.floats(-1e12, 1e12).filter(lambda value: value == 0 or abs(value) > 1e-9)


@settings(deadline=None, max_examples=60)
@given(FINITE, FINITE)
def test_every_axis_has_round_ticks_within_its_ends(a, b):
    axis = x_axis(min(a, b), max(a, b))
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    places = [at for at, _ in ticks]
    assert places == sorted(places)
    assert all(axis.first - 0.1 <= at <= axis.last + 0.1 for at in places)
    assert all(text and len(text) <= 12 for _, text in ticks)


def test_ticks_are_the_numbers_that_people_write():
    assert [text for _, text in Axis(0, 1, 0, 100).ticks()] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [text for _, text in Axis(0, 200_000, 0, 100).ticks()] == ["0", "50k", "100k", "150k", "200k"]
    assert [text for _, text in Axis(1, 4, 0, 100).ticks(6, whole=True)] == ["1", "2", "3", "4"]
    assert tick(2_500_000, 500_000) == "2.5M"
    assert Axis(0, 10, 100, 0).at(2.5) == 75.0
    assert Axis(0, 10, 100, 0).at(99) == 0.0  # within the drawing


def test_a_path_breaks_where_nothing_is_known():
    x, y = Axis(0, 3, 0, 30), Axis(0, 1, 10, 0)
    assert path(x, y, [(0, 0.0), (1, math.nan), (2, 1.0), (3, 0.5)]) == "M0 10M20 0L30 5"
    assert steps(x, y, [(0, 0.0), (2, 1.0)]) == "M0 10H20V0H30"
    assert path(x, y, [(at / 1000, 0.5) for at in range(3000)]).count("L") == 399
    assert reach([math.nan]) == pytest.approx((-0.06, 1.06))
    assert y_axis(5, 5).at(5) == pytest.approx((y_axis(5, 5).first + y_axis(5, 5).last) / 2)


def test_a_first_epoch_far_out_does_not_flatten_the_rest():
    low, high = cut_first([[1000.0, 1.0, 0.9, 0.8, 0.7]])
    assert high < 3
    assert low < 0.7
    assert cut_first([[1.2, 1.0, 0.9, 0.8, 0.7]])[1] > 1.2  # but one that is near is shown whole


def test_learning_curves_mark_the_best_epoch():
    history = [
        {"train/loss": f"{1 / (at + 1)}", "validation/loss": f"{abs(at - 2) + 0.5}", "validation/auc": f"{at / 10}"} for at in range(5)
    ]
    loss, auc = training.training(history, 2, "auc")
    assert (loss.note, auc.note) == ("best epoch 3: 0.500", "best epoch 3: 0.200")
    assert [line.name for line in loss.lines] == ["", "train", "validation"]
    assert loss.marks[0].x == x_axis(1, 5).at(3)
    same = [{**row, "validation/log_loss": row["validation/loss"]} for row in history]
    assert [plot.title for plot in training.training(same, 2, "log_loss")] == ["Loss"]
    assert training.training(history[:1], 0, "auc") == []
    assert training.training([{"train/loss": "1"}] * 3, 0, "auc") == []


@pytest.mark.parametrize(("values", "best", "lead"), [((3, 5, 1, 2), 2, 2), ((3, 5, 1, 2), 1, 2), ((1, 2, 3, 4), 0, 1)])
def test_the_best_so_far_goes_the_way_of_the_objective(values, best, lead):
    rows = [{"number": str(at), "state": "complete", "value": str(value), "feasible": "True"} for at, value in enumerate(values)]
    found = sweep.sweep(rows, {"params": {}, "from": {"best_trial": best, "objective": "x"}}, [])
    assert ("lower" in found.plot.note) == (values[best] == min(values))
    drawn = next(line.path for line in found.plot.lines if line.kind == "lead")
    assert drawn.count("V") == lead - 1
    assert [mark.kind for mark in found.plot.marks].index("best") == best


def test_a_sweep_without_a_complete_trial_has_no_drawing():
    found = sweep.sweep([{"number": "0", "state": "failed", "value": "", "feasible": "True"}], {"params": {}, "from": {}}, [])
    assert (found.plot, found.counts, found.gain) == (None, (("failed", 1),), "")
    assert sweep.sweep([], {}, []) is None


def test_what_is_taken_for_what_is_counted():
    rows = [{"actual": a, "predicted": p} for a, p in ("00", "01", "01", "11", "20")]
    found = confusion.confused(rows, ["cat", "dog", "<b>"])
    assert (found.wrong, found.of) == (3, 5)
    assert found.pairs == (("cat", "dog", 2, 66.7), ("<b>", "cat", 1, 100.0))
    assert found.matrix.rows[0] == ("cat", ((1, 33.3), (2, 66.7), (0, 0.0)))
    assert confusion.confused(rows, [str(at) for at in range(20)]).matrix is None
    named = [{"actual": "cat", "predicted": "dog"}]
    assert confusion.confused(named, ["dog", "cat"]).pairs == (("cat", "dog", 1, 100.0),)
    assert confusion.confused([], ["a"]) is None


def test_a_difference_is_sure_only_where_its_interval_leaves_out_zero():
    ends = {"low": 0.1, "high": 0.2}
    assert (standing.sure(ends, False), standing.sure(ends, True)) == ("good", "bad")
    assert standing.sure({"low": -0.1, "high": 0.2}, False) == "unsure"
    assert standing.sure({"low": None, "high": None}, False) == "unsure"
    drawn = standing.panel(
        "t",
        "h",
        [("a", "good", {"value": 1.0, "low": 0.5, "high": 1.5}), ("b", "bad", {"value": -0.5, "low": None, "high": None})],
        zero=True,
    )
    first, second = drawn.dots
    assert first.low < first.at < first.high
    assert second.at < drawn.zero < first.low
    assert (second.low, second.range) == (None, "")


def test_the_strongest_baseline_is_the_one_to_beat():
    ends = {"linear": (0.1, 0.05, 0.15), "boosting": (-0.1, -0.15, -0.05), "prior": (0.4, 0.3, 0.5)}
    told = {name: dict(zip(("value", "low", "high"), of, strict=True)) for name, of in ends.items()}
    for metric, verdict in (("auc", ("bad", "worse than gradient boosting")), ("rmse", ("bad", "worse than the prior"))):
        found = {"test": {"models": {"network": {metric: {}}}, "differences": {name: {metric: of} for name, of in told.items()}}}
        kind, words = standing.standing(found)
        assert (kind, words.split(" (")[0]) == verdict
    assert standing.standing({"test": {"models": {"network": {"auc": {}}}, "differences": {}}}) == ("unsure", "no baseline to compare with")


def test_columns_come_in_the_order_of_their_importance():
    rows = [{"name": name, "columns": n, "loss_increase": v, "low": "0", "high": v, "auc_worse_by": "0.012"} for name, n, v in
            (("a", "1", "0.1"), ("b", "1", "0.4"), ("a + b", "2", "0.9"), ("c", "1", "-0.1"))]  # fmt: skip
    found = importance.importance(rows, "auc")
    assert [(one.name, one.at, one.cost) for one in found] == [("b", 100.0, "0.0120"), ("a", 25.0, "0.0120"), ("c", 0.0, "0.0120")]
    assert glance.ordered(["x", "c", "a", "b"], rows) == ["b", "a", "x", "c"]
    assert importance.importance([{**rows[0], "loss_increase": "-1", "high": "-0.5", "low": "-2"}], "auc") == []


def test_calibration_tells_what_was_said_and_what_happened():
    rows = [{"predicted": "0.25", "observed": "0.5", "low": "0.4", "high": "0.6", "rows": "1200"}]
    plot = measured.calibration(rows)
    assert plot.marks[0].title == "told 25%, happened 50%, of 1,200 rows"
    assert [line.kind for line in plot.lines] == ["rule", "validation", "span"]
    assert measured.calibration([]) is None
    steps_of = [{"step": str(at), "network": str(0.1 * at), "last": str(0.2 * at)} for at in range(1, 6)]
    assert [line.name for line in measured.steps_ahead(steps_of).lines] == ["the network", "the last value"]
    assert measured.residuals([{"predicted": "1", "residual": "nan"}]).marks == ()
    assert re.fullmatch(
        r"M[\d.]+ [\d.]+L[\d.]+ [\d.]+",
        measured.rates("R", [{"x": "0", "y": "0"}, {"x": "1", "y": "1"}], "x", "y", labels=("x", "y"), chance=False).lines[0].path,
    )
