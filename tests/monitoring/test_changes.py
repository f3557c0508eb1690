import json
import re
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.monitoring import breaks, changes

PREDICTION = "model prediction"
KINDS = {"age": "number", "insured": "number", "region": "category", "plan": "category", PREDICTION: "number"}
IMPORTANCE = {"age": 0.05, "insured": 0.02, "plan": 0.2, "region": 0.0}
VISITS = {"free": 0.85, "half": 0.6, "full": 0.3}


@dataclass(frozen=True)
class Seen:
    column: str
    aspect: str = "values"
    observed: float | None = 0.5
    threshold: float = 0.1
    drifted: bool = True
    harmful: bool = True


def people(seed: int, rows: int, mix: tuple[float, float, float] = (0.6, 0.3, 0.1)) -> pd.DataFrame:
    """Visits depend on the plan alone, and the model knows how."""
    rng = np.random.default_rng(seed)
    plan = rng.choice(np.array(list(VISITS), dtype=object), rows, p=mix)
    chance = pd.Series(plan, dtype=object).map(VISITS).to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "insured": (rng.random(rows) < 0.7).astype(float),
            "region": rng.choice(np.array(["north", "south"], dtype=object), rows),
            "plan": plan,
            PREDICTION: chance,
            "visits": (rng.random(rows) < chance).astype(float),
        }
    )


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return people(0, 4000)


def describe(reference, current, *seen: Seen, importance=IMPORTANCE, task="binary", classes=("0", "1"), kinds=KINDS, found=(), **rest):
    return changes.describe(
        reference,
        current,
        kinds,
        seen,
        importance=importance,
        prediction=PREDICTION,
        target="visits",
        task=task,
        classes=classes,
        breaks=found,
        **rest,
    )


def test_the_headline_joins_the_outcome_and_its_cause(reference):
    current = people(1, 2000, (0.3, 0.2, 0.5))
    told = describe(reference, current, Seen("plan"), Seen("age", observed=0.12), Seen("region", harmful=False))
    assert told.headline == "visits falls from 72% to 51%: plan full rises from 9% to 50%"
    assert told.sentences[:3] == (
        "visits is 1 in 51% of rows (72% before); the model expects it in 52% (72% before)",
        "nearly all of this change of visits goes with the new mix of plan",
        "plan: full in 50% of rows (9% before), free in 29% of rows (61% before), half in 21% of rows (30% before)",
    )
    assert told.sentences[-1] == "region changed, which the model does not use"
    assert [one.column for one in told.pictures] == [PREDICTION, "plan", "age", "region"]


def test_what_explains_the_outcome_leads_before_what_moved_farther(reference):
    current = people(1, 2000, (0.3, 0.2, 0.5)).assign(age=lambda frame: frame["age"] + 20)
    told = describe(reference, current, Seen("age", observed=1.0), Seen("plan", observed=0.2))
    assert told.headline.endswith(": plan full rises from 9% to 50%")
    assert describe(reference, people(1, 2000), Seen("age", observed=1.0), Seen("plan", observed=0.2)).headline.startswith("age ")


def test_a_column_that_does_not_carry_the_outcome_explains_nothing(reference):
    current = people(1, 2000, (0.3, 0.2, 0.5)).assign(age=lambda frame: frame["age"] + 8)
    told = describe(reference, current, Seen("age"))
    assert not any("goes with" in one for one in told.sentences)
    assert told.sentences[1].startswith("age rises: median 48, usually 32 to 64 (40 before, 24 to 56)")


def test_half_of_a_change_goes_with_the_mix(reference):
    current = people(1, 4000, (0.35, 0.35, 0.3))
    current["visits"] = np.where(np.random.default_rng(3).random(4000) < 0.2, 0.0, current["visits"])
    told = describe(reference, current, Seen("plan"))
    assert "about half of this change of visits goes with the new mix of plan" in told.sentences


def test_a_segment_that_moved_is_named(reference):
    current = people(1, 2000)
    current.loc[current["region"] == "north", "visits"] = 0.0
    told = describe(reference, current)
    assert told.headline == "visits falls from 72% to 36%, most where region is north, while no column changed that matters"
    assert told.sentences[-1] == "where region is north, visits falls most: from 70% to 0%"


