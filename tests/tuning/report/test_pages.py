"""The pages of a sweep: what they say, what they draw, and that they are whole, small and always the same."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.tuning.report import figures, pages, words
from pipeline.tuning.results import COMPLETE, FAILED, PRUNED, Sweep, Trial

VOID = {"meta", "br"}


class Page(HTMLParser):
    """A page: its text, tags and attributes, figures by id, and elements that were closed wrongly or not at all."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.tags, self.attributes, self.ids, self.figures, self.scripts = [], [], [], [], set(), {}, []
        self.words, self.rows, self.reading = [], [], None
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids |= {found["id"]} if "id" in found else set()
        self.reading = found.get("data-figure") or found.get("id") if tag == "script" else self.reading
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.wrong.append(tag)
        self.reading = None if tag == "script" else self.reading

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
            if self.reading:
                self.figures[self.reading] = json.loads(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)
            if self.rows and {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data

    def trace(self, figure, name):
        """The first trace of that name."""
        return next(trace for trace in self.figures[figure]["data"] if trace.get("name") == name)

    def names(self, figure):
        return [trace.get("name") for trace in self.figures[figure]["data"] if trace.get("showlegend", True)]


def trial(number, value=None, state=COMPLETE, *, curve=(), **more):
    """A trial; params a and b unless given."""
    values = () if value is None else value if isinstance(value, tuple) else (value,)
    given = {"params": {"a": number / 10, "b": "x"}, "epochs": len(curve), **more}
    return Trial(number, state, values=values, curve=dict(enumerate(curve)), **given)


def sweep(*trials, best=None, objectives=("loss",), lower=(True,), **more):
    return Sweep("0" * 64, "shop", objectives, lower, trials, best, **more)


SMALL = sweep(
    trial(0, 0.5, curve=[0.7, 0.5], params={"train.learning_rate": 0.001, "model.family": "mlp", "train.ema": False}),
    trial(1, state=PRUNED, curve=[0.9], params={"train.learning_rate": 0.1, "model.family": "cnn", "train.ema": True}, reason="median"),
    trial(2, 0.4, curve=[0.6, 0.4], params={"train.learning_rate": 0.002, "model.family": "mlp", "train.ema": False}),
    trial(3, state=FAILED, params={"train.learning_rate": 0.5, "model.family": "mlp", "train.ema": True}, reason="loss is nan"),
    trial(
        4, 0.45, curve=[0.5, 0.45], params={"train.learning_rate": 0.01, "model.family": "rnn", "train.ema": False, "model.width[1]": 64}
    ),
    best=2,
    importances={"model.family": 0.2, "train.learning_rate": 0.8},
    logarithmic=("train.learning_rate",),
    details={"sampler": "TPESampler", "pruner": "HyperbandPruner", "workers": 1, "minutes": None},
)


@pytest.fixture
def page(tmp_path):
    """Write a sweep's page and read it back."""

    def made(given):
        pages.write(given, tmp_path / "index.html")
        return Page((tmp_path / "index.html").read_text(encoding="utf-8"))

    return made


@pytest.fixture
def clock(tmp_path):
    """Write a sweep's timeline and read it back."""

    def made(given):
        pages.timeline(given, tmp_path / "timeline.html")
        return Page((tmp_path / "timeline.html").read_text(encoding="utf-8"))

    return made


def large(count=1000, epochs=60):
    """A sweep of a thousand trials with long curves and conditional keys."""
    rng = random.Random(0)
    trials = []
    for number in range(count):
        layers = rng.randint(1, 3)
        params = {"train.learning_rate": 10 ** rng.uniform(-5, -1), "model.dropout": rng.random() / 2, "model.layers": layers}
        params |= {f"model.width[{k}]": rng.choice([64, 128, 256]) for k in range(layers)}
        values = [rng.random() for _ in range(epochs)]
        state = PRUNED if number % 3 == 1 else COMPLETE
        trials.append(trial(number, min(values) if state == COMPLETE else None, state, curve=values, params=params, reason="median"))
    best = min((t for t in trials if t.values), key=lambda t: t.values[0]).number
    return sweep(*trials, best=best, epochs=epochs, logarithmic=("train.learning_rate",))


# what is said


def test_headline_compares_the_best_trial_with_params_yaml():
    assert words.headline(SMALL) == "Trial 2 of 5 is best: validation loss 0.4, 20% less than the 0.5 of trial 0 (params.yaml)."
    higher = sweep(trial(0, 0.5), trial(1, 0.6), best=1, objectives=("auc",), lower=(False,))
    assert words.headline(higher) == "Trial 1 of 2 is best: validation AUC 0.6, 20% more than the 0.5 of trial 0 (params.yaml)."
    negative = sweep(trial(0, -0.5), trial(1, 0.25), best=1, objectives=("r2",), lower=(False,))
    assert "validation R² 0.25, 0.75 more than the -0.5 of trial 0" in words.headline(negative)


def test_headline_says_when_params_yaml_won_or_did_not_end():
    won = replace(SMALL, best=0, trials=(SMALL.trials[0], trial(2, 0.6), trial(4, 0.55), trial(5, 0.1, feasible=False)))
    assert words.headline(won) == "params.yaml itself (trial 0) is best of 4 trials: validation loss 0.5; the next is trial 4 with 0.55."
    assert words.headline(sweep(trial(0, 0.5), best=0)) == "params.yaml itself (trial 0) is best of 1 trial: validation loss 0.5."
    assert words.headline(sweep(trial(0, state=PRUNED), trial(1, 0.5), best=1)).endswith("0.5; trial 0 (params.yaml) was pruned.")
    assert words.headline(sweep(trial(0, state=FAILED), trial(1, 0.5), best=1)).endswith("0.5; trial 0 (params.yaml) failed.")
    assert words.headline(sweep(trial(1, 0.5), best=1)).endswith("0.5; trial 0 (params.yaml) has not ended.")
    assert words.headline(sweep(trial(0, 0.4, feasible=False), trial(1, 0.5), best=1)).endswith("; trial 0 breaks a constraint.")


def test_headline_without_a_best_trial():
    assert words.headline(sweep()) == "No trial has ended yet."
    assert words.headline(sweep(trial(0, state=FAILED))) == "No trial came to an end, so none is best."
    assert words.headline(sweep(trial(0, 0.5, feasible=False))) == "None of the 1 trials that came to an end keeps the constraints."


def test_headline_of_two_objectives_compares_each():
    both = sweep(trial(0, (0.5, 2.0)), trial(1, (0.4, 3.0)), best=1, objectives=("loss", "latency"), lower=(True, True), front=(0, 1))
    assert words.headline(both) == (
        "Trial 1 of 2 leads the Pareto front: validation loss 0.4, 20% less than the 0.5 of trial 0 (params.yaml); "
        "latency 3 ms, 50% more than the 2 ms."
    )
    assert "2 trials on the Pareto front." in words.counts(both)


def test_counts_tell_states_and_epochs():
    assert words.counts(SMALL) == "5 trials: 3 complete, 1 pruned, 1 failed. 7 epochs trained; pruning saved some 1 (12%)."
    broken = sweep(trial(0, 0.5, curve=[1.0]), trial(1, 0.4, curve=[1.0], feasible=False))
    assert words.counts(broken) == "2 trials: 2 complete, 0 pruned, 0 failed (1 of the complete ones break a constraint). 2 epochs trained."


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({}, None),
        ({"workers": 1, "minutes": None}, None),
        ({"workers": 4}, "Since trials ran side by side, "),
        ({"minutes": 30}, "Since the minutes were limited, "),
        ({"workers": 2, "minutes": 0.5}, "Since trials ran side by side and the minutes were limited, "),
    ],
)
def test_caution_names_test_rows_and_what_can_be_repeated(details, why):
    said = words.caution(replace(SMALL, details=details))
    assert "evaluate on test" in said[0]
    assert len(said) == (1 if why is None else 2)
    if why is not None:
        assert said[1].startswith(why)
        assert "best.yaml" in said[1]
    assert words.caution(sweep(trial(0, 0.5), best=0)) == []  # nothing was chosen


