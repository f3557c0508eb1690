"""A package whose files were changed is refused, with the file's name."""

import pytest

from pipeline.data import contents
from pipeline.errors import UserError


@pytest.fixture
def files(tmp_path):
    files = tmp_path / "package" / "artifacts" / "files"
    files.mkdir(parents=True)
    (files / "model.keras").write_bytes(b"weights")
    (files / "answers.json").write_text("{}")
    code = tmp_path / "package" / "code" / "pipeline" / "predict.py"
    code.parent.mkdir(parents=True)
    code.write_text("code")
    contents.write(files, {"code/pipeline/predict.py": code})
    return files


def test_a_package_as_it_was_packaged_is_taken(files):
    contents.verify(files)
    contents.write(files, {"code/pipeline/predict.py": files.parents[1] / "code/pipeline/predict.py"})  # the list is none of its files
    contents.verify(files)


@pytest.mark.parametrize("name", ["artifacts/files/model.keras", "code/pipeline/predict.py"])
def test_what_was_changed_or_is_gone_is_named(files, name):
    file = files.parents[1] / name
    shown = name.removeprefix("artifacts/files/")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(UserError, match=f"{shown} was changed since it was packaged"):
        contents.verify(files)
    file.unlink()
    with pytest.raises(UserError, match=f"{shown} is gone since it was packaged"):
        contents.verify(files)


def test_without_its_list_it_is_no_package(files):
    (files / contents.LIST).unlink()
    with pytest.raises(UserError, match=r"contents\.json is not there: this is no whole package"):
        contents.verify(files)
