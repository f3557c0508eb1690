"""The page of a run from its reports: of every task, with parts missing, with any text, in a real browser."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_reports import category_column, interval, number_column, table_of, window, write
from PIL import Image

from pipeline import summary
from pipeline.run_page import page, pictures

VOID = {"meta", "br", "img", "input"}
PHONE, DESK = 390, 1440


class Read(HTMLParser):
    """A page: its text, tags, attributes, and elements that were closed wrongly or not at all."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        if tag == "img" or (tag == "svg" and found.get("role") == "img"):
            self.pictures.append(found)
        if tag not in VOID and tag not in ("path", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag in ("path", "circle"):
            return
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def made(costs: dict | None = None, began: float | None = None) -> tuple[str, Read]:
    text = page.page(summary.facts(), costs or {}, began)
    return text, Read(text)


def sound(read: Read) -> None:
    """Every element is closed, every id is there once, every link within the page has its place, every picture says what it is."""
    assert (read.wrong, read.open) == ([], [])
    assert len(set(read.ids)) == len(read.ids)
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    assert all(one.get("alt") or one.get("aria-label") for one in read.pictures)
    assert read.tags.count("h1") == 1
    assert "script" not in read.tags


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "forecast"])
def test_every_task_has_a_page_with_all_parts_that_it_has(workspace, task):
    write(task, classes=("a", "b", "c") if task == "multiclass" else ("no", "yes"), windows=[window("production-01", "decay")])
    text, read = made()
    sound(read)
    assert len(text) < 100_000
    for words in ("The flow", "Test result beside baselines", "The data at a glance", "Training", "The gate", "Production", "All reports"):
        assert words in read.text
    assert summary.result(summary.facts()) in read.text
    assert ("The sweep" in read.text, "no sweep" in read.text) == (False, True)
    assert "what production-01 tells" in read.text
    assert "test rows as evaluate had; the largest difference is 1.0e-08." in read.text
    assert ("true ↓" in read.text) == (task == "multiclass")


def test_parts_that_are_missing_are_left_out(workspace):
    write("regression", windows=[], version=None, known=False)
    Path("reports/train/network.json").unlink()
    table_of("reports/train/history.csv", [{"epoch": 0, "train/loss": 1.0, "validation/loss": 1.0}])
    read = made()[1]
    sound(read)
    assert "no rows yet" in read.text
    assert "too few rows for an interval" in read.text
    assert "packaged" in read.text  # no version without a store
    assert read.tags.count("svg") == 2  # histograms of age and target alone
    assert "Nothing was found" in read.text


NASTY = '<script>alert("1")</script>'


def test_text_of_the_data_is_shown_as_text(workspace):
    columns = {NASTY: number_column(warnings=[NASTY]), "b&b": category_column([(NASTY, 5), ("🐈 cat", 4), ("{{ 7 * 7 }}", 1)])}
    finding = {"severity": "error", "title": NASTY, "remedy": NASTY, "kind": "x", "columns": [NASTY], "details": {}}
    reasons = {"verdict": "worse", "accepted": False, "reasons": [NASTY]}
    windows = [window(NASTY, "drift", headline=NASTY)]
    write(target=NASTY, columns=columns, classes=(NASTY, "🐈"), windows=windows, findings=[finding], judgement=reasons)
    table_of("reports/evaluate/importance.csv", [{"name": NASTY, "columns": 1, "loss_increase": 0.2, "low": 0.1, "high": 0.3}])
    text, read = made()
    sound(read)
    assert "<script" not in text
    assert read.text.count(NASTY) >= 8
    assert "🐈 cat" in read.text
    assert "{{ 7 * 7 }}" in read.text
    assert "The leakage audit found 1 error" in read.text


def test_many_columns_and_classes_make_no_large_page(workspace):
    columns = {f"column {'x' * 300} {at}": number_column(counts=[1] * 24) for at in range(300)}
    classes = tuple(f"class {'y' * 100} {at}" for at in range(200))
    windows = [window(f"production-{at:03}", "ok", 0.0) for at in range(500)]
    write("multiclass", columns=columns, classes=classes, windows=windows)
    text, read = made()
    sound(read)
    assert len(text) < 300_000
    for words in ("and 188 more classes", "and 241 more in", "the newest 120 of 500"):
        assert words in read.text
    assert "class" in read.text


def test_the_sweep_is_drawn_with_its_best_trial_and_what_it_chose(workspace):
    found = [(0, "complete", 0.6), (1, "pruned", ""), (2, "complete", 0.5), (3, "failed", "")]
    trials = [{"number": n, "state": state, "value": value, "feasible": True, "model.width": 8 * (n + 1)} for n, state, value in found]
    best = {"params": {"model.width": 24}, "from": {"best_trial": 2, "objective": "loss", "value": 0.5}}
    write(trials=trials, best=best)
    table_of("reports/tune/importances.csv", [{"key": "model.width", "importance": 0.75}])
    text, read = made()
    sound(read)
    for words in ("2 complete, 1 pruned, 1 failed", "gave 0.6, trial 2 0.5", "model.width 8 24", "75%", "lower is better"):
        assert words in read.text
    assert "#sweep" in read.links
    assert text.count('<circle class="best"') == 3  # of two learning curves, and the best trial
    Path("reports/tune/index.html").write_text("x")
    assert "tune/index.html" in made()[1].links


