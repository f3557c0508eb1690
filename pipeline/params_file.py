"""params.yaml as it is written: every mistake at once, each with its place.

`load` reads the file, checks every key against the sections of `config` and reports everything that is wrong, each
with `file:line:column`, what was expected, what came and the nearest valid key.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from pipeline.config import DataParams, Interval, Params, Section, override
from pipeline.errors import UserError
from pipeline.secrets import holds_secret

TUNABLE = ("normalize", "model", "train")
MAPPINGS = ("normalize.columns", "train.optimizer_config", "train.class_weight", "model.options")
UNREAD = (
    "train.device",
    "train.backend",
    "train.ensemble",
    "train.cross_validation",
    *MAPPINGS[:2],
    "model.encoder",
    "model.options",
)  # by a trial
SECTIONS = tuple(field.alias or name for name, field in Params.model_fields.items() if name != "seed")
SCHEMA_FILE = Path("schema/params.schema.json")  # in the project's root
PLACEHOLDER = "\0absent"  # stands in for an absent value while the rest of the file is checked
STAND_INS: dict[tuple[str | int, ...], Any] = {
    ("seed",): 0,
    ("data",): {"source": PLACEHOLDER, "target": PLACEHOLDER},
    ("data", "source"): PLACEHOLDER,
    ("data", "target"): PLACEHOLDER,
    ("split", "production", "column"): PLACEHOLDER,
    ("split", "production", "in"): [PLACEHOLDER],
}  # of what has no default

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, at a 1-based line and column."""

    line: int
    column: int
    text: str
    meant: Keys | None = None  # the key that an unknown key was probably meant to be


@dataclass(frozen=True)
class Document:
    """params.yaml as it is written: its values, its mistakes, and where each key stands.

    `params` are the values with what is wrong left out; None where nothing can be made of the rest.
    """

    path: Path
    root: Node
    params: Params | None
    mistakes: tuple[Mistake, ...]

    def place(self, keys: Keys) -> tuple[int, int]:
        """1-based line and column of a key's value, of the nearest key above it where it is not written."""
        node: Node | None = self.root
        for key in keys:
            step = _child(node, key)
            node = step[1] if step else None
        block = isinstance(node, MappingNode) and not node.flow_style  # begins at its first key
        return _locate(self.root, keys, value=not block)

    def key_of(self, message: str) -> Keys:
        """The key that a message begins with, as far as it is one: `data.columns.age: no such column`."""
        left, keys, model = message, tuple[str | int, ...](), dict(_fields(Params))
        while left and not left.startswith(": "):
            left = left.removeprefix(".") if keys else left
            node: Node | None = self.root
            for key in keys:
                step = _child(node, key)
                node = step[1] if step else None
            written = [str(key.value) for key, _ in node.value] if isinstance(node, MappingNode) else []
            prefix = ".".join(map(str, keys))
            known = [key.removeprefix(f"{prefix}." if prefix else "") for key in model if not prefix or key.startswith(f"{prefix}.")]
            fitting = [key for key in (*written, *known) if left == key or left.startswith((f"{key}.", f"{key}: "))]
            if not fitting:
                break
            longest = max(fitting, key=len)
            keys, left = (*keys, *([longest] if longest in written else longest.split("."))), left[len(longest) :]
        return keys


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: the file is absent, is not YAML, or holds mistakes: one message for each.
    """
    document = read(path)
    if document.mistakes or document.params is None:
        raise UserError(*(f"{path}:{m.line}:{m.column}: {m.text}" for m in document.mistakes))
    return document.params


def read(path: Path) -> Document:
    """params.yaml with all that is wrong with it.

    Raises:
        UserError: the file is absent or is not YAML.
    """
    root, raw = _parse(path)
    found: dict[Keys, Mistake] = {}
    params: Params | None = None
    while True:  # validators across keys run only once the single keys are sound: mend the bad ones and look again
        try:
            params = Params.model_validate_json(json.dumps(raw, default=str))
        except ValidationError as error:
            told = len(found)
            listed = error.errors()
            for each in listed:
                if _is_count(each) and any(e["loc"][: len(_counted(each))] == _counted(each) for e in listed if not _is_count(e)):
                    continue  # items that are wrong are not counted
                for keys, mistake in _mistakes(root, each):
                    unsound = {m.meant for m in found.values()} | set(found)
                    if each["type"] != "across" or not any((*each["loc"], key) in unsound for key in keys[len(each["loc"]) :]):
                        found.setdefault(keys, mistake)
            for each in listed:
                _mend(raw, each)
            if len(found) == told:
                break
        else:
            found |= {keys: mistake for keys, mistake in _space_mistakes(root, params) if keys not in found}
            break
    meant = {m.meant for m in found.values()}
    kept = [m for keys, m in found.items() if keys not in meant or not m.text.startswith("missing ")]
    return Document(path, root, params, tuple(sorted(kept, key=lambda m: (m.line, m.column))))


def schema_line(place: Path) -> str:
    """The first line of a params.yaml at `place`, by which editors find the JSON Schema: they complete keys and mark mistakes."""
    home = SCHEMA_FILE.resolve().parent.parent  # the project's root
    above = os.path.relpath(home, place.resolve().parent)
    return f"# yaml-language-server: $schema={(Path(above) / SCHEMA_FILE).as_posix()}"


def exposed(params: Params) -> list[str]:
    """Keys whose value holds what looks like a password: git, dvc.lock and DVC's cache keep it as it is."""

    def within(value: Any, key: str) -> Iterator[str]:
        if isinstance(value, str) and holds_secret(value, known=()):
            yield key
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, part in parts:
            yield from within(part, f"{key}.{name}".lstrip("."))

    return list(within(params.model_dump(mode="json", by_alias=True), ""))


