"""The page of the monitoring: what it says, what it leaves out, and how it reads in a browser."""

from __future__ import annotations

import copy
import math
import re
from html.parser import HTMLParser

import pytest

from pipeline.monitoring import page, page_figures

PHONE, DESK = 390, 1280
HOSTILE = "\"><script>alert(1)</script>&\\\n</title>'{{ 7 * 7 }}"
VOID = {"meta", "link", "br"}
BINS = 14


def measure(column="age", *, aspect="values", observed=0.31, threshold=0.12, drifted=True, harmful=True, importance=0.012):
    found = {"column": column, "aspect": aspect, "observed": observed, "threshold": threshold}
    return found | {"drifted": drifted, "harmful": harmful, "importance": importance}


def histogram(column, shift):
    before, now = ([math.exp(-((at - centre) ** 2) / 8) for at in range(BINS)] for centre in (6, 6 + shift))
    edges = [20 + 3.5 * at for at in range(BINS + 1)]
    return {
        "column": column,
        "kind": "number",
        "edges": edges,
        "before": [s / sum(before) for s in before],
        "now": [s / sum(now) for s in now],
    }


def window(at, state="ok", *, kind="production", columns=12):
    """A window as the stage tells of it: its measures, and what goes with its state."""
    drifted, decayed = state in ("drift", "decay"), state == "decay"
    measures = (
        [measure("plan", observed=0.66, threshold=0.08), measure("income", observed=41.2, threshold=0.2, importance=None)]
        if drifted
        else []
    )
    measures += [measure("region", harmful=False, observed=0.2, importance=0.0)] if drifted else []
    measures += [measure(f"column {n}", observed=0.01 * n, drifted=False) for n in range(columns)]
    figures = {"value": 0.61, "low": 0.57, "high": 0.65} if decayed else {"value": 0.7 + 0.01 * math.sin(at), "low": 0.66, "high": 0.74}
    month = f"20{12 + at // 12}-{at % 12 + 1:02d}"
    rows = {"rows": 1000, "groups": 250, "sampled": 1000, "refused": 0, "unread": 0, "labelled": 980}
    loss = {"difference": 0.08, "lower": 0.05, "upper": 0.11} if decayed else {"difference": 0.005, "lower": -0.02, "upper": 0.03}
    loss |= {"reference_loss": 0.57, "minimum_difference": 0.03, "labelled_rows": 980, "labelled_groups": 240}
    found = {
        "window": f"{kind}-{at:02d}", "kind": kind, "start": f"{month}-02T00:00:00Z", "end": f"{month}-09T00:00:00Z", **rows,
        "state": state, "alarm": drifted, "drift": drifted, "decayed": decayed, "reason": "", "headline": "nothing changed that matters",
        "sentences": [], "measures": measures, "decay": {"decayed": decayed, **loss}, "performance": {"metric": "auc", **figures},
        "estimate": None, "breaks": [], "pictures": [], "previous": None, "report": f"{kind}-{at:02d}/report.html",
    }  # fmt: skip
    if drifted:
        found["headline"] = "any_visit falls from 71% to 55%: plan is always 95% (was 0 to 50%)"
        found["sentences"] = [
            "income is about 1,000 times what it was",
            "plan is always 95% (was 0 to 50%)",
            "two thirds of the fall come from the new mix of plan",
        ]
        found["breaks"] = [{"kind": "unit change", "columns": ["income"], "sentence": "income is about 1,000 times what it was"}]
        categories = {
            "column": "plan",
            "kind": "category",
            "names": ["free", "25%", "50%", "95%", "deductible"],
            "before": [0.5, 0.2, 0.2, 0, 0.1],
            "now": [0, 0, 0, 1, 0],
        }
        found["pictures"] = [categories, histogram("income", 5), histogram("age", 1)]
        found["previous"] = {
            "window": f"{kind}-{at - 1:02d}",
            "sentence": "age and plan drift against the window before",
            "drifted": ["age", "plan"],
        }
        found["estimate"] = {
            "metric": "auc",
            "value": 0.66,
            "low": 0.62,
            "high": 0.7,
            "sentence": "AUC is estimated at 0.66 [0.62, 0.70] without labels",
        }
    return found


