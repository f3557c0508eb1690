"""What was planted is lost in the size that arithmetic gives, and what goes missing reads as the encoder writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import toys

from pipeline.config import CleanParams, DataParams, ModelParams, NormalizeParams
from pipeline.data import audio, cleaning, inference, preprocessing, sequence
from pipeline.data.encoding import Encoder
from pipeline.data.engine import engine
from pipeline.data.fitted import GRID, Category, Number, Preprocessor, Sequence, Target
from pipeline.evaluation import figures, robustness_figures
from pipeline.evaluation import robustness as module
from pipeline.evaluation.disturbing import DISTURBANCES, _deviation, applicable, disturbed
from pipeline.evaluation.intervals import bootstrap
from pipeline.evaluation.metrics import METRICS, compute
from pipeline.evaluation.robustness import Effect, Robustness, robustness, rows_of, sentence

Inputs = Mapping[str, np.ndarray]
SETTINGS = {"replicates": 200, "confidence": 0.95, "seed": 0}


def table(*numbers: Number, categories: tuple[Category, ...] = (), task: str = "regression") -> Preprocessor:
    return Preprocessor(task, Target("y", ("no", "yes") if task == "binary" else ()), numbers, categories, {})  # type: ignore[arg-type]


def grid(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.quantile(values, np.arange(GRID + 1) / GRID).tolist())


def effect(found: Robustness, kind: str, severity: float):
    return next(one for one in found.of(kind) if one.severity == severity)


# -- planted truth


def test_noise_on_a_linear_model_adds_its_squared_slope_times_the_variance_in_trains_deviations() -> None:
    rng = np.random.default_rng(0)
    x = 2 * rng.normal(size=(4000, 2)).astype("float32")  # a deviation of 2 in train
    y = 3 * x[:, 0] + rng.normal(size=4000)
    fitted = table(Number("a", "value", grid=grid(x[:, 0])), Number("b", "value", grid=grid(x[:, 1])))
    found = robustness(lambda given: 3 * given["number"][:, 0], fitted, {"number": x}, y, np.arange(4000), **SETTINGS)
    assert (found.metric, found.rows, found.groups, found.kinds) == ("rmse", 4000, 4000, ("number_noise", "number_missing"))
    assert found.value == pytest.approx(compute("regression", y, 3 * x[:, 0])["rmse"])
    for one in found.of("number_noise"):
        assert one.value**2 - found.value**2 == pytest.approx((3 * one.severity * 2) ** 2, rel=0.08, abs=0.03)
        assert one.difference == pytest.approx(one.value - found.value)
        assert one.low < one.difference < one.high
    for one in found.of("number_missing"):  # the code for missing is 0: what is lost is the slope times the value
        assert one.value**2 - found.value**2 == pytest.approx(one.severity * 9 * 4, rel=0.15)
    assert [one.severity for one in found.of("number_noise")] == [0.05, 0.1, 0.2, 0.5]
    assert [one.severity for one in found.of("number_missing")] == [0.05, 0.1, 0.2, 0.5]


def test_a_model_that_reads_flags_sees_the_share_that_went_missing_and_one_that_reads_no_category_loses_nothing() -> None:
    rng = np.random.default_rng(1)
    flag = (rng.random(3000) < 0.1).astype("float32")
    number = np.stack([np.where(flag, 0, rng.normal(size=3000)), flag], axis=1).astype("float32")
    inputs = {"number": number, "category": rng.integers(0, 3, (3000, 2)).astype("int32")}
    fitted = table(Number("a", "value"), Number("a", "missing"), categories=(Category("k", ("u", None)), Category("l", ("v", "w"))))
    found = robustness(lambda given: given["number"][:, 1], fitted, inputs, flag, np.arange(3000) // 2, **SETTINGS)
    assert found.kinds == ("number_noise", "number_missing", "category_unseen", "category_missing")
    assert found.groups == 1500
    for one in found.of("number_missing"):
        assert one.value**2 == pytest.approx(0.9 * one.severity, rel=0.15)  # one in ten was missing before
        assert one.low > 0
    for kind in ("number_noise", "category_unseen", "category_missing"):
        assert {(one.value, one.difference, one.low, one.high) for one in found.of(kind)} == {(0.0, 0.0, 0.0, 0.0)}
    assert found.worst[0].kind == "number_missing"
    told = sentence(found)
    assert told.startswith("Half of the numbers missing raises RMSE most: by 0.6")
    assert told.endswith("no harm is told from 0 of noise of half a standard deviation on numbers, half of the categories unseen, "
                         "half of the categories missing.")  # fmt: skip


def test_intervals_are_those_of_the_paired_bootstrap_by_group() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(600, 1)).astype("float32")
    y, groups = (x[:, 0] + rng.normal(size=600) > 0).astype(int), np.arange(600) // 6
    fitted = table(Number("a", "value"), task="binary")
    predict = lambda given: 1 / (1 + np.exp(-2.0 * given["number"][:, 0]))  # noqa: E731
    measured = METRICS["binary"][:2]
    found = robustness(predict, fitted, {"number": x}, y, groups, **SETTINGS, metrics=measured)
    assert (found.metric, found.higher_is_better, found.groups) == ("auc", True, 100)
    change = disturbed("number_missing", fitted, {"number": x}, seed=(0, 0))
    both = {"then": predict(change(0.5)), "now": predict({"number": x})}
    wanted = bootstrap("binary", y, both, groups, replicates=200, confidence=0.95, seed=0, metrics=measured)
    for metric in ("auc", "log_loss"):
        gap = wanted.differences["now"][metric]
        row = next(row for row in rows_of(found) if (row["kind"], row["severity"], row["metric"]) == ("number_missing", 0.5, metric))
        told = (wanted.models["then"][metric].value, gap.value, gap.low, gap.high)
        assert row == dict(zip(("value", "difference", "low", "high"), told, strict=True)) | {
            "kind": "number_missing", "severity": 0.5, "metric": metric,
        }  # fmt: skip
    assert len(rows_of(found)) == 2 * 4 * 2
    assert gap.low < gap.high
    one = effect(found, "number_missing", 0.5)
    assert one.difference < one.high < 0
    low, high = -one.high, -one.low
    assert sentence(found).startswith(
        f"Half of the numbers missing costs most: {-one.difference:.3f} AUC [{low:.3f}, {high:.3f}]; then noise"
    )


# -- what the encoder itself would write


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Preprocessor, dict[str, np.ndarray], pa.Table, object]]:
    """Rows with numbers, a boolean, a date and categories, some with missing values, cleaned and fitted by the stages' functions."""
    rng, n = np.random.default_rng(0), 700
    raw = pd.DataFrame(
        {
            "age": rng.uniform(20, 70, n).round(1),
            "income": np.exp(rng.normal(8, 1, n)).round(2),
            "member": rng.choice([True, False], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), "D"),
            "seen": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), "h"),
            "city": rng.choice(["Rome", "Oslo", "Bern", "Ulm"], n, p=[0.5, 0.3, 0.199, 0.001]),
            "plan": rng.choice(["free", "paid"], n),
            "y": rng.normal(size=n),
        }
    )
    for column in ("income", "city", "seen"):
        raw.loc[rng.random(n) < 0.3, column] = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_STATE", str(tmp_path_factory.mktemp("state")))
        with engine() as backend:
            rows = pa.Table.from_pandas(raw, preserve_index=False)
            stored = backend.create_table("raw", rows)
            schema = inference.infer(backend, stored, DataParams(source="-", target="y", task="regression"), CleanParams())
            fitted = preprocessing.fit(backend, cleaning.clean(stored, schema), schema, NormalizeParams(rare_category=5))

            def encode(changed: pa.Table) -> dict[str, np.ndarray]:
                again = backend.create_table("changed", changed, overwrite=True)
                clean = backend.to_pyarrow(cleaning.clean(again, schema)).combine_chunks()
                return Encoder(fitted).blocks(clean.to_batches()[0])

            yield fitted, encode(rows), rows, encode


