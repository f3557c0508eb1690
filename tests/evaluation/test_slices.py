from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation import slices
from pipeline.evaluation.metrics import compute
from pipeline.evaluation.slices import find, sentence, slice_rows

Case = tuple[str, np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]
CITIES = ["Lima", "Quito", "Oslo", "Bern"]
FEW = ["age", "city", "member", "income"]


def columns(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """A number, a number of few values, categories of unequal frequency, a boolean and a date, each with nothing to find."""
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 80, rows),
            "children": rng.integers(0, 3, rows),
            "city": rng.choice(CITIES, rows, p=[0.1, 0.2, 0.3, 0.4]),
            "member": rng.random(rows) < 0.3,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, rows), unit="D"),
            "income": rng.lognormal(3, 1, rows),
        }
    )
    table.loc[rng.random(rows) < 0.1, "income"] = np.nan
    return table


def honest(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of rows, and the probabilities from which they were drawn."""
    p = rng.beta(2, 2, rows) * 0.96 + 0.02
    return (rng.random(rows) < p).astype(int), p


def binary(seed: int, rows: int = 3000, bad: Callable[[pd.DataFrame], Any] | None = None) -> Case:
    """Honest probabilities, but those of the other class where the table is bad."""
    rng = np.random.default_rng(seed)
    table, (y, p) = columns(rng, rows), honest(rng, rows)
    outputs = p if bad is None else np.where(bad(table), 1 - p, p)
    return "binary", y, outputs, np.arange(rows), table


def clustered(seed: int, groups: int = 120, each: int = 30) -> Case:
    """A regression in which the size of the errors and every column belong to the group."""
    rng = np.random.default_rng(seed)
    of_group = np.repeat(np.arange(groups), each)
    error = np.exp(0.6 * rng.standard_normal(groups))[of_group] * rng.standard_normal(groups * each)
    return "regression", error, np.zeros_like(error), of_group, columns(rng, groups)[FEW].iloc[of_group].reset_index(drop=True)


def names(found: slices.Found) -> list[str]:
    return [one.name for one in found.worse]


# -- what is found


def test_planted_category_is_named_first_and_told_in_words() -> None:
    case = binary(0, bad=lambda table: table["city"] == "Lima")
    _, y, outputs, _, table = case
    found = find(*case)
    first = found.worse[0]
    lima = (table["city"] == "Lima").to_numpy()
    inside, outside = compute("binary", y[lima], outputs[lima]), compute("binary", y[~lima], outputs[~lima])
    assert names(found) == ["city Lima"]  # and no pair that has half of it
    assert (first.columns, first.rows, first.groups) == (("city",), lima.sum(), lima.sum())
    assert first.loss == pytest.approx(inside["log_loss"])
    assert first.rest == pytest.approx(outside["log_loss"])
    assert first.ratio == pytest.approx(inside["log_loss"] / outside["log_loss"])
    assert first.metrics == pytest.approx({name: inside[name] for name in ("auc", "accuracy")})
    assert first.elsewhere == pytest.approx({name: outside[name] for name in ("auc", "accuracy")})
    assert sentence("binary", first) == (
        f"city Lima ({lima.sum()} rows): log loss {inside['log_loss']:.3g} against {outside['log_loss']:.3g} elsewhere, "
        f"AUC {inside['auc']:.3g} against {outside['auc']:.3g}, accuracy {inside['accuracy']:.3g} against {outside['accuracy']:.3g}"
    )
    (row,) = slice_rows(found.worse)
    assert row["slice"] == "city Lima"
    assert (row["auc"], row["auc_elsewhere"]) == (first.metrics["auc"], first.elsewhere["auc"])


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (lambda table: table["member"], "member true"),
        (lambda table: table["children"] == 2, "children 2"),
        (lambda table: table["income"].isna(), "income missing"),
        (lambda table: table["age"] <= table["age"].quantile(0.25), "age 18 to 3"),
        (lambda table: table["since"] > table["since"].quantile(0.75), "since 2022-0"),
    ],
)
def test_every_kind_of_slice_is_found(bad: Callable[[pd.DataFrame], Any], name: str) -> None:
    found = find(*binary(1, bad=bad))
    assert found.worse[0].name.startswith(name)
    assert found.named == 1


def test_planted_pair_is_found_as_the_pair_and_not_as_its_singles() -> None:
    case = binary(2, rows=6000, bad=lambda table: (table["city"] == "Oslo") & table["member"])
    found = find(*case)
    assert names(found) == ["city Oslo and member true"]
    assert found.worse[0].columns == ("city", "member")
    assert found.explained == 2  # either alone is worse than the rest, but only by what the pair has
    alone = find(*case, max_pairs=0)
    assert set(names(alone)) == {"city Oslo", "member true"}


def test_single_slice_is_named_beside_a_pair_that_is_worse_still() -> None:
    case = binary(3, rows=8000)
    _, y, p, groups, table = case
    city, member = (table["city"] == "Oslo").to_numpy(), table["member"].to_numpy()
    outputs = np.where(city & member, 1 - p, np.where(city, 0.5 + (0.5 - p) / 2, p))
    found = find("binary", y, outputs, groups, table)
    assert {"city Oslo", "city Oslo and member true"} <= set(names(found))


def test_regression_and_multiclass() -> None:
    rng = np.random.default_rng(4)
    table = columns(rng, 3000)
    lima = (table["city"] == "Lima").to_numpy()
    error = rng.standard_normal(3000) * np.where(lima, 2, 1)
    found = find("regression", error, np.zeros(3000), np.arange(3000), table)
    assert names(found) == ["city Lima"]
    assert found.worse[0].loss == pytest.approx(np.mean(error[lima] ** 2))
    assert found.worse[0].metrics["rmse"] ** 2 == pytest.approx(found.worse[0].loss)
    assert sentence("regression", found.worse[0]).startswith(
        f"city Lima ({lima.sum()} rows): RMSE {np.sqrt(found.worse[0].loss):.3g} against"
    )

    outputs = rng.dirichlet([1, 1, 1], 3000)
    y = (rng.random((3000, 1)) > outputs.cumsum(axis=1)[:, :2]).sum(axis=1)
    outputs[lima] = outputs[lima][:, [1, 2, 0]]
    found = find("multiclass", y, outputs, np.arange(3000), table)
    assert names(found) == ["city Lima"]
    assert found.worse[0].metrics["log_loss"] == pytest.approx(found.worse[0].loss)
    assert sentence("multiclass", found.worse[0]).count("accuracy") == 1


def test_one_class_in_a_slice_has_no_auc() -> None:
    task, y, outputs, groups, table = binary(5, bad=lambda table: table["city"] == "Lima")
    y = np.where(table["city"] == "Lima", 1, y)
    outputs = np.where(table["city"] == "Lima", 0.1, outputs)
    first = find(task, y, outputs, groups, table).worse[0]  # every row of the slice has the same loss
    assert first.name == "city Lima"
    assert np.isnan(first.metrics["auc"])
    assert first.metrics["accuracy"] == 0
    assert "AUC undefined against 0." in sentence("binary", first)


def test_order_of_rows_and_columns_does_not_matter() -> None:
    task, y, outputs, _, table = binary(6, bad=lambda table: table["city"] == "Lima")
    groups = np.arange(len(y)) // 10
    outputs = np.where(groups % 3 == 0, outputs, 0.5)  # errors that belong to groups
    once, again = (find(task, y, outputs, groups, table) for _ in range(2))
    assert once == again
    order = np.random.default_rng(0).permutation(len(y))
    moved = find(task, y[order], outputs[order], groups[order], table.iloc[order, ::-1])
    assert (moved.looked_at, moved.too_small) == (once.looked_at, once.too_small)
    assert [one.name for one in moved.all_singles] == [one.name for one in once.all_singles]
    assert [one.q for one in moved.all_singles] == pytest.approx([one.q for one in once.all_singles])


def test_arguments_are_left_as_they_are() -> None:
    task, y, outputs, groups, table = binary(6)
    before = y.copy(), outputs.copy(), groups.copy(), table.copy()
    find(task, y, outputs, groups, table)
    for old, new in zip(before, (y, outputs, groups), strict=False):
        np.testing.assert_array_equal(old, new)
    pd.testing.assert_frame_equal(before[3], table)


# -- what is not


def idle(seed: int, rows: int) -> Case:
    task, y, outputs, groups, table = binary(seed, rows=rows)
    return task, y, outputs, groups, table[FEW]


def share(case: Callable[[int], Case], seeds: int = 100, **settings: Any) -> float:
    """Of seeds with nothing planted, the share in which a slice is named.  5% of 100 gives more than 12 once in 1000 times."""
    return sum(bool(find(*case(seed), **settings).worse) for seed in range(seeds)) / seeds


@pytest.mark.parametrize("max_pairs", [0, 40, 3000])  # 40: pairs are chosen by the losses that they are tested on
def test_nothing_is_named_where_nothing_is(max_pairs: int) -> None:
    assert share(lambda seed: idle(seed, rows=800), max_pairs=max_pairs, min_effect=0) <= 0.12


def test_p_values_of_nothing_are_near_uniform() -> None:
    """Of losses without skew, so that the tests are neither blind nor liberal."""
    p = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        error = np.sqrt(np.abs(5 + rng.standard_normal(800)))
        p += [one.p for one in find("regression", error, np.zeros(800), np.arange(800), columns(rng, 800), max_pairs=0).all_singles]
    for level in (0.05, 0.2, 0.5):
        assert 0.75 * level <= np.mean(np.array(p) <= level) <= 1.15 * level


def test_rows_of_a_group_count_together() -> None:
    def naive(seed: int) -> Case:
        task, y, outputs, groups, table = clustered(seed)
        return task, y, outputs, np.arange(len(groups)), table

    assert share(clustered, max_pairs=0) <= 0.12
    assert share(clustered, seeds=20) <= 0.2
    assert share(naive, seeds=20, max_pairs=0) > 0.5


def test_merged_groups_count_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    case = binary(7, rows=4000, bad=lambda table: table["city"] == "Lima")
    apart = {one.name: one for one in find(*case, max_pairs=0).all_singles}
    monkeypatch.setattr(slices, "UNITS", 700)
    together = {one.name: one for one in find(*case, max_pairs=0).all_singles}
    assert apart.keys() == together.keys()
    for name, one in together.items():
        assert (one.rows, one.groups, one.loss) == (apart[name].rows, apart[name].groups, apart[name].loss)
        if apart[name].p > 1e-3:
            assert one.p == pytest.approx(apart[name].p, abs=0.06)
    assert share(lambda seed: idle(seed, rows=1500), seeds=50, min_effect=0) <= 0.16


def test_test_of_single_rows_is_that_of_welch() -> None:
    """Where the slice has the larger spread, and so nothing is borrowed, t is Welch's."""
    from scipy import stats

    rng = np.random.default_rng(8)
    loss = np.concatenate([rng.normal(9, 2, 60), rng.normal(8.5, 1, 600)])
    table = pd.DataFrame({"part": ["a"] * 60 + ["b"] * 600})
    found = find("regression", np.sqrt(loss), np.zeros(660), np.arange(660), table, max_pairs=0)
    one = next(one for one in found.all_singles if one.name == "part a")
    spread = loss[:60].var(ddof=1)
    statistic = (loss[:60].mean() - loss[60:].mean()) / np.sqrt(spread / 60 + spread / 600)
    assert one.p == pytest.approx(stats.t.sf(statistic, 59), rel=1e-6)
    welch = stats.ttest_ind(loss[:60], loss[60:], equal_var=False, alternative="greater").pvalue
    assert welch < one.p < 2 * welch


def test_difference_within_groups_is_paired() -> None:
    """A slice with one row of each group, and a large effect of the group, is compared group by group."""
    from scipy import stats

    rng = np.random.default_rng(15)
    of_group = rng.normal(20, 4, 300)
    loss = np.concatenate([of_group + rng.normal(0.2, 0.5, 300), of_group + rng.normal(0, 0.5, 300)])
    table = pd.DataFrame({"part": ["a"] * 300 + ["b"] * 300})
    found = find("regression", np.sqrt(loss), np.zeros(600), np.tile(np.arange(300), 2), table, max_pairs=0)
    one = next(one for one in found.all_singles if one.name == "part a")
    paired = stats.ttest_rel(loss[:300], loss[300:], alternative="greater").pvalue
    apart = stats.ttest_ind(loss[:300], loss[300:], alternative="greater").pvalue
    assert paired * 0.99 < one.p < 0.01 < 0.2 < apart


def test_correction_is_that_of_benjamini_and_hochberg() -> None:
    from scipy import stats

    p = np.array([0.001, 0.2, 0.013, 0.04, 0.9])
    np.testing.assert_allclose(slices._adjusted(p, np.empty(0), 0), stats.false_discovery_control(p))
    both = slices._adjusted(p[:2], p[2:], 30)  # half of the level for two, half for thirty of which three were tested
    scaled = np.array([4 * 0.001, 60 * 0.013, 4 * 0.2, 60 * 0.04, 60 * 0.9])  # in their order
    first, *middle, fourth, last = scaled / [1, 2, 3, 4, 5]
    assert both.tolist() == pytest.approx([first, min(middle), min(middle), fourth, min(last, 1)])


def test_effect_of_less_than_the_least_is_not_named() -> None:
    case = binary(9, rows=20_000)
    _, y, p, groups, table = case
    outputs = np.where(table["city"] == "Lima", 0.5 + (p - 0.5) * 0.1, p)  # worse by some 0.13 of 0.57 nats
    (one,) = (one for one in find("binary", y, outputs, groups, table).worse if one.name == "city Lima")
    effect = (one.loss - one.rest) / find("binary", y, outputs, groups, table).loss
    assert "city Lima" in names(find("binary", y, outputs, groups, table, min_effect=effect * 0.99))
    assert "city Lima" not in names(find("binary", y, outputs, groups, table, min_effect=effect * 1.01))


def test_rare_slices_are_counted() -> None:
    rng = np.random.default_rng(10)
    y, p = honest(rng, 400)
    city = np.array(["a"] * 160 + ["b"] * 151 + ["c"] * 49 + [f"only {k}" for k in range(40)])
    found = find("binary", y, p, np.arange(400), pd.DataFrame({"city": city, "same": 1, "id": [f"{k:03d}" for k in range(400)]}))
    assert sorted(one.name for one in found.all_singles) == ["city a", "city b"]
    assert found.too_small == 41 + 1 + 400  # of same, there is no rest
    assert (found.looked_at, found.candidates) == (2, 2)
    few = find("binary", y, p, np.arange(400) // 20, pd.DataFrame({"city": city}))  # a and b have eight groups each
    assert (few.looked_at, few.too_small) == (0, 43)


def test_pairs_are_bounded_and_all_of_them_corrected_for() -> None:
    case = binary(11, bad=lambda table: table["city"] == "Lima")
    free, bound = find(*case), find(*case, max_pairs=40)
    assert free.looked_at == free.candidates
    assert 0 < bound.looked_at - len(bound.all_singles) <= 40
    assert bound.candidates > bound.looked_at
    assert "city Lima" in names(bound)
    case = binary(2, rows=6000, bad=lambda table: (table["city"] == "Oslo") & table["member"])
    *first, table = case
    alone, beside = find(*first, table[["city", "member"]]), find(*first, table, max_pairs=8)  # the same pairs are tested
    assert (alone.worse[0].name, alone.worse[0].p) == (beside.worse[0].name, pytest.approx(beside.worse[0].p))
    assert (alone.candidates, beside.looked_at - len(beside.all_singles)) == (14, 8)
    assert beside.worse[0].q > 5 * alone.worse[0].q
    cut = find(*binary(11, bad=lambda table: (table["city"] == "Lima") | (table["children"] == 2)), most=1)
    assert len(cut.worse) == 1 < cut.named


def test_wrong_arguments_are_named() -> None:
    task, y, outputs, groups, table = binary(12, rows=100)
    with pytest.raises(ValueError, match="'forecast': expected one of binary, multiclass, regression"):
        find("forecast", y, outputs, groups, table)
    with pytest.raises(ValueError, match=r"groups of shape \(99,\) and a table of 100 rows do not fit 100 targets"):
        find(task, y, outputs, groups[1:], table)
    with pytest.raises(ValueError, match="table of 99 rows"):
        find(task, y, outputs, groups, table[1:])
    with pytest.raises(ValueError, match="column 'marks': expected numbers, dates, booleans or categories"):
        find(task, y, outputs, groups, pd.DataFrame({"marks": [[1]] * 100}))


def test_no_rows_and_no_columns() -> None:
    task, y, outputs, groups, table = binary(12, rows=100)
    nothing = find(task, y[:0], outputs[:0], groups[:0], table[:0])
    assert (nothing.looked_at, nothing.worse) == (0, ())
    assert np.isnan(nothing.loss)
    assert find(task, y, outputs, groups, table[[]]).looked_at == 0


def test_many_rows_and_columns() -> None:
    """200,000 rows of 20 columns, in bounded memory: the pairs tested do not grow with rows or columns."""
    rng = np.random.default_rng(13)
    table = pd.concat([columns(rng, 200_000).add_suffix(f" {k}") for k in range(4)], axis=1).iloc[:, :20]
    y, p = honest(rng, 200_000)
    bad = ((table["city 1"] == "Oslo") & table["member 2"]).to_numpy()
    found = find("binary", y, np.where(bad, 1 - p, p), rng.integers(0, 50_000, len(y)), table)
    assert names(found) == ["city 1 Oslo and member 2 true"]
    assert found.looked_at - len(found.all_singles) <= 3000