def summary(windows, **other):
    newest = next((w for w in reversed(windows) if w["kind"] == "production"), None)
    state = newest and newest["state"]
    since = next((w["window"] for w in windows if w["kind"] == "production" and w["state"] == state), None)
    why = "the loss has risen by 14% since production-02, and 4,800 labelled rows are there"
    figures = {"metric": "auc", "value": 0.707, "low": 0.66, "high": 0.75, "higher_is_better": True}
    return {
        "model": {"name": "rand_health", "version": "4", "run": "3f2a9c1b"},
        "source": "production split", "every": "1000 rows", "false_alarm_rate": 0.05,
        "minimum_effect": 0.1, "minimum_decay": 0.04, "shift": 0.5, "alarm": {"windows": 1, "of": 1},
        "reference": {"rows": 6040, "groups": 830, "loss": 0.57, "loss_name": "log loss", **figures},
        "rows": {"production": {"judged": 6000, "there": 6000, "refused": 0}},
        "measured": {"rate": 0.032, "low": 0.02, "high": 0.05, "windows": 500, "rows": 1000, "power": 0.97, "rows_needed": 180},
        "state": state, "since": since, "alarmed": state in ("drift", "decay"),
        "retrain": {"suggested": state == "decay", "from": "production-02", "to": "production-06", "rows": 4800, "why": why},
        "windows": windows, **other,
    }  # fmt: skip


def six():
    states = ("ok", "insufficient data", "drift", "drift", "decay", "decay")
    return summary([window(0, kind="control"), *(window(at + 1, state) for at, state in enumerate(states))])


class Reader(HTMLParser):
    """Words of a page, its ids and links, which tags it has, and which it leaves open."""

    def __init__(self, html):
        super().__init__()
        self.words, self.ids, self.links, self.tags, self.open = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.open += [tag] if tag not in {*VOID, "td", "th", "tr"} else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words[self.words.index(next(w for w in self.words if "{" in w)) + 1 :]).split())  # after the CSS


def read(found):
    reader = Reader(page.page(found))
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert not {"script", "img", "iframe", "object"} & set(reader.tags)
    assert not [link for link in reader.links if ":" in link and link != "data:,"]
    return reader


def section_of(found, at):
    html = page.page(found)
    return re.search(rf'<section id="w{at}".*?</section>', html, re.S)[0]


def test_the_state_of_the_newest_window_stands_first_in_words():
    assert "■ DECAY since production-05 2012-06-02 any_visit falls" in read(six()).text
    assert "▲ DRIFT since week of 2012-02-02 any_visit" in read(summary([window(1, "drift")], every="week")).text
    one = read(summary([window(1)])).text
    assert "● OK nothing changed that matters No alarm · newest window production-01" in one
    assert " since " not in one[: one.index("Timeline")].replace("since production-02, and", "")
    assert "○ No window of production was judged yet" in read(summary([window(0, kind="control")])).text
    two = summary([window(1, "drift")], alarm={"windows": 2, "of": 3}, alarmed=False)
    assert "No alarm, which takes 2 of the last 3 windows" in read(two).text


def test_a_newest_window_too_small_to_judge_does_not_speak_for_the_one_that_alarmed():
    small = window(2, "insufficient data") | {"headline": "nothing was found, in too few rows"}
    text = read(summary([window(1, "decay"), small], state="decay", since="production-01", alarmed=True)).text
    first = text[: text.index("Timeline")]
    assert "■ DECAY since production-01" in first
    assert first.index("any_visit falls") < first.index("newest window production-02")
    assert "rows: nothing was found, in too few rows" in first


def test_retraining_is_suggested_where_it_is():
    assert "Retrain. The loss has risen by 14%" in read(six()).text
    assert "Retraining is not suggested: the loss" in read(summary([window(1)])).text
    assert "etrain" not in read(summary([window(1)], retrain=None)).text