def emptied(rows: pa.Table, name: str, cells: np.ndarray, value: str | None = None) -> pa.Table:
    """These raw cells of a column missing, or another value."""
    column = rows.column(name).combine_chunks()
    new = pc.if_else(pa.array(cells), pa.scalar(value, column.type), column)
    return rows.set_column(rows.column_names.index(name), name, new)


@pytest.mark.parametrize("severity", [0.2, 1.0])
def test_missing_numbers_and_dates_are_what_the_encoder_gives_for_missing_raw_values(real, severity: float) -> None:
    fitted, inputs, rows, encode = real
    assert {"income (missing)", "seen (missing)", "seen (days)", "member"} <= {one.name for one in fitted.numbers}
    changed = disturbed("number_missing", fitted, inputs, seed=3)(severity)
    differs = changed["number"] != inputs["number"]
    raw = rows
    for column in dict.fromkeys(one.column for one in fitted.numbers):
        at = [k for k, one in enumerate(fitted.numbers) if one.column == column]
        cells = differs[:, at].any(axis=1)
        there = (inputs["number"][:, at] != 0).any(axis=1) & ~np.asarray(pc.is_null(rows.column(column)))
        assert cells[there].mean() == pytest.approx(severity, abs=0.06)
        raw = emptied(raw, column, cells)
    np.testing.assert_array_equal(encode(raw)["number"], changed["number"])
    assert differs.any()
    assert changed["category"] is inputs["category"]


