"""The page of a run in a browser: no error, nothing asked of the network, readable on a phone."""

import pytest
from served import Server

from pipeline import paths

PHONE, DESK = 390, 1280


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("file", ["index.html", "clean/index.html", "split/leakage.html", "tune/index.html", "monitor/index.html"])
def test_a_page_reads_without_error_or_request_at_any_width(finished, browser, file, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
    place = finished.folder / "reports" / file
    page.goto(place.as_uri())
    assert (errors, asked) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("Math.min(...[...document.querySelectorAll('p')].map(p => parseFloat(getComputedStyle(p).fontSize)))") >= 12
    assert file != "index.html" or place.stat().st_size < 3_000_000
    page.close()


@pytest.mark.slow
def test_what_a_metric_means_is_one_click_away(finished, browser):
    page = browser.new_page(viewport={"width": PHONE, "height": 900})
    page.goto((finished.folder / "reports/index.html").as_uri())
    told = page.get_by_text("Probability that a random positive row is scored above a random negative one.")
    assert not told.is_visible()
    page.get_by_text("What the metrics mean").click()
    assert told.is_visible()
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_servers_page_answers_its_example_and_asks_no_other_site(finished, browser, tmp_path, width):
    with Server(finished.folder / paths.PACKAGE, tmp_path, "--no-log") as server:
        page = browser.new_page(viewport={"width": width, "height": 900})
        errors, elsewhere = [], []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith((server.url, "data:")) else None)
        page.goto(f"{server.url}/docs")
        page.get_by_role("button", name="Predict").click()
        answer = page.locator("#answer.good")
        answer.wait_for(timeout=30_000)
        assert "probability of yes" in answer.inner_text()
        page.get_by_label("Rows as JSON").fill("[1]")
        page.get_by_role("button", name="Predict").click()
        page.locator("#answer.bad").wait_for(timeout=30_000)
        assert "dataframe_records" in page.locator("#answer").inner_text()
        assert elsewhere == []
        assert [error for error in errors if "400" not in error] == []  # which the browser tells of the second answer
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()
