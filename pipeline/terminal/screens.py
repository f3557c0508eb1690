"""Where lines and progress go: a terminal gets bars that are drawn anew, a pipe or CI a plain line now and then."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain, repeat
from typing import IO, TYPE_CHECKING

from pipeline.terminal import progress
from pipeline.terminal.progress import Step

if TYPE_CHECKING:
    from rich.console import RenderableType

AFTER = 0.4  # seconds that a step must last before it is drawn
PLAIN_EVERY = 10.0  # seconds between plain lines
SOON, SELDOM = 6, 3  # so many of them, then only each third
STYLES = {"error": "red", "warning": "yellow", "quiet": "dim"}


class Plain:
    """Lines without escape codes, and of work that lasts one every ten seconds.

    Args:
        stream: None for none: only `note` is told.
        note: is told of each line too.
        every: seconds between lines of progress; None for none.
    """

    live = False

    def __init__(self, stream: IO[str] | None, note: Callable[[str], None], *, every: float | None = PLAIN_EVERY) -> None:
        self.stream, self.note, self.every = stream, note, every
        self.steps: list[Step] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def say(self, text: str, style: str = "") -> None:
        """Lines of text; what stands for the style is the text itself."""
        for line in text.splitlines():
            self.note(line)
            self.pass_on(line)

    def pass_on(self, line: str, style: str = "") -> None:
        """A line that is noted already."""
        if self.stream is not None:
            with suppress(BrokenPipeError):
                self.stream.write(f"{line}\n")
                self.stream.flush()

    def began(self, step: Step) -> None:
        self.steps.append(step)
        if self._thread is None and self.every is not None:
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()

    def ended(self, step: Step) -> None:
        self.steps.remove(step)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _tell(self) -> None:
        assert self.every is not None
        pauses = chain([self.every] * SOON, repeat(SELDOM * self.every))
        while not self._stop.wait(next(pauses)):
            if steps := list(self.steps):
                stage, inner = steps[0], steps[-1]
                self.say(progress.words(inner) if stage is inner else f"{stage.name}: {progress.words(inner)}")


class Live:
    """Lines with the steps in progress below them, which are drawn anew five times a second.

    Args:
        note: is told of each line.
    """

    live = True

    def __init__(self, stream: IO[str], note: Callable[[str], None]) -> None:
        from rich.console import Console
        from rich.live import Live as Drawing
        from rich.spinner import Spinner

        self.steps: list[Step] = []
        self.stream, self.note = stream, note
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._spinner = Spinner("dots")
        self._drawing = Drawing(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=5,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lock = threading.Lock()

    def say(self, text: str, style: str = "") -> None:
        """Lines of text, above what is drawn."""
        for line in text.splitlines():
            self.note(line)
        self.pass_on(text, style)

    def pass_on(self, line: str, style: str = "") -> None:
        """A line that is noted already."""
        self._console.print(line, style=STYLES.get(style), markup=False, soft_wrap=True)

    def began(self, step: Step) -> None:
        with self._lock:
            self.steps.append(step)
            if not self._drawing.is_started:
                self._drawing.start()

    def ended(self, step: Step) -> None:
        with self._lock:
            self.steps.remove(step)
            if not self.steps:
                self._drawing.stop()

    def close(self) -> None:
        with self._lock:
            self._drawing.stop()

    def _drawn(self) -> RenderableType:
        from rich.console import ConsoleDimensions, Group

        with suppress(OSError):  # of this stream, not of those that Python knows; a pseudo-terminal may have no size
            width, height = os.get_terminal_size(self.stream.fileno())
            self._console.size = ConsoleDimensions(width or 80, height or 24)
        steps = list(self.steps)
        shown = [step for step in steps if step.elapsed() > AFTER or step is steps[0]]
        own = [found for step in shown if step.drawn is not None and (found := step.drawn()) is not None]
        return Group(*own, self._bars([step for step in shown if step.drawn is None]))

    def _bars(self, steps: list[Step]) -> RenderableType:
        """A line a step: name, bar, how much is done, note, time left or taken."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1), expand=True)
        for ratio in (None, None, None, 1, None):
            grid.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio)
        for at, step in enumerate(steps):
            left = step.left()
            time = f"{progress.seconds(left)} left" if left is not None else progress.seconds(step.elapsed())
            bar = Text("") if step.total is None else ProgressBar(total=step.total, completed=step.done, width=24)
            told = Text("  ".join(filter(None, [progress.count(step), step.note])))
            grid.add_row(Text("") if at else self._spinner, Text(step.name), bar, told, Text(time, style="dim"))
        return grid


Screen = Plain | Live


def draws(stream: IO[str], environment: Mapping[str, str]) -> bool:
    """Whether bars may be drawn there: a terminal that can, not in CI, not where NO_COLOR or TERM ask for plain text."""
    plain = environment.get("CI", "").lower() not in ("", "0", "false") or environment.get("NO_COLOR")
    return stream.isatty() and not plain and environment.get("TERM", "dumb") not in ("", "dumb")


def screen(stream: IO[str] | None, *, note: Callable[[str], None] = lambda line: None, still: bool = False) -> Screen:
    """What suits the stream.

    Args:
        stream: None for none: only `note` is told.
        note: is told of each line too.
        still: shows no progress.
    """
    if stream is not None and not still and draws(stream, os.environ):
        return Live(stream, note)
    return Plain(stream, note, every=None if still else PLAIN_EVERY)