def test_missing_and_unseen_categories_are_what_the_encoder_gives_for_such_raw_values(real) -> None:
    fitted, inputs, rows, encode = real
    names = [one.column for one in fitted.categories]
    assert [None in one.tokens for one in fitted.categories] == [name == "city" for name in names]
    for kind, value in (("category_missing", None), ("category_unseen", "Atlantis")):
        changed, raw = disturbed(kind, fitted, inputs, seed=4)(0.5), rows
        differs = changed["category"] != inputs["category"]
        for at, name in enumerate(names):
            assert differs[:, at].mean() > 0.2
            raw = emptied(raw, name, differs[:, at], value)
        assert (differs[:, 1] & ~differs[:, 0]).mean() > 0.1  # each cell for itself
        np.testing.assert_array_equal(encode(raw)["category"], changed["category"])
        assert changed["number"] is inputs["number"]
    only = replace(fitted, categories=tuple(one for one in fitted.categories if one.column == "plan"))
    assert "category_unseen" in applicable(only)
    assert "category_missing" not in applicable(only)  # it reads as an unseen one


def test_noise_is_in_deviations_of_what_is_there_and_stays_where_the_encoder_ends(real) -> None:
    fitted, inputs, _, _ = real
    at = {one.name: k for k, one in enumerate(fitted.numbers)}
    known = inputs["number"][:, at["income (missing)"]] == 0
    block = inputs["number"].astype(float)
    moved = disturbed("number_noise", fitted, inputs, seed=5)(0.05)["number"] - block
    for name, there in (("age", np.full(700, True)), ("income", known)):
        deviation = block[there, at[name]].std()
        missing = 1 - there.mean()
        assert _deviation(fitted.numbers[at[name]], missing) == pytest.approx(deviation, rel=0.02)
        assert moved[there, at[name]].std() == pytest.approx(0.05 * deviation, rel=0.1)
    assert not moved[~known].T[at["income"]].any()  # missing stays missing
    still = [k for name, k in at.items() if name not in ("age", "income")]
    assert not moved[:, still].any()  # a boolean, dates and flags
    far = disturbed("number_noise", fitted, inputs, seed=5)(50.0)["number"][:, [at["age"], at["income"]]]
    assert fitted.numbers[at["age"]].smooth_clip
    assert np.abs(far).max() == 3


def test_a_value_far_out_is_no_deviation() -> None:
    values = np.random.default_rng(0).normal(3, 2, 5000)
    values[0] = 1e6
    assert _deviation(Number("a", "value", grid=grid(values)), 0.0) == pytest.approx(2, rel=0.03)
    assert _deviation(Number("a", "value", grid=(4.0,) * (GRID + 1)), 0.0) == 0


