"""Which runs are meant, in what order, and in what they differ."""

import io
from dataclasses import replace

import pytest

from pipeline.config import ModelParams, TrainParams
from pipeline.errors import UserError
from pipeline.history import choosing, comparing, tables
from pipeline.tracking.reading import Found

METRICS = {"test/auc": 0.7, "test/auc/low": 0.65, "test/auc/high": 0.75, "best/validation/loss": 0.5, "baseline/linear/auc": 0.6}
PARAMS = {"train.optimizer": "adamw", "train.epochs": "60", "train.learning_rate": "0.001", "train.ema": "True"}
INPUT = {"context": "train", "name": "data", "digest": "d1", "source": "data/split/train", "profile": {"rows": 12}, "schema": None}


def found(key="aaaa1111", **changed):
    run = Found(key, "id", "data", key, "FINISHED", 0, 41_000, PARAMS, METRICS, {"family": "mlp", "python": "3.12.1"}, (INPUT,), True)
    return replace(run, **changed)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("test/auc > 0.6", True),
        ("test/auc>0.7", False),
        ("test/auc >= 0.7 and params.train.optimizer = ADAMW", True),
        ("params.train.optimizer ~ dam AND tags.family = mlp", True),
        ("params.train.optimizer != adamw", False),
        ("params.train.learning_rate = 1e-3", True),
        ("params.train.epochs < 100", True),  # as numbers, not as texts
        ("params.train.ema = true", True),
        ("tags.family = 'mlp'", True),
        ("tags.family = 'a and b'", False),
        ("tags.absent != x", False),
        ("test/f1 < 1", False),
        ("params.train.optimizer < 5", False),
        ("", True),
    ],
)
def test_a_condition_holds_or_not(text, holds):
    assert choosing.meets(found(), choosing.terms(text)) is holds


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("test/auc", "'test/auc': expected NAME OPERATOR VALUE"),
        ("test/auc > 0.7 or x = 1", "'test/auc > 0.7 or x = 1': expected NAME"),
        ("test/auc > 0.7 and", "expected NAME"),
        ("test/auc > high", "'test/auc > high': expected a number, got high"),
        ("params.a < b", "expected a number, got b"),
        ("test/auc ~ 0.7", "expected no ~ for a metric"),
    ],
)
def test_a_mistake_in_a_condition_names_the_part(text, part):
    with pytest.raises(UserError, match=f"^--where: .*{part}"):
        choosing.terms(text)


def test_names_that_no_run_has_are_told_with_the_nearest():
    choosing.require_names([("--sort", "test/auc"), ("--where", "tags.family")], [found()])
    with pytest.raises(UserError) as told:
        choosing.require_names([("--sort", "test/acu"), ("--where", "params.train.optimiser")], [found()])
    assert told.value.messages[0].startswith("--sort: none of the newest 1 runs has test/acu; nearest: test/auc")
    assert "nearest: params.train.optimizer" in told.value.messages[1]


def test_the_store_is_asked_for_a_superset():
    condition = choosing.condition(choosing.terms("test/auc > 0.7 and test/f1 < 1e-3 and params.a = x and params.b = 1 and tags.c != y"))
    assert condition == "metrics.`test/auc` > 0.7 and params.`a` ILIKE 'x' and params.`b` LIKE '%' and tags.`c` LIKE '%'"


@pytest.mark.parametrize(
    ("metric", "lower"),
    [("test/auc", False), ("test/log_loss", True), ("best/validation/loss", True), ("test/brier/high", True), ("test/r2", False)],
)  # fmt: skip
def test_the_best_comes_first_by_the_meaning_of_the_metric(metric, lower):
    assert choosing.lower_is_better(metric) is lower
    some = [found("low", metrics={metric: 1.0}), found("none", metrics={}), found("high", metrics={metric: 2.0})]
    expected = ["low", "high", "none"] if lower else ["high", "low", "none"]
    assert [run.key for run in choosing.best_first(some, metric)] == expected
    assert choosing.order(metric).endswith("ASC" if lower else "DESC")


