"""The space: what params.yaml may say of it, the usual one, and what a trial gets from it."""

import pytest
import toys
import yaml
from conftest import SMALL

from pipeline.config import Interval, ModelParams, NormalizeParams, TrainParams, TuneParams, override, value_of
from pipeline.errors import UserError
from pipeline.params_file import load
from pipeline.tuning import space

RATE = {"train.learning_rate": {"log": [1e-4, 1e-2]}}


def wrong(tmp_path, **tune):
    """What is told of a tune section, without its places."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**SMALL, "tune": {"space": RATE, **tune}}))
    with pytest.raises(UserError) as caught:
        load(tmp_path / "params.yaml")
    return [message.split(": ", 1)[1] for message in caught.value.messages]


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"space": {"train.device": {"choice": ["cpu", "gpu"]}}}, "tune.space: train.device is not read in a trial"),
        ({"space": {"train.ensemble": {"int": [1, 3]}}}, "tune.space: train.ensemble is not read in a trial"),
        ({"space": {"train.augment": {"choice": [1]}}}, "tune.space: train.augment is not read in a trial"),
        ({"space": {"train.augment.shifft": {"uniform": [0.0, 0.1]}}}, "nearest valid key: train.augment.shift"),
        ({"space": {"train.augment.shift": {"uniform": [0.0, 0.9]}}}, "tune.space.train.augment.shift: expected less than or equal to 0.5"),
        ({"space": {"normalize.numeric": {"choice": ["robust", "rank"]}}}, "tune.space.normalize.numeric: expected 'auto', 'robust'"),
        ({"space": {**RATE, "model.cell": {"choice": ["gru"], "when": {"model.family": ["rnn"]}}}}, "when: model.family is no other key"),
        (
            {"space": {"model.layers": {"int": [1, 2]}, "model.cell": {"choice": ["gru"], "when": {"model.layers": [3]}}}},
            "tune: space.model.cell.when: model.layers is never 3",
        ),
        ({"space": {"model.width": {"int": [4, 8], "each": "model.layers"}}}, "expected a key of the space with whole numbers"),
        (
            {"space": {"model.width": {"int": [4, 8], "each": "model.layers"}, "model.layers": {"uniform": [1.0, 2.0]}}},
            "space.model.width.each: expected a key of the space with whole numbers, got model.layers",
        ),
        (
            {"space": {"model.dropout": {"uniform": [0.1, 0.2], "each": "model.layers"}, "model.layers": {"int": [1, 2]}}},
            "tune.space.model.dropout: expected a number",
        ),
        (
            {
                "space": {
                    "model.layers": {"int": [1, 2], "when": {"model.bins": [4]}},
                    "model.bins": {"choice": [4, 8], "when": {"model.layers": [2]}},
                }
            },
            "conditions go round in a circle: model.bins, model.layers",
        ),
        ({"fixed": {"train.learning_rate": 0.1}}, "tune: fixed: train.learning_rate is searched already"),
        ({"fixed": {"train.epochs": 0}}, "tune.fixed.train.epochs: expected greater than or equal to 1, got 0"),
        ({"enqueue": [{"model.layers": 2}]}, "tune.enqueue: model.layers is no key of tune.space"),
        ({"enqueue": [{"train.learning_rate": 1.0}]}, "tune.enqueue: train.learning_rate lies outside its range, 1.0"),
        ({"objectives": ["loss", "loss"]}, "tune: objectives: one is named twice"),
        ({"objectives": []}, "tune.objectives: expected a list of at least 1, got []"),
        ({"workers": 0}, "tune.workers: expected greater than or equal to 1, got 0"),
        ({"minutes": 0}, "tune.minutes: expected greater than 0, got 0"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path, tune, message):
    (told,) = wrong(tmp_path, **tune)
    assert message in told


def test_keys_of_mappings_and_conditions_that_hold_are_taken(tmp_path):
    given = {
        "train.optimizer": {"choice": ["adamw", "sgd"]},
        "train.optimizer_config.momentum": {"uniform": [0.0, 0.9], "when": {"train.optimizer": ["sgd"]}},
        "train.class_weight": {"choice": ["none", "balanced"]},
        "normalize.columns.age": {"choice": ["robust", "log"]},
        "model.layers": {"int": [0, 3]},
        "model.width": {"int": [4, 8], "each": "model.layers"},
    }
    enqueue = [{"model.width": [4, 8], "model.layers": 2}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**SMALL, "tune": {"space": given, "enqueue": enqueue}}, sort_keys=False))
    assert list(load(tmp_path / "params.yaml").tune.space) == list(given)


def test_override_and_value_of_reach_nested_keys():
    sections = {"normalize": NormalizeParams(), "model": ModelParams(), "train": TrainParams()}
    values = {"train.augment.shift": 0.2, "train.optimizer_config.momentum": 0.5, "model.width": [4, 8], "normalize.text.length": 9}
    now = override(sections, values)
    assert {key: value_of(now, key) for key in values} == values
    assert value_of(sections, "train.optimizer_config.momentum") is None
    assert now["train"].augment.crop == sections["train"].augment.crop


@pytest.mark.parametrize("kind", ["table", "text", "image", "audio", "sequence", "mixed"])
def test_the_usual_space_suits_the_network_and_names_valid_keys(kind):
    found = space.usual(toys.fitted(kind, "binary"), ModelParams())
    assert {"train.learning_rate", "model.dropout", "model.width", "model.layers"} <= set(found)
    assert ("model.bins" in found) == (kind == "table")
    assert ("model.cell" in found) == (kind in ("sequence", "mixed"))
    assert ("train.augment.shift" in found) == (kind in ("image", "mixed"))
    sections = {"model": ModelParams(), "train": TrainParams()}
    for key, interval in found.items():
        for value in interval.ends:
            override(sections, {key: value})


def test_the_usual_space_of_a_linear_model_has_no_layers():
    assert "model.width" not in space.usual(toys.fitted("table", "binary"), ModelParams(layers=0))
    assert {"model.centering", "model.channel_mixing"} <= set(space.usual(toys.fitted("series", "forecast"), ModelParams()))
    assert "model.width" in space.usual(toys.fitted("series", "forecast"), ModelParams(family="rnn"))


def test_values_are_drawn_in_an_order_in_which_conditions_are_known():
    given = {
        "a": Interval(choice=(1, 2), when={"b": (True,)}),
        "c": Interval(int=(1, 9), each="d"),
        "b": Interval(choice=(True, False)),
        "d": Interval(int=(0, 3)),
    }
    assert space.ordered(given) == ["b", "a", "d", "c"]
    drawn = {"b": False, "d": 2, "c[0]": 7, "c[1]": 8}
    assert space.suggested(given, lambda name, interval: drawn[name], {}) == {"b": False, "d": 2, "c": [7, 8]}
    assert space.gathered(drawn, given) == {"b": False, "d": 2, "c": [7, 8]}
    assert space.flat({"b": False, "c": [7, 8]}) == {"b": False, "c[0]": 7, "c[1]": 8}


def test_a_depth_left_to_the_network_draws_no_list():
    given = {"c": Interval(int=(1, 9), each="d"), "d": Interval(int=(0, 3))}
    assert space.suggested(given, lambda name, interval: 1, {"d": None}) == {"d": None}


def test_a_range_holds_what_lies_in_it_and_is_of_its_kind():
    assert Interval(int=(1, 3)).holds(2)
    assert not Interval(int=(1, 3)).holds(2.5)
    assert not Interval(int=(0, 3)).holds(True)
    assert not Interval(choice=(1, 2)).holds(True)
    assert Interval(log=(0.1, 1.0)).holds(1)
    assert not Interval(log=(0.1, 1.0)).holds("a")
    assert Interval(int=(1, 3), each="model.layers").holds([1, 3])
    assert not Interval(int=(1, 3), each="model.layers").holds(2)


def test_a_range_in_words():
    assert space.told(Interval(log=(3e-4, 1e-2))) == "0.0003 to 0.01, log"
    assert space.told(Interval(int=(1, 4), each="model.layers")) == "1 to 4, whole; one for each of model.layers"
    assert space.told(Interval(choice=("a", "b"), when={"x": (1, 2)})) == "a | b; where x is 1 or 2"


def test_a_space_is_searched_as_given_even_where_it_is_empty():
    assert space.space_of(TuneParams(space={}), toys.fitted("table", "binary"), ModelParams()) == {}
