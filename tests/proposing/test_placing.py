"""Where params.yaml goes: nothing that somebody wrote is lost."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT

from pipeline import params_file, paths
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.proposing import examples, placing


@pytest.fixture
def project(workspace):
    shutil.copytree(ROOT / "examples", "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return workspace


def test_an_example_as_it_was_copied_is_replaced(project):
    shutil.copyfile(ROOT / "params.yaml", paths.PARAMS)
    assert placing.placed("seed: 1\n", force=False) is None
    assert paths.PARAMS.read_text() == "seed: 1\n"


def test_what_somebody_wrote_is_kept_unless_forced_and_then_beside(project):
    paths.PARAMS.write_text("seed: 1\n")
    with pytest.raises(UserError, match=r"params.yaml is there already; --force replaces it, and keeps the old one as params.yaml.bak$"):
        placing.placed("seed: 2\n", force=False)
    assert paths.PARAMS.read_text() == "seed: 1\n"
    assert placing.placed("seed: 1\n", force=False) is None  # the same once more
    assert placing.placed("seed: 2\n", force=True) == Path("params.yaml.bak")
    assert placing.placed("seed: 3\n", force=True) == Path("params.yaml.bak2")
    assert [Path(name).read_text() for name in ("params.yaml", "params.yaml.bak", "params.yaml.bak2")] == [
        f"seed: {n}\n" for n in (3, 1, 2)
    ]


def test_an_example_that_was_changed_is_somebodys(project):
    paths.PARAMS.write_text(examples.params("digits").replace("epochs: 40", "epochs: 41"))
    with pytest.raises(UserError, match="there already"):
        placing.check_free(force=False)


def test_every_example_is_listed_and_names_the_schema_of_the_root(project):
    told = CliRunner().invoke(main, ["init", "--list"])
    assert told.exit_code == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == examples.names()
    assert "digits       Handwritten digits: Which digit is it?" in told.stdout
    for name in examples.names():
        text = examples.params(name)
        paths.PARAMS.write_text(text)
        assert params_file.load(paths.PARAMS).data.source == f"examples/{name}"
        assert text.startswith("# yaml-language-server: $schema=schema/params.schema.json\n") or "$schema" not in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected a file or folder"),
        (["rows.csv", "--example", "digits"], "expected a file or folder"),
        (["--example", "digits", "--target", "x"], "an example has its own"),
        (["absent.csv"], "data.source: absent.csv: no such file or folder"),
        (["query.sql"], "a query needs its connection"),
        (["empty.csv"], "the file is empty"),
        (["three.csv"], "3 rows are too few: expected at least 30"),
    ],
)
def test_mistakes_end_in_one_line(project, words, told):
    Path("query.sql").write_text("select 1")
    Path("empty.csv").write_text("")
    Path("three.csv").write_text("a,b\n1,x\n2,y\n3,x\n")
    done = CliRunner().invoke(main, ["init", *words])
    assert done.exit_code == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not paths.PARAMS.exists()