def test_sections_come_newest_first_and_production_before_control():
    assert [link for link in read(six()).ids if link.startswith("w")] == ["w6", "w5", "w4", "w3", "w2", "w1", "w0"]
    assert [link for link in read(six()).links if link.startswith("#w")] == [
        "#w6",
        *(f"#w{at}" for at in range(7)),
    ]  # the timeline: oldest first


def test_broken_data_are_told_apart_from_a_changed_population():
    broken = section_of(six(), 6)
    assert (
        broken.index("Broken data · unit change · income")
        < broken.index("Change of the population")
        < broken.index("<li>plan is always 95%")
    )
    assert broken.count("income is about 1,000 times what it was") == 1
    found = six()
    found["windows"][6]["breaks"] = []
    assert "the population itself has changed" in section_of(found, 6)
    assert "Broken data" not in section_of(found, 6)


def unseen_plan():
    return {"kind": "new categories", "columns": ["plan"], "sentence": "plan is always 95%, which was never seen before"}


def test_values_never_seen_are_no_broken_data_for_sure():
    found = six()
    assert "if it is real" not in section_of(found, 6)
    found["windows"][6]["breaks"].append(unseen_plan())
    both = section_of(found, 6)
    order = (
        "Broken data · unit change · income",
        "Mend it where",
        "Never seen in training · plan",
        "if it is real, the model needs rows of it",
        "Change of",
    )
    assert [both.index(text) for text in order] == sorted(both.index(text) for text in order)
    found["windows"][6]["breaks"] = [unseen_plan()]
    alone = section_of(found, 6)
    assert "Never seen in training · plan" in alone
    assert "if it is real, the model needs rows of it" in alone
    assert "Broken data" not in alone
    assert "learns the mistake" not in alone
    assert "the population itself has changed" not in alone


def test_an_error_of_rounding_is_no_share():
    found = six()
    picture = found["windows"][6]["pictures"][1]
    picture |= {"outside": [0.02, 1.1e-14], "missing": [0.0, 1.1e-16]}
    charts = section_of(found, 6)
    assert re.findall(r"beyond these (\S+) → <b>(.*?)</b>", charts) == [("2.0%", "0%")]
    assert not re.search(r"missing \S+ →|e-1\d", charts)
    assert [page.percent(share) for share in (0.0, -1e-16, 1e-6, 0.0004, 0.02, 1.0)] == ["0%", "0%", "0.0001%", "0.04%", "2.0%", "100%"]


def test_rows_in_the_order_of_time_are_said_to_be():
    assert "order of time" not in read(six()).text
    for ordered in (True, False, None):
        found = six()
        found["reference"]["ordered"] = ordered
        told = "Rows are in the order of time: a window is compared with stretches of the reference as long as itself." in read(found).text
        assert told is bool(ordered)


def test_drifted_measures_are_open_and_the_others_one_click_away():
    html = section_of(six(), 6)
    shown, hidden = html[html.index("<details open>") :].split("<details>")
    assert re.findall(r"<tr.*?><td>(\w+)<td>(\w+)<td>([^<]*)<td>([^<]*)<td>([^<]*)<td>([^<\n]*)", shown) == [
        ("income", "harmful", "206×", "41.2", "0.2", "–"), ("plan", "harmful", "8.2×", "0.66", "0.08", "0.012"),
        ("region", "harmless", "1.7×", "0.2", "0.12", "0"),
    ]  # fmt: skip
    assert hidden.count("<td>column ") == 12
    assert "harmful" not in hidden


def test_a_window_tells_of_its_loss_its_rows_and_the_window_before():
    found = six()
    found["windows"][6] |= {"refused": 12, "unread": 3, "sampled": 500}
    text = Reader("{<i>" + section_of(found, 6) + "</i>").text
    assert "+14.0% [+8.8%, +19.3%] Log loss 0.57 → 0.65, by 980 labelled rows of 240 groups." in text
    assert "test 0.707 [0.660, 0.750] measured 0.610 [0.570, 0.650] estimated 0.660 [0.620, 0.700]" in text
    assert "980 with known outcome · 500 drawn at random and judged · 12 refused by the model package · 3 could not be read" in text
    assert "age and plan drift against the window before (production-05)" in text
    found["windows"][6]["previous"]["sentence"] = "drift against the window before"
    assert "(production-05: age, plan)" in section_of(found, 6)


