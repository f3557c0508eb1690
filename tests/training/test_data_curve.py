"""Parts of train hold whole groups, each inside the next; the curve and its words tell whether more rows help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest_models import preprocessor
from conftest_models import side as table
from toy_sides import side as toy_side
from toys import HORIZON, STEPS
from toys import fitted as toy

from pipeline.config import ModelParams, TrainParams
from pipeline.data.arrays import Side
from pipeline.errors import UserError
from pipeline.evaluation import figures, intervals
from pipeline.evaluation.data_curve_figures import data_curve
from pipeline.evaluation.metrics import METRICS, compute
from pipeline.models.answers import Answers
from pipeline.models.fit import actual, fit, outputs
from pipeline.training.data_curve import ALL, Curve, Part, Point, calibrated, curve, networks, parts, rows_of, sentence

MODEL = ModelParams(layers=1, width=8, bins=4, embedding=2, dropout=0)
PARAMS = TrainParams(epochs=3, batch_size=32, learning_rate=1e-2)
SETTINGS = {"replicates": 300, "confidence": 0.95, "seed": 0}
WIDE = 12  # inputs of the problem that needs many rows


def grouped(rows: Side, count: int) -> Side:
    """Groups of unequal size: code k for about k + 1 parts of the rows."""
    weights = np.arange(1, count + 1) / np.arange(1, count + 1).sum()
    return replace(rows, group=np.random.default_rng(5).choice(count, len(rows), p=weights).astype(np.int64))


def wide(rows: int, seed: int) -> Side:
    """A target to which every one of many inputs adds a little, under noise."""
    rng = np.random.default_rng(seed)
    number = rng.uniform(-1, 1, (rows, WIDE)).astype("float32")
    score = number @ np.linspace(-2, 2, WIDE) + rng.normal(0, 1.0, rows)
    return Side(number, np.empty((rows, 0), "int32"), (score > 0).astype("int32"), np.arange(rows))


def easy(rows: int, seed: int) -> Side:
    """A target that the sign of the first input tells, but for one row in ten."""
    rng = np.random.default_rng(seed)
    made = table("binary", rows, seed)
    return replace(made, target=((made.number[:, 0] > 0) ^ (rng.uniform(size=rows) < 0.1)).astype("int32"))


def learnt(fitted, train, validation, test, shares, model=MODEL, params=PARAMS, seed=1):
    """The curve as the stage makes it."""
    how = {"model": model, "params": params, "seed": seed}
    full = outputs(fit(fitted, train, validation, **how).model, fitted, test)
    found = networks(fitted, train, validation, test, shares, **how)
    return curve(fitted.task, actual(test, fitted), found, full, np.asarray(test.group), train=train, **SETTINGS)


# -- planted truth


def test_where_every_input_adds_a_little_more_rows_help_and_the_words_say_so():
    fitted = preprocessor("binary", numbers=WIDE, categories=0)
    found = learnt(fitted, wide(1200, 0), wide(400, 1), wide(3000, 2), (0.5, 0.05), params=PARAMS.model_copy(update={"epochs": 8}))
    values = [one.value for one in found.points]
    assert [one.share for one in found.points] == [0.05, 0.5, 1.0]
    assert [one.rows for one in found.points] == [60, 600, 1200]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.05
    assert all(found.worse(one) for one in found.points[:-1])
    told = sentence(found)
    assert told.startswith("With half of the rows AUC is 0.0")
    assert " lower [0.0" in told
    assert told.endswith("]: more rows would likely still help.")


def test_where_one_input_tells_all_a_tiny_share_suffices_and_the_words_promise_nothing():
    params = PARAMS.model_copy(update={"epochs": 20, "batch_size": None})
    found = learnt(preprocessor("binary"), easy(2400, 0), easy(400, 1), easy(1500, 2), (0.1, 0.5), params=params)
    first, half, last = found.points
    assert abs(first.value - last.value) < 0.02
    assert not found.worse(half)
    told = sentence(found)
    assert told.startswith("With half of the rows AUC is not told apart from that with all (0.00")
    assert ": more rows of this kind are unlikely to help much, twice as many hardly by more than 0.0" in told


# -- which rows a part holds


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whole_groups_are_drawn_each_part_inside_the_next_near_its_share(seed):
    train = grouped(table("regression", 2000), 60)
    found = parts(train, preprocessor("regression"), (0.5, 0.1, 0.25, 0.9), seed=seed)
    assert list(found) == [0.1, 0.25, 0.5, 0.9]
    for share, rows in found.items():
        held = np.unique(train.group[rows])
        np.testing.assert_array_equal(rows, np.flatnonzero(np.isin(train.group, held)))
        assert abs(len(rows) / 2000 - share) < 0.02  # half of the largest group
    one, *others = found.values()
    for more in others:
        assert set(one) < set(more)
        one = more


def test_groups_are_chosen_by_seed_and_group_and_not_by_where_their_rows_stand():
    train, fitted = grouped(table("regression", 1000), 40), preprocessor("regression")
    order = np.random.default_rng(0).permutation(1000)
    moved = replace(train, group=train.group[order])

    def held(side, seed):
        return set(side.group[parts(side, fitted, [0.3], seed=seed)[0.3]])

    assert held(train, 1) == held(moved, 1) != held(train, 2)
    assert parts(train, fitted, [0.3], seed=1)[0.3].tolist() != parts(moved, fitted, [0.3], seed=1)[0.3].tolist()


def test_every_group_is_as_likely_as_another():
    train, fitted = replace(table("regression", 50), group=np.arange(50)), preprocessor("regression")
    times = np.zeros(50)
    for seed in range(400):
        times[parts(train, fitted, [0.3], seed=seed)[0.3]] += 1
    assert times.sum() == 400 * 15
    assert np.abs(times / 400 - 0.3).max() < 4.5 * np.sqrt(0.3 * 0.7 / 400)


def test_a_forecast_takes_the_latest_windows_of_each_series():
    rows = toy_side("series", 30)
    series = np.repeat([7, 3], [20, 10])  # the steps of the first series stand first
    train = replace(rows, group=series)
    found = parts(train, toy("series", "forecast"), (0.1, 0.5), seed=0)
    assert found[0.1].tolist() == [18, 19, 29]
    assert found[0.5].tolist() == [*range(10, 20), *range(25, 30)]
    turned = replace(train, group=series[::-1].copy(), more={**rows.more, "start": rows.more["start"][::-1].copy()})
    assert parts(turned, toy("series", "forecast"), (0.1,), seed=9)[0.1].tolist() == [0, 10, 11]  # by start, not by place


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_shares_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"expected numbers between 0 and 1, got {wrong}"):
        parts(table("regression"), preprocessor("regression"), (0.5, wrong), seed=0)


def test_shares_that_draw_nothing_new_are_left_out_with_a_warning(caplog):
    train, fitted = replace(table("regression", 90), group=np.repeat([0, 1, 2], 30)), preprocessor("regression")
    assert [len(rows) for rows in parts(train, fitted, (0.1, 0.3, 0.7, 0.99), seed=0).values()] == [30, 60]
    assert [record.getMessage() for record in caplog.records] == [
        "a share of 0.3 of train is left out: by whole groups it is no more rows than a smaller share (30)",
        "a share of 0.99 of train is left out: by whole groups it is all rows (90)",
    ]
    with pytest.raises(UserError, match=r"evaluate\.shares: train has 1 groups, too few"):
        parts(replace(train, group=np.zeros(90, int)), fitted, (0.5,), seed=0)
    assert parts(train, fitted, (), seed=0) == {}


# -- what is trained on them


def trained(fitted, sides, shares=(0.2, 0.5), params=PARAMS, **more):
    return networks(fitted, *sides, shares, model=MODEL, params=params, seed=1, **more)


def test_a_part_is_trained_as_if_its_rows_were_all_and_twice_gives_the_same_bytes():
    fitted = preprocessor("binary")
    train, validation, test = grouped(table("binary", 400), 30), table("binary", 100, 1), table("binary", 80, 2)
    seen = []
    one, other = trained(fitted, (train, validation, test), on_part=lambda *told: seen.append(told))
    assert [told[:2] for told in seen] == [(one.share, one.rows), (other.share, other.rows)] == [(0.2, one.rows), (0.5, other.rows)]
    (again,) = trained(fitted, (train, validation, test), (0.2,))  # whatever other shares there are
    assert (again.test.tobytes(), again.validation.tobytes()) == (one.test.tobytes(), one.validation.tobytes())
    rows = parts(train, fitted, (0.2,), seed=1)[0.2]
    few = Side(train.number[rows], train.category[rows], train.target[rows], train.group[rows])
    alone = fit(fitted, few, validation, model=MODEL, params=PARAMS, seed=1)
    np.testing.assert_array_equal(one.test, outputs(alone.model, fitted, test))
    np.testing.assert_array_equal(one.validation, outputs(alone.model, fitted, validation))
    losses = [[row[key] for row in result.history] for result in (seen[0][2], alone) for key in ("train/loss", "validation/loss")]
    assert losses[:2] == losses[2:]
    assert (one.rows, one.groups) == (len(rows), len(np.unique(few.group)))
    assert not np.array_equal(one.test, other.test)


@pytest.mark.parametrize("kind", ["table", "series"])
def test_test_targets_and_rows_outside_a_part_change_nothing_and_rows_inside_do(kind):
    task = "forecast" if kind == "series" else "regression"
    fitted = toy("series", "forecast") if kind == "series" else preprocessor("regression")
    make = (lambda rows, seed: toy_side("series", rows, seed)) if kind == "series" else (lambda rows, seed: table(task, rows, seed))
    train, validation, test = make(120, 0), make(40, 1), make(30, 2)
    if kind == "series":
        train, validation, test = (replace(side, group=np.zeros(len(side), int)) for side in (train, validation, test))
    rows = parts(train, fitted, (0.5,), seed=1)[0.5]
    assert len(rows) == 60

    def poisoned(side, which):
        target = np.array(side.target)
        if kind == "series":
            for start in side.more["start"][which]:
                target[start + STEPS : start + STEPS + HORIZON] += 50
        else:
            target[which] += 50
        return replace(side, target=target)

    outside = np.setdiff1d(np.arange(120), rows)
    (known,) = trained(fitted, (train, validation, test), (0.5,))
    (spoiled,) = trained(fitted, (poisoned(train, outside), validation, poisoned(test, np.arange(30))), (0.5,))
    assert known.test.tobytes() == spoiled.test.tobytes()
    assert known.validation.tobytes() == spoiled.validation.tobytes()
    (moved,) = trained(fitted, (poisoned(train, rows[:20]), validation, test), (0.5,))
    assert not np.array_equal(known.test, moved.test)


def test_of_an_ensemble_each_part_is_one_too():
    fitted, sides = preprocessor("regression"), (table("regression", 200), table("regression", 60, 1), table("regression", 40, 2))
    params = PARAMS.model_copy(update={"ensemble": 2, "epochs": 1})
    seen = []
    (both,) = trained(
        fitted, sides, (0.5,), params, on_part=lambda share, rows, result: seen.append(outputs(result.model, fitted, sides[2]))
    )
    assert len(seen) == 2
    assert not np.array_equal(*seen)
    np.testing.assert_allclose(both.test, np.mean(seen, axis=0), rtol=1e-5)


# -- curve, rows, words


def made(*harms, groups=400, better=True, task="binary", spread=0.005):
    """A curve whose parts of 10%, 25%, 50% (the last of them) lose that much."""
    shares, sign, metric = (0.1, 0.25, 0.5)[-len(harms) :], -1 if better else 1, "auc" if better else "rmse"
    points = [
        Point(share, int(1000 * share), 9, metric, 0.9 + sign * h, 0.85, 0.95, sign * h, sign * h - spread, sign * h + spread)
        for share, h in zip(shares, harms, strict=True)
    ]
    whole = Point(1.0, 1000, 90, metric, 0.9, 0.85, 0.95, 0.0, 0.0, 0.0)
    return Curve((*points, whole), task, metric, better, 800, groups, 1000, 0.95)


def test_values_and_paired_differences_are_those_of_the_bootstrap():
    rng = np.random.default_rng(0)
    y, groups = rng.normal(size=300), np.repeat(np.arange(60), 5)
    full, half, few = (y + rng.normal(0, scale, 300) for scale in (0.5, 0.6, 1.0))
    found = [Part(0.5, 50, 10, y, half), Part(0.1, 10, 2, y, few)]
    train = replace(table("regression", 100), group=np.repeat(np.arange(20), 5))
    told = curve("regression", y, found, full, groups, train=train, metric=METRICS["regression"][1], **SETTINGS)
    rows = rows_of(told)
    differences = ["difference", "difference_low", "difference_high"]
    assert list(rows[0]) == ["share", "rows", "groups", "metric", "value", "low", "high", *differences]
    assert [(row["share"], row["rows"], row["groups"], row["metric"]) for row in rows] == [
        (0.1, 10, 2, "mae"), (0.5, 50, 10, "mae"), (1.0, 100, 20, "mae"),
    ]  # fmt: skip
    assert rows[2]["value"] == pytest.approx(compute("regression", y, full)["mae"])
    assert [rows[2][name] for name in differences] == [0, 0, 0]
    for row, own in ((rows[0], few), (rows[1], half)):
        pair = intervals.bootstrap("regression", y, {"part": own, ALL: full}, groups, **SETTINGS)
        assert row["value"] == pair.models["part"]["mae"].value == pytest.approx(compute("regression", y, own)["mae"])
        gap = pair.differences[ALL]["mae"]
        assert (row["difference"], row["difference_low"], row["difference_high"]) == pytest.approx((gap.value, gap.low, gap.high))
    assert (told.rows, told.groups, told.metric, told.higher_is_better) == (300, 60, "mae", False)
    with pytest.raises(ValueError, match="no part of train"):
        curve("regression", y, [], full, groups, train=train, **SETTINGS)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (made(0.05, 0.012), "With half of the rows AUC is 0.012 lower [0.007, 0.017]: more rows would likely still help."),
        (made(0.012, better=False), "With half of the rows RMSE is 0.012 higher [0.007, 0.017]: more rows would likely still help."),
        (
            made(0.012, task="forecast", better=False),
            "With the latest half of the windows RMSE is 0.012 higher [0.007, 0.017]: a longer history would likely still help.",
        ),
        (
            made(0.002, 0.012),
            "With half of the rows AUC is 0.012 lower [0.007, 0.017], with 25% of the rows 0.002 lower [-0.003, 0.007]: "
            "whether more rows would help stays open.",
        ),
        (
            made(-0.012),
            "With half of the rows AUC is 0.012 higher [0.007, 0.017]: by chance of training, or the others are unlike test; "
            "whether more rows would help stays open.",
        ),
        (
            made(0.1, 0.012, 0.001),  # 25% alone would leave it open: 0.006 for each doubling
            "With half of the rows AUC is not told apart from that with all (0.001 lower [-0.004, 0.006]): "
            "more rows of this kind are unlikely to help much, twice as many hardly by more than 0.006.",
        ),
        (
            made(-0.001, task="forecast"),
            "With the latest half of the windows AUC is not told apart from that with all (0.001 higher [-0.004, 0.006]): "
            "a longer history is unlikely to help much, twice as many hardly by more than 0.004.",
        ),
        (  # the last doubling may have gained as much as those before: 0.1 / log2(10) = 0.03 each
            made(0.1, 0.01, 0.01, spread=0.03),
            "With half of the rows AUC is not told apart from that with all (0.010 lower [-0.020, 0.040]), but with 10% of the rows it is "
            "0.100 lower [0.070, 0.130]: whether more rows would help stays open.",
        ),
        (
            made(0.001, groups=29),
            "With half of the rows AUC is not told apart from that with all (0.001 lower [-0.004, 0.006]), but test has too few groups "
            "(29) to tell: whether more rows would help stays open.",
        ),
        (
            made(0.02, spread=np.nan, groups=1),
            "With half of the rows AUC is not told apart from that with all (0.020 lower), but test has too few groups (1) to tell: "
            "whether more rows would help stays open.",
        ),
        (made(np.nan), "AUC is not defined on the test rows: nothing is told of more rows."),
    ],
)
def test_the_words_say_what_half_of_the_rows_tells_and_no_more(found, told):
    assert sentence(found) == told


def test_the_part_nearest_to_half_is_judged():
    found = made(0.1, 0.03, 0.012)
    late = Point(0.95, 950, 80, "auc", 0.9, 0.85, 0.95, 0.0, -0.001, 0.001)
    assert sentence(replace(found, points=(*found.points[:3], late, found.points[3]))) == sentence(found)
    assert found.judged.share == 0.5


def test_parts_are_calibrated_each_by_its_own_validation_rows():
    found = [Part(share, 1, 1, np.array([share]), np.array([0.9])) for share in (0.1, 0.5)]
    one, other = calibrated(found, lambda known: Answers("binary", method="temperature", temperature=1 / known[0]))
    odds = 0.9 / 0.1
    np.testing.assert_allclose([one.test[0], other.test[0]], [odds**0.1 / (1 + odds**0.1), odds**0.5 / (1 + odds**0.5)])
    assert found[0].test[0] == 0.9


# -- figure


@pytest.mark.parametrize("found", [made(0.08, 0.03, 0.001), made(0.02, spread=np.nan, better=False), made(np.nan)])
def test_the_figure_shows_every_part_and_all_rows_on_a_logarithmic_axis_with_the_words_as_title(found, tmp_path):
    figure = data_curve(found)
    figures.save(figure, tmp_path / "one.png")
    figures.save(data_curve(found), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [one.rows for one in found.points])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [one.value for one in found.points])
    marks = {line.get_label(): list(line.get_xdata()) for line in axes.lines if line.get_marker() != "None"}
    worse = [one.rows for one in found.points if found.worse(one)]
    assert marks["all rows"] == [1000]
    assert marks.get("worse than with all", []) == worse
    assert figure._suptitle.get_text().replace("\n", " ") == sentence(found).removesuffix(".")
    assert axes.get_xticklabels()[-1].get_text() == "1,000\nall"
    assert min(text.get_fontsize() for text in [*axes.texts, *axes.get_xticklabels(), axes.xaxis.label]) >= 11  # of 7 inches' width
    assert len(axes.collections) == int(np.isfinite(found.points[0].low))
