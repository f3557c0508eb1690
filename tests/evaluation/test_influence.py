"""What was planted is found: columns that matter, twins, curves in the user's units, wrong labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import toys

from pipeline.config import CleanParams, DataParams, ModelParams, NormalizeParams
from pipeline.data import cleaning, inference, preprocessing
from pipeline.data.encoding import Encoder
from pipeline.data.engine import engine
from pipeline.data.fitted import Category, Number, Preprocessor, Target
from pipeline.evaluation import figures, influence, influence_figures
from pipeline.evaluation.influence import confident_errors, label_errors, partial_dependence, permutation_importance
from pipeline.evaluation.metrics import METRICS, PROBABILITY_FLOOR, Additive, forecast_metrics

Inputs = Mapping[str, np.ndarray]


def numbers(*columns: str, task: str = "regression") -> Preprocessor:
    classes = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c")}.get(task, ())
    return Preprocessor(task, Target("y", classes), tuple(Number(column, "value") for column in columns), (), {})  # type: ignore[arg-type]


def linear(*weights: float):
    return lambda inputs: inputs["number"].astype(float) @ np.array(weights)


def test_the_column_that_matters_comes_first_and_the_interval_of_the_other_holds_0() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    y = 2 * x[:, 1] + rng.normal(size=600)
    found = permutation_importance(linear(0.1, 2.0), numbers("b", "a"), {"number": x}, y, np.arange(600), seed=0)
    first, second = found.columns
    assert (first.columns, second.columns) == (("a",), ("b",))
    assert first.low > 5
    assert first.low < first.loss < first.high
    assert second.low < 0 < second.high
    assert second.high - second.low < 0.5
    residual = y - linear(0.1, 2.0)({"number": x})
    assert (found.loss, found.metric) == pytest.approx((np.mean(residual**2), np.sqrt(np.mean(residual**2))))
    assert (found.loss_name, found.metric_name, found.rows, found.groups) == ("squared error", "rmse", 600, 600)
    assert first.metric == pytest.approx(np.sqrt(found.loss + first.loss) - found.metric, rel=0.02)  # a mean of roots


def test_importance_by_hand() -> None:
    """Two rows only have each other to receive from."""
    x, y = np.array([[0.0], [2.0]]), np.array([0.0, 3.0])
    found = permutation_importance(linear(1.0), numbers("a"), {"number": x}, y, np.arange(2), repeats=3, seed=0)
    assert found.loss == pytest.approx((0 + 1) / 2)
    assert found.columns[0].loss == pytest.approx((4 + 9) / 2 - 1 / 2)
    assert found.columns[0].metric == pytest.approx(np.sqrt(13 / 2) - np.sqrt(1 / 2))


def test_a_better_metric_that_falls_counts_as_worse_and_log_loss_is_floored() -> None:
    y = np.array([0, 1] * 50)
    task = numbers("a", task="binary")
    found = permutation_importance(lambda inputs: inputs["number"][:, 0], task, {"number": y[:, None].astype(float)}, y, y, seed=0)
    assert (found.metric_name, found.metric, found.loss_name) == ("auc", 1.0, "log loss")
    assert 0.3 < found.columns[0].metric < 0.7
    assert 0.4 < found.columns[0].loss / -np.log(PROBABILITY_FLOOR) < 0.6


def test_of_twins_each_alone_is_small_and_both_together_large() -> None:
    rng = np.random.default_rng(1)
    a, c = rng.normal(size=(2, 800))
    x = np.stack([a, -a + 0.05 * rng.normal(size=800), c], axis=1)
    found = permutation_importance(linear(1.0, -1.0, 0.5), numbers("a", "twin", "c"), {"number": x}, 2 * a, np.arange(800), seed=0)
    alone = {one.name: one.loss for one in found.columns}
    assert [one.columns for one in found.clusters] == [("a", "twin")]
    assert found.clusters[0].name == "a + twin"
    assert found.clusters[0].loss > 3 * max(alone["a"], alone["twin"])
    assert found.clusters[0].loss == pytest.approx(2 * 4, rel=0.2)  # E(2a - 2a')^2


def test_associations_of_numbers_and_categories_make_clusters() -> None:
    rng = np.random.default_rng(2)
    n = 1000
    land, free = rng.integers(1, 5, n), rng.integers(1, 40, n)  # many codes: plain Cramér's V of noise is above 0
    heat = 10.0 * land + rng.normal(size=n)
    fitted = replace(
        numbers("heat", "warmth", "constant", "other"),
        categories=tuple(Category(name, tuple("abcd")) for name in ("land", "capital", "free", "same")),
    )
    number = np.stack([heat, np.exp(heat / 9), np.ones(n), rng.normal(size=n)], axis=1)
    category = np.stack([land, 5 - land, free, np.ones(n, int)], axis=1)
    found = influence.clusters(fitted, {"number": number, "category": category})
    assert found == (("heat", "warmth", "land", "capital"),)
    assert influence.clusters(fitted, {"number": number, "category": category}, least=1.01) == ()


def test_an_association_of_many_categories_is_not_taken_from_chance() -> None:
    a, b = np.random.default_rng(8).integers(0, 60, (2, 300))
    assert influence._cramer(a, b) < 0.2  # without correction 0.44
    assert influence._cramer(a, a) == pytest.approx(1)
    assert influence._cramer(a, a * 0) == 0
    rank = np.random.default_rng(9).normal(size=300)
    rank = (rank - rank.mean()) / rank.std()
    assert influence._correlation_ratio(a, rank) < 0.25  # without adjustment 0.44
    assert influence._correlation_ratio(np.arange(300), rank) == 0


def test_intervals_cover_what_whole_groups_leave_open() -> None:
    """y = x + noise in groups of three alike: the true increase is the mean squared difference of two groups' values, 2."""
    fitted, groups, covered, useless, widths, values = numbers("a", "b"), np.repeat(np.arange(80), 3), [], [], [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        x = 0.95**0.5 * rng.normal(size=(80, 2))[groups] + 0.05**0.5 * rng.normal(size=(240, 2))
        y = x[:, 0] + 0.5 * rng.normal(size=240)
        found = permutation_importance(linear(1.0, 0.3), fitted, {"number": x}, y, groups, replicates=200, seed=seed)
        one = {each.name: each for each in found.columns}
        covered.append(one["a"].low < 2 < one["a"].high)
        useless.append(one["b"].low < 0 < one["b"].high)
        widths.append(one["b"].high - one["b"].low)
        values.append(one["b"].loss)
    assert 0.87 < np.mean(covered) < 1  # 0.95 within three standard errors, less what a percentile interval of 80 groups lacks
    assert np.mean(useless) > 0.87
    assert 0.85 < np.mean(widths) / (2 * figures.Z * np.std(values)) < 1.4  # 1.15 is expected of five repeats


def test_the_seed_alone_decides_and_repeats_differ() -> None:
    rng = np.random.default_rng(3)
    inputs, y = {"number": rng.normal(size=(200, 2))}, rng.normal(size=200)
    found = [permutation_importance(linear(1, 2), numbers("a", "b"), inputs, y, np.arange(200), seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0].columns[0].loss != found[2].columns[0].loss
    cycles = influence._cycles(np.random.default_rng(0), 50, 5)
    assert len(np.unique(cycles, axis=0)) == 5
    assert all(sorted(donor) == list(range(50)) and (donor != np.arange(50)).all() for donor in cycles.tolist())


def test_all_inputs_of_a_column_move_together() -> None:
    """Value and missing flag of a column never come apart, and no other input moves."""
    fitted = replace(
        numbers("a", "b"),
        numbers=(Number("a", "value"), Number("b", "value"), Number("a", "missing")),
        categories=(Category("k", ("u",)), Category("a", ("v",))),
    )
    order = np.arange(40.0)
    inputs = {"number": np.stack([order, order, order], axis=1), "category": np.stack([order, order], axis=1).astype(int)}
    seen = []

    def predict(given: Inputs) -> np.ndarray:
        seen.append(np.concatenate([given["number"], given["category"]], axis=1))
        return given["number"][:, 0]

    assert influence.places(fitted) == {"a": {"number": (0, 2), "category": (1,)}, "b": {"number": (1,)}, "k": {"category": (0,)}}
    found = permutation_importance(predict, fitted, inputs, order, np.arange(40), repeats=1, seed=0)
    assert len(seen) == 1 + 3 + len(found.clusters)
    a = seen[1]
    assert (a[:, 0] != order).all()
    assert (a[:, [0, 2, 4]] == a[:, [0]]).all()
    assert (a[:, [1, 3]] == order[:, None]).all()
    np.testing.assert_array_equal(inputs["number"], np.stack([order, order, order], axis=1))  # no argument changes


def test_media_columns_are_permuted_whole_and_channels_of_a_sequence_each_and_together() -> None:
    fitted = toys.fitted("mixed", "regression")
    inputs, y = toys.rows("mixed", "regression", 60)

    def predict(given: Inputs) -> np.ndarray:
        return given["image_0"].mean(axis=(1, 2, 3)) + given["sequence"][:, :, 0].sum(axis=1) + given["sequence_length"]

    y = predict(inputs)
    found = permutation_importance(predict, fitted, inputs, y, np.arange(60), repeats=2, seed=0)
    loss = {one.name: one.loss for one in (*found.columns, *found.clusters)}
    assert set(loss) >= {"x0", "x1", "k0", "k1", "words", "photo", "sound", "s0", "s1", "s0 + s1"}
    assert loss["photo"] > 1
    assert loss["s0 + s1"] > loss["s0"] > 1  # together with the lengths
    assert loss["words"] == loss["sound"] == loss["s1"] == loss["x0"] == 0
    assert len(influence.sampled(fitted, 2000, seed=0)) == 500
    chosen = influence.sampled(numbers("a"), 20_000, seed=0)
    assert len(np.unique(chosen)) == 5000
    assert (np.diff(chosen) > 0).all()
    assert influence.sampled(numbers("a"), 3, seed=0).tolist() == [0, 1, 2]


def test_a_network_of_the_pipeline_answers_through_outputs() -> None:
    from pipeline.models.build import build
    from pipeline.models.fit import outputs

    fitted = toys.fitted("table", "binary")
    inputs, y = toys.rows("table", "binary", 50)
    network = build(fitted, ModelParams(layers=1, width=4, bins=4, embedding=2), 0)
    found = permutation_importance(lambda given: outputs(network, fitted, given), fitted, inputs, y, np.arange(50), repeats=1, seed=0)
    assert {one.name for one in found.columns} == {"x0", "x1", "k0", "k1"}
    assert found.loss == pytest.approx(METRICS["binary"][1](y, outputs(network, fitted, inputs)))
    assert any(one.loss != 0 for one in found.columns)


def test_a_forecasts_channels_are_permuted_between_windows() -> None:
    fitted = toys.fitted("exogenous", "forecast")
    inputs, y = toys.rows("exogenous", "forecast", 100)

    def predict(given: Inputs) -> np.ndarray:  # the channel beside and the last value of a
        ahead = np.repeat(given["series"][:, -1:, [1, 2]], toys.HORIZON, axis=1) * [3.0, 0.25] + [4.0, -1.5]
        ahead[..., 1] = -1
        return ahead + given["series"][:, -1:, :1] * [1.0, 0.25]

    scaled = forecast_metrics(np.array([2.0, 0.5]), np.ones(2))[0]
    assert isinstance(scaled, Additive)
    found = permutation_importance(predict, fitted, inputs, y, np.arange(100) // 5, seed=0, loss=scaled, metric=scaled)
    assert (found.loss_name, found.metric_name, found.groups) == ("mse_scaled", "mse_scaled", 20)
    assert found.loss == pytest.approx(found.metric)
    assert [one.name for one in found.columns] == ["a", "z", "b"]
    assert found.columns[0].low > 0
    assert found.columns[2].loss == 0
    assert partial_dependence(predict, fitted, inputs, pd.DataFrame({"a": np.zeros(100)}), ["a"], seed=0) == ()


def test_no_columns_no_rows_one_row_and_one_class() -> None:
    y, none = np.zeros(4, int), {"number": np.empty((4, 0))}
    constant = lambda inputs: np.full(len(inputs["number"]), 0.25)  # noqa: E731
    found = permutation_importance(constant, numbers(task="binary"), none, y, y, seed=0)
    assert (found.columns, found.clusters, found.loss) == ((), (), pytest.approx(-np.log(0.75)))
    with pytest.raises(ValueError, match="no column to show"):
        influence_figures.importance(found)
    found = permutation_importance(constant, numbers("a", task="binary"), {"number": np.zeros((4, 1))}, y, y, seed=0)
    assert np.isnan(found.metric)  # the AUC of one class
    assert found.columns[0].loss == 0
    assert np.isnan(found.columns[0].low)  # one group
    figures_of = influence_figures.importance(found)
    assert figures_of.get_suptitle().replace("\n", " ") == "No column's effect on mean log loss (0.288) is told from 0"
    found = permutation_importance(constant, numbers("a", task="binary"), {"number": np.zeros((0, 1))}, y[:0], y[:0], seed=0)
    assert (found.rows, found.columns) == (0, ())
    assert np.isnan(found.loss)
    one = permutation_importance(linear(1), numbers("a"), {"number": np.ones((1, 1))}, np.ones(1), np.zeros(1, int), seed=0)
    assert one.columns[0].loss == 0
    assert label_errors("binary", np.zeros(4, int), np.array([0.1, 0.9, 0.5, 0.2]), np.arange(4)) == ()
    assert confident_errors("binary", y[:0], np.empty(0), y[:0]) == label_errors("binary", y[:0], np.empty(0), y[:0]) == ()


def test_what_does_not_fit_is_refused() -> None:
    x, y = {"number": np.zeros((3, 1))}, np.zeros(3)
    with pytest.raises(ValueError, match="at least 1 repeat, got 0"):
        permutation_importance(linear(1), numbers("a"), x, y, y, repeats=0, seed=0)
    with pytest.raises(ValueError, match=r"groups of shape \(2,\)"):
        permutation_importance(linear(1), numbers("a"), x, y, y[:2], seed=0)
    with pytest.raises(ValueError, match="do not fit outputs"):
        permutation_importance(lambda inputs: np.zeros(2), numbers("a"), x, y, y, seed=0)
    with pytest.raises(ValueError, match="a table of 2 rows does not fit inputs of 3"):
        partial_dependence(linear(1), numbers("a"), x, pd.DataFrame({"a": [1.0, 2.0]}), ["a"], seed=0)
    with pytest.raises(KeyError, match="a"):
        partial_dependence(linear(1), numbers("a"), x, pd.DataFrame({"b": [1.0, 2.0, 3.0]}), ["a"], seed=0)


# -- partial dependence through a preprocessing that was really fitted


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Preprocessor, dict[str, np.ndarray], pd.DataFrame]:
    """Rows with numbers (skewed, with missing values), a boolean, a date and a category, as `clean` and `normalize` have them."""
    rng, n = np.random.default_rng(0), 700
    raw = pd.DataFrame(
        {
            "age": rng.uniform(20, 70, n).round(1),
            "income": np.exp(rng.normal(8, 1, n)).round(2),
            "visits": rng.poisson(2, n),
            "member": rng.choice([True, False], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), "D"),
            "city": rng.choice(["Rome", "Oslo", "Bern", "Ulm"], n, p=[0.5, 0.3, 0.199, 0.001]),
            "y": rng.normal(size=n),
        }
    )
    raw.loc[rng.random(n) < 0.1, ["income", "city"]] = None
    with pytest.MonkeyPatch.context() as patch, engine_in(tmp_path_factory, patch) as backend:
        table = backend.create_table("raw", pa.Table.from_pandas(raw, preserve_index=False))
        schema = inference.infer(backend, table, DataParams(source="-", target="y", task="regression"), CleanParams())
        clean = cleaning.clean(table, schema)
        fitted = preprocessing.fit(backend, clean, schema, NormalizeParams(rare_category=5))
        rows = backend.to_pyarrow(clean).combine_chunks()
    return fitted, Encoder(fitted).blocks(rows.to_batches()[0]), rows.to_pandas()


def engine_in(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch):
    patch.setenv("PIPELINE_STATE", str(tmp_path_factory.mktemp("state")))
    return engine()


def known(fitted: Preprocessor, clean: pd.DataFrame):
    """Outputs that are known in the users' units: 3 age, a step of 100 at member, of 50 at Oslo and of 7 where income is missing;
    each network input is read back to the raw value through the values that rows have."""
    at = {number.name: k for k, number in enumerate(fitted.numbers)}
    number = Encoder(fitted).blocks(pa.RecordBatch.from_pandas(clean, preserve_index=False), ["number"])["number"]

    def age_of(scaled: np.ndarray) -> np.ndarray:
        order = np.argsort(number[:, at["age"]])
        return np.interp(scaled, number[order, at["age"]], clean["age"].to_numpy()[order])

    oslo = 1 + fitted.categories[0].tokens.index("Oslo")

    def predict(inputs: Inputs) -> np.ndarray:
        block = inputs["number"]
        member = block[:, at["member"]] > number[:, at["member"]].mean()
        missing = block[:, at["income (missing)"]] > 0.5
        return 3 * age_of(block[:, at["age"]]) + 100.0 * member + 50.0 * (inputs["category"][:, 0] == oslo) + 7.0 * missing

    return predict


def test_partial_dependence_recovers_a_known_function_in_the_users_units(real) -> None:
    fitted, inputs, clean = real
    predict = known(fitted, clean)
    columns = ["since", "age", "member", "city", "income", "visits"]
    found = {one.column: one for one in partial_dependence(predict, fitted, inputs, clean, columns, rows=10_000, seed=0)}
    assert list(found) == ["age", "member", "city", "income", "visits"]  # a date has no such curve
    age = found["age"]
    assert (age.kind, len(age.points), age.response) == ("number", 20, "y")
    base = predict(inputs) - 3 * clean["age"].to_numpy()
    assert np.array(age.mean) == pytest.approx(3 * np.array(age.points) + base.mean(), abs=0.05)
    assert np.array(age.low) == pytest.approx(3 * np.array(age.points) + np.quantile(base, 0.1), abs=0.05)
    assert np.array(age.high) == pytest.approx(3 * np.array(age.points) + np.quantile(base, 0.9), abs=0.05)
    assert np.quantile(clean["age"], 0.01, method="lower") <= age.points[0]
    assert age.points[-1] <= np.quantile(clean["age"], 0.99, method="higher")
    assert age.rug == pytest.approx(np.quantile(clean["age"], np.arange(1, 20) / 20))
    assert found["member"].points == ("false", "true")
    assert np.diff(found["member"].mean) == pytest.approx(100)
    city = dict(zip(found["city"].points, found["city"].mean, strict=True))
    assert set(city) == {"Rome", "Oslo", "Bern", "(missing)"} | ({"(all others)"} if (inputs["category"] == 0).any() else set())
    assert city["Oslo"] - city["Rome"] == pytest.approx(50)
    assert city["Bern"] == pytest.approx(city["(missing)"])
    assert sum(found["city"].rug) == pytest.approx(1)
    assert np.array(found["income"].mean) == pytest.approx(
        predict(inputs).mean() - 7 * clean["income"].isna().mean()
    )  # none is missing now
    assert found["visits"].points == tuple(sorted(found["visits"].points))
    assert all(point == int(point) for point in found["visits"].points)


def test_few_rows_few_columns_and_one_seed(real) -> None:
    fitted, inputs, clean = real
    predict = known(fitted, clean)
    given = {"most": 2, "rows": 50, "points": 5, "categories": 2}
    found, again, other = (
        partial_dependence(predict, fitted, inputs, clean, ["city", "age", "member"], seed=s, **given) for s in (0, 0, 1)
    )
    assert [(one.column, len(one.points)) for one in found] == [("city", 2), ("age", 5)]
    assert found == again
    assert found != other
    rows = influence.dependence_rows(found)
    assert [row["column"] for row in rows] == ["city"] * 2 + ["age"] * 5
    assert rows[0]["share"] == pytest.approx((inputs["category"][:, 0] == 1).mean())
    assert rows[-1]["share"] is None
    assert partial_dependence(predict, fitted, {name: block[:0] for name, block in inputs.items()}, clean[:0], ["age"], seed=0) == ()


def test_the_band_holds_four_fifths_of_the_rows_own_curves() -> None:
    x = np.random.default_rng(7).normal(size=(200, 2))
    (one,) = partial_dependence(linear(1, 1), numbers("a", "b"), {"number": x}, pd.DataFrame({"a": x[:, 0]}), ["a"], seed=0)
    low, high = np.quantile(x[:, 1], [0.1, 0.9])
    assert np.array(one.low) == pytest.approx(np.array(one.points) + low, abs=1e-6)
    assert np.array(one.high) == pytest.approx(np.array(one.points) + high, abs=1e-6)


def test_of_several_classes_the_one_that_moves_most_is_told() -> None:
    x = np.linspace(-1, 1, 50)[:, None]

    def predict(inputs: Inputs) -> np.ndarray:
        b = 0.4 + 0.3 * inputs["number"][:, 0]
        return np.stack([(1 - b) / 3, b, (1 - b) * 2 / 3], axis=1)

    (one,) = partial_dependence(predict, numbers("a", task="multiclass"), {"number": x}, pd.DataFrame({"a": x[:, 0]}), ["a"], seed=0)
    assert one.response == "b"
    assert np.array(one.mean) == pytest.approx(0.4 + 0.3 * np.array(one.points), abs=1e-6)


# -- errors


def test_the_surest_errors_come_first_and_one_a_group() -> None:
    y, p = np.array([0, 0, 1, 1, 0]), np.array([0.9, 0.95, 0.2, 0.8, 0.5])
    found = confident_errors("binary", y, p, np.array([7, 7, 8, 8, 9]))
    assert [(one.row, one.group, one.truth, one.prediction, one.probability) for one in found] == [
        (1, 7, 0, 1, 0.95),
        (2, 8, 1, 0, 0.8),
        (4, 9, 0, 1, 0.5),
    ]
    assert influence.error_rows(found, ("no", "yes"))[0] == {"row": 1, "group": 7, "truth": "no", "prediction": "yes", "probability": 0.95}
    assert len(confident_errors("binary", y, p, np.arange(5), most=2)) == 2
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3]])
    assert [(one.row, one.prediction, one.probability) for one in confident_errors("multiclass", [1, 2, 0], shares, np.arange(3))] == [
        (0, 0, 0.7),
        (2, 1, 0.5),
    ]