def test_a_forecasts_missing_steps_are_what_the_encoder_gives_and_noise_spares_what_is_missing() -> None:
    numbers = (Number("a", "value", center=4.0, scale=3.0), Number("b", "value"), Number("b", "missing"))
    fitted = replace(toys.fitted("exogenous", "forecast"), numbers=numbers)
    rng = np.random.default_rng(6)
    steps = {"a": rng.normal(5, 2, 40), "b": np.where(rng.random(40) < 0.2, np.nan, rng.normal(size=40))}

    def encoded(values: Mapping[str, np.ndarray]) -> np.ndarray:
        arrays = {name: pa.array(column, from_pandas=True) for name, column in values.items()}
        return Encoder(fitted).blocks(pa.RecordBatch.from_pydict(arrays), ["number"])["number"]

    at = np.arange(30)[:, None] + np.arange(10)  # 30 windows of 10 steps
    inputs = {"series": encoded(steps)[at]}
    assert applicable(fitted) == ("step_noise", "step_missing")
    changed = disturbed("step_missing", fitted, inputs, seed=0)(0.3)["series"]
    gone = changed[..., 0] != inputs["series"][..., 0]  # (windows, steps)
    assert gone.mean() == pytest.approx(0.3, abs=0.1)
    for window in range(30):
        rest = {name: np.where(gone[window], np.nan, column[at[window]]) for name, column in steps.items()}
        np.testing.assert_array_equal(encoded(rest), changed[window])
    noisy = disturbed("step_noise", fitted, inputs, seed=0)(0.5)["series"]
    known = inputs["series"][..., 2] == 0
    assert (noisy[..., 2] == inputs["series"][..., 2]).all()
    assert (noisy[..., 1][~known] == 0).all()
    assert ((noisy - inputs["series"])[..., 1][known] != 0).all()
    y = np.zeros((30, 3, 2))
    found = robustness(lambda given: np.repeat(given["series"][:, -1:, :2], 3, axis=1), fitted, inputs, y, np.arange(30) // 5, **SETTINGS)
    assert (found.kinds, found.rows, found.groups) == (("step_noise", "step_missing"), 30, 6)


# -- every kind


def mixed() -> tuple[Preprocessor, dict[str, np.ndarray], np.ndarray]:
    fitted = toys.fitted("mixed", "binary")
    fitted = replace(fitted, categories=(Category("k0", ("u", None)), fitted.categories[1]))
    inputs, y = toys.rows("mixed", "binary", 80)
    inputs["image_0"][3] = inputs["text_0"][3] = 0  # missing
    inputs["sequence"][3, 0, 1] = 0
    return fitted, inputs, y


def test_every_kind_that_applies_is_there_and_no_other() -> None:
    kinds = {
        "table": {"number_noise", "number_missing", "category_unseen"},
        "text": {"text_drop", "text_swap", "text_unknown"},
        "image": {"image_noise", "image_blur", "image_brightness", "image_shift"},
        "audio": {"audio_silence"},
        "sequence": {"step_noise", "step_missing"},
    }
    for kind, names in kinds.items():
        assert set(applicable(toys.fitted(kind, "binary"))) == names
    assert set(applicable(mixed()[0])) == set(DISTURBANCES)
    assert set().union(*kinds.values()) | {"category_missing"} == set(DISTURBANCES)
    assert set(applicable(toys.fitted("series", "forecast"))) == kinds["sequence"]
    two = Number("a", "value", grid=(0.0,) * 100 + (0.4,) + (1.0,) * 156)
    assert applicable(table(two)) == ("number_missing",)
    with pytest.raises(KeyError, match="typo"):
        disturbed("typo", table(two), {}, seed=0)


@pytest.mark.parametrize("kind", list(DISTURBANCES))
def test_the_seed_alone_decides_shapes_stay_and_the_arrays_given_too(kind: str) -> None:
    fitted, inputs, _ = mixed()
    before = {name: block.copy() for name, block in inputs.items()}
    for block in inputs.values():
        block.flags.writeable = False
    severest = DISTURBANCES[kind].severities[-1]
    assert list(DISTURBANCES[kind].severities) == sorted(DISTURBANCES[kind].severities)
    change = disturbed(kind, fitted, inputs, seed=1)
    found, again = change(severest), disturbed(kind, fitted, inputs, seed=1)(severest)
    differs = [name for name in inputs if (found[name] != inputs[name]).any()]
    block = {"number": "number", "category": "category", "step": "sequence"}.get(kind.split("_")[0], f"{kind.split('_')[0]}_0")
    assert differs == [block]
    assert list(found) == list(inputs)
    for name in inputs:
        np.testing.assert_array_equal(inputs[name], before[name])
        np.testing.assert_array_equal(found[name], again[name])
        np.testing.assert_array_equal(change(0.0)[name], inputs[name])
        assert (found[name].shape, found[name].dtype) == (inputs[name].shape, inputs[name].dtype)
    assert kind == "image_blur" or (disturbed(kind, fitted, inputs, seed=2)(severest)[block] != found[block]).any()
    np.testing.assert_array_equal(change(severest)[block], found[block])  # whatever was asked before


@pytest.mark.parametrize("kind", ["number_missing", "category_unseen", "category_missing", "step_missing", "text_unknown", "audio_silence"])
def test_severer_disturbs_a_superset_in_the_same_way(kind: str) -> None:
    fitted, inputs, _ = mixed()
    change = disturbed(kind, fitted, inputs, seed=1)
    block = next(name for name in inputs if (change(0.5)[name] != inputs[name]).any())
    last, shares = inputs[block], []
    for severity in DISTURBANCES[kind].severities:
        now = change(severity)[block]
        moved = last != inputs[block]
        np.testing.assert_array_equal(now[moved], last[moved])
        last = now
        shares.append((now != inputs[block]).mean())
    assert shares == sorted(set(shares))


def test_severer_noise_is_the_same_noise_larger() -> None:
    fitted, inputs, _ = mixed()
    for kind, block in (("number_noise", "number"), ("step_noise", "sequence")):
        change = disturbed(kind, fitted, inputs, seed=1)
        small, large = (change(severity)[block].astype(float) - inputs[block] for severity in (0.1, 0.5))
        np.testing.assert_allclose(large, 5 * small, atol=1e-5)
    grey = inputs | {"image_0": np.full((80, 8, 8, 1), 128, np.uint8)}
    change = disturbed("image_noise", fitted, grey, seed=1)
    small, large = (change(severity)["image_0"].astype(float) - 128 for severity in (0.02, 0.1))
    np.testing.assert_allclose(large, 5 * small, atol=3.01)  # both are rounded
    assert large.std() == pytest.approx(25.5, rel=0.05)


# -- texts


def test_dropped_tokens_close_up_and_padding_stays_at_the_end() -> None:
    fitted, inputs, _ = mixed()
    change, last = disturbed("text_drop", fitted, inputs, seed=1), inputs["text_0"]
    for severity in (0.05, 0.1, 0.2, 0.5, 1.0):
        now = change(severity)["text_0"]
        for old, new in zip(last, now, strict=True):
            kept = new[new != 0].tolist()
            assert new[len(kept) :].sum() == 0
            rest = iter(old[old != 0].tolist())
            assert all(token in rest for token in kept)  # in the same order, a part of what a milder one kept
        last = now
    assert not last.any()
    share = (change(0.5)["text_0"] != 0).sum() / (inputs["text_0"] != 0).sum()
    assert share == pytest.approx(0.5, abs=0.1)


def test_neighbours_change_places_once_and_no_padding_moves() -> None:
    fitted = toys.fitted("text", "binary")
    ids = np.tile(np.arange(2, 8), (400, 1)).astype("int32")
    ids[:200, 4:] = 0
    change, last = disturbed("text_swap", fitted, {"text_0": ids}, seed=1), ids
    for severity in (0.05, 0.1, 0.2, 0.5):
        now = change(severity)["text_0"]
        np.testing.assert_array_equal(np.sort(now[:, :4][:200], axis=1), ids[:200, :4])
        assert not now[:200, 4:].any()
        np.testing.assert_array_equal(np.sort(now[200:], axis=1), ids[200:])
        assert np.abs(now - ids).max() == 1  # tokens are their places
        moved = last != ids
        np.testing.assert_array_equal(now[moved], last[moved])
        last = now
    every = change(1.0)["text_0"]
    assert {tuple(row) for row in every[:200].tolist()} == {(3, 2, 5, 4, 0, 0), (2, 4, 3, 5, 0, 0)}
    assert {tuple(row) for row in every[200:].tolist()} == {(3, 2, 5, 4, 7, 6), (2, 4, 3, 6, 5, 7)}


def test_unknown_tokens_take_the_place_of_tokens_and_not_of_padding() -> None:
    fitted, inputs, _ = mixed()
    ids = inputs["text_0"]
    now = disturbed("text_unknown", fitted, inputs, seed=1)(0.5)["text_0"]
    assert set(now[now != ids].tolist()) == {1}
    assert not now[ids == 0].any()
    assert (now == 1).sum() / (ids != 0).sum() == pytest.approx(0.5, abs=0.1)


# -- sequences, sounds, pictures


def test_steps_after_the_last_one_stay_empty_and_a_missing_step_is_so_in_all_channels() -> None:
    fitted, inputs, _ = mixed()
    after = np.arange(toys.STEPS) >= inputs["sequence_length"][:, None]
    noisy, gone = (disturbed(kind, fitted, inputs, seed=1)(0.5)["sequence"] for kind in ("step_noise", "step_missing"))
    assert not noisy[after].any()
    assert noisy[3, 0, 1] == 0  # a missing value
    assert (noisy[~after] != inputs["sequence"][~after]).mean() > 0.99
    assert (noisy - inputs["sequence"])[~after].std() == pytest.approx(0.5, rel=0.1)
    changed = (gone != inputs["sequence"]).any(axis=2)
    assert not gone[changed].any()
    assert changed[~after].mean() == pytest.approx(0.5, abs=0.1)


def test_missing_steps_are_what_the_encoder_gives_for_missing_values_in_a_list() -> None:
    state = Sequence(("s0", "s1"), 6, (1.0, -2.0), (2.0, 3.0))
    rng = np.random.default_rng(0)
    lists = [[rng.normal(size=length).tolist() for length in rng.integers(1, 9, 50)] for _ in range(2)]
    lists[1] = [rng.normal(size=len(row)).tolist() for row in lists[0]]
    block, length = sequence.encode(state, [pa.array(channel) for channel in lists])
    fitted = replace(toys.fitted("sequence", "binary"), sequence=state)
    found = disturbed("step_missing", fitted, {"sequence": block, "sequence_length": length}, seed=1)(0.5)
    gone = (found["sequence"] != block).any(axis=2)

    def left(row: int, values: list[float]) -> list[float | None]:  # of a longer list the last six steps are read
        cut = max(len(values) - 6, 0)
        return [None if at >= cut and gone[row, at - cut] else value for at, value in enumerate(values)]

    again, same = sequence.encode(state, [pa.array([left(*one) for one in enumerate(channel)]) for channel in lists])
    np.testing.assert_array_equal(again, found["sequence"])
    np.testing.assert_array_equal(same, found["sequence_length"])
    assert gone.any()


def test_silent_frames_are_those_of_a_missing_sound() -> None:
    fitted, inputs, _ = mixed()
    sound = replace(toys.SOUND, mean=-3.0, std=2.0)
    fitted = replace(fitted, audios=(sound,))
    found = disturbed("audio_silence", fitted, inputs, seed=1)(1.0)["audio_0"]
    np.testing.assert_array_equal(found, np.repeat(audio.encode(sound, [None]), 80, axis=0))
    half = disturbed("audio_silence", fitted, inputs, seed=1)(0.5)["audio_0"]
    silent = half == found
    assert (silent.all(axis=2) | ~silent.any(axis=2)).all()
    assert silent.mean() == pytest.approx(0.5, abs=0.1)


def test_pictures_stay_in_their_range_and_a_missing_one_stays_black() -> None:
    fitted, inputs, _ = mixed()
    edges = inputs["image_0"].copy()
    edges[:40] = np.where(edges[:40] > 40, 255, 0)
    edges[:40, 0, 0] = 255  # none is all black but that of row 3
    edges[3] = 0
    for kind in ("image_noise", "image_brightness"):
        change = disturbed(kind, fitted, inputs | {"image_0": edges}, seed=1)
        found = change(DISTURBANCES[kind].severities[-1])["image_0"]
        assert not found[3].any()
        assert found.min() == 0
        assert found.max() == 255
    signs, sizes = [], []
    for severity in (0.1, 0.2, 0.3, 0.5):
        moved = change(severity)["image_0"].astype(int) - edges
        assert ((moved >= 0).all(axis=(1, 2, 3)) | (moved <= 0).all(axis=(1, 2, 3))).all()  # nothing goes round the end of a byte
        signs.append(np.sign(moved.sum(axis=(1, 2, 3))))
        sizes.append(np.abs(moved).max())
    assert sizes == [26, 51, 77, 128]  # of 255, rounded half to even: 25.5, 51, 76.5, 127.5
    assert {-1, 1} <= set(signs[0].tolist())
    assert all((one[np.arange(80) != 3] == signs[0][np.arange(80) != 3]).all() for one in signs[1:])


def test_blur_keeps_the_level_and_takes_the_edges() -> None:
    fitted = toys.fitted("image", "binary")
    checks = np.zeros((2, 32, 32, 1), np.uint8)
    checks[:, :, 16:] = 200
    change = disturbed("image_blur", fitted, {"image_0": checks}, seed=1)
    steepest = []
    for severity in (0.0, 0.01, 0.02, 0.04, 0.08):
        found = change(severity)["image_0"].astype(float)
        assert found.mean() == pytest.approx(100, abs=0.5)
        steepest.append(np.abs(np.diff(found[0, 16, :, 0])).max())
    assert steepest == sorted(steepest, reverse=True)
    assert steepest[-1] < 0.25 * steepest[0]
    assert steepest[-1] == pytest.approx(200 * 0.155, rel=0.05)  # the middle pixel's share of a normal of 0.08 * 32 = 2.56 pixels


def test_pictures_move_by_whole_pixels_in_eight_directions_and_farther_the_same_way() -> None:
    fitted = toys.fitted("image", "binary")
    dots = np.zeros((300, 18, 22, 1), np.uint8)  # 0.9 and 1.1 pixels at 5%
    dots[:, 9, 11] = 255
    change, ways = disturbed("image_shift", fitted, {"image_0": dots}, seed=1), []
    for severity, pixels in ((0.05, 1), (0.1, 2), (0.15, 3), (0.2, 4)):
        found = change(severity)["image_0"]
        assert ((found == 255).sum(axis=(1, 2, 3)) == 1).all()
        places = np.argwhere(found == 255)[:, 1:3] - [9, 11]
        assert (np.abs(places).max(axis=1) == pixels).all()
        ways.append(places / pixels)
        assert len(np.unique(places, axis=0)) == 8
    assert all((way == ways[0]).all() for way in ways)


# -- edges, parts, words, the figure


def test_rows_are_disturbed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(1000, 3)).astype("float32")
    seen, first = list[int](), list[np.ndarray]()

    def predict(given: Inputs) -> np.ndarray:
        seen.append(len(given["number"]))
        first.append(given["number"][:100])
        return given["number"][:, 0].astype(float)

    fitted = table(*(Number(name, "value") for name in "abc"))
    monkeypatch.setattr(module, "VALUES", 900)
    found = robustness(predict, fitted, {"number": x}, x[:, 0].astype(float), np.arange(1000), **SETTINGS)
    assert found.value == 0
    assert (max(seen), sum(seen)) == (300, 1000 * 9)
    assert effect(found, "number_noise", 0.5).value == pytest.approx(0.5, rel=0.08)
    again = robustness(predict, fitted, {"number": x}, x[:, 0].astype(float), np.arange(1000), **SETTINGS)
    assert again == found
    one, other = first[4 + 3] - x[:100], first[4 + 4 + 3] - x[300:400]  # four parts as they are, then each part's four severities
    assert one.std() == pytest.approx(0.5, rel=0.15)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.2  # parts have draws of their own


