"""README.md and docs/: every code block is marked and read by a parser, and run where it can be (tests/docs_blocks.py tells how)."""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from docs_blocks import WHOLE_RUN, Block, Wrong, blocks, check, merged, pages, printed
from docs_worlds import World, Worlds

from pipeline import paths

PAGES = pages()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
DOCS = ROOT / "docs"


def run(found: list[Block], worlds: Worlds) -> None:
    """Run the blocks of a page in their order.

    Raises:
        Wrong: one fails, ends with another exit code, or prints something else.
    """
    opened: dict[str, World] = {}
    said, world = "", World(Path())
    try:
        for block in found:
            if block.kind == "output":
                whole = WHOLE_RUN in block.rest
                got, expected = (worlds.whole_run(), block.code) if whole else (said, world.back(block.code))
                if not printed(expected, got, numbers="numbers differ" in block.rest):
                    raise Wrong(f"{block.place}: expected\n{block.code}\ngot\n{got}")
            if block.world is None:
                continue
            if block.world not in opened:
                opened[block.world] = worlds.copy(block.world)
            world = opened[block.world]
            code, said = one(block, world)
            said = world.back(said)
            if code != int(block.option("exit") or 0):
                raise Wrong(f"{block.place}: exit code {code} of\n{block.code}\n{said[-6000:]}")
    finally:
        for world in opened.values():
            world.stop()


def one(block: Block, world: World) -> tuple[int, str]:
    """Exit code and output of a block, or 0 after its file has been written."""
    if block.kind == "params":
        file = world.folder / paths.PARAMS
        file.write_text(yaml.safe_dump(merged(yaml.safe_load(file.read_text()), yaml.safe_load(world.here(block.code))), sort_keys=False))
        return 0, ""
    if block.kind == "file":
        file = world.folder / block.rest[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(world.here(block.code))
        return 0, ""
    if block.language == "python":
        done = world.run("env", "OMP_NUM_THREADS=1", sys.executable, "-c", world.here(block.code))  # on busy cores its threads spin
        return done.returncode, done.stdout
    code = block.code
    if until := block.option("until"):
        code = re.sub(r"^pipeline run\b(?! \w)", f"pipeline run {until}", code, flags=re.MULTILINE)
    return world.shell(code)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_is_marked_and_read_by_a_parser(page, tmp_path):
    for block in blocks(page):
        check(block, tmp_path)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    return Worlds(tmp_path_factory.mktemp("docs").resolve())


def runs(page: Path) -> bool:
    return bool(re.search(r"^<!-- (run|params|file): |of the whole run", page.read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=[n for n, p in zip(NAMES, PAGES, strict=True) if runs(p)])
def test_blocks_run(page, worlds):
    run(blocks(page), worlds)


@pytest.fixture
def page(tmp_path: Path):
    """Writes a page of one's own, and gives its blocks."""

    def write(text: str) -> list[Block]:
        (tmp_path / "page.md").write_text(text.replace("'''", "```"), encoding="utf-8")
        return blocks(tmp_path / "page.md")

    return write


class Plain(Worlds):
    """Projects that are empty folders."""

    def copy(self, name: str) -> World:
        (self.folder / name).mkdir(exist_ok=True)
        return World(self.folder / name, {"visits": "small", "/srv": str(self.folder)})


SOUND = """
<!-- file: said.txt, rand -->
'''
visits 0.25
'''
<!-- run: rand -->
'''sh
cat said.txt
export ANSWER=42
cd ..
echo "two lines"
'''
<!-- output: numbers differ -->
'''
visits 17.5
...
two lines
'''
<!-- run: rand -->
'''python
import os
print("small", os.environ["ANSWER"], os.path.exists("said.txt"))
'''
<!-- output -->
'''
visits 42 True
'''
<!-- run: rand, exit 3 -->
'''sh
exit 3
'''
"""


def test_a_sound_page_runs_in_one_project_with_its_names_and_what_it_exports(page, tmp_path):
    run(page(SOUND), Plain(tmp_path))


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("visits 17.5", "visitors 17.5", "expected\nvisitors 17.5"),
        ("<!-- output: numbers differ -->", "<!-- output -->", "expected\nvisits 17.5"),
        ("visits 42 True", "visits 43 True", "expected\nvisits 43 True"),
        ("cat said.txt", "cat sad.txt", r"exit code 1 of\ncat sad.txt"),
        ("import os\n", "import oss\n", "No module named 'oss'"),
        ("rand, exit 3", "rand", "exit code 3 of"),
        ("exit 3\n'''", "exit 0\n'''", "exit code 0 of"),
    ],
)
def test_a_block_that_does_something_else_is_found(page, tmp_path, right, wrong, told):
    assert right in SOUND
    with pytest.raises(Wrong, match=told):
        run(page(SOUND.replace(right, wrong, 1)), Plain(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("'''sh\nls\n'''", "page.md:1: no mark above the block"),
        ("<!-- run: rand -->\n\n'''sh\nls\n'''", "page.md:1: a mark without a block"),
        ("<!-- run: rand -->\n'''sh\nls\n", "page.md:2: the block has no end"),
        ("<!-- run: moon -->\n'''sh\nls\n'''", "expected a project of empty, rand"),
        ("<!-- run: rand, soon -->\n'''sh\nls\n'''", "expected exit N or until STAGE"),
        ("<!-- run: rand -->\n'''yaml\na: 1\n'''", "expected sh or python"),
        ("<!-- shown: later -->\n'''sh\nls\n'''", "expected one of gpu, machines"),
        ("<!-- output -->\n'''\nx\n'''", "expected a block that is run before it"),
        ("<!-- tested: tests/test_page.py -->\n'''sh\npipeline reproduce last\n'''", "expected a test file that names this page"),
        ("<!-- same: how-to/gpu.md -->\n'''sh\npipeline monitor --log\n'''", "expected a page that runs `pipeline --log monitor`"),
        ("<!-- shown: gpu -->\n'''klingon\nqapla\n'''", "expected a language of sh"),
    ],
)
def test_a_block_without_a_good_mark_is_found(page, text, told):
    with pytest.raises(Wrong, match=re.escape(told)):
        page(text)


