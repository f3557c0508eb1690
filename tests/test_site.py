"""The documentation as a site: it builds without a warning and without a network, every page is in the navigation, every link leads
somewhere, and a reader's browser asks nothing of another site."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from conftest import ROOT
from web import serving

DOCS = ROOT / "docs"
PAGES = sorted(file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md"))
ZENSICAL = Path(sys.executable).parent / "zensical"


class Links(HTMLParser):
    """The ids of a page, where it links to, and what its browser fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect", "prefetch", "dns-prefetch"):
            self.fetched.append(given["href"])
        elif given.get("src"):
            self.fetched.append(given["src"])


def listed(entries: list) -> list[str]:
    """The pages of a navigation, in its order."""
    return [page for entry in entries for value in entry.values() for page in ([value] if isinstance(value, str) else listed(value))]


def astray(site: Path) -> list[str]:
    """Links and files of a site that lead nowhere in it, or out of it for something that a browser fetches."""
    pages = {file.relative_to(site).as_posix(): Links(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}
    found = []
    for name, page in pages.items():
        if name == "404.html":  # whose addresses are those of the server's root
            continue
        for target in page.links + page.fetched:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.fetched and parts.scheme != "data":
                    found.append(f"{name}: fetches {target}")
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(name), unquote(parts.path))) if parts.path else name
            anchor = unquote(parts.fragment)
            if not (site / path).is_file() or path.startswith("..") or (anchor and path in pages and anchor not in pages[path].ids):
                found.append(f"{name}: {target}")
    return found


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site in a folder, by the command of `make docs`; where the system allows it, without a network."""
    words = [str(ZENSICAL), "build", "--strict", "--clean"]
    if shutil.which("unshare") and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0:
        words = ["unshare", "-rn", *words]
    return subprocess.run(words, cwd=folder, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=300)


def copied(folder: Path) -> Path:
    shutil.copytree(DOCS, folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    assert ZENSICAL.exists(), "`make .venv/requirements-check.lock.ready` installs zensical"
    folder = copied(tmp_path_factory.mktemp("site"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr
    return folder / "site"


def test_every_page_is_in_the_navigation_once():
    nav = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(nav) == PAGES


def test_make_docs_is_the_command_that_is_tested():
    assert "\n\tNO_COLOR=1 zensical build --strict --clean\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_pages_link_to_pages_and_name_other_files_of_the_repository():
    """A link out of docs/ would work in the repository and lead nowhere in the site."""
    links = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)\s]+)", (DOCS / page).read_text(encoding="utf-8"))]
    assert [link for link in links if not ((DOCS / link[0]).parent / link[1]).resolve().is_relative_to(DOCS)] == []


@pytest.mark.slow
def test_every_page_is_built_and_every_link_and_anchor_leads_somewhere(site):
    built = {file.relative_to(site).as_posix() for file in site.rglob("*.html")}
    assert {page.replace(".md", ".html") for page in PAGES} <= built
    assert sum(len(Links((site / name).read_text(encoding="utf-8")).links) for name in built) > 500
    assert astray(site) == []


@pytest.mark.slow
def test_links_that_lead_nowhere_are_found(tmp_path):
    links = ["#x", "b.html#y", "c.html", "../b.html", "https://example.com/"]
    (tmp_path / "a.html").write_text('<h2 id="x"></h2>' + "".join(f'<a href="{link}"></a>' for link in links))
    fetched = '<script src="https://example.com/x.js"></script><link rel="stylesheet" href="s.css">'
    (tmp_path / "b.html").write_text(f'<a href="a.html#x"></a>{fetched}')
    of_b = ["b.html: fetches https://example.com/x.js", "b.html: s.css"]
    assert sorted(astray(tmp_path)) == sorted(["a.html: b.html#y", "a.html: c.html", "a.html: ../b.html", *of_b])


@pytest.mark.slow
def test_a_link_to_a_page_that_is_not_there_ends_the_build(site, tmp_path):
    folder = copied(tmp_path)
    with (folder / "docs" / "tuning.md").open("a", encoding="utf-8") as file:
        file.write("\n[gone](nowhere.md)\n")
    done = build(folder)
    assert done.returncode != 0
    assert "tuning.md" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("opened", ["served", "from the folder"])
def test_a_browser_asks_nothing_of_another_site_and_finds_by_search(site, browser, opened):
    with serving(site) as address:
        base = f"http://{address}/" if opened == "served" else site.as_uri() + "/"
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in ("index.html", "params.html", "tuning.html"):
            page.goto(base + name)
            page.wait_for_load_state("networkidle")
        page.keyboard.press("/")
        box = page.locator("input[placeholder=Search]")
        box.press_sequentially("hyperband", delay=30)
        page.get_by_text(re.compile(r"^\d+ results?$")).wait_for()
        assert box.input_value() == "hyperband"
        assert [url for url in asked if not url.startswith((base, "data:", "blob:"))] == []
        assert errors == []
        page.close()


@pytest.mark.slow
def test_no_page_is_wider_than_the_screen(site, browser):
    page = browser.new_page()
    for name in PAGES:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto((site / name.replace(".md", ".html")).as_uri())
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_site_is_light_or_dark_as_the_reader_has_it(site, browser, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto((site / "index.html").as_uri())
    parts = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)")
    assert all(part < 128 for part in parts) == (scheme == "dark")
    page.close()