def test_errors_of_numbers_are_in_units_and_deviations() -> None:
    y, p = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 7.0, 0.0, 4.5])
    found = confident_errors("regression", y, p, np.arange(4))
    assert [(one.row, one.error) for one in found] == [(1, 5.0), (2, -3.0), (3, 0.5)]
    assert found[1].deviations == pytest.approx(-3 / np.std([0, 5, -3, 0.5]))
    assert influence.error_rows(found)[0]["truth"] == 2.0
    same = confident_errors("regression", y, y + 1, np.arange(4))
    assert [one.error for one in same] == [1.0] * 4
    assert np.isnan(same[0].deviations)


@pytest.mark.parametrize("classes", [2, 3])
def test_planted_label_errors_are_found(classes: int) -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, classes, 600)
    score = rng.normal(size=(600, classes)) + 6 * np.eye(classes)[truth]
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    label, wrong = truth.copy(), rng.choice(600, 30, replace=False)
    label[wrong] = (truth[wrong] + 1) % classes
    found = label_errors("binary" if classes == 2 else "multiclass", label, p[:, 1] if classes == 2 else p, np.arange(600))
    right = [one for one in found if one.row in set(wrong.tolist())]
    assert len(right) > 25
    assert len(right) / len(found) > 0.9
    assert all(one.suggested == truth[one.row] and one.given == label[one.row] for one in right)
    one = found[0]
    assert (one.probability, one.given_probability) == pytest.approx((p[one.row, one.suggested], p[one.row, one.given]))
    margins = [one.probability - one.given_probability for one in found]
    assert margins == sorted(margins, reverse=True)
    assert influence.label_rows(found[:1], "abc")[0]["suggested"] == "abc"[one.suggested]
    assert label_errors("regression", truth, truth, truth) == ()