def test_no_rows_no_kinds_one_group_and_what_does_not_fit() -> None:
    fitted, none = table(Number("a", "value"), task="binary"), {"number": np.empty((0, 1), "float32")}
    empty = robustness(lambda given: given["number"][:, 0], fitted, none, np.empty(0), np.empty(0), **SETTINGS)
    assert (empty.effects, empty.rows, empty.groups, empty.metric, rows_of(empty), sentence(empty)) == ((), 0, 0, "auc", [], "")
    assert np.isnan(empty.value)
    with pytest.raises(ValueError, match="no disturbance to show"):
        robustness_figures.robustness(empty)
    x = np.random.default_rng(8).normal(size=(50, 1)).astype("float32")
    nothing = robustness(lambda given: given["other"], table(), {"other": x[:, 0]}, x[:, 0], np.arange(50), **SETTINGS)
    assert (nothing.effects, nothing.value) == ((), 0.0)
    predict = lambda given: given["number"][:, 0].astype(float)  # noqa: E731
    one = robustness(predict, table(Number("a", "value")), {"number": x}, x[:, 0], np.zeros(50), **SETTINGS)
    assert np.isnan(one.effects[0].low)
    assert "[" not in sentence(one)
    assert sentence(one).startswith("Half of the numbers missing raises RMSE most: by ")
    robustness_figures.robustness(one)
    with pytest.raises(ValueError, match=r"groups of shape \(3,\) do not fit targets of shape \(50,\)"):
        robustness(predict, table(Number("a", "value")), {"number": x}, x[:, 0], np.zeros(3), **SETTINGS)