def test_the_table_shows_params_that_differ_and_counts_the_rest():
    many = {f"p{n}": "1" for n in range(6)}
    some = [found("a", params=many), found("b", params=dict.fromkeys(many, "2")), found("c", params={})]
    grid, note = tables.table(some, now=7_200_000, width=1000)
    assert [name for name in grid.headers if name.startswith("params.")] == ["params.p0", "params.p1", "params.p2", "params.p3"]
    assert note.startswith("2 more params differ")
    assert grid.rows[0][:6] == ["a", "a", "2 h ago", "finished", "mlp", "0.700 [0.650, 0.750]"]
    narrow, note = tables.table(some, now=0, width=80)
    assert max(len("  ".join(row)) for row in narrow.rows) <= 80
    assert not [name for name in narrow.headers if name.startswith("params.")]
    assert note.startswith("6 params differ")
    assert tables.table(some[:1], now=0, width=80)[1] == ""


def test_what_differs_is_found_and_the_rest_counted():
    a = found(tags={"git.commit": "c1", "git.dirty": "true", "version.keras": "3.1"})
    b = found(
        "bbbb",
        params={**PARAMS, "train.epochs": "9", "x": "1"},
        tags={**a.tags, "version.keras": "3.2"},
        metrics={**METRICS, "test/auc": 0.8},
    )
    b = replace(b, inputs=({**INPUT, "digest": "d2"},))
    changes, equal = comparing.differences(a, b)
    assert changes == {
        "params": {"train.epochs": ("60", "9"), "x": (None, "1")},
        "code": {"git.dirty": ("true", "true")},  # whose changes may not be the same
        "data": {"train": ("d1 (12 rows)", "d2 (12 rows)")},
        "environment": {"version.keras": ("3.1", "3.2")},
        "metrics": {"test/auc": (0.7, 0.8)},
    }
    assert equal == {"params": 3, "code": 1, "data": 0, "environment": 0, "metrics": 2}
    assert comparing.plain_diff(a, b)["metrics"]["test/auc"]["inside"] is False
    assert comparing.inside(a, "test/auc", 0.75) is True
    assert comparing.inside(a, "best/validation/loss", 0.5) is None
    out = io.StringIO()
    tables.write(tables.diff(a, b), tables.console(out))
    assert "0.700" in out.getvalue()
    assert "outside A's interval" in out.getvalue()
    assert out.getvalue().endswith("equal: 3 params, 1 code, 2 metrics\n")
    assert tables.diff(found(), found())[0].title == "nothing differs"


def test_params_beyond_the_defaults_of_the_schema():
    sections = {"model": ModelParams(width=64), "train": TrainParams(learning_rate=0.01)}
    params = {f"{name}.{key}": str(v) for name, one in sections.items() for key, v in one.model_dump(mode="json", by_alias=True).items()}
    assert comparing.beyond_defaults(params) == {"model.width": ("64", "None"), "train.learning_rate": ("0.01", "0.001")}


@pytest.mark.parametrize(("minutes", "words"), [(0, "just now"), (5, "5 min ago"), (59, "59 min ago"), (60, "1 h ago"), (2879, "47 h ago")])
def test_when_is_told_in_words(minutes, words):
    assert tables.ago(0, minutes * 60_000) == words
    assert tables.ago(1_600_000_000_000, 1_700_000_000_000)[:8] == "2020-09-"


def test_a_terminal_gets_its_width_and_colours_and_a_pipe_neither(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    failed = tables.Grid("", [("FAILED [red]failed[/red]".lower() + " x" * 50,)], ("status",))
    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        tables.write([failed], tables.console(stream))
    assert pipe.getvalue().splitlines()[1] == failed.rows[0][0]  # no markup is read from what a user wrote
    assert "\x1b[31m" in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) > 2
