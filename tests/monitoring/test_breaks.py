import numpy as np
import pandas as pd
import pytest

from pipeline.monitoring import breaks
from pipeline.monitoring.windows import PREDICTION

ROWS = 400
LABELS = np.array(["north", "south", "east", "west"], dtype=object)
KINDS = {"age": "number", "weight": "number", "income": "number", "celsius": "number", "flag": "number", "region": "category"}


def people(seed: int, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(45, 12, rows),
            "weight": rng.normal(75, 12, rows),
            "income": rng.lognormal(10, 0.6, rows),
            "celsius": rng.normal(15, 6, rows),
            "flag": rng.integers(0, 2, rows).astype(float),
            "region": rng.choice(LABELS, rows),
        }
    )


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return people(0, 3000)


def found(reference: pd.DataFrame, current: pd.DataFrame) -> list[breaks.Break]:
    return breaks.find(reference, current, KINDS, list(KINDS))


def test_nothing_is_broken_in_other_rows_of_the_same_people(reference):
    assert all(not found(reference, people(seed)) for seed in range(1, 21))


@pytest.mark.parametrize(
    ("column", "factor", "offset", "told"),
    [
        ("age", 365.25, 0, "age is about 365 times the usual values, as from years to days"),
        ("age", 12, 0, "age is about 12 times the usual values, as from years to months"),
        ("weight", 2.2046, 0, "weight is about 2.2 times the usual values, as from kilograms to pounds"),
        ("weight", 1 / 2.2046, 0, "weight is about 1/2.2 of the usual values, as from pounds to kilograms"),
        ("income", 100, 0, "income is about 100 times the usual values, as from shares, metres or euros to percent, centimetres or cents"),
        (
            "income",
            1 / 1000,
            0,
            "income is about 1/1,000 of the usual values, as from single ones, grams or milliseconds to thousands, kilograms or seconds",
        ),
        ("celsius", 1.8, 32, "celsius lies on another scale, as from Celsius to Fahrenheit"),
        ("celsius", 1, 273.15, "celsius lies on another scale, as from Celsius to Kelvin"),
    ],
)
def test_other_units_are_named(reference, column, factor, offset, told):
    current = people(1)
    current[column] = current[column] * factor + offset
    (one,) = found(reference, current)
    assert (one.kind, one.columns, one.sentence) == ("unit change", (column,), told)


def test_a_factor_of_no_known_unit_is_told_without_a_guess(reference):
    current = people(1)
    current["weight"] *= 47.3
    (one,) = found(reference, current)
    assert one.kind == "unit change"
    assert one.sentence.startswith("weight is about 47")
    assert "as from" not in one.sentence


def test_genuine_shifts_of_the_population_are_no_breaks(reference):
    rng = np.random.default_rng(5)
    for seed in range(100):
        current = people(100 + seed)
        for name in ("age", "weight", "celsius"):
            current[name] += rng.choice([-1, 1]) * rng.uniform(0.5, 1.5) * reference[name].std()
            current[name] = current[name].mean() + (current[name] - current[name].mean()) * rng.uniform(0.6, 1.6)
        current["income"] *= np.exp(rng.choice([-1, 1]) * rng.uniform(0.3, 0.9))  # up to 1.5 deviations of the logarithm
        current["flag"] = (rng.random(ROWS) < rng.random()).astype(float)
        current["region"] = rng.choice(LABELS[: rng.integers(1, 5)], ROWS)
        current["region"] = np.where(rng.random(ROWS) < rng.uniform(0, 0.05), None, current["region"])
        if seed % 2:
            current = current.sort_values("age", ignore_index=True)
        assert found(reference, current) == [], seed


def test_swapped_columns_are_named_once(reference):
    current = people(1).rename(columns={"age": "weight", "weight": "age"})
    (one,) = found(reference, current)
    assert (one.kind, one.columns) == ("swapped columns", ("age", "weight"))
    assert one.sentence == "age and weight look swapped: each holds the usual values of the other"


def test_columns_that_only_trade_their_means_are_not_swapped(reference):
    side = np.where(np.arange(ROWS) % 2, -25, 25) + np.random.default_rng(0).normal(0, 2, ROWS)
    assert found(reference, people(1).assign(age=75.0 + side, weight=45.0 - side)) == []


def test_swapped_categories():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"drink": rng.choice(["tea", "water"], 500), "food": rng.choice(["rice", "bread"], 500)}, dtype=object)
    (one,) = breaks.find(frame, frame.rename(columns={"drink": "food", "food": "drink"}), dict.fromkeys(frame, "category"), list(frame))
    assert one.columns == ("drink", "food")


def test_a_stuck_sensor_by_share_and_by_a_run(reference):
    current = people(1)
    current["celsius"] = 17.25
    current.loc[100:160, "age"] = 44.5
    told = [(one.kind, one.sentence) for one in found(reference, current)]
    assert told == [
        ("stuck sensor", "age is stuck at 44.5 for 61 rows in a row"),
        ("stuck sensor", "celsius is stuck: always 17.25 (never before)"),
    ]


def test_a_spike_in_random_order_is_no_run(reference):
    current = people(1)
    current["age"] = np.where(np.random.default_rng(0).random(ROWS) < 0.4, 40.0, current["age"])
    assert found(reference, current) == []