def test_words_and_figure_tell_the_worst_and_that_nothing_hurts(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(800, 1)).astype("float32")
    y = (x[:, 0] + 0.5 * rng.normal(size=800) > 0).astype(int)
    inputs = {"number": x, "category": np.ones((800, 1), "int32")}
    fitted = table(Number("a", "value"), categories=(Category("k", ("u",)),), task="binary")
    sure = lambda given: 1 / (1 + np.exp(-3.0 * given["number"][:, 0]))  # noqa: E731
    found = robustness(sure, fitted, inputs, y, np.arange(800), **SETTINGS)
    figure = robustness_figures.robustness(found)
    worst = found.worst[0]
    assert (worst.kind, worst.severity) == ("number_missing", 0.5)
    title = f"Half of the numbers missing hurts most: AUC from {found.value:.3f} to {worst.value:.3f}"
    assert figure.get_suptitle().replace("\n", " ") == title
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Noise on numbers", "Numbers missing", "Categories unseen"]
    for axes, kind in zip(figure.axes, found.kinds, strict=True):
        dashed, line = axes.get_lines()
        assert (dashed.get_linestyle(), *dashed.get_ydata()) == ("--", found.value, found.value)
        assert line.get_xdata().tolist() == [0.0, *DISTURBANCES[kind].severities]
        assert line.get_ydata().tolist() == [found.value, *(one.value for one in found.of(kind))]
        corners = axes.collections[0].get_paths()[0].vertices
        ends = [found.value + end for one in found.of(kind) for end in (one.low, one.high)]
        assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((min(*ends, found.value), max(*ends, found.value)))
        assert axes.get_ylim() == figure.axes[0].get_ylim()
    figures.save(figure, tmp_path / "robustness.png")
    half = robustness(lambda given: np.full(len(given["number"]), 0.5), fitted, inputs, y, np.arange(800), **SETTINGS)
    assert sentence(half) == "No disturbance's harm to AUC (0.500) is told from 0."
    assert robustness_figures.robustness(half).get_suptitle() == "AUC 0.500: no disturbance's harm is told from 0"
    better = robustness(lambda given: 1 - sure(given), fitted, inputs, y, np.arange(800), **SETTINGS)
    assert effect(better, "number_missing", 0.5).low > 0  # a model that is wrong throughout gains
    assert sentence(better).startswith("No disturbance's harm to AUC")