def test_links_lead_to_what_is_there_alone(workspace):
    write(windows=[window("production-01")])
    for file in ("clean/index.html", "split/leakage.html"):
        Path("reports", file).write_text("x")
    read = made()[1]
    places = {link for link in read.links if not link.startswith(("#", "../models", "monitor/"))}
    assert places
    assert [link for link in places if not Path("reports", link).exists()] == []
    assert {"clean/index.html", "split/leakage.html", "../models/package/card.md", "monitor/production-01/report.html"} <= set(read.links)


def test_pictures_of_evaluate_are_in_the_page_once_and_small(workspace, monkeypatch):
    monkeypatch.setattr(pictures, "ROOM", 300_000)
    write()
    noise = np.random.default_rng(0).integers(0, 255, (160, 1300, 3), dtype=np.uint8)
    for name in ("confusion", "attribution", "roc"):
        Image.fromarray(noise).save(f"reports/evaluate/{name}.png")
    points = [{"fpr": at / 10, "tpr": (at / 10) ** 0.5} for at in range(11)]
    table_of("reports/evaluate/roc.csv", points)
    text, read = made()
    sound(read)
    assert len(text) < 500_000
    assert "ROC of the network on test rows" in {one.get("aria-label") for one in read.pictures}
    held = re.findall(r'src="data:image/png;base64,([^"]*)" alt="([^"]*)"', text)
    assert [alt for _, alt in held] == ["Confusion"]  # the second has no room on the page and is a link alone
    for data, _ in held:
        assert Image.open(io.BytesIO(base64.b64decode(data))).width == 1200
    assert {"evaluate/confusion.png", "evaluate/attribution.png"} <= set(read.links)
    assert "evaluate/roc.png" not in read.links  # drawn in the page's own colours instead


def test_a_worse_model_and_an_error_of_the_audit_are_not_dressed_up(workspace):
    write(findings=[{"severity": "error", "title": "The target is given away.", "remedy": "drop it"}])
    file = Path("reports/evaluate/intervals.json")
    file.write_text(file.read_text().replace(str(interval(0.1)["low"]), "-0.3").replace(str(interval(0.1)["high"]), "-0.1"))
    read = made()[1]
    assert "worse than a linear model" in read.text
    assert "1 error" in read.text
    assert "may be flattered" in read.text


@pytest.fixture
def nasty(workspace):
    """A page of everything at its largest."""
    columns = {f"column {'x' * 80} {at}": number_column(counts=range(24), warnings=["w" * 300]) for at in range(40)}
    classes = tuple(f"{'🐈' * 20} {'y' * 90} {at}" for at in range(12))
    names = ("ok", "drift", "decay", "insufficient data")
    windows = [window(f"production-{at:03}", names[at % 4], at / 100) for at in range(40)]
    windows = [window("control-01", kind="control"), *windows]
    trials = [{"number": n, "state": "complete", "value": 1 / (n + 1), "feasible": True, "model.width": 8} for n in range(40)]
    best = {"params": {"model." + "w" * 60: 24}, "from": {"best_trial": 39, "objective": "loss"}}
    finding = {"severity": "warning", "title": "t" * 500, "remedy": "r" * 500}
    write("multiclass", target="t" * 200, columns=columns, classes=classes, windows=windows, trials=trials, best=best, findings=[finding])
    rows = [{"name": name, "columns": 1, "loss_increase": 0.2, "low": 0.1, "high": 0.3} for name in columns]
    table_of("reports/evaluate/importance.csv", rows)
    made_at = workspace / "reports" / "index.html"
    made_at.write_text(made(COSTS)[0], encoding="utf-8")
    return made_at


COSTS = {"train": {"wall_seconds": 70.0}, "ended": {"train": 5.0}}
CONTRAST = """() => {
  const linear = x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = c => [.2126, .7152, .0722].reduce((sum, by, at) => sum + by * linear(c[at]), 0);
  const rgb = s => {
    const m = s.match(/[\\d.]+/g).map(Number), by = s.startsWith('color') ? 1 : 255;
    return m.length < 4 || m[3] > 0 ? m.slice(0, 3).map(x => x / by) : null;
  };
  const low = [];
  for (const e of document.querySelectorAll('h1, h2, h3, p, span, td, th, li, a, b, summary, .name, .how, .fact')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
    let at = e, ground = null;
    while (at && !(ground = rgb(getComputedStyle(at).backgroundColor))) at = at.parentElement;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground || [1, 1, 1])].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) low.push(e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 30));
  }
  return low; }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_reads_at_any_width_in_light_and_dark_and_asks_nothing(nasty, browser, width, scheme):
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    errors, asked = [], []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    opened.goto(nasty.as_uri())
    assert (errors, asked) == ([], [])
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 25, 30)")
    drawn = opened.evaluate("getComputedStyle(document.querySelector('path.validation')).stroke")
    assert drawn == ("rgb(47, 110, 168)" if scheme == "light" else "rgb(125, 178, 228)")  # charts follow the scheme
    assert opened.evaluate(CONTRAST) == []
    boxes = opened.evaluate("[...document.querySelectorAll('.flow li')].map(one => one.getBoundingClientRect().top)")
    assert len(boxes) == 10
    assert len(set(boxes)) == (10 if width == PHONE else 1)  # downwards on a phone, across on a desk
    opened.close()