def _parse(path: Path) -> tuple[Node, dict[str, Any]]:
    """The file as a tree of located nodes and as plain values."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run in the project's root, or start from examples/rand_health") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: expected UTF-8 text, byte 0x{data[error.start]:02x} is not: save the file as UTF-8") from None
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        _refuse_odd(path, root)
        raw = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{path}{place}: not valid YAML: {error.problem or error.context}") from None
    except ReaderError as error:
        before = text[: error.position]
        place = f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        raise UserError(f"{path}{place}: not valid YAML: character U+{ord(text[error.position]):04X} is not allowed") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(raw, dict):
        came = "nothing" if raw is None else type(raw).__name__
        raise UserError(f"{path}:1:1: expected sections such as data: and train:, got {came}")
    for name, value in raw.items():  # `clean:` with nothing below it means the defaults
        if value is None and name in SECTIONS:
            raw[name] = {}
    return root, raw


def _refuse_odd(path: Path, node: Node | None, above: tuple[Node, ...] = ()) -> None:
    """Raise UserError for what YAML allows and plain values cannot hold: keys that are lists or maps, nodes that hold themselves."""
    if node is None:
        return
    if node in above:
        mark = above[-1].start_mark
        raise UserError(f"{path}:{mark.line + 1}:{mark.column + 1}: expected plain values, got an alias of what holds it")
    inside = (*above, node)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise UserError(f"{path}:{key.start_mark.line + 1}:{key.start_mark.column + 1}: expected a name as key, got a list or map")
            _refuse_odd(path, value, inside)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            _refuse_odd(path, value, inside)


def _inside(root: Node, loc: Keys) -> Keys:
    """`loc` as far as it names keys of the file (pydantic appends the names of union members)."""
    path: list[str | int] = []
    node: Node | None = root
    for part in loc:
        step = _child(node, part)
        if step is None:
            if isinstance(node, MappingNode) and isinstance(part, str):
                path.append(part)
            break
        path.append(part)
        node = step[1]
    return tuple(path)


def _child(node: Node | None, part: str | int) -> tuple[Node, Node] | None:
    """The (key, value) nodes of one step down, None where the file has no such key."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _locate(root: Node, path: Keys, *, value: bool) -> tuple[int, int]:
    """1-based line and column of a key (or of its value), of its nearest parent where it is absent."""
    mark, node = root.start_mark, root
    for part in path:
        step = _child(node, part)
        if step is None:
            break
        empty = isinstance(step[1], ScalarNode) and not step[1].value and not step[1].style  # `key:` with nothing after it
        mark, node = (step[1] if value and not empty else step[0]).start_mark, step[1]
    return mark.line + 1, mark.column + 1


