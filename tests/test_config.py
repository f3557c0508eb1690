"""params.yaml: each kind of mistake is one located line, all mistakes come at once, and loaded values never change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.config import Interval, ModelParams, Params, TrainParams, TuneParams, override
from pipeline.errors import UserError
from pipeline.params_file import load

SOUND = """\
seed: 7

data:
  source: rows.csv
  target: bought
  columns: {customer: id}

clean:
  duplicates: keep

split:
  strategy: group
  by: customer
  validation: 0.2
  test: 0.2
  production: {column: city, in: [Rome, 3]}

normalize:
  numeric: robust

model:
  layers: 2
  dropout: 0.2

train:
  epochs: 60
  learning_rate: 0.001
  device: auto

tune:
  trials: 4
  space:
    train.learning_rate: {log: [1.0e-4, 1.0e-2]}
    model.dropout: {uniform: [0.0, 0.5]}
    model.layers: {int: [1, 4]}

evaluate:
  replicates: 200

register:
  name: small

monitor:
  window: 60
"""


def changed(old: str, new: str) -> str:
    assert SOUND.count(old) == 1, old
    return SOUND.replace(old, new)


def mistakes(folder: Path, content: str | bytes) -> list[str]:
    """What load says of a file, without its folder."""
    file = folder / "params.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        load(file)
    assert str(caught.value) == "\n".join(caught.value.messages)
    return [message.replace(f"{file}", "params.yaml") for message in caught.value.messages]


def loaded(folder: Path, text: str) -> Params:
    (folder / "params.yaml").write_text(text)
    return load(folder / "params.yaml")


def test_a_sound_file_loads_with_its_values_and_the_defaults_of_what_it_leaves_out(tmp_path):
    params = loaded(tmp_path, SOUND)
    assert (params.seed, params.split.by, params.train.learning_rate, params.train.optimizer) == (7, "customer", 0.001, "adamw")
    assert params.split.production.values == ("Rome", 3)
    assert params.tune.space["model.layers"].int_ == (1, 4)
    assert params.section("register").name == "small"
    assert params.section("seed") == 7


ONE_MISTAKE = {
    "unknown key, like one of its section": (
        ("  epochs: 60", "  epoch: 60"),
        "26:3: unknown key train.epoch; nearest valid key: train.epochs",
    ),
    "unknown key, right in another section": (
        ("  trials: 4", "  batch_size: 4"),
        "31:3: unknown key tune.batch_size; did you mean train.batch_size?",
    ),
    "unknown key, right in another section and a little like one of its own": (
        ("  replicates: 200", "  epochs: 200"),
        "38:3: unknown key evaluate.epochs; did you mean train.epochs?",
    ),
    "unknown key, like nothing": (
        ("  numeric: robust", "  zzz: robust"),
        "19:3: unknown key normalize.zzz; valid keys here: numeric, columns, clip, dates, target, rare_category, "
        "max_categories, merge_case, text, image, audio, sequence",
    ),
    "unknown nested key": (
        ("{column: city,", "{column: city, colunm: city,"),
        "16:30: unknown key split.production.colunm; nearest valid key: split.production.column",
    ),
    "misspelt section": (("evaluate:", "evalute:"), "37:1: unknown key evalute; nearest valid key: evaluate"),
    "misspelt required key": (("  target: bought", "  traget: bought"), "5:3: unknown key data.traget; nearest valid key: data.target"),
    "text for a whole number": (("epochs: 60", "epochs: sixty"), '26:11: train.epochs: expected a whole number, got "sixty"'),
    "fraction for a whole number": (("epochs: 60", "epochs: 6.5"), "26:11: train.epochs: expected a whole number, got 6.5"),
    "truth value for a whole number": (("seed: 7", "seed: true"), "1:7: seed: expected a whole number, got true"),
    "quoted number": (
        ("learning_rate: 0.001", 'learning_rate: "0.001"'),
        '27:18: train.learning_rate: expected a number, got "0.001"',
    ),
    "number for text": (("target: bought", "target: 3"), "5:11: data.target: expected text, got 3"),
    "infinite": (("learning_rate: 0.001", "learning_rate: .inf"), "27:18: train.learning_rate: expected a finite number, got Infinity"),
    "not a number": (("learning_rate: 0.001", "learning_rate: .nan"), "27:18: train.learning_rate: expected a finite number, got NaN"),
    "nothing after a key": (("epochs: 60", "epochs:"), "26:3: train.epochs: expected a whole number, got null"),
    "text for a list": (("in: [Rome, 3]", "in: Rome"), '16:34: split.production.in: expected a list, got "Rome"'),
    "empty list": (("in: [Rome, 3]", "in: []"), "16:34: split.production.in: expected a list of at least 1, got []"),
    "a wrong item": (
        ("in: [Rome, 3]", "in: [Rome, [3]]"),
        "16:41: split.production.in.1: expected text, a number, true or false, got [3]",
    ),
    "text for keys": (("columns: {customer: id}", "columns: customer"), '6:12: data.columns: expected keys below it, got "customer"'),
    "text for a section": (("monitor:\n  window: 60", "monitor: window"), '43:10: monitor: expected keys below it, got "window"'),
    "list for a section": (("clean:\n  duplicates: keep", "clean: [keep]"), '8:8: clean: expected keys below it, got ["keep"]'),
    "below its range": (("epochs: 60", "epochs: 0"), "26:11: train.epochs: expected greater than or equal to 1, got 0"),
    "above its range": (("  dropout: 0.2", "  dropout: 1.0"), "23:12: model.dropout: expected less than 1, got 1.0"),
    "negative seed": (("seed: 7", "seed: -1"), "1:7: seed: expected greater than or equal to 0, got -1"),
    "pattern": (("name: small", "name: a/b"), '41:9: register.name: expected text that matches ^[^/:]+$, got "a/b"'),
    "empty text": (("source: rows.csv", 'source: ""'), '4:11: data.source: expected text that is not empty, got ""'),
    "misspelt choice": (
        ("strategy: group", "strategy: groups"),
        "12:13: split.strategy: expected 'random', 'stratified', 'group', 'stratified_group', "
        "'time' or 'given', got \"groups\"; did you mean group?",
    ),
    "misspelt choice in a mapping": (
        ("{customer: id}", "{customer: txt}"),
        "6:23: data.columns.customer: expected 'number', 'category', 'boolean', 'datetime', 'text', 'image', 'audio', 'sequence', "
        "'id' or 'ignore', "
        'got "txt"; did you mean text?',
    ),
    "missing section": (("clean:\n  duplicates: keep\n", ""), "1:1: missing section clean; write `clean: {}` for its defaults"),
    "missing section without defaults": (
        ("data:\n  source: rows.csv\n  target: bought\n  columns: {customer: id}\n", ""),
        "1:1: missing section data; it needs source and target",
    ),
    "missing key": (("  target: bought\n", ""), "3:1: missing key data.target; it has no default"),
    "missing nested key": (("{column: city, in: [Rome, 3]}", "{column: city}"), "16:3: missing key split.production.in; it has no default"),
    "missing seed": (("seed: 7\n", ""), "2:1: missing key seed; it has no default"),
    "shares leave no train rows": (
        ("validation: 0.2", "validation: 0.8"),
        "14:3: split: expected validation + test below 1, so that rows are left to train on, got 0.8 + 0.2",
    ),
    "group without by": (
        ("  by: customer\n", ""),
        "12:3: split: strategy group needs by: the column whose equal values stay together",
    ),
    "by without group": (
        ("strategy: group", "strategy: random"),
        "13:3: split: by is not read by strategy random",
    ),
    "space: no such key": (
        ("train.learning_rate: {", "train.learningrate: {"),
        "33:5: tune.space: train.learningrate is no key of normalize, model or train; nearest valid key: train.learning_rate",
    ),
    "space: key without its section": (
        ("model.layers: {", "layers: {"),
        "35:5: tune.space: layers is no key of normalize, model or train; nearest valid key: model.layers",
    ),
    "space: key of a section that is not searched": (
        ("model.layers: {int", "split.test: {uniform"),
        "35:5: tune.space: split.test is no key of normalize, model or train",
    ),
    "space: outside the key's own bounds": (
        ("uniform: [0.0, 0.5]", "uniform: [0.0, 1.5]"),
        "34:5: tune.space.model.dropout: expected less than 1, got 1.5",
    ),
    "space: a choice outside the key's own bounds": (
        ("int: [1, 4]", "choice: [1, 400]"),
        "35:5: tune.space.model.layers: expected less than or equal to 64, got 400",
    ),
    "space: real numbers for a whole one": (
        ("{int: [1, 4]}", "{uniform: [1, 4]}"),
        "35:5: tune.space.model.layers: expected a whole number, got 1.0",
    ),
    "space: high below low": (
        ("uniform: [0.0, 0.5]", "uniform: [0.5, 0.1]"),
        "34:20: tune.space.model.dropout: uniform needs [low, high] with low below high, got [0.5, 0.1]",
    ),
    "space: low equals high": (
        ("int: [1, 4]", "int: [2, 2]"),
        "35:19: tune.space.model.layers: int needs [low, high] with low below high, got [2, 2]",
    ),
    "space: two forms": (
        ("{uniform: [0.0, 0.5]}", "{uniform: [0.0, 0.5], choice: [0.1]}"),
        "34:20: tune.space.model.dropout: expected exactly one of log, uniform, int, choice",
    ),
    "space: no form": (
        ("{uniform: [0.0, 0.5]}", "{}"),
        "34:20: tune.space.model.dropout: expected exactly one of log, uniform, int, choice",
    ),
    "space: misspelt form": (
        ("{uniform: [0.0, 0.5]}", "{unifrom: [0.0, 0.5]}"),
        "34:21: unknown key tune.space.model.dropout.unifrom; nearest valid key: tune.space.model.dropout.uniform",
    ),
    "space: logarithm of zero": (
        ("{log: [1.0e-4, 1.0e-2]}", "{log: [0, 0.1]}"),
        "33:26: tune.space.train.learning_rate: log needs a low end above 0, got 0",
    ),
    "space: three ends": (
        ("{int: [1, 4]}", "{int: [1, 2, 4]}"),
        "35:25: tune.space.model.layers.int: expected a list of at most 2, got [1, 2, 4]",
    ),
    "space: nothing to choose from": (
        ("{int: [1, 4]}", "{choice: []}"),
        "35:19: tune.space.model.layers: choice needs at least one value",
    ),
    "space: a list for a range": (
        ("{int: [1, 4]}", "[1, 4]"),
        "35:19: tune.space.model.layers: expected keys below it, got [1, 4]",
    ),
}


@pytest.mark.parametrize("kind", ONE_MISTAKE)
def test_one_mistake_is_one_line_with_place_expectation_value_and_nearest_key(tmp_path, kind):
    (old, new), expected = ONE_MISTAKE[kind]
    assert mistakes(tmp_path, changed(old, new)) == [f"params.yaml:{expected}"]


NOT_PARAMS = {
    "duplicate key": (changed("  layers: 2", "  dropout: 2"), '23:3: not valid YAML: found duplicate key "dropout" with value "0.2"'),
    "open bracket": (changed("epochs: 60", "epochs: [60"), "27:16: not valid YAML: expected ',' or ']'"),
    "tab": (changed("  epochs: 60", "\tepochs: 60"), "26:1: not valid YAML: found character '\\t' that cannot start any token"),
    "unknown alias": (changed("epochs: 60", "epochs: *sixty"), "26:11: not valid YAML: found undefined alias 'sixty'"),
    "object tag": (
        changed("epochs: 60", "epochs: !!python/object:os.system 60"),
        "26:11: not valid YAML: could not determine a constructor",
    ),
    "control character": (changed("by: customer", "by: cust\x07omer"), "13:11: not valid YAML: character U+0007 is not allowed"),
    "second document": (SOUND + "---\nseed: 8\n", "45:1: not valid YAML: but found another document"),
    "not UTF-8": (
        changed("by: customer", "by: café").encode("latin-1"),
        "13: expected UTF-8 text, byte 0xe9 is not: save the file as UTF-8",
    ),
    "UTF-16": (SOUND.encode("utf-16"), "1: expected UTF-8 text, byte 0x"),
    "empty": ("", "1:1: expected sections such as data: and train:, got nothing"),
    "comments only": ("# later\n", "1:1: expected sections such as data: and train:, got nothing"),
    "a list": ("- seed\n- data\n", "1:1: expected sections such as data: and train:, got list"),
    "plain text": ("seed", "1:1: expected sections such as data: and train:, got str"),
    "list as key": (changed("seed: 7", "[seed]: 7"), "1:1: expected a name as key, got a list or map"),
    "holds itself": (changed("data:\n", "data: &d\n  me: *d\n"), "expected plain values, got an alias of what holds it"),
}


@pytest.mark.parametrize("kind", NOT_PARAMS)
def test_what_is_no_params_file_at_all_is_one_located_line(tmp_path, kind):
    content, expected = NOT_PARAMS[kind]
    (found,) = mistakes(tmp_path, content)
    assert expected in found
    assert re.match(r"params\.yaml:\d+(:\d+)?: ", found)


def test_an_absent_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run in the project's root"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(UserError, match=r"params\.yaml: cannot be read: Is a directory"):
        load(tmp_path / "params.yaml")


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path):
    text = SOUND
    for old, new in (
        ("seed: 7", "seed: x"),
        ("target: bought", "target: 3"),
        ("duplicates: keep", "duplicates: kep"),
        ("  by: customer\n", ""),
        ("validation: 0.2", "validation: 0.9"),
        ("model:", "modle:"),
        ("epochs: 60", "epochs: 0"),
        ("{log: [1.0e-4, 1.0e-2]}", "{log: [1.0e-4, 1.0e-2], int: [1, 2]}"),
        ("model.dropout:", "model.dropot:"),
        ("int: [1, 4]", "int: [1, 400]"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    found = mistakes(tmp_path, text)
    assert [message.split(": ")[0].removeprefix("params.yaml:") for message in found] == [
        "1:7", "5:11", "9:15", "12:3", "13:3", "20:1", "25:11", "32:26", "33:5", "34:5",
    ]  # fmt: skip
    named = ("seed", "data.target", "clean.duplicates", "strategy", "validation", "modle", "epochs", "learning_rate", "dropot", "layers")
    assert all(name in message for name, message in zip(named, found, strict=True))


def test_a_mistake_across_keys_is_not_told_of_a_key_that_is_itself_wrong(tmp_path):
    text = changed("validation: 0.2", "validation: lots").replace("test: 0.2", "test: 0.9")
    assert [message.split(": ")[1] for message in mistakes(tmp_path, text)] == ["split.validation"]


def every_section_empty(**sections: str) -> str:
    names = ("clean", "split", "normalize", "model", "train", "tune", "evaluate", "register", "monitor")
    return "seed: 1\ndata: {source: a.csv, target: y}\n" + "".join(f"{name}:{sections.get(name, '')}\n" for name in names)


def test_a_section_with_nothing_below_it_takes_its_defaults(tmp_path):
    params = loaded(tmp_path, every_section_empty())
    assert params.train == TrainParams()
    assert params.tune == TuneParams()
    assert params.model == ModelParams()
    assert (params.train.epochs, params.tune.trials, params.split.strategy) == (60, 10, "random")
    assert params == loaded(tmp_path, every_section_empty(train=" {}", tune=" {}"))


def test_null_gives_no_defaults_to_what_has_none(tmp_path):
    found = mistakes(tmp_path, every_section_empty().replace("{source: a.csv, target: y}", ""))
    assert found == [f"params.yaml:2:1: missing key data.{key}; it has no default" for key in ("source", "target")]
    assert mistakes(tmp_path, every_section_empty().replace("seed: 1", "seed:")) == [
        "params.yaml:1:1: seed: expected a whole number, got null"
    ]


@pytest.mark.parametrize(("written", "value"), [("1e-3", 1e-3), ("1E-3", 1e-3), ("1.0e-3", 1e-3), ("1", 1.0), ("3e+1", 30.0)])
def test_numbers_are_read_as_dvc_reads_them(tmp_path, written, value):
    params = loaded(tmp_path, changed("learning_rate: 0.001", f"learning_rate: {written}"))
    assert params.train.learning_rate == value
    assert load_yaml(str(tmp_path / "params.yaml"))["train"]["learning_rate"] == value


def test_yaml_words_of_version_1_1_are_text_and_leading_zeros_are_decimal(tmp_path):
    params = loaded(tmp_path, changed("target: bought", "target: no").replace("epochs: 60", "epochs: 010"))
    assert (params.data.target, params.train.epochs) == ("no", 10)


def test_a_byte_order_mark_windows_line_ends_and_merges_are_read(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    assert load(tmp_path / "params.yaml").train.epochs == 60
    assert loaded(tmp_path, changed("  window: 60", "  <<: {window: 90}")).monitor.window == 90


def test_loaded_values_never_change(tmp_path):
    params = loaded(tmp_path, SOUND)
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 8
    with pytest.raises(ValueError, match="frozen"):
        params.split.production.column = "plan"
    for mapping in (params.data.columns, params.tune.space, TuneParams().sampler_config):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["model.width"] = Interval(int=(1, 2))
    assert isinstance(params.split.production.values, tuple)


def test_override_replaces_dotted_keys_and_holds_them_to_the_schema():
    sections = {"model": ModelParams(), "train": TrainParams()}
    found = override(sections, {"train.learning_rate": 0.5, "model.layers": 1})
    assert (found["train"].learning_rate, found["model"].layers, found["train"].epochs) == (0.5, 1, 60)
    assert sections["train"].learning_rate == 1e-3
    with pytest.raises(ValueError, match="less than 1"):
        override(sections, {"model.dropout": 2.0})
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        override(sections, {"model.widht": 2})
    with pytest.raises(KeyError, match="split"):
        override(sections, {"split.test": 0.1})


FULL = {
    "seed": 1,
    **Params.model_validate_json(
        json.dumps(
            {"seed": 1, "data": {"source": "a.csv", "target": "y"}, "split": {"production": {"column": "c", "in": [1]}}}
            | {name: {} for name in ("clean", "normalize", "model", "train", "tune", "evaluate", "register", "monitor")}
        )
    ).model_dump(mode="json", by_alias=True),
}
FULL["tune"]["space"] = {"train.learning_rate": {"log": [1e-4, 1e-2]}}
SCALARS = ("seed", "memory")
KEYS = [(name,) for name in SCALARS] + [(section, key) for section, fields in FULL.items() if section not in SCALARS for key in fields]
KEYS += [("split", "production", key) for key in ("column", "in")] + [("tune", "space", "train.learning_rate", "log")]


def written(value: object, wrong: tuple[str, ...], path: tuple[str, ...] = ()) -> list[str]:
    """YAML with one key a line, the key `wrong` marked."""
    lines = []
    for key, inner in value.items():
        here = (*path, key)
        inside = isinstance(inner, dict) and inner and here != wrong
        shown = "@" if here == wrong else "" if inside else json.dumps(inner)
        lines += [f"{'  ' * len(path)}{key}: {shown}", *(written(inner, wrong, here) if inside else [])]
    return lines


def test_the_file_with_every_key_of_the_schema_is_sound(tmp_path):
    schema = Params.model_json_schema(by_alias=True)
    sections = {
        name: schema["$defs"][field["$ref"].rsplit("/", 1)[1]] for name, field in schema["properties"].items() if name not in SCALARS
    }
    assert {(name, key) for name, section in sections.items() for key in section["properties"]} | {(name,) for name in SCALARS} <= set(KEYS)
    assert loaded(tmp_path, "\n".join(written(FULL, ()))).seed == 1


def takes_booleans(key):
    """Whether a key of the schema takes true and false."""
    schema = Params.model_json_schema(by_alias=True)
    here = schema
    for name in key:
        places = [here, *here.get("anyOf", ())]
        refs = [schema["$defs"][each["$ref"].rsplit("/", 1)[1]] for each in places if "$ref" in each]
        here = next((each["properties"][name] for each in (here, *refs) if name in each.get("properties", ())), {})
    return "boolean" in {here.get("type"), *(each.get("type") for each in here.get("anyOf", ()))}


@pytest.mark.parametrize("key", KEYS, ids=".".join)
@settings(max_examples=6, derandomize=True, deadline=None)
@given(value=st.sampled_from([True, [[]], {"zzz": [1]}, [None], [{"a": 1}]]))
def test_a_value_of_a_wrong_type_names_its_key_and_line(tmp_path_factory, key, value):
    assume(value is not True or not takes_booleans(key))  # right as it is
    assume(key != ("split", "given") or not isinstance(value, dict))  # likewise, but for the names of its sides
    lines = written(FULL, key)
    at = next(number for number, line in enumerate(lines, start=1) if line.endswith(": @"))
    text = "\n".join(lines).replace("@", json.dumps(value))
    found = mistakes(tmp_path_factory.mktemp("params"), text)
    assert len(found) == 1 or isinstance(value, dict), found  # a mapping can lack a key and have another
    for message in found:
        assert re.match(rf"params\.yaml:{at}:\d+: ((unknown|missing) key )?{re.escape('.'.join(key))}\b", message), found