def test_failures_are_grouped_by_reason_the_most_frequent_first(page):
    failed = [trial(k, state=FAILED, reason="out of memory" if k % 5 else "nan") for k in range(1, 21)]
    given = sweep(trial(0, 0.5), *failed, trial(21, state=FAILED), best=0)
    assert words.failures(given) == [
        ("out of memory", "trials 1, 2, 3, 4, 6, 7, 8, 9, 11, 12 and 6 more"),
        ("nan", "trials 5, 10, 15, 20"),
        ("no reason given", "trial 21"),
    ]
    text = page(given).text
    assert text.index("21 failed:") < text.index("out of memory") < text.index("History")


def test_best_stands_beside_params_yaml_and_changes_are_marked(page):
    found = page(replace(SMALL, trials=(*SMALL.trials[:4], replace(SMALL.trials[4], measured={"auc": 0.75}, values=(0.3,))), best=4))
    assert ["train.learning_rate", "0.001", "0.01"] in found.rows
    assert ["train.ema", "false", "false"] in found.rows
    assert ["model.width[1]", "not used", "64"] in found.rows
    assert ["auc", "–", "0.75"] in found.rows
    assert [value for tag, name, value in found.attributes if (tag, name) == ("tr", "class")].count("changed") == 3
    alone = page(replace(SMALL, best=0))
    assert ["model.family", "mlp"] in alone.rows
    assert "changed" not in [value for _, name, value in alone.attributes if name == "class"]


