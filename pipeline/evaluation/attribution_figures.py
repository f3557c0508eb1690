"""The figure of `attribution`: pictures under their heat, texts with coloured tokens, steps with bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from pipeline.evaluation.attribution import SHOWN, Attribution
from pipeline.evaluation.figures import COLOURS, INK, blank, short, styled, titled, written
from pipeline.evaluation.metrics import Array, Floats

FOR, AGAINST, HOT = COLOURS[0], COLOURS[1], COLOURS[6]
COLUMNS = 4  # that are told about
SIDE = 64  # pixels of a picture's longer side: more would not be seen on a phone, and make a large file
PAIRS = 2  # pictures with their heat side by side
TOKENS, TEXT = 60, 160  # tokens and characters around the strongest
LETTERS, SIZE = 81, 10.5  # characters of a line, and points of each
LINE, HEAD = 0.235, 0.34  # inches of a line of text, and of what stands above
STRONGEST, SHADES = 0.7, 4  # opacity of the strongest token's colour, and how many there are
CHANNELS = 3  # that are told apart
FONT = "DejaVu Sans Mono"


def attribution(found: Sequence[Attribution]) -> Figure:
    """Returns one figure, column after column: of one column at most six pictures, or four rows; of several two rows each.

    Those shown are spread evenly over those found.  A title says what was predicted, and in red what it was instead.  Pictures
    stand beside themselves in grey under the heat, where orange speaks for the prediction.  Tokens are blue where they speak
    for it and red where they speak against it; 60 or fewer around the strongest are told.  Under the line of a sequence or
    series stand bars, up where a step raises the score, down where it lowers it, and of several channels the three strongest
    by colour.  Raises ValueError where nothing was found.
    """
    if not found:
        raise ValueError("no attribution to show")
    blocks = dict[tuple[str, tuple[str, ...]], list[Attribution]]()
    for one in found:
        blocks.setdefault((one.kind, one.columns), []).append(one)
    shown = [_some(rows, SHOWN[rows[0].kind] if len(blocks) == 1 else 2) for rows in list(blocks.values())[:COLUMNS]]
    parts = [_part(rows) for rows in shown]
    heights = [height for height, _ in parts]
    figure = blank(0.4 + sum(heights))
    inner = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
    for (_, draw), room in zip(parts, inner, strict=True):
        draw(room)
    return titled(figure, _finding(shown[0]))


def _some(rows: list[Attribution], most: int) -> list[Attribution]:
    """Rows from the first, which are errors, to the last, which are right."""
    return [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)).tolist()]


def _part(rows: list[Attribution]) -> tuple[float, Callable[[SubFigure], None]]:
    """How many inches rows of one column take, and what draws them."""
    if rows[0].kind == "image":
        lines = -(-len(rows) // PAIRS)
        return 0.35 + 2.15 * lines, lambda room: _pictures(room, rows, lines)
    if rows[0].kind == "text":
        laid = [_laid(one) for one in rows]
        heights = [HEAD + LINE * (1 + lines[-1][1] if lines else 1) for lines in laid]
        return 0.35 + sum(heights), lambda room: _texts(room, rows, laid, heights)
    columns = min(2, len(rows))
    lines = -(-len(rows) // columns)
    return 0.4 + 2.4 * lines, lambda room: _steps(room, rows, lines, columns)


def _finding(rows: Sequence[Attribution]) -> str:
    """How much of the rows half of what is attributed lies in, and how many answers are right."""
    what = {"image": "pixels", "text": "tokens", "sequence": "steps", "forecast": "steps"}[rows[0].kind]
    shares = [share for one in rows if (share := _half(one)) is not None]
    told = f"{np.mean(shares):.0%} of {what} have half of the weight" if shares else f"No {what} have weight"
    wrong = sum(one.truth != one.prediction for one in rows)
    kinds = [f"{count} {word}" for count, word in ((wrong, "wrong"), (len(rows) - wrong, "right")) if count]
    counts = str(len(rows)) if rows[0].probability is None else ", ".join(kinds)
    return f"{told} ({counts} answer{'s' if len(rows) > 1 else ''})"


def _half(one: Attribution) -> float | None:
    """The least share of pixels, tokens or steps that have half of all that is attributed."""
    places = np.abs(one.values) if one.kind in ("image", "text") else np.abs(one.values).sum(axis=1)
    rising = np.cumsum(np.sort(places.ravel())[::-1])
    return None if not len(rising) or rising[-1] == 0 else float((np.searchsorted(rising, rising[-1] / 2) + 1) / len(rising))


def _titled(axes: Axes, one: Attribution, *, narrow: bool = False) -> None:
    """What was said and what is true, on two lines where there is little room."""
    wrong, between = one.probability is not None and one.truth != one.prediction, "\n" if narrow else ", "
    if one.probability is None:
        text = f"row {one.row}: said {_four(one.prediction)}, was {_four(one.truth)}"
    else:
        sure = ">99%" if one.probability > 0.99 else f"{one.probability:.0%}"
        text = f"row {one.row}: said {_escaped(short(one.target))} ({sure}){between}"
        text += f"✗ was {_escaped(short(str(one.truth)))}" if wrong else "✓ right"
    axes.set_title(text, fontsize=10, color=AGAINST if wrong else INK, loc="left", fontweight="bold")


# -- pictures


def _pictures(room: SubFigure, rows: Sequence[Attribution], lines: int) -> None:
    panels = room.subplots(lines, 2 * PAIRS, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for at, one in enumerate(rows):
        plain, hot = panels[at // PAIRS, 2 * (at % PAIRS) : 2 * (at % PAIRS) + 2]
        picture = _small(one.shown)
        heat = _spread(one.values, picture.shape)[..., None]
        plain.imshow(picture, interpolation="nearest")
        share, grey = 0.75 * heat, 0.6 + 0.4 * (picture @ np.array([0.299, 0.587, 0.114]))[..., None]
        hot.imshow((1 - share) * grey + share * np.array(to_rgb(HOT)), interpolation="nearest")
        _titled(plain, one, narrow=True)
    does = "raises" if rows[0].probability is None else "speaks for"
    _note(room, f"{_escaped(short(rows[0].columns[0]))}: beside each picture in orange what {does} the answer ({rows[0].method})")


def _small(picture: Array) -> Floats:
    """(height, width, 3) from 0 to 1, no side longer than SIDE, of bytes with one channel or three (of more the first three).

    Few pixels are repeated, so that heat can run smoothly over them.
    """
    coloured = picture[..., :3] if picture.shape[-1] >= 3 else np.repeat(picture[..., :1], 3, axis=-1)
    image = Image.fromarray(np.ascontiguousarray(coloured, np.uint8))
    longest = max(image.size)
    times = SIDE // longest if longest <= SIDE else SIDE / longest
    width, height = (max(1, round(side * times)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.NEAREST if times >= 1 else Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255


def _spread(heat: Floats, size: tuple[int, ...]) -> Floats:
    """The heat (height, width) between its places by straight lines, at another size."""
    image = Image.fromarray(heat.astype(np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float64)


# -- texts


Laid = list[tuple[str, int, int, float]]  # what is written, its line and first letter, and its strength from -1 to 1


def _laid(one: Attribution) -> Laid:
    """Where each token stands, of those around the strongest."""
    count = len(one.values)
    if not count:
        return []
    begin, end = _window(one)
    most = float(np.abs(one.values[begin:end]).max()) or 1.0
    pieces = [(_written(token), float(value) / most) for token, value in zip(one.tokens[begin:end], one.values[begin:end], strict=True)]
    pieces = [*([("… ", 0.0)] if begin else []), *pieces, *([(" …", 0.0)] if end < count else [])]
    pieces = [(text if len(text) <= LETTERS else text[: LETTERS - 1] + "…", strength) for text, strength in pieces]
    laid, line, place = Laid(), 0, 0
    for here, (text, strength) in enumerate(pieces):
        word = len(text)  # what hangs together with it, as long as a line can hold that
        for other, _ in pieces[here + 1 :]:
            if not text.startswith(" ") or other.startswith(" ") or word + len(other) > LETTERS:
                break
            word += len(other)
        if place + word > LETTERS:
            line, place = line + 1, 0
        shown = text if place or text == " " else text.removeprefix(" ")
        laid.append((shown, line, place, strength))
        place += len(shown)
    return laid


def _window(one: Attribution) -> tuple[int, int]:
    """First and one past the last token shown: one more on either side in turn, as long as there is room."""
    at, count = int(np.abs(one.values).argmax()), len(one.values)
    begin, end, letters = at, at + 1, len(one.tokens[at])
    while end - begin < min(TOKENS, count):
        left = begin > 0 and (end == count or at - begin < end - at)
        letters += len(one.tokens[begin - 1 if left else end])
        if letters > TEXT:
            break
        begin, end = (begin - 1, end) if left else (begin, end + 1)
    return begin, end


def _written(token: str) -> str:
    """A token as the font can show it: marks for what breaks lines, boxes for letters that it has not."""
    token = token.replace("\n", "↵").replace("\t", "→")
    return "".join(letter if _known(letter) else "□" for letter in token)


@cache
def _known(letter: str) -> bool:
    return letter == " " or (letter.isprintable() and get_font(findfont(FONT)).get_char_index(ord(letter)) != 0)


def _texts(room: SubFigure, rows: Sequence[Attribution], laid: Sequence[Laid], heights: Sequence[float]) -> None:
    panels = room.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    font = FontProperties(family=FONT, size=SIZE)
    for axes, one, pieces in zip(panels, rows, laid, strict=True):
        axes.set_axis_off()
        lines = pieces[-1][1] + 1 if pieces else 1
        axes.set(xlim=(0, LETTERS), ylim=(lines, 0))
        for text, line, place, strength in pieces:
            begin = place + (text.startswith(" ") and text != " ")
            box = (begin, line + 0.06), place + len(text) - begin, 0.88
            if shade := round(SHADES * abs(strength)):
                axes.add_patch(Rectangle(*box, color=FOR if strength > 0 else AGAINST, alpha=STRONGEST * shade / SHADES, linewidth=0))
            axes.text(place, line + 0.53, _escaped(text), fontproperties=font, color=INK, va="center_baseline")
        if not pieces:
            axes.text(0, 0.5, "no token", color=INK, fontsize=SIZE, va="center")
        _titled(axes, one)
    does = "raises the answer, red lowers" if rows[0].probability is None else "speaks for the answer, red against"
    _note(room, f"{_escaped(short(rows[0].columns[0]))}: blue {does} it ({rows[0].method})")


# -- steps


def _steps(room: SubFigure, rows: Sequence[Attribution], lines: int, columns: int) -> None:
    panels = room.subplots(2 * lines, columns, squeeze=False, height_ratios=[1.5, 1] * lines)
    names = _strongest(rows)
    for at in range(lines * columns):
        line, bars = panels[2 * (at // columns) : 2 * (at // columns) + 2, at % columns]
        if at >= len(rows):
            line.remove()
            bars.remove()
            continue
        one = rows[at]
        last = len(one.values)
        steps = np.arange(-last + 1, 1) if one.kind == "forecast" else np.arange(1, last + 1)
        _lines(line, one, steps, names)
        _bars(bars, one, steps, names)
        line.set_xlim(bars.get_xlim())
        _titled(line, one, narrow=columns > 1)
        bars.set_xlabel("steps before the forecast" if one.kind == "forecast" else "step", fontsize=9)
    if len(rows[0].columns) > 1:
        marks = [Rectangle((0, 0), 1, 1, color=colour) for _, colour in zip(names, COLOURS, strict=False)]
        rest = [Rectangle((0, 0), 1, 1, color=COLOURS[4])] if len(names) < len(rows[0].columns) else []
        labels = [_escaped(short(rows[0].columns[channel])) for channel in names] + ["all others"] * len(rest)
        room.legend(marks + rest, labels, loc="outside lower left", ncols=2, frameon=False, fontsize=9.5, labelcolor=INK, handlelength=1)
    unit = rows[0].unit if rows[0].unit.startswith(("log odds", "standard deviations")) else f"units of {rows[0].unit}"
    _note(room, f"bars: what each step adds to the answer, in {_escaped(unit)} ({rows[0].method})")


def _strongest(rows: Sequence[Attribution]) -> list[int]:
    """The channels that are told apart, in their order."""
    sums = np.sum([np.abs(one.values).sum(axis=0) for one in rows], axis=0)
    return sorted(np.argsort(-sums, kind="stable")[:CHANNELS].tolist())


def _lines(axes: Axes, one: Attribution, steps: Array, names: Sequence[int]) -> None:
    """The channels that are told apart; several each in its own deviations."""
    styled(axes)
    for channel, colour in zip(names, COLOURS, strict=False):
        values = one.shown[:, channel]
        if len(one.columns) > 1:
            values = (values - values.mean()) / (values.std() or 1.0) if len(values) else values
        axes.plot(steps, values, color=INK if len(one.columns) == 1 else colour, linewidth=1.2)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelbottom=False, labelsize=8.5)
    if len(one.columns) == 1:
        axes.set_ylabel(_escaped(short(one.columns[0])), fontsize=9)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value).replace("-", "−")))
    else:
        axes.set_yticks([])
        axes.set_ylabel("each in its\nown scale", fontsize=9)


def _bars(axes: Axes, one: Attribution, steps: Array, names: Sequence[int]) -> None:
    """Bars upon each other: what raises upwards, what lowers downwards."""
    styled(axes)
    if len(one.columns) == 1:
        values = one.values[:, 0]
        axes.bar(steps, values, width=_width(values), antialiased=False, color=np.where(values > 0, FOR, AGAINST).tolist())
    else:
        rest = [channel for channel in range(len(one.columns)) if channel not in names]
        stacks = [(one.values[:, channel], colour) for channel, colour in zip(names, COLOURS, strict=False)]
        stacks += [(one.values[:, rest].sum(axis=1), COLOURS[4])] if rest else []
        up, down = np.zeros((2, len(steps)))
        for values, colour in stacks:
            raises = values > 0
            axes.bar(steps, values, bottom=np.where(raises, up, down), width=_width(values), antialiased=False, color=colour)
            up, down = up + np.where(raises, values, 0), down + np.where(raises, 0, values)
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value).replace("-", "−")))
    axes.tick_params(labelsize=8.5)
    axes.set_ylabel("adds", fontsize=9)


def _width(values: Array) -> float:
    return 0.8 if len(values) <= 40 else 1.0


# -- words


def _note(room: SubFigure, text: str) -> None:
    room.suptitle(text, x=0.01, ha="left", fontsize=9.5, color=INK)


def _four(value: str | float) -> str:
    return written(float(f"{float(value):.4g}"))


def _escaped(name: str) -> str:
    return name.replace("$", r"\$")  # not a formula