def test_a_segment_that_moved_while_the_whole_did_not(reference):
    current = people(1, 3000)
    free, half = current["plan"] == "free", current["plan"] == "half"
    current["visits"] = np.where(half, 1.0, np.where(free & (np.arange(3000) % 4 == 0), 0.0, current["visits"]))
    told = describe(reference, current)
    assert told.headline == "where plan is half, visits rises from 58% to 100%"


def test_an_always_new_category_reads_like_a_sentence(reference):
    current = people(1, 1000).assign(plan="95%", visits=lambda frame: (np.arange(1000) % 2).astype(float))
    found = breaks.find(reference, current, KINDS, ["plan"])
    told = describe(reference, current, Seen("plan"), found=found)
    assert told.headline == "visits falls from 72% to 50%: plan is always 95% (was free, full or half)"
    assert any(one.startswith("the part of plan in the change of visits is not known") for one in told.sentences)


def test_without_labels_the_predictions_speak(reference):
    current = people(1, 2000, (0.3, 0.2, 0.5)).assign(visits=np.nan)
    told = describe(reference, current, Seen("plan"), classes=("no", "sick leave"))
    assert told.headline.startswith("predicted visits 'sick leave' falls from 72% to 52%: plan full rises")
    assert told.sentences[0] == "the model expects visits 'sick leave' in 52% (72% before)"


def test_nothing_changed(reference):
    told = describe(reference, people(1, 2000), Seen("age", drifted=False))
    assert (told.headline, told.sentences, told.pictures) == ("nothing changed that matters", (), ())
    told = describe(reference, people(1, 2000), Seen("region", harmful=False), Seen("age", harmful=False))
    assert told.headline == "nothing changed that matters; region changed, which the model does not use; age changed without harm"


def test_chance_seldom_tells_a_tale(reference):
    told = [describe(reference, people(seed, 400)).headline for seed in range(10, 60)]
    assert sum(one != "nothing changed that matters" for one in told) <= 3


def test_rows_of_a_group_count_as_one(reference):
    current = pd.concat([people(11, 12)] * 100, ignore_index=True)
    assert describe(reference, current).headline != "nothing changed that matters"
    assert describe(reference, current, groups=np.arange(1200) % 12).headline == "nothing changed that matters"


def test_a_break_leads_and_its_column_is_told_once(reference):
    current = people(1, 1000)
    current["age"] *= 365.25
    found = breaks.find(reference, current, KINDS, ["age"])
    told = describe(reference, current, Seen("age"), Seen("plan", observed=0.11), found=found, importance={"age": 0.3, "plan": 0.1})
    assert told.headline == "age is about 365 times the usual values, as from years to days"
    assert told.sentences[0] == told.headline
    assert sum("age" in one for one in told.sentences) == 1


@pytest.mark.parametrize(
    ("column", "kind", "before", "now", "full"),
    [
        ("age", "number", [1.0, 5.0, 9.0] * 40, [3.0] * 50, "age is always 3 (was 1 to 9)"),
        ("on", "number", [0.0, 1.0] * 60, [1.0] * 50, "on is always 1 (was 0 or 1)"),
        ("on", "number", [0.0, 1.0] * 60, [0.0, 0.0, 0.0, 1.0] * 20, "on is 1 in 25% of rows (50% before)"),
        ("age", "number", [1.0, 5.0, 9.0] * 40, [np.nan] * 50, "age is missing in 100% of rows (0% before)"),
        ("age", "number", [np.nan] * 40, [1.0, 5.0], "age is filled in 100% of rows (never before)"),
        ("age", "number", [1.0, 5.0, 9.0] * 40, [1.0, 5.0, 9.0, np.nan] * 40, "age is missing in 25% of rows (0% before)"),
        ("kind", "category", ["a", "b"] * 60, ["b"] * 50, "kind is always b (was a or b)"),
        (
            "kind",
            "category",
            ["a", "b"] * 60,
            ["a", "b", "new one", None] * 20,
            "kind: a in 25% of rows (50% before), b in 25% of rows (50% before), missing in 25% of rows (0% before), new: 'new one'",
        ),
    ],
)
def test_sentences_of_one_column(column, kind, before, now, full):
    old, new = (pd.DataFrame({column: pd.Series(part, dtype=float if kind == "number" else object)}) for part in (before, now))
    told = describe(old, new, Seen(column), kinds={column: kind}, importance={})
    assert told.sentences == (full,)