# what is drawn


def test_history_shows_values_best_so_far_pruned_and_failed(page):
    found = page(SMALL)
    so_far = found.trace("history-0", "best so far")
    assert (so_far["x"], so_far["y"]) == ([0, 2, 4, 4], [0.5, 0.4, 0.4, 0.4])
    complete, pruned, failed = (found.trace("history-0", name) for name in ("complete", "pruned (last value)", "failed"))
    assert (complete["x"], complete["y"], complete["customdata"]) == ([4], [0.45], [4])
    assert (pruned["x"], pruned["y"], pruned["marker"]["symbol"]) == ([1], [0.9], "circle-open")
    assert (failed["x"], failed["yaxis"]) == ([3], "y2")
    assert found.trace("history-0", "best")["customdata"] == [2]
    assert found.trace("history-0", "params.yaml")["customdata"] == [0]
    low, high = found.figures["history-0"]["layout"]["yaxis"]["range"]
    assert low < 0.4 < 0.9 < high


def test_best_so_far_rises_where_more_is_better_and_skips_what_breaks_a_constraint(page):
    given = [trial(0, 0.5), trial(1, 0.9, feasible=False), trial(2, 0.4), trial(3, 0.6)]
    found = page(sweep(*given, best=3, objectives=("auc",), lower=(False,)))
    assert found.trace("history-0", "best so far")["y"] == [0.5, 0.5, 0.6, 0.6]
    assert found.trace("history-0", "breaks a constraint")["marker"]["symbol"] == "circle-x-open"


def test_every_point_finds_the_params_of_its_trial(page):
    found = page(SMALL)
    assert found.figures["hovers"]["4"] == (
        "<b>trial 4</b> complete<br>validation loss 0.45<br>train.learning_rate 0.01<br>model.family rnn<br>"
        "train.ema false<br>model.width[1] 64"
    )
    assert found.figures["hovers"]["1"].endswith(
        "last validation loss 0.9<br>train.learning_rate 0.1<br>model.family cnn<br>train.ema true<br>median"
    )
    numbers = {n for figure in found.figures.values() for trace in figure.get("data", []) for n in trace.get("customdata", [])}
    assert {str(n) for n in numbers if n is not None} == set(found.figures["hovers"])