def _mend(raw: Any, error: ErrorDetails) -> None:
    """Put something valid where an error was found, so that the rest can be checked."""
    loc = error["loc"][:3] if error["loc"][:2] == ("tune", "space") else error["loc"]  # a range goes as a whole
    node = raw
    for depth, part in enumerate(loc, start=1):
        below = node.get(part) if isinstance(node, dict) else None
        if depth < len(loc) and isinstance(below, dict):
            node = below
            continue
        here = loc[:depth]
        if here in STAND_INS:
            node[part] = copy.deepcopy(STAND_INS[here])
        elif depth == 1 and part in SECTIONS:
            node[part] = {}
        else:
            node.pop(part, None)
        break


def _mistakes(root: Node, error: ErrorDetails) -> Iterator[tuple[Keys, Mistake]]:
    """What to tell of an error of pydantic's, each under the keys it is about."""
    loc, kind, context = error["loc"], error["type"], error.get("ctx", {})
    member = len(loc) > 1 and isinstance(loc[-2], int) and loc[-1] in ("str", "int", "float", "bool")  # of the union Scalar
    loc = loc[:-1] if member else loc
    if kind == "missing" and not isinstance(loc[-1], int):
        keys: Keys = loc
        if len(loc) == 1 and loc[0] in SECTIONS:
            needs = " and ".join(name for name, field in DataParams.model_fields.items() if field.is_required())
            text = f"missing section {loc[0]}; " + (f"it needs {needs}" if loc == ("data",) else f"write `{loc[0]}: {{}}` for its defaults")
        else:
            text = f"missing key {_name(loc)}; it has no default"
        yield keys, Mistake(*_locate(root, keys, value=False), text)
    elif kind == "extra_forbidden":
        hint, meant = _suggest(loc)
        yield loc, Mistake(*_locate(root, loc, value=False), f"unknown key {_name(loc)}{hint}", meant)
    elif "wrong" in context:
        for names, text in context["wrong"]:
            first = next((name for name in names if _has(root, (*loc, name))), names[0])
            yield (*loc, *names), Mistake(*_locate(root, (*loc, first), value=False), f"{_name(loc)}: {text}")
    else:
        keys = _inside(root, _counted(error) if _is_count(error) else loc)
        place = _locate(root, keys, value=True)
        if kind == "across":
            yield keys, Mistake(*place, f"{_name(keys)}: {error['msg']}")
            return
        came = json.dumps(error["input"], default=str, ensure_ascii=False)
        choices = context.get("expected", "").split("'")[1::2]
        near = difflib.get_close_matches(str(error["input"]), choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        expected = "text, a number, true or false" if member else _expected(error)
        yield keys, Mistake(*place, f"{_name(keys)}: expected {expected}, got {came[:80]}{hint}")


def _is_count(error: ErrorDetails) -> bool:
    """Whether a list has too many or too few items (of a pair, pydantic calls the second one missing)."""
    return error["type"] in ("too_short", "too_long") or (error["type"] == "missing" and isinstance(error["loc"][-1], int))


def _counted(error: ErrorDetails) -> Keys:
    """Where that list is."""
    return error["loc"][:-1] if error["type"] == "missing" else error["loc"]


def _expected(error: ErrorDetails) -> str:
    """What pydantic expected, in the words of the file."""
    limit = error.get("ctx", {})
    words = {
        "tuple_type": "a list",
        "model_type": "keys below it",
        "model_attributes_type": "keys below it",
        "dict_type": "keys below it",
        "string_type": "text",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "int_parsing": "a whole number",
        "float_type": "a number",
        "string_too_short": "text that is not empty",
        "missing": "[low, high]",
        "too_short": f"a list of at least {limit.get('min_length')}",
        "too_long": f"a list of at most {limit.get('max_length')}",
        "string_pattern_mismatch": f"text that matches {limit.get('pattern')}",
    }
    return words.get(error["type"]) or error["msg"].removeprefix("Input should be ")


def _has(root: Node, path: Keys) -> bool:
    """Whether the file has this key."""
    node: Node | None = root
    for part in path:
        step = _child(node, part)
        if step is None:
            return False
        node = step[1]
    return True


def _name(keys: Keys) -> str:
    return ".".join(map(str, keys)) or "params.yaml"


def _suggest(keys: Keys) -> tuple[str, Keys | None]:
    """The nearest valid key, in words and as keys: much alike in the same section, else the same in another, else somewhat alike."""
    *parents, last = map(str, keys)
    every = dict(_fields(Params))
    prefix = ".".join(parents)
    siblings = [key.rsplit(".", 1)[-1] for key in every if key.rpartition(".")[0] == prefix]
    if parents[:2] == ["tune", "space"]:
        siblings = [field.alias or name for name, field in Interval.model_fields.items()]
    elsewhere = [key for key in every if key.rsplit(".", 1)[-1] == last]
    for cutoff in (0.75, 0.5):
        if near := difflib.get_close_matches(last, siblings, n=1, cutoff=cutoff):
            return f"; nearest valid key: {'.'.join([*parents, near[0]])}", (*keys[:-1], near[0])
        if elsewhere:
            return f"; did you mean {elsewhere[0]}?", None
    return (f"; valid keys here: {', '.join(siblings)}" if siblings else ""), None


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key of the schema with its field, sections included."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key, field
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, Section):
                yield from _fields(inner, key + ".")