@pytest.mark.parametrize(
    ("language", "code", "told"),
    [
        ("sh", "if true; then", "unexpected end of file"),
        ("sh", "pipeline monitro --log", "monitro"),
        ("sh", "make run && nice pipeline predict rows.csv --outt x", "No such option '--outt'"),
        ("python", "for x in", "invalid syntax"),
        ("yaml", "a: [1", "expected"),
        ("json", "{", "Expecting property name"),
        ("ini", "a = 1", "no section headers"),
    ],
)
def test_a_block_that_is_only_shown_is_read_too(page, tmp_path, language, code, told):
    (block,) = page(f"<!-- shown: gpu -->\n'''{language}\n{code}\n'''")
    with pytest.raises(Wrong, match=told):
        check(block, tmp_path)


@pytest.mark.parametrize(
    ("code", "told"), [("train: {epoch: 3}", "epochs"), ("train: {epochs: -1}", "train.epochs"), ("tran: {}", "train")]
)
def test_params_that_are_none_are_found(page, tmp_path, code, told):
    (block,) = page(f"<!-- params -->\n'''yaml\n{code}\n'''")
    with pytest.raises(Wrong, match=told):
        check(block, tmp_path)


# --- the map, and the table of files

FLOW: dict[str, dict] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ROW = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \| [^|]+ \| ([a-z, ]+) \| ([a-z, ]+) \|$", flags=re.MULTILINE)
FILES = {row[1].strip("`"): (set(row[2].split(", ")), set(row[3].split(", "))) for row in ROW.finditer((DOCS / "files.md").read_text())}


def covers(folder: str, file: str) -> bool:
    """Whether a dependency or output holds a file, or all files of a pattern."""
    return file == folder or file.startswith(f"{folder}/")


def test_the_map_leads_to_every_page():
    linked = set(re.findall(r"\]\(([\w/-]+\.md)\)", (DOCS / "index.md").read_text()))
    there = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert linked == there


@pytest.mark.parametrize("file", sorted(FILES))
def test_each_file_is_written_and_read_by_the_stages_that_the_table_says(file):
    writes, reads = FILES[file]
    if "*" in file.split("/")[1]:  # of several stages
        assert writes <= set(FLOW)
        return
    assert {name for name, stage in FLOW.items() if any(covers(out, file) for out in stage["outs"])} == writes
    found = {name for name, stage in FLOW.items() if any(covers(dep, file) for dep in stage["deps"])}
    assert (found or {"you"}) == reads or (reads == {"you"} and file.endswith("rejects.parquet"))


def test_every_output_of_the_flow_and_every_named_place_is_in_the_table():
    for stage in FLOW.values():
        for out in stage["outs"]:
            assert any(covers(out, file) for file in FILES), out
    named = [str(value) for name, value in vars(paths).items() if isinstance(value, Path) and name.isupper() and len(value.parts) > 1]
    for place in named:
        assert any(fnmatch.fnmatch(place, file) or file.startswith(f"{place}/") for file in FILES), place


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_file_of_a_finished_run_is_missing_in_the_table(worlds):
    folder = worlds.original("rand")
    state = re.findall(r"`(\.state/[^`]+)`", (DOCS / "files.md").read_text())
    for top in ("data", "models", "reports", ".state"):
        for file in (folder / top).rglob("*"):
            name = str(file.relative_to(folder))
            if file.is_dir() or file.name == "README.md":
                continue
            known = any(name.startswith(place) for place in state) if top == ".state" else any(fnmatch.fnmatch(name, one) for one in FILES)
            assert known, name


# --- figures

DECIMAL = re.compile(r"\d[\d,]*\.\d+")


def cited() -> list[tuple[str, str]]:
    """Each figure with a decimal point in a paragraph that cites performance.md, or an example's page, and where it stands."""
    found = []
    for place in [DOCS / "tutorial.md", *sorted(DOCS.glob("how-to/*.md")), *sorted(DOCS.glob("explanation/*.md"))]:
        text = re.sub(r"^```.*?^```$", "", place.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for paragraph in re.split(r"\n\s*\n", text):
            if "performance.md" in paragraph or "/README.md`" in paragraph:
                found += [(place.name, figure) for figure in DECIMAL.findall(paragraph)]
    return found


def test_figures_that_are_cited_stand_where_they_were_measured():
    measured = [DOCS / "performance.md", *(ROOT / "examples").glob("*/README.md")]
    known = {figure for page in measured for figure in DECIMAL.findall(page.read_text(encoding="utf-8"))}
    values = [float(figure.replace(",", "")) for figure in known]
    figures = cited()
    assert len(figures) > 15
    for page, figure in figures:
        digits, value = len(figure.rpartition(".")[2]), float(figure.replace(",", ""))
        near = any(abs(value - one) <= 0.5 * 10**-digits + 1e-9 for one in values)  # the same, or rounded to as many digits
        assert near, f"{page}: {figure} is in none of the pages of measurements"