def test_what_hurts_is_worse_beyond_its_interval() -> None:
    def found(*ends: tuple[float, float, float], better: bool) -> Robustness:
        effects = tuple(Effect(f"kind {at}", 0.5, "m", 0.0, *one) for at, one in enumerate(ends))
        return Robustness(effects, "m", better, 0.0, 9, 9, 9, 0.95)

    cases = ((-2.0, -3.0, -1.0), (-1.0, -2.0, 1.0), (2.0, 1.0, 3.0), (1.0, -1.0, 2.0), (-1.0, np.nan, np.nan), (np.nan, np.nan, np.nan))
    for better, wanted, order in ((True, [0, 4], [0, 1, 4, 3, 2, 5]), (False, [2], [2, 3, 1, 4, 0, 5])):
        told = found(*cases, better=better)
        assert [at for at, one in enumerate(told.effects) if told.hurts(one)] == wanted
        assert [one.kind for one in told.worst] == [f"kind {at}" for at in order]


def test_a_network_of_the_pipeline_answers_every_kind() -> None:
    from pipeline.models.build import build
    from pipeline.models.fit import outputs

    fitted, inputs, y = mixed()
    network = build(fitted, ModelParams(layers=1, width=4, bins=4, embedding=2), 0)
    found = robustness(lambda given: outputs(network, fitted, given), fitted, inputs, y, np.arange(80), **SETTINGS | {"replicates": 20})
    assert found.kinds == tuple(DISTURBANCES)
    assert {one.kind for one in found.effects if one.difference != 0} >= {"number_noise", "number_missing", "image_noise", "step_noise"}