def _space_mistakes(root: Node, params: Params) -> Iterator[tuple[Keys, Mistake]]:
    """Keys that tune names and that nothing reads in a trial, or whose values leave the key's own bounds."""
    tune, space = params.tune, params.tune.space or {}
    first: list[tuple[Keys, str, Any]] = [
        (("tune", "enqueue", at, key), key, value) for at, one in enumerate(tune.enqueue) for key, value in one.items()
    ]
    named: list[tuple[Keys, str, tuple[Any, ...]]] = [(("tune", "space", key), key, _probes(interval)) for key, interval in space.items()]
    named += [(("tune", "fixed", key), key, (value,)) for key, value in tune.fixed.items()]
    named += [(keys, key, (value,)) for keys, key, value in first if tune.space is None]
    for keys, key, values in named:
        if wrong := _tuned_wrong(params, keys, key, values):
            yield keys, Mistake(*_locate(root, keys, value=False), wrong)
    for keys, key, value in first if tune.space is not None else ():
        if key not in space or not space[key].holds(value):
            why = "is no key of tune.space" if key not in space else f"lies outside its range, {json.dumps(value)}"
            yield keys, Mistake(*_locate(root, keys, value=False), f"tune.enqueue: {key} {why}")


def _tuned_wrong(params: Params, keys: Keys, key: str, values: tuple[Any, ...]) -> str:
    """What is wrong with a key that trials should vary; empty where nothing is."""
    known = dict(_fields(Params))
    if not _tunable(key):
        near = difflib.get_close_matches(key, [name for name in known if _tunable(name)], n=1, cutoff=0.5)
        hint = f"; nearest valid key: {near[0]}" if near else ""
        unread = key in known and key.split(".")[0] in TUNABLE
        why = "is not read in a trial" if unread else f"is no key of {', '.join(TUNABLE[:-1])} or {TUNABLE[-1]}"
        return f"{_name(keys[:2])}: {key} {why}{hint}"
    for value in values:
        try:
            override({name: params.section(name) for name in TUNABLE}, {key: value})
        except ValidationError as error:
            return f"{_name(keys)}: expected {_expected(error.errors()[0])}, got {json.dumps(value)}"
    return ""


def _probes(interval: Interval) -> tuple[Any, ...]:
    """Values of a range that show whether the key takes them."""
    return tuple([value] for value in interval.ends) if interval.each else interval.ends


def _tunable(key: str) -> bool:
    """Whether a trial reads this key: a value of model or train, or an entry of one of their mappings."""
    section, _, rest = key.partition(".")
    fields = dict(_fields(Params))
    if section not in TUNABLE or not rest or key in UNREAD:
        return False
    if key in fields:
        return not any(other.startswith(f"{key}.") for other in fields)
    return key.rpartition(".")[0] in MAPPINGS and key.count(".") == 2