def test_far_worse_values_stand_as_triangles_at_the_edge(page):
    given = [trial(k, 0.4 + k / 1000) for k in range(20)] + [trial(20, 1e6), trial(21, state=PRUNED, curve=[500.0])]
    found = page(sweep(*given, best=0))
    low, high = found.figures["history-0"]["layout"]["yaxis"]["range"]
    assert 0.39 < low < high < 1
    out = next(t for t in found.figures["history-0"]["data"] if t.get("customdata") == [20])
    assert out["marker"]["symbol"] == "triangle-up"
    assert low < out["y"][0] < high
    assert found.trace("history-0", "pruned (last value)")["marker"]["symbol"] == "triangle-up-open"
    assert "2 far worse values stand as triangles at the edge." in found.text


def test_curves_start_at_epoch_one_and_keep_states_apart(page):
    found = page(SMALL)
    best, pruned, complete = (found.trace("curves", name) for name in ("best", "pruned", "complete"))
    assert (best["x"], best["y"], best["customdata"]) == ([1, 2], [0.6, 0.4], [2, 2])
    assert (pruned["x"], pruned["y"], pruned["mode"]) == ([1], [0.9], "lines+markers")
    assert best["line"]["width"] > complete["line"]["width"]
    assert pruned["opacity"] < complete["opacity"] < best["opacity"]
    assert found.figures["curves"]["layout"]["xaxis"]["title"]["text"] == "epoch"
    two = page(replace(SMALL, trials=(*SMALL.trials, replace(SMALL.trials[4], number=5)))).trace("curves", "complete")
    assert two["y"] == [0.5, 0.45, None, 0.5, 0.45]


def test_curves_over_folds_are_called_so(page):
    found = page(replace(SMALL, folds=True)).figures["curves"]
    assert found["layout"]["xaxis"]["title"]["text"] == "fold"
    assert all(trace["hovertemplate"].startswith("fold ") for trace in found["data"])


def test_importances_are_bars_or_a_sentence(page):
    found = page(SMALL)
    (bars,) = found.figures["importances"]["data"]
    assert (bars["x"], bars["text"]) == ([0.2, 0.8], ["20%", "80%"])
    assert found.figures["importances"]["layout"]["yaxis"]["ticktext"] == ["model.family", "train.learning_rate"]
    without = page(replace(SMALL, importances={}))
    assert "importances" not in without.figures
    assert "Too few trials ended to say how much each key matters." in without.text


def test_parallel_coordinates_hold_complete_trials_on_fitting_scales(page):
    (lines,) = page(SMALL).figures["parallel"]["data"]
    labels = [d["label"] for d in lines["dimensions"]]
    assert labels == ["validation<br>loss", "train.<br>learning_rate", "model.<br>family", "train.<br>ema", "model.<br>width[1]"]
    loss, rate, family, ema, width = lines["dimensions"]
    assert loss["values"] == [0.5, 0.4, 0.45]
    assert rate["values"] == pytest.approx([-3, math.log10(0.002), -2], abs=1e-5)
    assert dict(zip(rate["tickvals"], rate["ticktext"], strict=True)) == {-3: "0.001", -2: "0.01", -1: "0.1"}
    assert (family["ticktext"], family["values"]) == (["cnn", "mlp", "rnn"], [1, 1, 2])
    assert (ema["ticktext"], ema["values"]) == (["false", "true"], [0, 0, 0])
    assert (width["ticktext"], width["values"]) == (["not used", "64"], [0, 0, 1])
    assert lines["line"]["color"] == [0, 1, 0.5]  # the best drawn last


def test_the_best_in_parallel_coordinates_keeps_the_constraints(page):
    given = [trial(0, 0.5), trial(1, 0.1, feasible=False), trial(2, 0.4)]
    assert page(sweep(*given, best=2)).figures["parallel"]["data"][0]["line"]["color"] == [0.5, 0, 1]


