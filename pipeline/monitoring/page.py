"""reports/monitor/index.html: what the windows show, for whoever is on call; one file, no script, nothing asked of the network."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import files
from pipeline.data import quality_page
from pipeline.evaluation.wording import capital, word
from pipeline.monitoring import verdicts
from pipeline.monitoring.breaks import UNSEEN
from pipeline.monitoring.page_figures import Known, cut, day, picture, rise, seen, strip, timeline

MOST_SECTIONS = 60  # windows of which each has a section; of more, those that are not ok and the newest ones
NEWEST = 30
MOST_MEASURES, MOST_PICTURES = (18, 4), (4, 0)  # in a section: of the newest windows, of older ones
MOST_QUIET, MOST_SENTENCES = (18, 0), (8, 3)
SPANS = re.compile(r"(?:1 )?(hour|day|week|month|quarter|year)s?")
MARKS = {"ok": "●", "drift": "▲", "decay": "■", "insufficient data": "○"}


def write(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write folder/index.html from the monitoring's summary; what is null there is left out."""
    files.write_text(folder / "index.html", page(summary))


def page(summary: Mapping[str, Any]) -> str:
    """The page as HTML."""
    found = known(summary)
    judged = [{**window, "at": at, "state": window["state"] or "insufficient data"} for at, window in enumerate(found["windows"] or [])]
    control = [window for window in judged if window["kind"] == "control"]
    production = [window for window in judged if window["kind"] != "control"]
    newest_first = production[::-1] + control[::-1]
    crowded = len(newest_first) > MOST_SECTIONS
    told = [w for place, w in enumerate(newest_first) if not crowded or place < NEWEST or w["state"] != "ok"]
    full = {window["at"] for window in told[:NEWEST]}
    sections = [section(window, found["reference"], short=window["at"] not in full) for window in told]
    return template().render(
        found=found,
        newest=production[-1] if production else None,
        latest=verdicts.newest(production),
        headline=headline(found, judged),
        timeline=timeline(control + production, len(control), found["reference"], {window["at"] for window in told}),
        production=[s for s in sections if s["window"]["kind"] != "control"],
        control=[s for s in sections if s["window"]["kind"] == "control"],
        untold=len(newest_first) - len(told),
        marks=MARKS,
    )


@cache
def template() -> Any:
    """The page's frame."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    own = {"percent": percent, "rate": rate, "cut": cut, "slug": slug}
    environment.filters |= {"number": quality_page.number, "word": word, "capital": capital, **own}
    return environment.get_template("monitor.html")


def known(value: Any) -> Any:
    """A JSON value as it is, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {key: known(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [known(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def percent(share: float) -> str:
    """A share in percent; one that only an error of rounding made is 0%."""
    return quality_page.percent(share if seen(share) else 0.0)


def rate(share: float) -> str:
    """A share in percent: 5%, 3.2%."""
    return f"{100 * share:.3g}%"


def slug(state: str) -> str:
    """A state as a class of CSS."""
    return state.split()[0]


def span(window: Known) -> str:
    """From when to when a window's rows are."""
    return " to ".join(dict.fromkeys(filter(None, (day(window["start"]), day(window["end"])))))


def headline(found: Known, judged: Sequence[Known]) -> Known:
    """The state of the newest window, and since when."""
    state, since = found["state"], found["since"]
    if not state:
        return {"state": "insufficient data", "words": "No window of production was judged yet", "since": "", "date": ""}
    begun = next((window for window in judged if window["window"] == since), None)
    name = "" if state == "ok" or since is None else cut(since, 60)
    date = day(begun["start"]) if begun else ""
    if name and date and (unit := SPANS.fullmatch(str(found["every"] or ""))):
        name, date = f"{unit[1]} of {date}", ""
    words = state.upper() if state in ("ok", "drift", "decay") else capital(state)
    return {"state": state, "words": words, "since": name, "date": "" if date[:10] in name else date}


def section(window: Known, reference: Known | None, *, short: bool) -> Known:
    """What is told of one window; less of an older one, so that the page stays small."""
    measures = sorted(window["measures"] or [], key=lambda m: (not m["drifted"], not m["harmful"], -excess(m)))
    drifted, quiet = [m for m in measures if m["drifted"]], [m for m in measures if not m["drifted"]]
    breaks = window["breaks"] or []
    said = {window["headline"], *(one["sentence"] for one in breaks)}
    sentences = [sentence for sentence in window["sentences"] or [] if sentence not in said]
    return {
        "window": window,
        "short": short,
        "span": span(window),
        "breaks": [one for one in breaks if one["kind"] != UNSEEN],
        "unseen": [one for one in breaks if one["kind"] == UNSEEN],
        "sentences": sentences[: MOST_SENTENCES[short]],
        "drifted": [(measure, times(measure)) for measure in drifted[: MOST_MEASURES[short]]],
        "more": max(0, len(drifted) - MOST_MEASURES[short]),
        "quiet": [(measure, times(measure)) for measure in quiet[: MOST_QUIET[short]]],
        "quiet_count": len(quiet),
        "pictures": [picture(one) for one in (window["pictures"] or [])[: MOST_PICTURES[short]]],
        "beside": [
            name for name in (window["previous"] or {}).get("drifted") or [] if str(name) not in str(window["previous"]["sentence"])
        ],
        "metric": strip(window, reference),
        "loss": rise(window["decay"]),
    }


def excess(measure: Known) -> float:
    """How many times the threshold a distance is."""
    observed, threshold = measure["observed"] or 0.0, measure["threshold"] or 0.0
    return observed / threshold if threshold else math.inf if observed else 0.0


def times(measure: Known) -> str:
    """The same in words."""
    found = excess(measure)
    return "–" if measure["observed"] is None else "∞" if found >= 1e5 else f"{found:,.{0 if found >= 100 else 1}f}×"
