"""`check`: params.yaml, its names and values against the data, and what it asks of the machine: every problem at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ibis.backends.duckdb import Backend

from pipeline import params_file
from pipeline.config import Params
from pipeline.data.engine import ROW_ID
from pipeline.data.schema import Schema
from pipeline.errors import UserError
from pipeline.params_file import Document
from pipeline.preflight import asked, naming, sampling, values
from pipeline.preflight.estimating import Work
from pipeline.preflight.finding import Finding, placed
from pipeline.preflight.sampling import Sample, Unread

TARGETLESS = ("data.target", "data.series", "data.forecast")  # keys whose wrong names leave no values to look at


@dataclass(frozen=True)
class Checked:
    """What was found, in the order of the file.

    Args:
        params: as they are, None where they hold mistakes.
        sample, schema, work: what was looked at, what it holds and how much it is, None where it could not be told.
        unread: why the data were not looked at.
    """

    findings: tuple[Finding, ...]
    params: Params | None = None
    sample: Sample | None = None
    schema: Schema | None = None
    work: Work | None = None
    unread: str = ""

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]


def check(path: Path, *, data: bool = True) -> Checked:
    """All that is wrong with params.yaml; with `data`, its names and values too.

    With mistakes in the file its names are still held against the data, its values no more: they would be judged by what is
    not meant.

    Raises:
        UserError: the file is absent or no YAML.
    """
    document = params_file.read(path)
    found = [Finding(m.line, m.column, "", m.text, "error", str(path)) for m in document.mistakes]
    params, sound = document.params, not document.mistakes
    if params is None:
        return Checked(tuple(found))
    for key in params_file.exposed(params):
        text = f"{key}: holds what looks like a password: git, dvc.lock and DVC's cache keep it as it is"
        found.append(placed(document, text, "warning"))
    found += [placed(document, text, level) for level, text in (asked.asked(params) if sound else ())]
    seen = Checked(())
    if data and params.data.source != params_file.PLACEHOLDER:
        try:
            with sampling.backend() as (engine, folder):
                seen = _looked_at(engine, folder, document, params)
        except Unread as reason:
            seen = Checked((), unread=str(reason))
        except UserError as error:
            seen = Checked(tuple(placed(document, text) for text in error.messages))
    places = {(m.line, m.column) for m in document.mistakes}
    found += [finding for finding in seen.findings if (finding.line, finding.column) not in places]
    return replace(seen, findings=tuple(sorted(dict.fromkeys(found))), params=params if sound else None)


def _looked_at(engine: Backend, folder: Path, document: Document, params: Params) -> Checked:
    """The params against the data; their values too, where the file holds no mistakes."""
    sample = sampling.sampled(engine, params.data, folder)
    found = [placed(document, text, level) for level, text in asked.room(sample)]
    if text := values.one_column(sample):
        follows = not set(params.data.targets) <= set(sample.columns)  # then everything else would follow from it
        found.append(placed(document, text, "error" if follows else "warning"))
        if follows:
            return Checked(tuple(found), sample=sample)
    columns = tuple(name for name in sample.table.columns if name != ROW_ID)
    names = naming.unknown_columns(params, columns, sample.columns)
    wrong = {keys: text for keys, text in names if params_file.PLACEHOLDER not in text}
    for keys, text in wrong.items():
        made = bool(params.clean.steps) and keys[0] not in ("data", "clean")  # maybe by the user's own cleaning, which is not run here
        found.append(placed(document, f"{text}, beside what clean.steps adds" if made else text, "warning" if made else "error", keys))
    if document.mistakes or any(".".join(map(str, keys[:2])) in TARGETLESS for keys in wrong):
        return Checked(tuple(found), sample=sample)
    fitted, messages = values.fitting(engine, sample, params)
    told = {text.partition(":")[0] for text in wrong.values()}  # already, in other words
    found += [placed(document, text, level) for level, text in messages if text.partition(":")[0] not in told]
    if fitted is None:
        return Checked(tuple(found), sample=sample)
    work = Work(sample.total, len(columns), sample.bytes, fitted.shape, fitted.sides, fitted.schema.task)
    return Checked(tuple(found), sample=sample, schema=fitted.schema, work=work)