def test_thresholds_of_label_errors_by_hand() -> None:
    """Thresholds are 0.7 (class 0) and 0.6 (class 1): 0.55 for class 1 against 0.45 is not enough."""
    y, p = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.25, 0.55, 0.9, 0.3])
    assert [(one.row, one.suggested) for one in label_errors("binary", y, p, y)] == [(4, 0)]


def test_a_rare_class_is_not_suggested_where_the_label_is_more_probable() -> None:
    """The threshold of class 1 is 0.25: rows 0 and 1 reach it with 0.4 and 0.55; that of class 0 is 0.7625: row 4 reaches it with 0.8."""
    y, p = np.array([0, 0, 0, 0, 1, 1]), np.array([0.4, 0.55, 0.0, 0.0, 0.2, 0.3])
    assert [one.row for one in label_errors("binary", y, p, y)] == [4, 1]


# -- figures


def test_the_figures_say_what_was_found_and_can_be_saved(tmp_path: Path, real) -> None:
    rng = np.random.default_rng(5)
    long = "household_income_before_taxes_and_transfers_in_2019_$_and_$_v2"
    x = rng.normal(size=(300, 20))
    names = [long, *(f"x{k}" for k in range(19))]
    found = permutation_importance(linear(2.0, 1.0, *[0.0] * 18), numbers(*names), {"number": x}, 2 * x[:, 0] + x[:, 1], x[:, 0], seed=0)
    figure = influence_figures.importance(found)
    title = figure.get_suptitle().replace("\n", " ")
    assert title.startswith(f"household_income_before_ta…19_{chr(92)}$_and_{chr(92)}$_v2 matters most: permuted, it raises RMSE from 0 to")
    assert title.endswith("(the first 15 of 20)")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 15
    assert max(len(line) for label in labels for line in label.split("\n")) <= influence_figures.LINE + 2  # escaped dollars
    figures.save(figure, tmp_path / "importance.png")
    fitted, inputs, clean = real
    curves = partial_dependence(known(fitted, clean), fitted, inputs, clean, ["age", "city", "member"], seed=0)
    figure = influence_figures.dependence(curves, "regression")
    assert len(figure.axes) == 3
    assert figure.get_suptitle().replace("\n", " ").startswith("The mean prediction moves most along age: ")
    figures.save(figure, tmp_path / "dependence.png")
    with pytest.raises(ValueError, match="no column to show"):
        influence_figures.dependence((), "binary")


def test_columns_that_go_together_are_named_where_they_matter_most() -> None:
    rng = np.random.default_rng(6)
    a = rng.normal(size=300)
    x = np.stack([a, a + 0.01 * rng.normal(size=300), rng.normal(size=300)], axis=1)
    found = permutation_importance(linear(1.0, 1.0, 0.1), numbers("a", "twin", "c"), {"number": x}, 2 * a, np.arange(300), seed=0)
    title = influence_figures.importance(found).get_suptitle().replace("\n", " ")
    assert title.startswith("a and twin matter most: permuted together, they raise RMSE from")
    rows = influence.importance_rows(found)
    assert [row["name"] for row in rows][-1] == "a + twin"
    assert rows[0].keys() == {"name", "columns", "loss_increase", "low", "high", "rmse_worse_by"}
    assert asdict(found)["clusters"][0]["columns"] == ("a", "twin")