def test_slices_show_the_value_over_each_key_that_differs(page):
    given = replace(SMALL, trials=tuple(replace(t, params={**t.params, "train.epochs": 60}) for t in SMALL.trials))
    found = page(given)
    titles = [found.figures[f"slice-0-{k}"]["layout"]["title"]["text"] for k in range(4)]
    assert titles == ["train.learning_rate (log)", "model.family", "train.ema", "model.width[1]"]  # the most important first
    assert "slice-0-4" not in found.figures
    assert "The same in all trials: train.epochs." in found.text
    rate = {n: (x, y) for t in found.figures["slice-0-0"]["data"] for n, x, y in zip(t["customdata"], t["x"], t["y"], strict=True)}
    assert rate[4] == pytest.approx((-2, 0.45))
    assert rate[1] == pytest.approx((-1, 0.9))
    assert 3 not in rate
    family = {n: x for t in found.figures["slice-0-1"]["data"] for n, x in zip(t["customdata"], t["x"], strict=True)}
    assert {n: round(x) for n, x in family.items()} == {0: 1, 1: 0, 2: 1, 4: 2}


def objectives(count):
    values = [(0.5, 3.0, 0.7), (0.4, 5.0, 0.8), (0.6, 2.0, 0.6), (0.6, 4.0, 0.6), (0.3, 9.0, 0.9)]
    trials = [trial(k, v[:count], feasible=k != 4) for k, v in enumerate(values)]
    names, lower = ("loss", "latency", "auc")[:count], (True, True, False)[:count]
    return sweep(*trials, trial(5, state=PRUNED, curve=[0.8]), best=1, objectives=names, lower=lower, front=(0, 1, 2))


def test_pareto_front_is_joined_dominated_dim_infeasible_crossed(page):
    found = page(objectives(2))
    data = found.figures["front-0-1"]["data"]
    assert (data[0]["x"], data[0]["y"], data[0]["line"]["shape"]) == ([0.4, 0.5, 0.6], [5, 3, 2], "hv")
    assert found.trace("front-0-1", "dominated")["customdata"] == [3]
    assert found.trace("front-0-1", "on the front")["customdata"] == [2]
    assert found.trace("front-0-1", "breaks a constraint")["marker"]["symbol"] == "circle-x-open"
    assert found.trace("front-0-1", "dominated")["marker"]["opacity"] < found.trace("front-0-1", "on the front")["marker"]["opacity"]
    assert {"history-0", "history-1", "slice-0-0", "slice-1-0"} <= set(found.figures)
    assert "pruned (last value)" not in found.names("history-1")  # a curve is of the first objective


def test_latency_stands_in_milliseconds(page):
    given = objectives(2)
    assert words.headline(replace(given, best=4)).endswith("; latency 9 ms, 200% more than the 3 ms.")
    slow = replace(given, trials=(given.trials[0], trial(1, (0.4, 45.0))))
    assert words.headline(slow).endswith("; latency 45 ms, 42 ms more than the 3 ms.")
    alone = sweep(trial(0, 3.0, measured={"latency": 3.0, "auc": 0.7}), trial(1, 4.0), best=0, objectives=("latency",))
    assert words.headline(alone) == "params.yaml itself (trial 0) is best of 2 trials: latency 3 ms; the next is trial 1 with 4 ms."
    assert {("latency", "3 ms"), ("auc", "0.7")} <= {tuple(row) for row in page(alone).rows}
    found = page(given)
    assert "<br>validation loss 0.4<br>latency 5 ms<br>" in found.figures["hovers"]["1"]
    axes = {
        (name, axis): found.figures[name]["layout"][axis] for name in ("history-1", "slice-1-0", "front-0-1") for axis in ("xaxis", "yaxis")
    }
    assert [at for at, axis in axes.items() if axis.get("ticksuffix") == " ms"] == [
        (name, "yaxis") for name in ("history-1", "slice-1-0", "front-0-1")
    ]
    loss, latency = found.figures["parallel"]["data"][0]["dimensions"][:2]
    assert latency["ticktext"] == ["2 ms", "4 ms", "6 ms", "8 ms"]
    assert not any("ms" in text for text in loss["ticktext"])
    assert found.rows[found.rows.index(["trial", "state", "validation loss ↓", "latency ↓", "epochs", "a", "b", "reason"]) + 1][2:4] == [
        "0.4",
        "5 ms",
    ]
    assert ("td", "data-by", "5.0") in found.attributes