def test_regression_and_many_classes(reference):
    current = people(1, 2000)
    old = reference.assign(visits=reference["age"] * 5, **{PREDICTION: reference["age"] * 5})
    now = current.assign(visits=current["age"] * 5 + 60, **{PREDICTION: current["age"] * 5})
    told = describe(old, now, task="regression", classes=())
    assert told.headline == "mean visits rises from 200 to 260, while no column changed that matters"
    assert told.sentences[0] == "mean visits is 260 (200 before); the model expects 200 (200 before)"
    names = ("free", "full", "half")
    old, now = reference.assign(visits=reference["plan"]), people(1, 2000, (0.3, 0.2, 0.5)).assign(visits=lambda frame: frame["plan"])
    old[PREDICTION], now[PREDICTION] = old["plan"], now["plan"]
    told = describe(old, now, task="multiclass", classes=names, kinds=KINDS | {PREDICTION: "category"})
    assert told.headline.startswith("visits full rises from 9% to 50%")


def test_labels_and_predictions_of_different_classes_are_not_mixed_up():
    old = pd.DataFrame({"visits": list("abcd") * 500, PREDICTION: list("abcd") * 500}, dtype=object)
    now = pd.DataFrame({"visits": list("abcd") * 498 + list("aaaaaaaa"), PREDICTION: list("abdd") * 500}, dtype=object)
    told = describe(old, now, task="multiclass", classes=tuple("abcd"), kinds={PREDICTION: "category"})
    assert told.headline == "predicted visits c falls from 25% to 0%, while no column changed that matters"
    assert told.sentences == ("the model expects visits c in 0% (25% before)",)


@pytest.mark.parametrize(
    ("rows", "task"),
    [(0, "binary"), (1, "binary"), (1, "multiclass"), (2, "regression"), (40, "binary"), (40, "multiclass"), (40, "forecast")],
)
def test_any_frame_is_described(reference, rows, task):
    current = people(1, rows)
    seen = [Seen(name, observed=None, harmful=name != "region") for name in KINDS]
    empty = current.assign(age=np.nan, region=None, visits=np.nan, plan=None)
    odd = current.drop(columns=["age", PREDICTION]).assign(region=pd.Series([1, "1", None, True] * 10, dtype=object).iloc[:rows])
    for now in (current, empty, odd, current.assign(age=np.inf, insured=0.0)):
        for old in (reference, reference.iloc[:1], reference.iloc[:0], reference.assign(age=np.nan, plan=None, visits=np.nan)):
            for importance in ({}, {"age": -1.0}):
                told = describe(old, now, *seen, importance=importance, task=task, found=breaks.find(old, now, KINDS, list(KINDS)))
                text = " ".join([told.headline, *told.sentences])
                assert told.headline
                assert len(told.sentences) <= 6
                assert not re.search(r"\d{5}|nan|None|inf\b", text.replace(",", "")), text
                json.dumps(asdict(told), allow_nan=False)


def test_dates_are_told_as_dates():
    days = pd.Series(np.arange(20000.0, 20100.0).repeat(10))
    frames = [people(seed, 1000).assign(joined=days + later) for seed, later in ((0, 0), (1, 410))]
    kinds = KINDS | {"joined": "number"}
    told = describe(*frames, Seen("joined"), kinds=kinds, dates={"joined"})
    assert told.headline == "joined moves from 2024-11-22 to 2026-01-06"
    full = "joined moves: median 2026-01-06, usually 2025-11-22 to 2026-02-20 (2024-11-22 before, 2024-10-08 to 2025-01-06)"
    assert f"{full}, 100% of them outside all earlier values" in told.sentences
    assert told.pictures[0].date
    always = describe(frames[0], frames[1].assign(joined=20410.0), Seen("joined"), kinds=kinds, dates={"joined"})
    assert always.headline == "joined is always 2025-11-18 (was 2024-10-08 to 2025-01-06)"


def test_a_segment_of_dates_is_named_by_dates():
    days = np.arange(20000.0, 20100.0).repeat(40)
    frames = [people(seed, 4000).assign(joined=days) for seed in (0, 1)]
    frames[1].loc[days >= 20080, "visits"] = 0.0
    told = describe(*frames, kinds=KINDS | {"joined": "number"}, importance={"joined": 0.1}, dates={"joined"})
    assert any("where joined is 2024-12-22 or more, visits falls" in one for one in told.sentences), told.sentences