def test_runs_that_the_reference_has_too_are_no_fault(reference):
    old, now = (part.loc[np.arange(len(part)) // 40 * 40].reset_index(drop=True) for part in (reference, people(1)))  # 40 rows a person
    assert found(old, now) == []
    assert [one.kind for one in found(reference, now)] == ["stuck sensor"] * 4


def test_a_constant_flag_or_category_is_a_population(reference):
    assert found(reference, people(1).assign(flag=1.0, region="east")) == []


def test_a_placeholder_for_missing_values(reference):
    current = people(1)
    current.loc[::4, "age"] = -999.0
    (one,) = found(reference, current)
    assert (one.kind, one.sentence) == ("placeholder value", "age is -999 in 25% of rows (never before): perhaps a code for missing")


def test_missing_columns_and_missing_values(reference):
    current = people(1).drop(columns="flag").assign(region=None)
    current.loc[::3, "age"] = np.nan
    told = {one.kind + " " + one.columns[0]: one.sentence for one in breaks.find(reference, current, KINDS, ["age"])}
    assert told == {
        "missing column flag": "flag is not in the data",
        "missing column region": "region is missing in all rows (0% before)",
        "missing values age": "age is missing in 34% of rows (0% before)",
    }


def test_labels_spelled_anew_are_told_from_new_ones(reference):
    current = people(1)
    current["region"] = current["region"].str.upper() + " "
    (one,) = found(reference, current)
    assert one.kind == "changed spelling"
    assert one.sentence.startswith("region is spelled differently in 100% of rows: '")
    current = people(1)
    current.loc[:99, "region"] = "overseas"
    (one,) = found(reference, current)
    assert (one.kind, one.sentence) == ("new categories", "region holds categories never seen before in 25% of rows: overseas")


def test_rare_new_labels_of_a_long_tail_are_expected():
    rng = np.random.default_rng(0)
    old, now = (pd.DataFrame({"street": rng.integers(0, 3000, 2000).astype(str).astype(object)}) for _ in range(2))
    assert breaks.find(old, now, {"street": "category"}, ["street"]) == []


def test_text_in_a_column_of_numbers(reference):
    current = people(1).astype({"age": object})
    current.loc[:99, "age"] = "unknown"
    (one,) = found(reference, current)
    assert (one.kind, one.sentence) == ("text instead of numbers", "age is no number but text, such as unknown, in 25% of rows")


def test_columns_that_did_not_drift_and_predictions_are_left_alone(reference):
    current = people(1)
    current["age"] *= 1000
    assert breaks.find(reference, current, KINDS, ["weight"]) == []
    old, now = (pd.DataFrame({PREDICTION: part["age"]}) for part in (reference, current))
    assert breaks.find(old, now, {PREDICTION: "number"}, [PREDICTION]) == []


@pytest.mark.parametrize("rows", [0, 1, 2, 25])
def test_any_frame_is_looked_at(reference, rows):
    current = people(1, rows)
    for frame in (current, current.assign(age=np.nan, region=None), current.assign(age=np.inf, weight=0.0, income=1e300)):
        for old in (reference, reference.iloc[:1], reference.iloc[:0], reference.assign(age=np.nan, weight=0.0, region=None)):
            assert all(one.sentence for one in found(old, frame))
    mixed = pd.DataFrame({"region": [1, "1", None, 2.5, True] * 5}, dtype=object)
    assert isinstance(breaks.find(mixed, mixed, {"region": "category"}, ["region"]), list)


def test_what_came_and_could_not_be_read_is_not_told_as_missing(reference):
    current = people(1)
    current.loc[: ROWS // 4 - 1, "age"] = np.nan
    drifted = set(current)
    kinds = {"age": "number"}

    def told(lost):
        return [(one.kind, one.sentence) for one in breaks.find(reference, current, kinds, drifted, lost)]

    assert [kind for kind, _ in told({})] == ["missing values"]
    quarter = breaks.Lost(ROWS // 4, "no number", "34 years")
    assert told({"age": quarter}) == [("unreadable values", "age is no number in 25% of rows, such as '34 years'")]
    assert [kind for kind, _ in told({"age": breaks.Lost(2, "no number", "?")})] == ["missing values"]
    current["age"] = np.nan
    assert [kind for kind, _ in told({"age": breaks.Lost(ROWS, "no number", "x")})] == ["unreadable values"]


def test_dates_have_no_unit_and_go_on_with_the_calendar():
    old, now = (pd.DataFrame({"joined": np.random.default_rng(seed).integers(20000, 20400, 2000).astype(float)}) for seed in (0, 1))
    tell = lambda frame: breaks.find(old, frame, {"joined": "number"}, ["joined"], dates={"joined"})  # noqa: E731
    for later in (now + 410, now / 1000, now * 0 + 20410, now.assign(joined=now["joined"].where(now.index % 2 == 0, 20410))):
        assert not tell(later)
    (stuck,) = tell(now * 0 + 20070)
    assert (stuck.kind, stuck.sentence) == ("stuck sensor", "joined is stuck: always 2024-12-13 (0.3% of rows before)")
    (code,) = tell(now.assign(joined=now["joined"].where(now.index % 4 > 0, 0.0)))
    assert code.sentence == "joined is 1970-01-01 in 25% of rows (never before): perhaps a code for missing"
