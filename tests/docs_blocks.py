"""The code blocks of README.md and docs/: how each is marked, read, checked and compared.

A block has its mark on the line above it, an HTML comment, which no reader sees:

    <!-- run: rand -->                    sh or python, run in a project of docs_worlds.WORLDS, which the blocks of a page share
    <!-- run: rand, exit 3 -->            the same, and its exit code is 3
    <!-- run: churn, until normalize -->  the same, and `pipeline run` in it ends with that stage, for the time that tests may take
    <!-- output -->                       what the block above printed; a line `...` stands for any lines
    <!-- output: numbers differ -->       the same, with any numbers in the place of its numbers
    <!-- output: of the whole run -->     what `pipeline run` printed on the bundled example; also with `, numbers differ`
    <!-- params -->                       a part of params.yaml, checked within a whole one
    <!-- params: rand -->                 the same, and put into the project's params.yaml
    <!-- file: sales/load.py, rand -->    a file, put into the project
    <!-- shown: gpu -->                   not run, for one of REASONS, but read by a parser
    <!-- same: how-to/deploy.md -->       commands of ours that the blocks of that page run, with the same options
    <!-- tested: tests/test_api.py -->    run by that file, which names the page, or each command
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import yaml
from conftest import ROOT
from docs_worlds import WORLDS

from pipeline import cli, params_file
from pipeline.commands import stages

REASONS = {
    "gpu": "needs a GPU",
    "machines": "needs several machines, or others than this one",
    "cloud": "needs an account with a provider",
    "database": "needs a database of the reader's own",
    "docker": "needs a container engine",
    "service": "belongs to the machine: systemd, cron",
    "github": "is run by GitHub",
    "install": "installs software from the network",
}
LANGUAGES = ("sh", "python", "yaml", "json", "ini", "toml", "text", "csv", "")
WHOLE_RUN = "of the whole run"
MARK = re.compile(r"<!-- (run|output|params|file|shown|same|tested)(?:: ([^>]*?))? -->")
FENCE = re.compile(r"^ {0,3}```(\w*)\s*$")
WHOLE = {
    "seed": 7, "data": {"source": "rows.csv", "target": "label"}, "clean": {}, "split": {"validation": 0.15, "test": 0.15},
    "normalize": {}, "model": {}, "train": {}, "tune": {}, "evaluate": {}, "register": {"name": "visits"}, "monitor": {},
}  # fmt: skip


class Wrong(Exception):
    """What is wrong with a block, and where it stands."""


@dataclass(frozen=True)
class Block:
    """A code block: its page, the line of its fence, and what its mark says of it."""

    page: Path
    line: int
    language: str
    code: str
    kind: str
    rest: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def world(self) -> str | None:
        """The project that it belongs to, if it is run or put into one."""
        if self.kind in ("run", "params"):
            return self.rest[0] if self.rest else None
        return self.rest[1] if self.kind == "file" else None

    def option(self, name: str) -> str | None:
        """The value of `exit` or `until` in its mark."""
        return next((word.removeprefix(f"{name} ") for word in self.rest[1:] if word.startswith(f"{name} ")), None)


def pages() -> list[Path]:
    """Every page with blocks to look at."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page.

    Raises:
        Wrong: a block has no mark, or one that says nothing; a mark has no block.
    """
    found, lines, at = [], page.read_text(encoding="utf-8").splitlines(), 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence is None:
            if MARK.fullmatch(lines[at].strip()) and not (at + 1 < len(lines) and FENCE.match(lines[at + 1])):
                raise Wrong(f"{page.name}:{at + 1}: a mark without a block on the next line")
            at += 1
            continue
        end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == "```"), None)
        if end is None:
            raise Wrong(f"{page.name}:{at + 1}: the block has no end")
        mark = MARK.fullmatch(lines[at - 1].strip()) if at else None
        if mark is None:
            raise Wrong(f"{page.name}:{at + 1}: no mark above the block; expected one of those in tests/docs_blocks.py")
        rest = tuple(word.strip() for word in (mark[2] or "").split(",") if word.strip())
        found.append(Block(page, at + 1, fence[1], "\n".join(lines[at + 1 : end]) + "\n", mark[1], rest))
        at = end + 1
    for number, block in enumerate(found):
        _sound(block, found[number - 1] if number else None)
    return found


def _sound(block: Block, before: Block | None) -> None:
    """Its mark fits its language and what stands before it."""

    def need(true: object, expected: str) -> None:
        if not true:
            raise Wrong(f"{block.place}: {block.kind} {', '.join(block.rest)} above ```{block.language}: expected {expected}")

    need(block.language in LANGUAGES, f"a language of {', '.join(LANGUAGES)}")
    if block.kind == "run":
        need(block.language in ("sh", "python"), "sh or python")
        need(block.rest, "a project")
        need(all(word.startswith(("exit ", "until ")) for word in block.rest[1:]), "exit N or until STAGE")
    if block.kind == "params":
        need(block.language == "yaml", "yaml")
    if block.kind == "output":
        need(block.language in ("", "text"), "no language, or text")
        need(set(block.rest) <= {"numbers differ", WHOLE_RUN}, f"nothing, numbers differ, or {WHOLE_RUN}")
        need(WHOLE_RUN in block.rest or (before is not None and before.kind in ("run", "output")), "a block that is run before it")
    if block.kind == "file":
        need(len(block.rest) == 2, "a file and a project")
    if block.kind == "shown":
        need(block.rest and block.rest[0] in REASONS, f"one of {', '.join(REASONS)}")
    if block.kind == "tested":
        test = ROOT / block.rest[0] if block.rest else ROOT
        text = test.read_text(encoding="utf-8") if test.is_file() else ""
        names = [f'"{words[1]}"' for words in commands(block.code)] or re.findall(r"\b[\w/]+/\w+\.sh\b", block.code) or [block.page.name]
        need(block.page.name in text or all(name in text for name in names), "a test file that names this page, or each command")
    if block.kind == "same":
        other = ROOT / "docs" / block.rest[0] if block.rest else ROOT
        ran = [asked(words) for one in blocks(other) if one.kind == "run" for words in commands(one.code)] if other.is_file() else []
        ran += [frozenset([name]) for name in stages.STAGES]  # which `pipeline run` runs
        need(commands(block.code), "commands of ours")
        for words in commands(block.code):
            need(asked(words) in ran, f"a page that runs `pipeline {' '.join(sorted(asked(words)))}`")
    need(block.world is None or block.world in WORLDS, f"a project of {', '.join(WORLDS)}")


def check(block: Block, scratch: Path) -> None:
    """Read the block by a parser of its language, without running it; commands of ours and their options must be there.

    Raises:
        Wrong: it cannot be read.
    """
    try:
        if block.kind == "params":
            _params(block, scratch)
        elif block.language == "python":
            compile(block.code, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif block.language == "sh":
            done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
            if done.returncode:
                raise Wrong(f"{block.place}: {done.stderr}")
            for words in commands(block.code):
                if words[0] == "pipeline":
                    options(words)
        elif block.language == "yaml":
            assert isinstance(yaml.safe_load(block.code), dict | list), "nothing in it"
        elif block.language == "json":
            json.loads(block.code)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "ini":
            configparser.ConfigParser(interpolation=None, strict=False).read_string(block.code)
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(f"{block.place}: {error}") from error


def _params(block: Block, scratch: Path) -> None:
    file = scratch / "params.yaml"
    file.write_text(yaml.safe_dump(merged(WHOLE, yaml.safe_load(block.code))), encoding="utf-8")
    params_file.load(file)


def merged(whole: dict, part: dict) -> dict:
    """A whole params.yaml with the keys of a part of one; another source is another section `data`."""
    new = {
        name: {**whole.get(name, {}), **value} if isinstance(value, dict) and not (name == "data" and "source" in value) else value
        for name, value in part.items()
    }
    return {**whole, **new}


def commands(code: str) -> list[list[str]]:
    """The words of each command of ours, and of DVC, in a shell block."""
    found, line = [], ""
    for more in code.replace("\\\n", " ").splitlines():
        line = f"{line}\n{more}" if line else more
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        try:
            read = [*lexer, ";"]
        except ValueError:  # a text in quotes goes on in the next line
            continue
        line, words = "", list[str]()
        for word in read:
            if set(word) <= set("();<>|&"):
                program = next((word for word in words[:4] if word in ("pipeline", "dvc")), None)
                if program:  # perhaps behind `nice`, or settings of the environment
                    found.append(words[words.index(program) :])
                words = ["", "", "", ""] if word[0] in "<>" else []  # what follows is a file
            else:
                words.append(word)
    return found


def asked(words: list[str]) -> frozenset[str]:
    """A command and the names of its options."""
    return frozenset(word.partition("=")[0] for word in words[1:2] + [word for word in words[2:] if word.startswith("-")])


def options(words: list[str]) -> None:
    """Read the words as the command line does.

    Raises:
        Wrong: there is no such command or option.
    """
    try:
        with cli.main.make_context("pipeline", words[1:]) as context:
            name, command, rest = cli.main.resolve_command(context, context.protected_args + context.args)
            if command is not None:
                command.make_context(name, rest, parent=context).close()
    except click.exceptions.Exit:
        pass  # --help
    except click.ClickException as error:
        raise Wrong(f"{shlex.join(words)}: {error.format_message()}") from error


NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|\b[0-9a-f]{8,64}\b")


def printed(expected: str, got: str, *, numbers: bool) -> bool:
    """Whether an output holds the lines of an expected one, in their order; `...` stands for any lines; blanks count as one."""

    def pattern(line: str) -> str:
        parts = NUMBER.split(line) if numbers else [line]
        words = [r"\s+".join(re.escape(word) for word in re.split(r"\s+", part)) for part in parts]
        return rf"\s*(?:{NUMBER.pattern})".join(words) if len(words) > 1 else words[0]

    lines = [line.strip() for line in expected.strip().splitlines() if line.strip()]
    whole = "".join(r"(?:[^\n]*\n)*?" if line == "..." else rf"[^\S\n]*{pattern(line)}[^\S\n]*\n\s*" for line in lines)
    return re.search(rf"(?m)^{whole}", re.sub(r"\x1b\[[0-9;]*m", "", got) + "\n") is not None