def test_the_end_says_how_far_alarms_can_be_trusted():
    text = read(six()).text
    assert (
        "With nothing changed, at most 5% of windows should drift or decay. Measured on 500 unchanged windows of 1,000 rows: 3.2% [2%, 5%]."
        in text
    )
    assert (
        "A shift of 0.5 standard deviations in a column that the model uses is seen in 97% of windows of 1,000 rows. 180 rows are needed"
        in text
    )
    assert "more than the smallest effect that counts (4% of the reference's loss)" in text
    assert "Without labels, a change in how the outcome depends on the inputs" in text
    assert "6,040 held-out rows of 830 groups that ship with rand_health version 4 (run 3f2a9c1b). AUC 0.707 [0.66, 0.75]." in text
    assert text.index("newest first") < text.index("Control windows") < text.index("How to read this") < text.index("Reference")


def test_of_many_windows_all_stand_in_the_timeline_and_those_that_matter_have_a_section():
    found = summary([window(at, "drift" if at in (3, 40) else "ok") for at in range(100)])
    reader = read(found)
    assert [at for at in reader.ids if at.startswith("w")] == [*(f"w{at}" for at in range(99, 69, -1)), "w40", "w3"]
    assert sum(tag == "use" for tag in reader.tags) == 100 + len(page.MARKS)
    assert "68 older windows that are ok have no section here" in reader.text
    assert "production-05/report.html" in reader.links
    mixed = summary([*(window(at) for at in range(40)), *(window(at, kind="control") for at in range(40))])
    assert [at for at in read(mixed).ids if at.startswith("w")] == [f"w{at}" for at in range(39, 9, -1)]
    assert len([at for at in read(summary(found["windows"][:60])).ids if at.startswith("w")]) == 60


def test_a_hundred_windows_of_which_all_decay_in_three_hundred_columns_stay_below_500_kb(tmp_path):
    windows = [window(at, "decay", columns=300) for at in range(100)]
    for one in windows:
        one["pictures"] = [histogram(f"column {at}", at) for at in range(6)]
        one["measures"] += [measure(f"a column with a long name {at}") for at in range(50)]
        one["sentences"] = [f"sentence {at} of quite some length, which tells of a change in one column from 12 to 30" for at in range(6)]
    page.write(tmp_path, summary(windows))
    assert (tmp_path / "index.html").stat().st_size < 500_000
    assert "and 35 more, in" in section_of(summary(windows), 99)  # of 53 that drift


