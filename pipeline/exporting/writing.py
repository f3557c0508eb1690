"""A model package's network as an ONNX file, which is compared before it appears."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.exporting.comparing import compared
from pipeline.exporting.conversion import converted, example, libraries
from pipeline.exporting.graph import whole
from pipeline.packaging import answers


@dataclass(frozen=True)
class Report:
    """The file that was written, its inputs and outputs by name, and the largest difference by what was asked, of the answers' scale.

    Of two classes it is what goes beyond the answers for an uncalibrated probability that is NEAR.
    """

    file: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    differences: Mapping[str, float]

    def __str__(self) -> str:
        size = self.file.stat().st_size / 1e6
        names = f"{', '.join(self.inputs)} -> {', '.join(self.outputs)}"
        return f"{self.file}: {names}, {size:.1f} MB; at most {max(self.differences.values()):.1e} from the package's answers"


def onnx(package: Path, out: Path, rows: pd.DataFrame | None = None, *, force: bool = False) -> Report:
    """Write the network of the package's folder to `out`, after a comparison of its answers with the package's.

    Args:
        rows: raw rows to compare on; None takes the package's own example.
        force: whether a file that is there is replaced.

    Raises:
        UserError: libraries are missing, the file is there or badly named, the package cannot answer, or its network cannot become
            ONNX or answers otherwise there; then no file is written, and one that was there stays.
    """
    if out.suffix != ".onnx":
        raise UserError(f"{out}: expected a name that ends in .onnx")
    if out.exists() and not force:
        raise UserError(f"{out} is there already; --force replaces it")
    files = package.resolve() / "artifacts" / "files"
    if not (files / "model.keras").is_file():
        raise UserError(f"{package}: expected the folder of a model package, with artifacts/files/model.keras")
    there = libraries()
    rows = example(package) if rows is None else rows
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        told = converted(package, there, rows, Path(name))
        try:
            fitted = Preprocessor.from_json((files / "preprocessor.json").read_text(encoding="utf-8"))
            by = answers(package, fitted.task)
        except (KeyError, TypeError) as error:
            raise UserError(f"{package}: was written by another version of this pipeline ({error})") from None
        content = whole(Path(name) / "network.onnx", package, fitted, by, told)
        out.parent.mkdir(parents=True, exist_ok=True)
        written = out.with_name(f".{out.name}.new")
        try:
            written.write_bytes(content)
            inputs, outputs, differences = compared(written, package, fitted, by, told["cases"], Path(name))
            os.replace(written, out)
        finally:
            written.unlink(missing_ok=True)
    return Report(out, inputs, outputs, differences)
