"""The examples: their params are sound, their tables say what the README says, and `pipeline init` hands them out."""

from __future__ import annotations

import io
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from conftest import ROOT
from PIL import Image

from pipeline import params_file, paths
from pipeline.cli import main

NAMES = sorted(file.parent.name for file in (ROOT / "examples").glob("*/params.yaml"))


def table(name: str) -> pd.DataFrame:
    made = runpy.run_path(str(ROOT / "examples" / name / "load.py"))["load"]()
    return made if isinstance(made, pd.DataFrame) else made.to_pandas()


def test_each_family_has_an_example():
    assert {"rand_health", "digits", "co2", "docstrings", "sound"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_params_are_sound_and_the_readme_is_there(name):
    params = params_file.load(ROOT / "examples" / name / "params.yaml")
    assert params.data.source == f"examples/{name}"
    assert params.register_.name == name
    assert (ROOT / "examples" / name / "README.md").read_text(encoding="utf-8").startswith("# ")


def test_init_writes_the_params_of_an_example_and_keeps_what_is_there(workspace):
    shutil.copytree(ROOT / "examples", "examples")
    init = lambda *words: CliRunner().invoke(main, ["init", "--example", *words])  # noqa: E731
    assert init("digits").exit_code == 0
    told, written = Path("examples/digits/params.yaml").read_text(encoding="utf-8"), paths.PARAMS.read_text(encoding="utf-8")
    assert written.splitlines()[1:] == told.splitlines()[1:]  # the first line names the JSON Schema, by the way from there
    assert init("digits").exit_code == 0  # the same once more
    assert init("sound").exit_code == 0  # an example as it was copied is nobody's work
    paths.PARAMS.write_text(paths.PARAMS.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
    refused = init("co2")
    told = "init: params.yaml is there already; --force replaces it, and keeps the old one as params.yaml.bak\n"
    assert (refused.exit_code, refused.stderr) == (2, told)
    assert params_file.load(paths.PARAMS).data.source == "examples/sound"
    assert init("co2", "--force").exit_code == 0
    assert params_file.load(paths.PARAMS).data.source == "examples/co2"
    assert params_file.load(Path("params.yaml.bak")).seed == 8
    unknown = init("digit", "--force")
    assert unknown.exit_code == 2
    assert "no example 'digit'; examples are co2, digits" in unknown.stderr


def test_digits_are_pictures_of_every_digit():
    rows = table("digits")
    pictures = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in rows["image"]])
    assert pictures.shape == (1797, 8, 8)
    assert (pictures.min(), pictures.max()) == (0, 255)
    assert set(rows["digit"]) == set("0123456789")


def test_co2_has_every_week_and_looks_not_ahead():
    rows = table("co2")
    assert set(rows["week"].diff().dropna()) == {pd.Timedelta(days=7)}
    assert (len(rows), rows["co2"].isna().sum()) == (2284, 0)
    assert rows["week"].iloc[0] == pd.Timestamp("1958-03-29")
    assert rows["co2"].between(310, 375).all()


def test_docstrings_do_not_name_their_library():
    rows = table("docstrings")
    load = runpy.run_path(str(ROOT / "examples" / "docstrings" / "load.py"))
    assert rows["text"].is_unique
    assert rows["library"].value_counts().min() > 300
    named = re.compile(rf"\b(?:{'|'.join(load['NAMES'])})\b", re.IGNORECASE)
    assert not [text for text in rows["text"] if named.search(text)]
    words = {word for text in rows["text"] for word in re.findall(r"[a-z]+", text.lower())}
    assert not words & set(load["LIBRARIES"])


def test_sounds_are_half_a_second_of_every_kind():
    rows = table("sound")
    wave, rate = soundfile.read(io.BytesIO(rows["sound"][0]))
    assert (len(wave), rate) == (4000, 8000)
    assert set(rows["kind"].value_counts()) == {160}