def test_three_objectives_are_shown_in_pairs(page):
    found = page(objectives(3))
    assert {name for name in found.figures if name.startswith("front")} == {"front-0-1", "front-0-2", "front-1-2"}
    assert found.figures["front-1-2"]["layout"]["xaxis"]["title"]["text"] == "latency ↓"
    assert found.figures["front-1-2"]["layout"]["yaxis"]["title"]["text"] == "validation AUC ↑"
    assert page(SMALL).figures.keys() & {"front-0-1"} == set()


def test_table_lists_trials_from_the_best(page):
    found = page(SMALL)
    header = found.rows.index(["trial", "state", "validation loss ↓", "epochs", *SMALL.trials[4].params, "reason"])
    assert [row[0] for row in found.rows[header + 1 :]] == ["2", "4", "0", "1", "3"]
    assert found.rows[header + 1][:4] == ["2", "complete, best", "0.4", "2"]
    assert found.rows[header + 4] == ["1", "pruned", "–", "1", "0.1", "cnn", "true", "–", "median"]
    by = [value for tag, name, value in found.attributes if (tag, name) == ("td", "data-by")]
    assert "0.002" in by
    assert len(by) == 5 + 3 + 5 + 5 + 1  # numbers, values, epochs, rates, a width; booleans sort as text
    assert found.tags.count("button") == len(found.rows[header])


def test_table_of_many_trials_keeps_the_best_500(page):
    given = sweep(*(trial(k, 1 - k / 1000) for k in range(620)), best=619)
    found = page(given)
    header = found.rows.index(["trial", "state", "validation loss ↓", "epochs", "a", "b", "reason"])
    assert [int(row[0]) for row in found.rows[header + 1 :]] == list(range(619, 119, -1))
    assert "The best 500; trials.csv has the other 120, too." in found.text
    assert "trials.csv has" not in page(replace(given, trials=given.trials[:500], best=499)).text


# the page as a file


def test_same_sweep_same_bytes_whenever_and_wherever_it_ran(tmp_path):
    moved = [replace(t, started=1e9 + t.number, ended=1.1e9 + t.number, worker=f"machine-{t.number}") for t in SMALL.trials]
    pages.write(SMALL, tmp_path / "a.html")
    pages.write(SMALL, tmp_path / "b.html")
    pages.write(replace(SMALL, trials=tuple(moved)), tmp_path / "c.html")
    first = (tmp_path / "a.html").read_bytes()
    assert (tmp_path / "b.html").read_bytes() == first
    assert (tmp_path / "c.html").read_bytes() == first
    pages.write(replace(SMALL, best=4), tmp_path / "d.html")
    assert (tmp_path / "d.html").read_bytes() != first


def test_pages_ask_no_host_for_anything_and_carry_plotly_once(page, clock):
    timed = replace(SMALL, trials=tuple(replace(t, started=10.0 + t.number, ended=12.0 + t.number, worker="1") for t in SMALL.trials))
    for found in (page(timed), clock(timed)):
        loaded = [(tag, name, value) for tag, name, value in found.attributes if name in ("src", "href", "srcset", "data", "action")]
        assert [value for _, _, value in loaded if value != "trials.csv"] == []
        assert not {"link", "img", "iframe", "object", "embed", "base"} & set(found.tags)
        assert sum("plotly.js v" in script for script in found.scripts) == 1
        (policy,) = [value for tag, name, value in found.attributes if tag == "meta" and name == "content" and "default-src" in value]
        assert policy.startswith("default-src 'none';")
        assert "http" not in policy
        ours = [script for script in found.scripts if "plotly.js v" not in script]
        assert not [script for script in ours if re.search(r"https?://|fetch\(|XMLHttpRequest|\bimport\b", script)]


