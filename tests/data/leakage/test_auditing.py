"""The whole audit of a few tables; tests/data/leakage/test_study.py counts how often it is right, over many."""

import numpy as np
import pandas as pd
import pytest

from pipeline.config import SplitParams
from pipeline.data.engine import engine, with_row_id
from pipeline.data.leakage.auditing import audit
from pipeline.data.leakage.page import page
from pipeline.data.schema import Column, Schema
from pipeline.data.splitting import SIDE, marked

SEEDS = range(3)


def plain(seed, task="regression"):
    """A table of mixed kinds whose target is a noisy function of its columns; 300 to 3,000 rows."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(300, 3000))
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n).round(3),
            "b": rng.lognormal(size=n).round(2),
            "age": rng.integers(18, 90, n).astype(float),
            "city": rng.choice([f"c{at}" for at in range(50)], n),
            "flag": rng.random(n) < 0.4,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), unit="h"),
            "code": [f"k{at:05d}" for at in rng.permutation(n)],
        }
    )
    signal = frame["a"] + np.log(frame["b"]) + frame["flag"] + frame["age"] / 30 + rng.normal(size=n)
    frame["y"] = signal.round(4) if task == "regression" else np.where(signal > signal.median(), "yes", "no")
    return frame, rng


def audited(frame, task="regression", **split):
    kinds = {"f": "number", "b": "boolean", "M": "datetime"}
    columns = tuple(
        Column(name, "text", "id" if name == "code" else kinds.get(frame[name].dtype.kind, "category"), "") for name in frame.columns
    )
    schema = Schema(columns, "y", task, "yes" if task == "binary" else None, ("",))
    params = SplitParams(**split)
    with engine() as backend:
        table = backend.create_table("u", with_row_id(backend.create_table("t", frame)))
        sided = marked(table, schema, params, 0)
        sided = backend.create_table("v", sided.select(SIDE, *table.columns).order_by("__row_id__"))
        return audit(backend, sided, schema, params, 0)


def named(found, *severities):
    return {(finding.kind, *finding.columns) for finding in found.findings if finding.severity in (severities or ("error", "warning"))}


def target_copy(frame, rng):
    return frame.assign(copy=frame["y"] * 2 + 3), ("target", "copy")


def sum_identity(frame, rng):
    part = rng.normal(size=len(frame)).round(4)
    return frame.assign(part=part, other=frame["y"] - part), ("identity", "part", "other")


def product(frame, rng):
    part = rng.lognormal(size=len(frame))
    y = frame["y"] - frame["y"].min() + 1
    return frame.assign(y=y, part=part, other=y / part), ("identity", "part", "other")


def exact_copies(frame, rng):
    return pd.concat([frame, frame.sample(frac=0.2, random_state=1)], ignore_index=True), ("exact_copies",)


def near_copies(frame, rng):
    again = frame.sample(frac=0.2, random_state=1)
    again = again.assign(city=again["city"].str.upper() + "  ", code=again["code"] + "x")
    return pd.concat([frame, again], ignore_index=True), ("near_copies",)


def entity(frame, rng):
    person = rng.integers(0, len(frame) // 4, len(frame))
    traits = {name: rng.integers(0, 9, len(frame))[person].astype(str) for name in ("sex", "home", "site", "born")}
    return frame.assign(person=person.astype(float), **traits), ("entity", "person")


LEAKS = (target_copy, sum_identity, product, exact_copies, near_copies, entity)


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_named_for_every_seed(leak):
    made = [leak(*plain(seed)) for seed in SEEDS]
    assert [seed for seed, (frame, key) in zip(SEEDS, made, strict=True) if key not in named(audited(frame))] == []


@pytest.mark.parametrize("task", ["regression", "binary"])
@pytest.mark.parametrize("strategy", ["random", "time"])
def test_nothing_is_named_where_nothing_leaks(task, strategy):
    assert {seed: told for seed in SEEDS if (told := named(audited(plain(seed, task)[0], task, strategy=strategy)))} == {}


@pytest.mark.parametrize("seed", range(5))
def test_the_next_value_in_time_is_named(seed):
    frame, _ = plain(seed)
    frame["soon"] = frame["y"].shift(-1).fillna(0.0)
    assert ("future", "soon") in named(audited(frame, strategy="time"))
    frame["soon"] = frame["y"].shift(1).fillna(0.0)  # the past may be known
    assert named(audited(frame, strategy="time")) == set()


def test_equal_rows_of_a_few_coarse_columns_are_a_note():
    frame, rng = plain(3)
    coarse = frame[["flag"]].assign(kind=rng.choice(list("abc"), len(frame)), y=rng.choice(["no", "yes"], len(frame)))
    found = audited(coarse, "binary")
    assert named(found) == set()
    assert named(found, "note") == {("exact_copies",)}


def test_the_page_shows_what_was_found_and_escapes_it():
    frame, _ = plain(0)
    found = audited(frame.assign(**{"<b>copy": frame["y"]}))
    text = page(found)
    assert "&lt;b&gt;copy gives y away" in text
    assert "<b>copy" not in text


@pytest.mark.parametrize("seed", SEEDS)
def test_what_no_network_reads_is_no_shift_and_what_it_reads_is(seed):
    frame, _ = plain(seed, "binary")
    side = np.where(np.arange(len(frame)) % 3 > 0, "train", "test")
    frame = frame.assign(part=side, path=[f"{part}/{at:05d}.png" for at, part in enumerate(side)])
    frame["order"] = np.argsort(np.argsort(side == "test", kind="stable")) + 1.0
    given = {"strategy": "given", "by": "part"}
    assert [one.columns for one in audited(frame, "binary", **given).findings if one.kind == "covariate_shift"] == []
    moved = frame.assign(a=frame["a"] + 2 * (frame["part"] == "test"))
    (found,) = (one for one in audited(moved, "binary", **given).findings if one.kind == "covariate_shift")
    assert found.columns[0] == "a"
    assert not {"path", "order"} & set(found.columns)