def hostile(value):
    """Every text that is not one of a closed choice, with markup in it."""
    if isinstance(value, dict):
        closed = {"state", "kind", "start", "end", "metric", "aspect"}
        return {key: inner if key in closed else hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE + value if isinstance(value, str) else value


def test_names_that_look_like_markup_are_shown_as_they_are():
    reader = read(hostile(six()))
    assert "<script>alert(1)</script>&" in reader.text
    assert "{{ 7 * 7 }}" in reader.text
    assert reader.tags.count("title") == 1 + 7  # the page's and one for each mark of the timeline


def nulled(value, kept):
    if isinstance(value, dict):
        return {key: inner if key in kept else nulled(inner, kept) for key, inner in value.items()}
    return [nulled(inner, kept) for inner in value] if isinstance(value, list) else None


def paths(value, at=()):
    """Where each part of a summary lies."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, key)
        yield from paths(inner, (*at, key))


def test_whatever_is_not_known_is_left_out():
    found = summary([window(0, "decay", columns=1)])
    for kept in (set(), {"window", "kind"}, {"performance", "estimate"}):
        assert "None" not in read(nulled(found, kept)).text
    for path in paths(found):
        if path[-1] in ("window", "kind") or any(isinstance(key, int) for key in path[-1:]):
            continue
        less = copy.deepcopy(found)
        place = less
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = None
        assert "None" not in page.page(less), path


def test_numbers_that_are_not_finite_are_not_drawn():
    found = six()
    found["windows"][6]["performance"] |= {"value": math.nan, "low": -math.inf}
    found["windows"][6]["measures"][0]["observed"] = math.nan
    html = page.page(found)
    assert not re.search(r"\b(nan|inf)\b", html)


def test_the_timeline_puts_greater_values_higher_and_the_test_figure_in_its_band():
    windows = [{**one, "at": at} for at, one in enumerate(six()["windows"])]
    drawn = page_figures.timeline(windows, 1, six()["reference"], range(7))
    value, low, high = drawn["band"]
    assert page_figures.EDGE <= high < value < low <= page_figures.HEIGHT - page_figures.EDGE
    worse, better = drawn["marks"][6]["performance"], drawn["marks"][1]["performance"]
    assert worse[0] > better[0]
    assert [mark["estimate"] is not None for mark in drawn["marks"]] == [False, False, False, True, True, True, True]
    assert [text for _, text in drawn["ticks"]] == ["0.60", "0.65", "0.70", "0.75"]
    assert drawn["border"] == pytest.approx(100 / 7)


def test_equal_summaries_give_equal_bytes_and_none_is_changed(tmp_path):
    found = six()
    for name in ("a", "b"):
        page.write(tmp_path / name, found)
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()
    assert found == six()
    assert page.page(found) != page.page(summary(found["windows"][:-1]))


CONTRAST = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  const light = colour => { const [r, g, b] = numbers(colour).map(part => linear(part / 255)); return .2126 * r + .7152 * g + .0722 * b; };
  const clear = colour => colour === "transparent" || (colour.startsWith("rgba") && colour.endsWith(", 0)"));
  const behind = at => getComputedStyle(at).backgroundColor;
  const under = at => at === null ? "rgb(255, 255, 255)" : clear(behind(at)) ? under(at.parentElement) : behind(at);
  const all = [...document.querySelectorAll("body *")], text = node => node.nodeType === 3 && node.data.trim();
  const ratios = all.filter(at => [...at.childNodes].some(text) && !at.closest("svg")).map(at => {
    const [more, less] = [light(getComputedStyle(at).color), light(under(at))].sort((p, q) => q - p);
    return [(more + .05) / (less + .05), at.textContent.slice(0, 60)];
  });
  return ratios.sort((p, q) => p[0] - q[0])[0];
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["none", "one", "six", "hundred", "hostile"])
def test_the_page_reads_without_error_or_request_at_any_width(browser, tmp_path, name, scheme, width):
    hundred = summary([window(at, "drift" if at > 90 else "ok") for at in range(100)])
    found = {"none": summary([]), "one": summary([window(1)]), "six": six(), "hundred": hundred, "hostile": hostile(six())}[name]
    if name == "six":
        found["windows"][6]["breaks"].append(unseen_plan())
    page.write(tmp_path, found)
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    errors, asked = [], []
    opened.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    opened.goto((tmp_path / "index.html").as_uri())
    assert (errors, asked) == ([], [])
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        opened.evaluate("Math.min(...[...document.querySelectorAll('p, td, text')].map(p => parseFloat(getComputedStyle(p).fontSize)))")
        >= 12
    )
    assert opened.evaluate(CONTRAST) >= [4.5, ""]  # WCAG 2.2, 1.4.3
    opened.close()


@pytest.mark.slow
def test_a_mark_of_the_timeline_leads_to_its_window_and_the_newest_is_in_sight(browser, tmp_path):
    page.write(tmp_path, summary([window(at, "drift" if at > 90 else "ok") for at in range(100)]))
    opened = browser.new_page(viewport={"width": PHONE, "height": 900})
    opened.goto((tmp_path / "index.html").as_uri())
    newest = opened.locator(".roll a").last
    assert newest.bounding_box()["x"] < PHONE
    newest.click()
    assert opened.url.endswith("#w99")
    assert 0 <= opened.locator("#w99").bounding_box()["y"] < 100
    opened.close()