def test_names_and_values_with_markup_stay_text(page):
    evil = "<script>alert(1)</script>"
    params = [{f"a{evil}": f"</script>{k % 2}", "n&lt;": k} for k in range(4)]
    given = [trial(k, 0.5 + k / 10, params=p, reason=evil, curve=[0.5]) for k, p in enumerate(params)]
    failed = trial(4, state=FAILED, reason=evil, params=params[0])
    given = sweep(*given, failed, best=1, details={evil: evil}, importances={f"a{evil}": 1.0})
    found = page(replace(given, source=evil))
    assert (found.wrong, found.open) == ([], [])
    assert found.tags.count("script") == len(found.scripts)
    assert not [script for script in found.scripts if script.startswith("alert")]
    assert f"1 failed: {evil} (trial 4)" in found.text
    assert found.figures["slice-0-0"]["layout"]["title"]["text"] == "a&lt;script&gt;alert(1)&lt;/script&gt;"
    assert found.figures["slice-0-0"]["layout"]["xaxis"]["ticktext"] == ["&lt;/script&gt;0", "&lt;/script&gt;1"]
    assert found.figures["parallel"]["data"][0]["dimensions"][1]["ticktext"] == ["</script>0", "</script>1"]  # drawn as they are
    assert "<script" not in found.figures["hovers"]["0"]


EDGES = {
    "no trial": sweep(),
    "one trial": sweep(trial(0, 0.5, curve=[0.5]), best=0),
    "all pruned but trial 0": sweep(trial(0, 0.5), *(trial(k, state=PRUNED, curve=[0.9] * k) for k in range(9)[1:]), best=0),
    "pruned without a curve": sweep(trial(0, 0.5), trial(1, state=PRUNED), best=0),
    "all failed but trial 0": sweep(trial(0, 0.5), *(trial(k, state=FAILED, reason=f"r{k}") for k in range(1, 15)), best=0),
    "all failed": sweep(*(trial(k, state=FAILED) for k in range(3))),
    "none keeps the constraints": sweep(trial(0, 0.5, feasible=False), trial(1, 0.4, feasible=False)),
    "nulls, booleans and texts": sweep(
        *(
            trial(k, 0.5 + k, params={"a": None if k % 2 else 3, "b": k % 3 == 0, "c": ["x", None, True][k % 3], "d": None})
            for k in range(9)
        ),
        best=0,
    ),
    "lists of widths": sweep(*(trial(k, 0.5 + k, params={f"model.width[{i}]": 64 * k for i in range(k)}) for k in range(5)), best=0),
    "extreme": sweep(
        *(trial(k, 10.0 ** (k - 9), params={"a": 10.0 ** (k - 9)}, curve=[1e6, 1e-9]) for k in range(16)), best=0, logarithmic=("a",)
    ),
    "logarithms of little": sweep(
        *(trial(k, 0.5 + k, params={"a": 0.1, "b": 1 + k / 1000} if k else {"b": 1.5}) for k in range(9)), best=0, logarithmic=("a", "b")
    ),
    "not finite": sweep(*(trial(k, math.nan if k == 1 else -1.0, curve=[math.nan, math.inf, 1.0]) for k in range(9)), best=0),
    "values all equal": sweep(*(trial(k, 0.0, curve=[0.0, 0.0]) for k in range(9)), best=0),
    "no params": sweep(*(trial(k, 0.5 + k, params={}) for k in range(3)), best=0),
    "trial 0 still runs": sweep(trial(1, 0.5), trial(3, 0.6), best=1),
}


@pytest.mark.parametrize("name", EDGES)
def test_unusual_sweeps_give_whole_pages(page, clock, name):
    found = page(EDGES[name])
    assert (found.wrong, found.open) == ([], [])
    drawn = {value for _, attribute, value in found.attributes if attribute == "data-figure"}
    assert drawn <= found.ids
    for figure in drawn:
        layout, data = found.figures[figure]["layout"], found.figures[figure]["data"]
        ranges = [axis["range"] for key, axis in layout.items() if key.startswith(("xaxis", "yaxis")) and "range" in axis]
        assert all(None not in ends and ends[0] < ends[1] for ends in ranges)
        assert data
    assert words.headline(EDGES[name]) in found.text
    assert ("history-0" in drawn) == (name not in ("no trial", "all failed"))
    assert ("slice-0-0" in drawn) == (
        name not in ("no trial", "one trial", "all failed", "all failed but trial 0", "no params", "pruned without a curve")
    )
    timed = clock(EDGES[name])
    assert (timed.wrong, timed.open) == ([], [])


def test_a_thousand_trials_make_a_small_page(page, tmp_path):
    given = large()
    found = page(given)
    assert (tmp_path / "index.html").stat().st_size < 8_000_000
    points = sum(value is not None for trace in found.figures["curves"]["data"] for value in trace["y"])
    assert 20_000 < points <= figures.POINTS
    best = found.trace("curves", "best")
    assert (best["x"][0], best["x"][-1]) == (1, 60)
    assert best["y"][-1] == pytest.approx(given.of(given.best).curve[59], rel=1e-5)
    assert len(found.figures["hovers"]) == 1000


# the clock


def test_timeline_has_a_row_a_worker_and_a_bar_a_trial(clock):
    times = [("b", 100.0, 110.0), ("a", 100.0, 130.0), ("b", 110.0, 120.0), ("a", 130.0, 131.0)]
    trials = [replace(t, worker=w, started=s, ended=e) for t, (w, s, e) in zip(SMALL.trials, times, strict=False)]
    found = clock(replace(SMALL, trials=(*trials, SMALL.trials[4])))
    figure = found.figures["timeline"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["b", "a"]
    complete, pruned, failed = (found.trace("timeline", state) for state in (COMPLETE, PRUNED, FAILED))
    assert (complete["base"], complete["x"], complete["y"], complete["customdata"]) == ([0, 10], [10, 10], [0, 0], [0, 2])
    assert (pruned["base"], pruned["x"], pruned["y"]) == ([0], [30], [1])
    assert (failed["base"], failed["x"], failed["y"]) == ([30], [1], [1])
    assert len({t["marker"]["color"] for t in (complete, pruned, failed)}) == 3
    assert "4 trials on 2 workers: 31 s in all, 10 s a trial (median); workers were busy 82% of the time." in found.text
    assert "The first trial began 1970-01-01 00:01:40 UTC." in found.text
    assert "Of 1 trial no times are known." in found.text


def test_timeline_cuts_out_the_time_between_a_kill_and_its_resumption(clock):
    begun = [0.0, 10.0, 86400.0, 86410.0]
    trials = [replace(trial(k, 0.5), worker="0", started=1e9 + s, ended=1e9 + s + 10) for k, s in enumerate(begun)]
    found = clock(sweep(*trials, best=0))
    assert found.trace("timeline", COMPLETE)["base"] == [0, 10, 20, 30]
    assert found.figures["timeline"]["layout"]["yaxis"]["ticktext"] == ["worker 0"]
    assert "4 trials on 1 worker: 40 s in all, 10 s a trial (median); workers were busy 100% of the time." in found.text
    assert "Left out: 1 pause in which no trial ran, 86,380 s (24.0 hours)" in found.text
    assert [shape["x0"] for shape in found.figures["timeline"]["layout"]["shapes"]] == [20]


def test_timeline_counts_long_sweeps_in_hours(clock):
    trials = [replace(trial(k, 0.5), worker="w", started=1e9 + 7200 * k, ended=1e9 + 7200 * (k + 1)) for k in range(4)]
    found = clock(sweep(*trials, best=0))
    assert found.figures["timeline"]["layout"]["xaxis"]["title"]["text"] == "hours"
    assert found.trace("timeline", COMPLETE)["x"] == [2, 2, 2, 2]
    assert "28,800 s (8.0 hours) in all, 7,200 s (2.0 hours) a trial" in found.text
